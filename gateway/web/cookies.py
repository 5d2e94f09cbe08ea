"""The gateway's own cookies: read from the raw header, and written with every protection.

`__Host-` (RFC 6265bis section 4.1.3.2) keeps other hosts and plain http from setting them. Plain
names are used only where a browser would drop Secure cookies: http on a loopback address.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from gateway.web.cookie_names import PREFIX


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


_MARK = PREFIX.encode()
"""What every cookie of ours has in its name, so that most headers need no closer look."""


def _name(kind: CookieKind, secure: bool) -> str:
    return f"__Host-{kind}" if secure else str(kind)


_PLACES = {
    secure: {_name(kind, secure).encode(): place for place, kind in enumerate(CookieKind)}
    for secure in (True, False)
}
"""Which of `OwnCookies` a name is, under https and under http."""


@dataclass(frozen=True, slots=True)
class CookieJar:
    """How our cookies are named and written under one public address."""

    secure: bool

    def name(self, kind: CookieKind) -> str:
        return _name(kind, self.secure)

    def read(self, headers: Iterable[tuple[bytes, bytes]]) -> OwnCookies:
        """Our cookies among all Cookie headers. Two of one name prove nothing: neither counts."""
        places = _PLACES[self.secure]
        found: list[list[bytes]] = [[], [], []]
        for name, value in headers:
            if _MARK in value and name.lower() == b"cookie":
                for pair in value.split(b";"):
                    key, _, content = pair.strip(b" \t").partition(b"=")
                    if (place := places.get(key)) is not None:
                        found[place].append(content)
        return OwnCookies(*(values[0].decode("latin-1") if len(values) == 1 else None for values in found))

    def write(self, kind: CookieKind, value: str, max_age: float) -> str:
        """A Set-Cookie value. Lax: the cookie must come along when somebody follows a link to the app."""
        secure = "; Secure" if self.secure else ""
        return f"{self.name(kind)}={value}; Path=/; Max-Age={int(max_age)}; HttpOnly{secure}; SameSite=Lax"

    def forget(self, kind: CookieKind) -> str:
        return self.write(kind, "", 0)
