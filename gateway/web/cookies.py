"""The gateway's own cookies: read from the raw header, and written with every protection.

`__Host-` (RFC 6265bis section 4.1.3.2) keeps other hosts and plain http from setting them. Plain
names are used only where a browser would drop Secure cookies: http on a loopback address.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class CookieKind(StrEnum):
    SESSION = "ww-session"
    DEVICE = "ww-device"
    RESUME = "ww-resume"


DEVICE_SECONDS = 400 * 86400
"""Browsers keep a cookie for at most 400 days (RFC 6265bis section 5.5)."""


@dataclass(frozen=True, slots=True)
class OwnCookies:
    """The values that came with a request; None for one that is missing or came more than once."""

    session: str | None
    device: str | None
    resume: str | None


@dataclass(frozen=True, slots=True)
class CookieJar:
    """How our cookies are named and written under one public address."""

    secure: bool

    def name(self, kind: CookieKind) -> str:
        return f"__Host-{kind}" if self.secure else str(kind)

    def read(self, headers: Iterable[tuple[bytes, bytes]]) -> OwnCookies:
        """Our cookies among all Cookie headers. Two of one name prove nothing: neither counts."""
        found: dict[str, list[str]] = {self.name(kind): [] for kind in CookieKind}
        for name, value in headers:
            if name.lower() == b"cookie":
                for pair in value.decode("latin-1").split(";"):
                    key, _, content = pair.strip(" \t").partition("=")
                    if key in found:
                        found[key].append(content)
        single = {name: values[0] if len(values) == 1 else None for name, values in found.items()}
        return OwnCookies(*(single[self.name(kind)] for kind in CookieKind))

    def write(self, kind: CookieKind, value: str, max_age: float) -> str:
        """A Set-Cookie value. Lax: the cookie must come along when somebody follows a link to the app."""
        secure = "; Secure" if self.secure else ""
        return f"{self.name(kind)}={value}; Path=/; Max-Age={int(max_age)}; HttpOnly{secure}; SameSite=Lax"

    def forget(self, kind: CookieKind) -> str:
        return self.write(kind, "", 0)
