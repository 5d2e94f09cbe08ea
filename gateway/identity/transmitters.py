"""Other parties that may end sessions here: whose token it is, whether it counts, and what follows.

PyJWT proves the signature, by the key that the issuer has under the token's `kid` and by the one algorithm
of that key. Its checks of claims are off: it reads the clock itself. `gateway.core.security_event` judges
them, on a `now` from outside.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt

from gateway.core.security_event import Fault, Kind, Outcome, Refusal, SecurityEvent, Trust, judge
from gateway.identity.jwks import Key, KeySource
from gateway.store.audit import AuditEntry
from gateway.store.opening import Store
from gateway.store.received_events import Claim

LONGEST_TOKEN = 16_384
"""Characters; what is longer is not looked at."""

_CLAIMS = ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")
_NOTHING_YET: Any = {"verify_signature": False, **{f"verify_{claim}": False for claim in _CLAIMS}}
_SIGNATURE_ONLY: Any = {**_NOTHING_YET, "verify_signature": True}


@dataclass(frozen=True, slots=True)
class Transmitter:
    trust: Trust
    keys: KeySource


class Transmitters:
    def __init__(self, store: Store, trusted: Mapping[str, Transmitter]) -> None:
        """`trusted` are those whose tokens count, by issuer."""
        self._store = store
        self._trusted = trusted

    def __bool__(self) -> bool:
        return bool(self._trusted)

    async def close(self) -> None:
        for transmitter in self._trusted.values():
            await transmitter.keys.close()

    async def verify(self, token: str, kind: Kind, now: float) -> SecurityEvent | Refusal:
        """What a token says, or why it does not count. Raises KeysUnavailable."""
        unproved = _decoded(token, None)
        if isinstance(unproved, Refusal):
            return unproved
        header, issuer = unproved["header"], unproved["payload"].get("iss")
        if not _is_type(header.get("typ"), kind):
            return Refusal(Fault.REQUEST, f"typ is not {kind}")
        if "crit" in header:
            return Refusal(Fault.REQUEST, "crit names what is not understood here")
        transmitter = self._trusted.get(issuer) if isinstance(issuer, str) else None
        if transmitter is None:
            return Refusal(Fault.ISSUER, "iss is nobody who is trusted here")
        kid = header.get("kid")
        key = await transmitter.keys.find(kid) if isinstance(kid, str) else None
        if key is None or header.get("alg") != key.algorithm:
            return Refusal(Fault.KEY, "kid and alg are not those of a key of this issuer")
        proved = _decoded(token, key)
        if isinstance(proved, Refusal):
            return proved
        return judge(kind, proved["payload"], transmitter.trust, now)

    async def act(self, event: SecurityEvent, now: float) -> Outcome:
        """Do what an event is about, unless that was done already."""
        received = self._store.received_events
        identity = (event.issuer, event.token_id, now)
        match await received.claim(*identity, forget_at=event.forget_at):
            case Claim.DONE:
                return Outcome.REPEATED
            case Claim.CLAIMED:
                return Outcome.BUSY
        outcome = await self._follow(event, now)
        await received.settle(*identity, forget_at=event.forget_at)
        return outcome

    async def _follow(self, event: SecurityEvent, now: float) -> Outcome:
        """End the sessions of whom an event names, or put on record why none were ended."""
        actor = f"transmitter:{event.issuer}"
        if not event.revokes:
            why = f"of no use here: {event.what}"
        elif event.subject is None:
            why = "it names nobody by a name that is known here"
        else:
            reason = f"told by {event.issuer}"
            entry = AuditEntry(now, "account-revoked", actor, event.subject, reason=reason)
            if await self._store.revocations.account(
                event.subject, reason=reason, actor=actor, now=now, entries=[entry]
            ):
                return Outcome.REVOKED
            why = f"there is no account {event.subject}"
        await self._store.audit.record(AuditEntry(now, "event-ignored", actor, reason=why))
        return Outcome.IGNORED


def _decoded(token: str, key: Key | None) -> Mapping[str, Any] | Refusal:
    """A token's `header` and `payload`; with `key` only if that one signed it."""
    malformed = Refusal(Fault.REQUEST, "this is not a signed token whose claims are an object")
    if len(token) > LONGEST_TOKEN or not token.isascii():
        return malformed
    try:
        if key is None:
            decoded = jwt.decode_complete(token, options=_NOTHING_YET)
        else:
            decoded = jwt.decode_complete(
                token, key.public, algorithms=[key.algorithm], options=_SIGNATURE_ONLY
            )
    except jwt.InvalidSignatureError:
        return Refusal(Fault.AUTHENTICATION, "the signature is not that of the key that it names")
    except (jwt.PyJWTError, ValueError, RecursionError):
        return malformed
    return decoded


def _is_type(typ: object, kind: Kind) -> bool:
    """Media types know no case, and need not say `application/` here (RFC 7515 section 4.1.9)."""
    return isinstance(typ, str) and typ.lower().removeprefix("application/") == kind
