import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, web
from aiohttp.test_utils import TestServer
from support.raw_client import RawClient
from support.relaying import Passage, relaying
from support.upstreams import OK, Peer, Script, Scripted, answering, serving, until

from gateway.errors import UpstreamFailed, UpstreamFault
from gateway.proxy import tunnel
from gateway.web.connection import ListenerLimits

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE = (
    b"GET /ws?x=1 HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: "
    + KEY
    + b"\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: x; y=1\r\n\r\n"
)
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


# with a real client and a real server


class Echo:
    """A WebSocket app: sends back what it gets, and remembers how it was closed."""

    def __init__(self) -> None:
        self.app = web.Application()
        self.app.router.add_get("/ws", self.serve)
        self.closed: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self.pings: list[bytes] = []

    async def serve(self, request: web.Request) -> web.StreamResponse:
        chat = web.WebSocketResponse(protocols=["chat.v2", "chat.v1"], autoping=False, max_msg_size=0)
        await chat.prepare(request)
        async for message in chat:
            if message.type is WSMsgType.TEXT and message.data == "close, please":
                await chat.close(code=4002, message=b"as you wish")
            elif message.type is WSMsgType.TEXT:
                await chat.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                await chat.send_bytes(message.data)
            elif message.type is WSMsgType.PING:
                self.pings.append(message.data)
                await chat.pong(message.data)
        self.closed.set_result(chat.close_code)
        return chat


@asynccontextmanager
async def chatting(**options: Any) -> AsyncIterator[tuple[Echo, ClientWebSocketResponse]]:
    echo = Echo()
    async with (
        TestServer(echo.app) as server,
        relaying(f"http://127.0.0.1:{server.port}") as passage,
        ClientSession() as session,
        session.ws_connect(f"ws://localhost:{passage.port}/ws", max_msg_size=0, **options) as chat,
    ):
        yield echo, chat


async def test_text_and_binary_messages_go_both_ways() -> None:
    async with chatting() as (_, chat):
        for text in ("hello", "", "héllo 佐"):
            await chat.send_str(text)
            assert await chat.receive_str() == text
        await chat.send_bytes(bytes(range(256)))
        assert await chat.receive_bytes() == bytes(range(256))


@pytest.mark.parametrize("compress", [0, 15])
async def test_large_messages_pass_whole(compress: int) -> None:
    message = bytes(range(256)) * 8192
    async with chatting(compress=compress) as (_, chat):
        assert bool(chat.compress) == bool(compress)
        for _ in range(3):
            await chat.send_bytes(message)
            assert await chat.receive_bytes() == message


async def test_pings_are_answered_by_the_other_end() -> None:
    async with chatting(autoping=False) as (echo, chat):
        await chat.ping(b"are you there?")
        pong = await chat.receive()
        assert (pong.type, pong.data) == (WSMsgType.PONG, b"are you there?")
        assert echo.pings == [b"are you there?"]


async def test_the_clients_close_code_reaches_the_app() -> None:
    async with chatting() as (echo, chat):
        await chat.close(code=4001, message=b"bye")
        assert await echo.closed == 4001


async def test_the_apps_close_code_reaches_the_client() -> None:
    async with chatting() as (_, chat):
        await chat.send_str("close, please")
        close = await chat.receive()
        assert (close.type, close.data, close.extra) == (WSMsgType.CLOSE, 4002, "as you wish")


async def test_a_sub_protocol_is_agreed_on() -> None:
    async with chatting(protocols=["chat.v1", "chat.v9"]) as (_, chat):
        assert chat.protocol == "chat.v1"


# with every byte in sight


@asynccontextmanager
async def tunnelling(script: Script, **options: Any) -> AsyncIterator[tuple[Scripted, Passage, RawClient]]:
    """A client whose handshake the upstream of `script` has accepted; what follows are bare bytes."""

    async def switching(peer: Peer) -> None:
        await peer.head()
        await peer.say(SWITCH)
        await script(peer)

    async with (
        serving(switching) as upstream,
        relaying(upstream.address, **options) as passage,
        await RawClient.connect(passage.port, "localhost") as client,
    ):
        await client.send(HANDSHAKE)
        assert (await client.answer()).status == 101
        yield upstream, passage, client


async def test_the_handshake_passes_unchanged() -> None:
    answer = (
        b"HTTP/1.1 101 Fine\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLM=\r\n"
        b"Set-Cookie: ww-session=evil\r\nSet-Cookie: a=b\r\n\r\n"
    )

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(answer + b"at once")
        await peer.rest()

    async with (
        serving(script) as upstream,
        relaying(upstream.address) as passage,
        await RawClient.connect(passage.port, "localhost") as client,
    ):
        await client.send(HANDSHAKE)
        expected = (
            b"HTTP/1.1 101 Fine\r\nSec-WebSocket-Accept: s3pPLM=\r\nSet-Cookie: a=b\r\nVia: 1.1 watchword\r\n"
            b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\nat once"
        )
        assert await client.reader.readexactly(len(expected)) == expected
    assert upstream.heads == [
        b"GET /ws?x=1 HTTP/1.1\r\nHost: localhost\r\nSec-WebSocket-Key: " + KEY + b"\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: x; y=1\r\nX-Forwarded-For: 127.0.0.1\r\n"
        b"X-Forwarded-Proto: http\r\nX-Forwarded-Host: localhost\r\nVia: 1.1 watchword\r\n"
        b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    ]


async def test_what_a_client_says_right_behind_its_handshake_is_not_lost() -> None:
    heard = asyncio.get_running_loop().create_future()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(SWITCH)
        heard.set_result(await peer.reader.readexactly(11))

    async with (
        serving(script) as upstream,
        relaying(upstream.address) as passage,
        await RawClient.connect(passage.port, "localhost") as client,
    ):
        await client.send(HANDSHAKE + b"at once, ")
        await client.send(b"ok")
        assert await heard == b"at once, ok"


async def test_an_upstream_that_declines_answers_as_always() -> None:
    """The connection goes on, with what the client sent in the meantime."""
    refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"

    async def script(peer: Peer) -> None:
        while True:
            await peer.head()
            await peer.say(refusal)

    async with (
        serving(script) as upstream,
        relaying(upstream.address) as passage,
        await RawClient.connect(passage.port, "localhost") as client,
    ):
        await client.send(HANDSHAKE + b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for _ in range(2):
            answer = await client.answer()
            assert (answer.status, answer.body, answer.header(b"upgrade")) == (403, b"no", [])
        await client.send(HANDSHAKE)
        assert (await client.answer()).body == b"no"


@pytest.mark.parametrize(
    "resumed", [("POST", b"amount=1"), ("POST", b""), ("DELETE", b""), ("GET", b"amount=1")]
)
async def test_a_resumed_request_is_no_handshake(resumed: tuple[str, bytes]) -> None:
    async with (
        serving(answering(OK)) as upstream,
        relaying(upstream.address) as passage,
        await RawClient.connect(passage.port, "localhost") as client,
    ):
        passage.resumed = resumed
        await client.send(HANDSHAKE)
        assert (await client.answer()).body == b"ok"
    assert b"Upgrade" not in upstream.heads[0]


async def test_an_upstream_that_is_not_there_is_reported() -> None:
    async with (
        relaying("http://127.0.0.1:1") as passage,
        await RawClient.connect(passage.port, "localhost") as client,
    ):
        await client.send(HANDSHAKE)
        assert (await client.answer()).status == 502
    assert isinstance(passage.failures[0], UpstreamFailed)


MUCH = bytes(range(256)) * 20_000


async def test_when_the_client_closes_the_upstream_gets_everything_and_then_the_end() -> None:
    heard = asyncio.get_running_loop().create_future()

    async def script(peer: Peer) -> None:
        received = bytearray()
        while piece := await peer.reader.read(16_384):
            received += piece
            await asyncio.sleep(0.001)  # slowly, so that much is on its way when the client closes
        heard.set_result(received)

    async with tunnelling(script) as (_, passage, client):
        await client.send(MUCH)
        client.writer.close()
        assert await heard == MUCH
        await until(lambda: bool(passage.answers))
        assert passage.answers[0].complete


async def test_when_the_upstream_closes_the_client_gets_everything_and_then_the_end() -> None:
    async def script(peer: Peer) -> None:
        await peer.say(MUCH)
        peer.hang_up()

    async with tunnelling(script) as (_, passage, client):
        assert await client.rest() == MUCH
        await until(lambda: bool(passage.answers))
        assert passage.answers[0].status == 101


class Stub:
    """Either end of a tunnel, for orders of events that sockets do not keep to: `heard` is what it was told.

    It says `words` once the other end could not be written to any more; `deaf` is what that looks like.
    """

    def __init__(self, deaf: Exception | None, words: list[bytes]) -> None:
        self.heard: list[bytes] = []
        self.closed = False
        self._deaf, self._words = deaf, words

    async def write(self, data: bytes) -> None:
        if self._deaf is not None:
            raise self._deaf
        self.heard.append(data)

    async def read(self) -> bytes:
        for _ in range(10):  # long enough for the failure to be known
            await asyncio.sleep(0)
        return self._words.pop(0)

    async def close(self) -> None:
        self.closed = True


class Speaking(Stub):
    async def read(self) -> bytes:
        return b"anybody there?"


async def test_an_upstream_that_broke_is_heard_to_the_end() -> None:
    broken = UpstreamFailed(UpstreamFault.BROKEN, "")
    client, upstream = Speaking(None, []), Stub(broken, [b"last", b"words", b""])
    await tunnel.Splice(client, client, upstream).run()  # type: ignore[arg-type]
    assert client.heard == [b"last", b"words"]
    assert upstream.closed


async def test_a_client_that_left_is_heard_to_the_end() -> None:
    client, upstream = Stub(ConnectionResetError(), [b"last", b"words", b""]), Speaking(None, [])
    await tunnel.Splice(client, client, upstream).run()  # type: ignore[arg-type]
    assert upstream.heard == [b"last", b"words"]
    assert upstream.closed


async def test_a_slow_upstream_slows_the_client_down() -> None:
    async def script(peer: Peer) -> None:
        peer.stop_reading()
        await asyncio.Event().wait()

    async with tunnelling(script) as (_, _, client):
        sending = asyncio.create_task(client.send(bytes(100_000_000)))
        await asyncio.wait([sending], timeout=0.5)
        assert not sending.done()
        sending.cancel()


async def test_a_slow_client_slows_the_upstream_down() -> None:
    said = 0

    async def script(peer: Peer) -> None:
        nonlocal said
        while said < 500_000_000:
            await peer.say(bytes(100_000))
            said += 100_000

    async with tunnelling(script):
        before = -1
        while said != before:
            before = said
            await asyncio.sleep(0.2)
        assert said < 50_000_000


async def test_a_client_that_does_not_read_is_cut_off() -> None:
    hung_up = asyncio.Event()

    async def script(peer: Peer) -> None:
        try:
            while True:
                await peer.say(bytes(100_000))
        except ConnectionError:
            hung_up.set()

    async with tunnelling(script, limits=ListenerLimits(stall_seconds=0.3)):
        await hung_up.wait()


async def test_an_upstream_that_does_not_read_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tunnel, "STALL_SECONDS", 0.2)

    async def script(peer: Peer) -> None:
        peer.stop_reading()
        await asyncio.Event().wait()

    async with tunnelling(script) as (_, passage, client):
        sending = asyncio.create_task(client.send(bytes(100_000_000)))
        await asyncio.wait([sending], timeout=0.3)
        sending.cancel()
        client.writer.transport.abort()
        await until(lambda: bool(passage.answers))


async def test_a_tunnel_can_be_cut_from_outside() -> None:
    """Case 31."""
    hung_up = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.say(b"hello")
        await peer.rest()
        hung_up.set()

    async with tunnelling(script) as (_, passage, client):
        await client.reader.readexactly(5)
        passage.relays[0].close()
        assert await client.is_reset()
        await hung_up.wait()
        await until(lambda: bool(passage.answers))


async def test_a_listener_that_stops_does_not_wait_for_a_tunnel_to_end() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(SWITCH)
        await peer.rest()
        peer.hang_up()

    async with (
        serving(script) as upstream,
        relaying(upstream.address) as passage,
        await RawClient.connect(passage.port) as client,
    ):
        await client.send(HANDSHAKE)
        assert (await client.answer(to_head=True)).status == 101
        assert passage.listener is not None
        await passage.listener.stop(grace=1000)
        assert await client.rest() == b""
    assert [answer.status for answer in passage.answers] == [101]
