import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, TCPConnector, WSMsgType, web
from aiohttp.test_utils import TestServer
from support.raw_client import RawClient
from support.relaying import Passage, relaying
from support.tls import self_signed
from support.upstreams import OK, Peer, Script, Scripted, answering, serving, until

from gateway.errors import UpstreamFailed, UpstreamFault
from gateway.proxy import tunnel
from gateway.proxy.live import CANNOT_TELL
from gateway.proxy.upstream import UpstreamLimits
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

    def pass_on(self, to: Callable[[bytes], bool]) -> None: ...


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


async def test_what_is_small_is_passed_on_without_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(_: tunnel.Splice) -> None:
        await asyncio.Event().wait()

    async def script(peer: Peer) -> None:
        while piece := await peer.reader.read(65_536):
            await peer.say(piece)

    monkeypatch.setattr(tunnel.Splice, "_upwards", never)
    monkeypatch.setattr(tunnel.Splice, "_downwards", never)
    async with tunnelling(script) as (_, _, client):
        for number in range(100):
            said = b"%d" % number
            await client.send(said)
            assert await client.reader.readexactly(len(said)) == said


async def test_pieces_of_all_sizes_keep_their_order_where_nobody_keeps_up() -> None:
    """Between passing on at once and by a task, there and back, as buffers fill up and empty again."""
    pieces = [MUCH[:size] for size in (1, 100, 70_000, 16_384, 16_385, 3, 300_000, 0, 5_000, 1)] * 30

    async def script(peer: Peer) -> None:
        number = 0
        while piece := await peer.reader.read(20_000):
            number += 1
            if number % 20 == 0:
                await asyncio.sleep(0.001)  # so that the client's side fills up
            await peer.say(piece)

    async with tunnelling(script) as (_, _, client):

        async def send() -> None:
            for piece in pieces:
                await client.send(piece)

        sending = asyncio.create_task(send())
        wanted = b"".join(pieces)
        assert await client.reader.readexactly(len(wanted)) == wanted
        await sending


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


# cut from outside, because a session ended (case 31)

OVER = "the session was ended"
CLOSE = b"\x88\x17\x03\xf0" + OVER.encode()
"""What a client is sent: 1008 and the reason, without a mask (RFC 6455 section 5.5.1)."""

HELLO = b"\x81\x05hello"
MASKED_HELLO = b"\x81\x85\x00\x00\x00\x00hello"


def unmasked(frame: bytes) -> bytes:
    """A client's small frame as a server would have sent it. A frame of a client must be masked."""
    assert frame[1] & 0x80
    mask, payload = frame[2:6], frame[6:]
    return bytes((frame[0], frame[1] & 0x7F)) + bytes(
        byte ^ mask[index % 4] for index, byte in enumerate(payload)
    )


class Heard:
    """An upstream that says `words` after its handshake, and keeps what it hears to the end."""

    def __init__(self, words: bytes = HELLO) -> None:
        self.words = words
        self.end: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def __call__(self, peer: Peer) -> None:
        await peer.say(self.words)
        self.end.set_result(await peer.rest())
        peer.hang_up()


def certificate(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """What a server shows, and what a client trusts."""
    pem = folder / "localhost.pem"
    pem.write_bytes(self_signed("localhost"))
    shown = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    shown.load_cert_chain(pem)
    return shown, ssl.create_default_context(cafile=str(pem))


@asynccontextmanager
async def in_touch(
    folder: Path, *, by_tls: bool
) -> AsyncIterator[tuple[Echo, Passage, ClientWebSocketResponse]]:
    """An app and a client that have spoken to each other."""
    shown, trusted = certificate(folder)
    echo = Echo()
    async with (
        TestServer(echo.app) as server,
        relaying(f"http://127.0.0.1:{server.port}", tls=shown if by_tls else None) as passage,
        ClientSession() as session,
        session.ws_connect(
            f"{'wss' if by_tls else 'ws'}://localhost:{passage.port}/ws", ssl=trusted if by_tls else True
        ) as chat,
    ):
        await chat.send_str("hello")
        assert await chat.receive_str() == "hello"
        yield echo, passage, chat


@pytest.mark.parametrize("by_tls", [False, True], ids=["plain", "TLS"])
async def test_both_ends_are_told_why(by_tls: bool, tmp_path: Path) -> None:
    """Whatever real ends say meanwhile, 1008 and its reason is the last that they hear."""
    async with in_touch(tmp_path, by_tls=by_tls) as (echo, passage, chat):
        for _ in range(50):
            await chat.send_str("and more")
        assert passage.live.cut_session("phone", OVER) == 1
        while (last := await chat.receive()).type is WSMsgType.TEXT:
            pass
        assert (last.type, last.data, last.extra) == (WSMsgType.CLOSE, 1008, OVER)
        assert await echo.closed == 1008
        await until(lambda: bool(passage.answers))
        assert passage.live.count == 0
        await until(lambda: passage.upstream.open_connections == 0)


async def test_every_byte_of_a_cut() -> None:
    heard = Heard()
    async with tunnelling(heard) as (_, passage, client):
        assert await client.reader.readexactly(len(HELLO)) == HELLO
        await client.send(MASKED_HELLO)
        passage.live.cut_session("phone", OVER)
        assert await client.reader.read(-1) == CLOSE, "and the end, in good order"
        client.writer.close()
        # What the client said a moment before may have been on its way, or not any more.
        assert unmasked((await heard.end).removeprefix(MASKED_HELLO)) == CLOSE
        await until(lambda: bool(passage.answers))


async def test_each_mask_is_another_one() -> None:
    masks = set()
    for _ in range(4):
        heard = Heard()
        async with tunnelling(heard) as (_, passage, client):
            await client.reader.readexactly(len(HELLO))
            passage.live.cut_all(OVER)
            masks.add((await heard.end)[2:6])
    assert len(masks) == 4


@pytest.mark.parametrize(
    "half",
    [b"\x81", b"\x82\x7e\x01", b"\x82\x7f" + bytes(5), b"\x82\x0ahalf", b"\x81\x00\x82\x01"],
    ids=["one byte", "length", "long length", "payload", "second frame"],
)
async def test_a_client_that_has_half_a_frame_is_only_disconnected(half: bytes) -> None:
    """It would take the close frame for the other half. The upstream has nothing halfway, and is told."""
    heard = Heard(half)
    async with tunnelling(heard) as (_, passage, client):
        assert await client.reader.readexactly(len(half)) == half
        passage.live.cut_all(OVER)
        assert await client.is_reset()
        assert unmasked(await heard.end) == CLOSE
        await until(lambda: bool(passage.answers))


async def test_an_upstream_that_has_half_a_frame_is_only_disconnected() -> None:
    half, heard = b"\x82\x8a\x00\x00\x00\x00half", Heard()
    async with tunnelling(heard) as (_, passage, client):
        await client.reader.readexactly(len(HELLO))
        await client.send(half)
        splice = passage.relays[0]._splice
        assert splice is not None
        await until(lambda: splice._to_upstream._left > 0)
        passage.live.cut_all(OVER)
        assert await client.reader.read(-1) == CLOSE
        client.writer.close()
        assert half.startswith(await heard.end)


async def test_who_was_told_goodbye_already_is_told_nothing_more() -> None:
    goodbye = b"\x88\x02\x03\xe8"
    async with tunnelling(Heard(goodbye)) as (_, passage, client):
        assert await client.reader.readexactly(4) == goodbye
        passage.live.cut_all(OVER)
        assert await client.rest() == b""


async def test_a_client_that_does_not_read_cannot_stay() -> None:
    """What waits for it is dropped, and so is the upstream that goes on talking."""
    hung_up = asyncio.Event()
    frame = b"\x82\x7e\xff\xff" + bytes(65535)

    async def script(peer: Peer) -> None:
        try:
            while True:
                await peer.say(frame)
        except ConnectionError:
            hung_up.set()

    async def switching(peer: Peer) -> None:
        await peer.head()
        await peer.say(SWITCH)
        await script(peer)

    async with (
        serving(switching) as upstream,
        relaying(upstream.address, limits=ListenerLimits(stall_seconds=3600)) as passage,
        await RawClient.connect(passage.port, receive_buffer=4096) as client,
    ):
        await client.send(HANDSHAKE)
        await client.answer()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        connection = passage.relays[0]._connection
        await until(lambda: connection.writing_paused)
        passage.live.cut_all(OVER)
        await hung_up.wait()
        await until(lambda: bool(passage.answers))
        assert connection.transport is None


async def test_an_upstream_that_does_not_read_cannot_stay() -> None:
    async def script(peer: Peer) -> None:
        peer.stop_reading()
        await asyncio.Event().wait()

    frame = b"\x82\xfe\xff\xff" + bytes(4 + 65535)
    async with tunnelling(script) as (_, passage, client):
        sending = asyncio.create_task(client.send(frame * 1000))
        address = passage.upstream._pool.addresses[0]
        splice = passage.relays[0]._splice
        assert splice is not None
        connection = splice._tunnel._exchange._connection
        await until(lambda: not connection._writable.is_set())
        assert address.open == 1
        passage.live.cut_all(OVER)
        await until(lambda: address.open == 0)
        sending.cancel()
        client.writer.transport.abort()
        await until(lambda: bool(passage.answers))


@pytest.mark.parametrize("by_tls", [False, True], ids=["plain", "TLS"])
async def test_a_client_that_never_hangs_up_is_hung_up_on(by_tls: bool, tmp_path: Path) -> None:
    """It reads, goes on talking, and leaves its end open."""
    shown, trusted = certificate(tmp_path)

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(SWITCH + HELLO)
        await peer.rest()
        peer.hang_up()

    async with (
        serving(script) as upstream,
        relaying(upstream.address, tls=shown if by_tls else None) as passage,
    ):
        opened = await asyncio.open_connection("localhost", passage.port, ssl=trusted if by_tls else None)
        async with RawClient(*opened) as client:
            await client.send(HANDSHAKE)
            await client.answer()
            await client.reader.readexactly(len(HELLO))
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            passage.live.cut_all(OVER)
            while not passage.answers:
                with contextlib.suppress(ConnectionError):
                    await client.send(MASKED_HELLO)
                await asyncio.sleep(0.01)
            assert passage.relays[0]._connection.transport is None


async def test_after_a_cut_nothing_passes() -> None:
    """In either direction, from the moment on at which `cut` returns."""
    ticks, heard = 0, bytearray()

    async def script(peer: Peer) -> None:
        nonlocal ticks

        async def listen() -> None:
            heard.extend(await peer.rest())

        listening = asyncio.create_task(listen())
        try:
            while not listening.done():
                ticks += 1
                await peer.say(b"\x82\x04%04d" % ticks)
                await asyncio.sleep(0)
        except ConnectionError:
            pass
        await listening
        peer.hang_up()

    async with tunnelling(script) as (_, passage, client):
        received = bytearray()
        while len(received) < 600:
            await client.send(MASKED_HELLO)
            received += await client.reader.read(600)
        at_cut = ticks
        passage.live.cut_all(OVER)
        for _ in range(100):
            with contextlib.suppress(ConnectionError):
                await client.send(MASKED_HELLO)
        received += await client.reader.read(-1)
        client.writer.close()
        await until(lambda: bool(passage.answers) and passage.upstream.open_connections == 0)
    assert received.endswith(CLOSE)
    frames = bytes(received).removesuffix(CLOSE)
    assert len(frames) % 6 == 0
    assert len(frames) // 6 <= at_cut


@pytest.mark.parametrize("who_asks", ["client", "upstream"])
async def test_a_fence_that_says_no_lets_nothing_pass(who_asks: str) -> None:
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.say(HELLO)
        await go_on.wait()
        if who_asks == "upstream":
            await peer.say(HELLO)
        heard.set_result(await peer.rest())
        peer.hang_up()

    async with tunnelling(script) as (_, passage, client):
        assert await client.reader.readexactly(len(HELLO)) == HELLO
        passage.live.fence = lambda _: False
        go_on.set()
        if who_asks == "client":
            await client.send(MASKED_HELLO)
        told = bytes((0x88, 2 + len(CANNOT_TELL))) + b"\x03\xf0" + CANNOT_TELL.encode()
        assert await client.reader.read(-1) == told
        client.writer.close()
        assert unmasked(await heard) == told
        await until(lambda: bool(passage.answers))
        assert passage.live.count == 0


async def test_many_are_cut_together() -> None:
    """What one client costs, a thousand cost a thousand times."""
    many = 100
    closings: list[int | None] = []

    async def serve(request: web.Request) -> web.StreamResponse:
        chat = web.WebSocketResponse()
        await chat.prepare(request)
        async for _ in chat:
            pass
        closings.append(chat.close_code)
        return chat

    app = web.Application()
    app.router.add_get("/ws", serve)
    async with (
        TestServer(app) as server,
        relaying(
            f"http://127.0.0.1:{server.port}", upstream_limits=UpstreamLimits(connections=many)
        ) as passage,
        ClientSession(connector=TCPConnector(limit=0)) as session,
    ):
        address = f"ws://localhost:{passage.port}/ws"
        chats = await asyncio.gather(*(session.ws_connect(address) for _ in range(many)))
        await until(lambda: passage.live.count == many)
        assert passage.live.cut_all(OVER) == many
        told = await asyncio.gather(*(chat.receive() for chat in chats))
        assert {(message.type, message.data) for message in told} == {(WSMsgType.CLOSE, 1008)}
        await until(lambda: closings == [1008] * many and passage.upstream.open_connections == 0)


# closed because the listener stops

RESTART = b"\x88\x16\x03\xf4the gateway restarts"
"""1012 and the reason, for a client; the upstream's has 1001."""

AWAY = RESTART.replace(b"\x03\xf4", b"\x03\xe9")


async def stop(passage: Passage) -> None:
    assert passage.listener is not None
    await passage.listener.stop(grace=1000)


@pytest.mark.parametrize("by_tls", [False, True], ids=["plain", "TLS"])
async def test_when_the_listener_stops_both_ends_are_told(by_tls: bool, tmp_path: Path) -> None:
    async with in_touch(tmp_path, by_tls=by_tls) as (echo, passage, chat):
        stopping = asyncio.create_task(stop(passage))
        last = await chat.receive()
        assert (last.type, last.data, last.extra) == (WSMsgType.CLOSE, 1012, "the gateway restarts")
        assert await echo.closed == 1001
        await stopping
        assert [answer.status for answer in passage.answers] == [101]
        await until(lambda: passage.upstream.open_connections == 0)


async def test_every_byte_of_a_stop() -> None:
    heard = Heard()
    async with tunnelling(heard) as (_, passage, client):
        assert await client.reader.readexactly(len(HELLO)) == HELLO
        stopping = asyncio.create_task(stop(passage))
        assert await client.reader.read(-1) == RESTART, "and the end, in good order"
        client.writer.close()
        assert unmasked(await heard.end) == AWAY
        await stopping


async def test_a_stop_does_not_wait_for_a_client_that_stays() -> None:
    heard = Heard()
    async with tunnelling(heard) as (_, passage, client):
        await client.reader.readexactly(len(HELLO))
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await stop(passage)
        assert [answer.status for answer in passage.answers] == [101]
        assert unmasked(await heard.end) == AWAY


@pytest.mark.parametrize("half", [b"\x82\x0ahalf", b"\x88\x02\x03\xe8"], ids=["half a frame", "a goodbye"])
async def test_who_cannot_be_told_of_a_stop_is_disconnected(half: bytes) -> None:
    heard = Heard(half)
    async with tunnelling(heard) as (_, passage, client):
        assert await client.reader.readexactly(len(half)) == half
        await stop(passage)
        assert await client.reader.read(-1) == b"", "in good order: what it has is all there was"
        assert unmasked(await heard.end) == AWAY


async def test_a_client_that_reads_slowly_hears_of_a_stop_behind_the_rest() -> None:
    frame = b"\x82\x7e\xff\xff" + bytes(65535)
    said = 0

    async def script(peer: Peer) -> None:
        nonlocal said
        await peer.head()
        await peer.say(SWITCH)
        while True:
            await peer.say(frame)
            said += len(frame)

    async with (
        serving(script) as upstream,
        relaying(upstream.address) as passage,
        await RawClient.connect(passage.port, receive_buffer=4096) as client,
    ):
        await client.send(HANDSHAKE)
        await client.answer()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        connection = passage.relays[0]._connection
        await until(lambda: connection.writing_paused)
        splice = passage.relays[0]._splice
        assert splice is not None
        splice._to_client._left = 0  # as if what was passed on had ended with a frame
        stopping = asyncio.create_task(stop(passage))
        await until(lambda: splice._is_cut)
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        heard = await client.reader.read(-1)
        assert heard.endswith(RESTART)
        assert 0 < len(heard) <= said + len(frame) + len(RESTART)
        await stopping


async def test_an_upstream_that_reads_slowly_hears_of_a_stop_behind_the_rest() -> None:
    frame = b"\x82\xfe\xff\xff" + bytes(4 + 65535)
    goes_on = asyncio.Event()
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def script(peer: Peer) -> None:
        peer.stop_reading()
        await goes_on.wait()
        peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
        heard.set_result(await peer.rest())

    async with tunnelling(script) as (_, passage, client):
        sending = asyncio.create_task(client.send(frame * 1000))
        splice = passage.relays[0]._splice
        assert splice is not None
        connection = splice._tunnel._exchange._connection
        await until(lambda: not connection._writable.is_set())
        splice._to_upstream._left, splice._to_upstream._header = 0, b""  # as in the test before
        stopping = asyncio.create_task(stop(passage))
        await until(lambda: splice._is_cut)
        await asyncio.sleep(0.1)  # long enough to be told too early
        goes_on.set()
        said = await heard
        assert unmasked(said[-len(AWAY) - 4 :]) == AWAY
        assert len(said) > len(frame)
        sending.cancel()
        client.writer.transport.abort()
        await stopping


async def test_a_tunnel_that_begins_when_the_listener_stops_ends_at_once() -> None:
    asked, stopped = asyncio.Event(), asyncio.Event()
    heard = Heard(b"")

    async def script(peer: Peer) -> None:
        await peer.head()
        asked.set()
        await stopped.wait()
        await peer.say(SWITCH)
        await heard(peer)

    async with (
        serving(script) as upstream,
        relaying(upstream.address) as passage,
        await RawClient.connect(passage.port) as client,
    ):
        await client.send(HANDSHAKE)
        await asked.wait()
        stopping = asyncio.create_task(stop(passage))
        connection = passage.relays[0]._connection
        await until(lambda: connection.draining)
        stopped.set()
        assert (await client.answer()).status == 101
        assert await client.reader.read(-1) == RESTART
        client.writer.close()
        assert unmasked(await heard.end) == AWAY
        await stopping
