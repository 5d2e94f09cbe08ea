"""Revocations told to other programs: CAEP `session-revoked`, as signed events that are pushed (RFC 8935).

A receiver need keep no secret of ours: it finds the key that signs in our JWK Set. An event is signed when it
is sent, so its `iat` is that of the attempt; its `jti` stays the same, and so tells a repetition.
"""

import json
from collections.abc import Mapping
from typing import Any

import jwt
from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar

from gateway import __version__, clock
from gateway.backchannel_settings import BackChannel, Receiver
from gateway.core.security_event import SESSION_REVOKED, Kind
from gateway.core.telling import is_by_support
from gateway.identity.event_key import ALGORITHM, key_id
from gateway.notices.sending import NotSent
from gateway.store.keyring import Seals
from gateway.store.outbox import Message

SEND_SECONDS = 10.0
"""How long the receiver may take for an event."""

_LARGEST_ANSWER = 4096
_ERRORS = frozenset(
    {
        "invalid_request",
        "invalid_key",
        "invalid_issuer",
        "invalid_audience",
        "authentication_failed",
        "access_denied",
    }
)
"""What RFC 8935 section 2.4 has a receiver say; what else it says is not repeated in our log."""


class EventSender:
    def __init__(
        self, url: str, audience: str, issuer: str, ring: Seals, authorization: str | None = None
    ) -> None:
        """Must be made within a running event loop. `authorization` is what that header says."""
        self._url = url
        self._audience = audience
        self._issuer = issuer
        self._ring = ring
        self._session = ClientSession(
            cookie_jar=DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            timeout=ClientTimeout(total=SEND_SECONDS),
            headers={
                "Content-Type": f"application/{Kind.EVENT}",
                "Accept": "application/json",
                "User-Agent": f"Watchword/{__version__}",
                **({"Authorization": authorization} if authorization else {}),
            },
        )

    async def send(self, message: Message) -> None:
        """Push an event; 202 alone says that it arrived. Raises NotSent, final if it is not wanted."""
        claims = claims_of(message, issuer=self._issuer, audience=self._audience, now=clock.now())
        key = self._ring.event_key()
        header = {"typ": str(Kind.EVENT), "kid": key_id(key.public_key())}
        token = jwt.encode(claims, key, algorithm=ALGORITHM, headers=header)
        try:
            async with self._session.post(self._url, data=token, allow_redirects=False) as answer:
                if answer.status == 400 and (error := await _error_in(answer)):
                    raise NotSent(f"the receiver refused the event: {error}", final=True)
                if answer.status != 202:
                    raise NotSent(f"the receiver answered {answer.status}, not 202")
        except (ClientError, OSError, TimeoutError) as error:
            raise NotSent(f"the receiver cannot be reached: {type(error).__name__}") from None

    async def close(self) -> None:
        await self._session.close()


def claims_of(message: Message, *, issuer: str, audience: str, now: float) -> dict[str, Any]:
    """A revocation as the claims of a security event token (RFC 8417, CAEP 1.0 section 3.1).

    `txn` is the revocation's id, the same for each receiver.
    """
    entry = message.entry
    about: dict[str, Any] = {
        "event_timestamp": int(entry.at),
        "initiating_entity": _initiator(entry.actor),
    }
    if entry.reason:
        about["reason_admin"] = {"en": entry.reason}
    return {
        "iss": issuer,
        "aud": audience,
        "iat": int(now),
        "jti": message.id,
        "txn": message.revocation_id,
        "sub_id": _subject(message, issuer),
        "events": {SESSION_REVOKED: about},
    }


def _subject(message: Message, issuer: str) -> Mapping[str, Any]:
    """What ended (RFC 9493; complex subjects: OpenID Shared Signals Framework 1.0 section 3.3).

    Everybody are all the people of this issuer, which is the `tenant` that they belong to.
    """
    entry = message.entry
    if not entry.subject:
        return {"format": "complex", "tenant": _opaque(issuer)}
    user = {"format": "iss_sub", "iss": issuer, "sub": entry.subject}
    named = {"session": entry.session_id, "device": entry.device_id}
    return {"format": "complex", "user": user, **{name: _opaque(id_) for name, id_ in named.items() if id_}}


def _opaque(identifier: str) -> Mapping[str, str]:
    return {"format": "opaque", "id": identifier}


def _initiator(actor: str) -> str:
    if actor.startswith("account:"):
        return "user"
    return "admin" if is_by_support(actor) else "system"


def event_senders(back_channel: BackChannel, ring: Seals) -> Mapping[str, EventSender]:
    """A sender for each receiver, by name. Raises OSError, ValueError for what their files hold."""
    return {
        receiver.name: EventSender(
            receiver.url, receiver.audience, back_channel.issuer or "", ring, authorization_of(receiver)
        )
        for receiver in back_channel.receivers
    }


def authorization_of(receiver: Receiver) -> str | None:
    """What the file of a receiver holds. Raises OSError, ValueError."""
    if receiver.authorization_file is None:
        return None
    text = receiver.authorization_file.read_text("ascii").rstrip("\r\n")
    if not text or not text.isprintable():
        raise ValueError("it must hold one line, such as Bearer and a token")
    return text


async def _error_in(answer: ClientResponse) -> str:
    """The error code of a refusal by RFC 8935; empty if it is none, but perhaps some proxy's page."""
    try:
        said = json.loads(await answer.content.read(_LARGEST_ANSWER))
    except (ValueError, RecursionError):
        return ""
    error = said.get("err") if isinstance(said, dict) else None
    if not isinstance(error, str):
        return ""
    return error if error in _ERRORS else "for a reason of its own"
