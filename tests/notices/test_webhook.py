"""The webhook on a real server: what arrives, how it is signed, and where it never goes."""

import asyncio
import base64
import hmac
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from support.mail import reserved_port
from support.notices import ENTRY, MESSAGE, message
from support.store import NOW
from support.webhooks import KEY, SECRET, receiving

from gateway import clock
from gateway.notice_settings import Webhook
from gateway.notices import webhook as webhook_module
from gateway.notices.sending import NotSent
from gateway.notices.webhook import WebhookSender, payload, signed_headers


@asynccontextmanager
async def sender(url: str) -> AsyncIterator[WebhookSender]:
    made = WebhookSender(Webhook.model_validate({"url": url, "secret": SECRET}))
    try:
        yield made
    finally:
        await made.close()


async def refusal(url: str) -> NotSent:
    async with sender(url) as sending:
        with pytest.raises(NotSent) as raised:
            await sending.send(MESSAGE)
    assert not raised.value.final
    return raised.value


def documented() -> Callable[[Mapping[str, str], bytes, str], bool]:
    """The check that docs/operators.md gives to receivers."""
    text = (Path(__file__).parents[2] / "docs" / "operators.md").read_text()
    (code,) = re.findall(r"<!-- verify -->\n```python\n(.*?)```", text, re.DOTALL)
    made: dict[str, Any] = {}
    exec(code, made)
    made["time"] = type("Time", (), {"time": lambda: RECEIVER_CLOCK[0]})
    found: Callable[[Mapping[str, str], bytes, str], bool] = made["is_genuine"]
    return found


RECEIVER_CLOCK = [NOW]
_check = documented()


def is_genuine(headers: Mapping[str, str], body: bytes, secret: str = SECRET, now: float = NOW) -> bool:
    RECEIVER_CLOCK[0] = now
    return _check(headers, body, secret)


async def test_a_message_arrives_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)
    async with receiving() as receiver, sender(receiver.url) as sending:
        await sending.send(MESSAGE)
    (call,) = receiver.calls
    assert (call.method, call.headers["Content-Type"]) == ("POST", "application/json")
    assert call.headers["webhook-id"] == MESSAGE.id
    assert is_genuine(call.headers, call.body)
    assert json.loads(call.body) == {
        "type": "device-new",
        "timestamp": datetime.fromtimestamp(ENTRY.at, UTC).isoformat(),
        "data": {
            "subject": "ada",
            "actor": "account:ada",
            "session": "5" * 32,
            "device": "d" * 32,
            "device_name": "Work laptop",
            "address": "203.0.113.7",
            "reason": "Firefox on Linux",
        },
    }


def test_a_known_signature() -> None:
    headers = signed_headers("msg_1", b'{"a":1}', b"k" * 32, 1_700_000_000.9)
    assert headers["webhook-timestamp"] == "1700000000"
    signed = hmac.new(b"k" * 32, b'msg_1.1700000000.{"a":1}', "sha256").digest()
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(signed).decode()}"


@given(
    body=st.binary(min_size=1),
    change=st.sampled_from(["body", "webhook-id", "webhook-timestamp", "key", "later"]),
)
def test_what_is_forged_is_noticed(body: bytes, change: str) -> None:
    headers, secret, now = signed_headers("msg_1", body, KEY, NOW), SECRET, NOW
    assert is_genuine(headers, body)
    match change:
        case "body":
            body += b" "
        case "key":
            secret = "whsec_" + base64.b64encode(b"e" * 32).decode()
        case "later":
            now += 301
        case name:
            headers[name] += "1"
    assert not is_genuine(headers, body, secret, now)


def test_what_is_unknown_is_null_and_mails_addresses_are_left_out() -> None:
    told = json.loads(payload(message(session_id="", device_id="", device_name="", address="", reason="")))
    assert set(told["data"].values()) == {"ada", "account:ada", None}
    assert b"example.org" not in payload(MESSAGE)
    assert told["timestamp"].endswith("+00:00")


@pytest.mark.parametrize("text", ["\r\nX: y", '"}', "\x00", "\U0001f600", "é"])
def test_odd_text_stays_text(text: str) -> None:
    told = json.loads(payload(message(subject=text, reason=text)))
    assert (told["data"]["subject"], told["data"]["reason"]) == (text, text)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_every_2xx_is_success(status: int) -> None:
    async with receiving(status) as receiver, sender(receiver.url) as sending:
        await sending.send(MESSAGE)


@pytest.mark.parametrize("status", [400, 401, 404, 410, 429, 500, 503])
async def test_everything_else_is_not(status: int) -> None:
    async with receiving(status) as receiver:
        assert str(await refusal(receiver.url)) == f"the receiver answered {status}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(status: int) -> None:
    async with receiving() as elsewhere, receiving(status, headers={"Location": elsewhere.url}) as receiver:
        assert str(await refusal(receiver.url)) == f"the receiver answered {status}"
    assert (len(receiver.calls), elsewhere.calls) == (1, [])


async def test_cookies_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        receiving(headers={"Set-Cookie": "a=b; Path=/"}) as receiver,
        sender(receiver.url.replace("127.0.0.1", "localhost")) as sending,
    ):
        await sending.send(MESSAGE)
        await sending.send(MESSAGE)
    assert [call.headers.get("Cookie") for call in receiver.calls] == [None, None]


async def test_proxies_of_the_environment_see_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as proxy, receiving() as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        async with sender(receiver.url) as sending:
            await sending.send(MESSAGE)
    assert (len(receiver.calls), proxy.calls) == (1, [])


async def test_a_receiver_that_is_away_or_hangs_or_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with reserved_port() as away:
        assert "ConnectorError" in str(await refusal(f"http://127.0.0.1:{away.getsockname()[1]}/"))
    monkeypatch.setattr(webhook_module, "SEND_SECONDS", 0.3)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def noise(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()

    for behave in (silent, noise):
        server = await asyncio.start_server(behave, "127.0.0.1", 0)
        assert await refusal(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        server.close()


async def test_an_endless_answer_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        with pytest.raises(ConnectionError):
            while True:
                await answer.write(b"x" * 65536)
        return answer

    async with receiving(respond=endless) as receiver, sender(receiver.url) as sending:
        await sending.send(MESSAGE)
