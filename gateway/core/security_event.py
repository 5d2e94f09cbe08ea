"""Security events: what other parties say happened to an account, as tokens whose signature was proved.

Two kinds are taken: logout tokens (OpenID Connect Back-Channel Logout 1.0 section 2.4) and security event
tokens (RFC 8417) with the one event that ends sessions, CAEP's `session-revoked`. Here their claims are
judged, on a `now` from outside; who signed them is proved elsewhere.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, TypeGuard

LOGOUT = "http://schemas.openid.net/event/backchannel-logout"
"""What a logout token says happened; the URI is spelled with http."""

SESSION_REVOKED = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"

LEEWAY = 60.0
"""Seconds that the clocks of two parties may be apart."""

LONGEST_NAME = 256
"""Characters of a `jti`, or of a name of a subject."""

SubjectName = Literal["sub", "email"]


class Kind(StrEnum):
    """What a token is, as its `typ` says (RFC 8725 section 3.11): no other token passes for it."""

    LOGOUT = "logout+jwt"
    EVENT = "secevent+jwt"


class Fault(StrEnum):
    """Why a token does not count: the error codes of RFC 8935 section 2.4."""

    REQUEST = "invalid_request"
    KEY = "invalid_key"
    ISSUER = "invalid_issuer"
    AUDIENCE = "invalid_audience"
    AUTHENTICATION = "authentication_failed"


class Outcome(StrEnum):
    """What a token led to. `BUSY`: another request acts on the same event, and it may yet fail."""

    REVOKED = "revoked"
    IGNORED = "ignored"
    REPEATED = "repeated"
    BUSY = "busy"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A token that does not count. `why` is made of our words alone."""

    fault: Fault
    why: str


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose tokens count here, and what they are taken to say.

    `subject` is which of their names for a person is our account's subject. A logout token may be
    `logout_age` seconds old, an event `event_age`.
    """

    issuer: str
    audience: str
    subject: SubjectName
    logout_age: float
    event_age: float

    def age(self, kind: Kind) -> float:
        return self.logout_age if kind is Kind.LOGOUT else self.event_age


@dataclass(frozen=True, slots=True)
class SecurityEvent:
    """A token that counts. `subject` is whose sessions are to end, None where it names nobody known by name;
    `what` is the event's URI, and `revokes` whether it is one that ends sessions. It need not be remembered
    after `forget_at`, when it is too old in any case.
    """

    issuer: str
    token_id: str
    what: str
    revokes: bool
    subject: str | None
    forget_at: float


_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,31}:[!-~]{1,255}", re.ASCII)
_NAMES: Mapping[str, tuple[str, ...]] = {"iss_sub": ("iss", "sub"), "opaque": ("id",), "email": ("email",)}
"""What each format of a subject consists of; the last one names the person."""

_MALFORMED_SUBJECT = Refusal(Fault.REQUEST, "sub_id is not a subject identifier (RFC 9493)")


def judge(kind: Kind, claims: Mapping[str, Any], trust: Trust, now: float) -> SecurityEvent | Refusal:
    """What the claims of a token signed by the one who is trusted are worth now."""
    if claims.get("iss") != trust.issuer:
        return Refusal(Fault.ISSUER, "iss is not the issuer that this key belongs to")
    if not _is_meant(kind, claims.get("aud"), trust.audience):
        return Refusal(Fault.AUDIENCE, "aud is not this receiver")
    if why := _untimely(kind, claims, trust, now):
        return Refusal(Fault.REQUEST, why)
    token_id = claims.get("jti")
    if not _is_name(token_id):
        return Refusal(Fault.REQUEST, f"jti must be text of 1 to {LONGEST_NAME} visible characters")
    what = _only_event(claims.get("events"))
    if what is None:
        return Refusal(Fault.REQUEST, "events must be an object with exactly one event in it")
    subject = _logout_subject(what, claims, trust) if kind is Kind.LOGOUT else _event_subject(claims, trust)
    if isinstance(subject, Refusal):
        return subject
    return SecurityEvent(
        issuer=trust.issuer,
        token_id=token_id,
        what=what,
        revokes=what == (LOGOUT if kind is Kind.LOGOUT else SESSION_REVOKED),
        subject=subject,
        forget_at=now + trust.age(kind) + 2 * LEEWAY,
    )


def _is_meant(kind: Kind, audience: object, ours: str) -> bool:
    """Whether a token is for us. A logout token must be for nobody else besides, like an ID token (OpenID
    Connect Core 1.0 section 3.1.3.7); events may be told to several at once (RFC 8417 section 2.2).
    """
    named = audience if isinstance(audience, list) else [audience]
    return named == [ours] if kind is Kind.LOGOUT else ours in named


def _untimely(kind: Kind, claims: Mapping[str, Any], trust: Trust, now: float) -> str:
    """Why a token does not count at this moment; empty if it does."""
    issued = claims.get("iat")
    if not _is_moment(issued):
        return "iat must be a number"
    if issued > now + LEEWAY:
        return "iat is in the future"
    if issued < now - trust.age(kind) - LEEWAY:
        return "iat is too long ago"
    if not all(_is_moment(claims[name]) for name in ("exp", "nbf") if name in claims):
        return "exp and nbf must be numbers"
    if claims.get("exp", math.inf) <= now - LEEWAY:
        return "the token is expired"
    return "the token does not count yet" if claims.get("nbf", -math.inf) > now + LEEWAY else ""


def _only_event(events: object) -> str | None:
    """The URI of the one event; None if there is none, or another one, or it is not an object."""
    if not isinstance(events, dict) or len(events) != 1:
        return None
    ((what, about),) = events.items()
    return what if _URI.fullmatch(what) and isinstance(about, dict) else None


def _logout_subject(what: str, claims: Mapping[str, Any], trust: Trust) -> str | Refusal | None:
    """Who is to be logged out (Back-Channel Logout section 2.6, steps 4 to 6).

    `sid` names a session of the other party, of which nothing is known here: with a `sub` all sessions of
    the account end, which takes in the one that is meant; alone it names nobody.
    """
    if what != LOGOUT:
        return Refusal(Fault.REQUEST, "events does not say that this is a logout")
    if "nonce" in claims:
        return Refusal(Fault.REQUEST, "a logout token has no nonce")
    named = [claims[name] for name in ("sub", "sid") if name in claims]
    if not named or not all(map(_is_name, named)):
        return Refusal(Fault.REQUEST, "a logout token names its subject by sub, sid, or both")
    subject = claims.get(trust.subject)
    return subject if _is_name(subject) else None


def _event_subject(claims: Mapping[str, Any], trust: Trust) -> str | Refusal | None:
    """Whom an event is about. A complex subject (OpenID Shared Signals Framework 1.0 section 3.3) is about
    its `user`; a `session` or `device` of theirs is unknown here, so all sessions of that person end.
    """
    subject = claims.get("sub_id")
    if not isinstance(subject, dict) or not _is_name(subject.get("format")):
        return _MALFORMED_SUBJECT
    if subject["format"] != "complex":
        return _person(subject, trust)
    members = {name: value for name, value in subject.items() if name != "format"}
    if not members or not all(
        isinstance(value, dict) and _is_name(value.get("format")) for value in members.values()
    ):
        return _MALFORMED_SUBJECT
    return _person(members["user"], trust) if "user" in members else None


def _person(subject: Mapping[str, Any], trust: Trust) -> str | Refusal | None:
    """Our account's subject, as one of the formats of RFC 9493 names it; None for a name that is not ours.

    A party speaks of its own people only: an `iss_sub` of another issuer is nobody here.
    """
    kind = subject["format"]
    if kind not in _NAMES:
        return None
    if not all(_is_name(subject.get(name)) for name in _NAMES[kind]):
        return _MALFORMED_SUBJECT
    speaks = (kind == "email") == (trust.subject == "email")
    if not speaks or (kind == "iss_sub" and subject["iss"] != trust.issuer):
        return None
    return str(subject[_NAMES[kind][-1]])


def _is_moment(value: object) -> TypeGuard[int | float]:
    """A NumericDate (RFC 7519 section 2)."""
    return type(value) is int or (type(value) is float and math.isfinite(value))


def _is_name(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= LONGEST_NAME and value.isprintable()
