"""What an app is told of who asks: the values of the identity headers, and the claims of the assertion.

The assertion is a signed token (RFC 7519) that says the same as the headers and more, so that an app can
verify it. Both are made from one `Told`, so they cannot differ. It is signed elsewhere.
"""

import math
import re
from dataclasses import dataclass
from typing import Any

from gateway.core.decision import Permit
from gateway.core.records import Account, Grant, Snapshot

TYPE = "watchword-assertion+jwt"
"""The `typ` of assertions, which no other token of ours has (RFC 8725 section 3.11)."""

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Told:
    """What apps are told of an account. A `name` or an `email` that is empty is not told."""

    subject: str
    name: str
    email: str
    groups: tuple[str, ...]


def told_of(account: Account) -> Told:
    """What apps are told of an account; raises ValueError for one that no header can name.

    A name is for people to read, so odd characters in it become blanks. The others are keys, and altering
    one could turn an account into another, so what no header can carry is an error. For the same reason an
    address that is only the person's own word is not told.
    """
    if any(not group or "," in group for group in account.groups):
        raise ValueError("a group's name is empty or holds a comma, which is what separates groups")
    readable = _CONTROLS.sub(" ", account.name).strip()
    return Told(
        subject=_key(account.subject),
        name=readable.encode(errors="replace").decode(),
        email="" if account.own_email else _key(account.email),
        groups=tuple(_key(group) for group in sorted(account.groups)),
    )


def claims_of(
    permit: Permit, snapshot: Snapshot, told: Told, *, issuer: str, now: float, lifetime: float
) -> dict[str, Any]:
    """The claims about who sends a request that is allowed.

    `aud` is the app alone. `sid` is the public id of the session, under which its end is told as well
    (`gateway.notices.events`). `amr` (RFC 8176) names a code only while proof by one is in the session;
    `auth_time` is when the newest thing that it names was given. `acr` is what our challenges ask for as
    `acr_values` (RFC 9470).
    """
    codes = [grant.granted_at for grant in snapshot.grants if _counts(grant, now)]
    claims: dict[str, Any] = {
        "iss": issuer,
        "aud": permit.match.app.name,
        "sub": told.subject,
        "groups": list(told.groups),
        "sid": snapshot.session.id,
        "amr": ["pwd", "otp", "mfa"] if codes else ["pwd"],
        "acr": "otp" if codes else "pwd",
        "auth_time": int(max(codes, default=snapshot.session.created_at)),
        "iat": int(now),
        "exp": int(now + lifetime),
    }
    named = {"name": told.name, "email": told.email}
    return claims | {name: value for name, value in named.items() if value}


def unchanged_until(snapshot: Snapshot, now: float) -> float:
    """When what the claims say of codes changes by the passing of time alone; infinity for never."""
    moments = (moment for grant in snapshot.grants for moment in (grant.expires_at, grant.full_at))
    return min((moment for moment in moments if moment > now), default=math.inf)


def _counts(grant: Grant, now: float) -> bool:
    """Whether it is proof of a second factor: a recovery code, or a factor on trial, is not yet."""
    return grant.full_at <= now < grant.expires_at


def _key(text: str) -> str:
    """Raises ValueError also for text that is no Unicode: UnicodeEncodeError is one."""
    if _CONTROLS.search(text) or text != text.strip():
        raise ValueError("a subject, address or group holds a control character, or a blank at an end")
    text.encode()
    return text
