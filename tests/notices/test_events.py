"""Revocations told to other programs: what they are told, that it is proved, and that it arrives."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from support.gateway import Client, OpenScene
from support.notices import MESSAGE
from support.store import NOW, RING
from support.webhooks import Call, receiving

from gateway import clock
from gateway.backchannel_settings import BackChannel, Receiver
from gateway.core.security_event import SESSION_REVOKED, Kind, SecurityEvent, Trust
from gateway.identity.event_key import jwk_set
from gateway.identity.jwks import FileKeys
from gateway.identity.transmitters import Transmitter, Transmitters
from gateway.notices import worker as worker_module
from gateway.notices.events import EventSender, authorization_of, claims_of, event_senders
from gateway.notices.sending import NotSent
from gateway.store.audit import AuditEntry
from gateway.store.outbox import Message

ISSUER, AUDIENCE = "https://exchange.example", "payments"
USER = {"format": "iss_sub", "iss": ISSUER, "sub": "ada"}
KEYS = {"keys": jwk_set(RING.event_key().public_key())["keys"]}


def message(**entry: Any) -> Message:
    ended = AuditEntry(
        at=NOW + 0.5, event="session-revoked", actor="account:ada", subject="ada", reason="force logout"
    )
    return replace(
        MESSAGE, channel="events:payments", to="", entry=replace(ended, **entry), revocation_id="r1"
    )


def claims(**entry: Any) -> Mapping[str, Any]:
    return claims_of(message(**entry), issuer=ISSUER, audience=AUDIENCE, now=NOW + 9.5)


def opaque(identifier: str) -> dict[str, str]:
    return {"format": "opaque", "id": identifier}


def test_what_is_said() -> None:
    assert claims() == {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": int(NOW) + 9,
        "jti": MESSAGE.id,
        "txn": "r1",
        "sub_id": {"format": "complex", "user": USER},
        "events": {
            SESSION_REVOKED: {
                "event_timestamp": int(NOW),
                "initiating_entity": "user",
                "reason_admin": {"en": "force logout"},
            }
        },
    }


@pytest.mark.parametrize(
    ("entry", "subject"),
    [
        ({}, {"user": USER}),
        ({"session_id": "5" * 32}, {"user": USER, "session": opaque("5" * 32)}),
        ({"device_id": "d" * 32}, {"user": USER, "device": opaque("d" * 32)}),
        ({"subject": ""}, {"tenant": opaque(ISSUER)}),
    ],
)
def test_what_ended(entry: dict[str, Any], subject: dict[str, Any]) -> None:
    assert claims(**entry)["sub_id"] == {"format": "complex", **subject}


@pytest.mark.parametrize(
    ("actor", "entity"),
    [("account:ada", "user"), ("operator:grace", "admin"), ("cli:root", "admin"), ("gateway", "system")],
)
def test_who_ended_it(actor: str, entity: str) -> None:
    assert claims(actor=actor)["events"][SESSION_REVOKED]["initiating_entity"] == entity


def test_without_a_reason_none_is_made_up() -> None:
    assert "reason_admin" not in claims(reason="")["events"][SESSION_REVOKED]


# --- sending


async def send(url: str, authorization: str | None = None) -> NotSent | None:
    """Why a message was not sent; None if it was."""
    sender = EventSender(url, AUDIENCE, ISSUER, RING, authorization)
    try:
        await sender.send(message())
    except NotSent as failure:
        return failure
    finally:
        await sender.close()
    return None


def proved(call: Call, keys: Mapping[str, Any] = KEYS) -> Mapping[str, Any]:
    """What an event says, checked as a receiver does it."""
    header = jwt.get_unverified_header(call.body.decode())
    assert header["typ"] == "secevent+jwt"
    key = jwt.PyJWKSet.from_dict(dict(keys))[header["kid"]]
    hours_ahead = {"verify_iat": False}
    said: Mapping[str, Any] = jwt.decode(
        call.body, key.key, algorithms=["ES256"], audience=AUDIENCE, issuer=ISSUER, options=hours_ahead
    )
    return said


async def test_it_is_pushed_and_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW + 60)
    async with receiving(202) as receiver:
        assert await send(receiver.url, "Bearer t0ken") is None
    (call,) = receiver.calls
    assert (call.method, call.headers["Content-Type"]) == ("POST", "application/secevent+jwt")
    assert (call.headers["Accept"], call.headers["Authorization"]) == ("application/json", "Bearer t0ken")
    assert proved(call)["iat"] == int(NOW) + 60, "signed when it is sent"
    assert proved(call)["jti"] == MESSAGE.id


async def test_without_a_word_there_is_no_authorization() -> None:
    async with receiving(202) as receiver:
        await send(receiver.url)
    assert "Authorization" not in receiver.calls[0].headers


async def test_another_watchword_understands_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both halves fit: what one gateway says, another one takes."""
    monkeypatch.setattr(clock, "now", lambda: NOW)
    async with receiving(202) as receiver:
        await send(receiver.url)
    file = tmp_path / "keys.json"
    file.write_text(json.dumps(KEYS))
    trust = Trust(ISSUER, AUDIENCE, "sub", logout_age=300, event_age=300)
    parties = Transmitters(None, {ISSUER: Transmitter(trust, FileKeys(file, ("ES256",)))})  # type: ignore[arg-type]
    event = await parties.verify(receiver.calls[0].body.decode(), Kind.EVENT, NOW)
    assert isinstance(event, SecurityEvent), event
    assert (event.subject, event.revokes) == ("ada", True)


@pytest.mark.parametrize(
    ("status", "body", "final"),
    [
        (200, b"", False),
        (204, b"", False),
        (302, b"", False),
        (400, b"", False),
        (400, b"<html>Bad Request</html>", False),
        (400, b"[]", False),
        (400, b'{"error": "invalid_request"}', False),
        (400, b'{"err": 1}', False),
        (400, b"[" * 4000, False),
        (400, b'{"err": "invalid_issuer", "description": "who?"}', True),
        (400, b'{"err": "a code of theirs"}', True),
        (401, b'{"err": "authentication_failed"}', False),
        (429, b"", False),
        (503, b'{"err": "invalid_request"}', False),
    ],
)
async def test_what_a_receiver_may_answer(status: int, body: bytes, final: bool) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers={"Location": "/elsewhere"})

    async with receiving(respond=answer) as receiver:
        failure = await send(receiver.url)
    assert failure is not None
    assert failure.final is final
    assert "theirs" not in str(failure)
    assert "who?" not in str(failure)
    assert len(receiver.calls) == 1, "nobody leads elsewhere"


async def test_nobody_there(unused_tcp_port: int) -> None:
    failure = await send(f"http://127.0.0.1:{unused_tcp_port}/")
    assert failure is not None
    assert not failure.final


def test_what_a_file_of_authorization_holds(tmp_path: Path) -> None:
    file = tmp_path / "authorization"
    receiver = Receiver(name="payments", url="https://p.example", audience="p", authorization_file=file)
    with pytest.raises(OSError, match="No such file"):
        authorization_of(receiver)
    file.write_text("Bearer t0ken\n")
    assert authorization_of(receiver) == "Bearer t0ken"
    for text in ("", "two\nlines", "Bearer t\x00"):
        file.write_text(text)
        with pytest.raises(ValueError, match="one line"):
            authorization_of(receiver)


async def test_each_receiver_has_a_sender() -> None:
    receivers = tuple(Receiver(name=name, url="https://p.example", audience=name) for name in ("a", "b"))
    senders = event_senders(BackChannel(issuer=ISSUER, receivers=receivers), RING)
    assert set(senders) == {"a", "b"}
    for sender in senders.values():
        await sender.close()


# --- all together


def told(*receivers: tuple[str, str], **other: Any) -> dict[str, Any]:
    named = [{"name": name, "url": url, "audience": AUDIENCE} for name, url in receivers]
    return {"back_channel": {"issuer": ISSUER, "receivers": named, **other}}


async def keys_of(client: Client) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (await client.call("GET /.watchword/jwks.json")).json
    return found


async def test_what_a_person_ends_is_told_at_once(open_scene: OpenScene) -> None:
    async with receiving(202) as receiver, open_scene(**told(("payments", receiver.url))) as scene:
        client = await scene.signed_in()
        assert (await client.call("POST /.watchword/api/sessions/revoke-all")).status == 200
        (call, *_) = await receiver.until(1)
        said = proved(call, await keys_of(client))
        assert said["sub_id"] == {"format": "complex", "user": USER}
        (revocation,) = await scene.gateway.store.revocations.list()
        assert said["txn"] == revocation.revocation_id


async def test_a_receiver_that_is_down_keeps_no_other_waiting_and_hears_of_it_later(
    open_scene: OpenScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "IDLE_SECONDS", 0.05)
    async with receiving(202) as up, receiving(503) as down:
        settings = told(("up", up.url), ("down", down.url))
        async with open_scene(**settings) as scene:
            client = await scene.signed_in()
            await client.call("POST /.watchword/api/sessions/revoke-all")
            await up.until(1)
            await down.until(1)
        down.status = 202
        async with open_scene(**settings) as scene:  # the event waits in the store
            scene.clock.advance(60)
            first, again = await down.until(2)
            keys = await keys_of(scene.client())
            assert proved(first, keys)["jti"] == proved(again, keys)["jti"]
            assert proved(first, keys)["iat"] < proved(again, keys)["iat"]
            while await scene.gateway.store.outbox.waiting("events:down"):
                await asyncio.sleep(0.01)
        assert len(up.calls) == 1


async def test_what_waits_for_a_receiver_that_is_gone_is_given_up(
    open_scene: OpenScene, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "IDLE_SECONDS", 0.05)
    nowhere = f"http://127.0.0.1:{unused_tcp_port}/"
    async with open_scene(**told(("payments", nowhere))) as scene:
        client = await scene.signed_in()
        await client.call("POST /.watchword/api/sessions/revoke-all")
    async with open_scene() as scene:
        scene.clock.advance(8 * 86_400)
        assert await scene.gateway.store.outbox.waiting("events:payments") == 1
        scene.gateway.store.audit._follower(["events:payments"], [])  # type: ignore[misc]
        while await scene.gateway.store.outbox.waiting("events:payments"):
            await asyncio.sleep(0.01)
