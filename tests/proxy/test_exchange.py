"""A request and its answer on the wire: both ways at once, in bounded memory, and every way to end early."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import pytest
from support.upstreams import HOST, OK, Peer, Script, Scripted, answering, permit, serving, until

from gateway.errors import BadRequest, UpstreamFailed, UpstreamFault
from gateway.proxy.exchange import HIGH_WATER, Exchange
from gateway.proxy.pool import Address, UpstreamLimits
from gateway.proxy.wire import ResponseReader, request_head

PATIENT = UpstreamLimits(connect=60, first_byte=60, idle=60, keep=60)
HASTY = replace(PATIENT, first_byte=0.02, idle=0.02)
BRISK = replace(PATIENT, first_byte=0.2, idle=0.2)
LONGER = 0.3
"""Seconds that a client takes where no clock of ours may run: longer than BRISK allows an upstream."""

SEGMENT = 256 * 1024
"""The most that either event loop reads at once."""

GET = request_head(permit().target, HOST, length=None)
CHUNKED = request_head(permit("POST").target, HOST, length=None, chunked=True)


def sized(length: int) -> bytes:
    return request_head(permit("POST").target, HOST, length=length)


class Line:
    """Exchanges, one after another or at once, with one scripted upstream."""

    def __init__(self, upstream: Scripted, limits: UpstreamLimits) -> None:
        self.upstream, self.limits = upstream, limits
        self.address = Address(upstream.address, limits)

    @property
    def peer(self) -> Peer:
        return self.upstream.peers[-1]

    async def exchange(self, *, upgrade: bool = False) -> Exchange:
        connection = await self.address.reserve()
        if connection.is_new:
            await self.address.connect(connection)
        await until(lambda: bool(self.upstream.peers))
        return Exchange(connection, ResponseReader("POST", upgrade=upgrade), self.limits)


@asynccontextmanager
async def line(script: Script, limits: UpstreamLimits = PATIENT) -> AsyncIterator[Line]:
    async with serving(script) as upstream:
        opened = Line(upstream, limits)
        yield opened
        opened.address.close()
        await until(lambda: opened.address.open == 0)


async def body_of(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        await asyncio.sleep(0)
        yield piece


class Source:
    """A body without end that knows how much of it was taken, and whether its reader went away."""

    def __init__(self) -> None:
        self.taken, self.stopped = 0, False

    async def body(self) -> AsyncIterator[bytes]:
        try:
            while True:
                await asyncio.sleep(0)
                self.taken += 16_384
                yield b"x" * 16_384
        finally:
            self.stopped = True


async def rest_of(exchange: Exchange) -> bytes:
    received = b""
    while data := await exchange.next():
        received += data
    return received


async def silent(peer: Peer) -> None:
    await peer.rest()


# --- the request's body


@pytest.mark.parametrize(
    ("pieces", "length", "sent"),
    [
        ((), 0, b""),
        ((b"hello",), 5, b"hello"),
        ((b"he", b"", b"llo"), 5, b"hello"),
        ((), None, b"0\r\n\r\n"),
        ((b"he", b"", b"llo" * 4), None, b"2\r\nhe\r\nc\r\nllollollollo\r\n0\r\n\r\n"),
    ],
)
async def test_a_body_is_sent_as_it_comes(pieces: tuple[bytes, ...], length: int | None, sent: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        assert await peer.reader.readexactly(len(sent)) == sent
        await peer.say(OK)
        assert await peer.rest() == b""

    async with line(script) as opened:
        exchange = await opened.exchange()
        await exchange.request(CHUNKED if length is None else sized(length), body_of(*pieces), length)
        assert await rest_of(exchange) == b"ok"
        assert opened.address.free == 1


async def test_a_request_without_a_body() -> None:
    async with line(answering(OK)) as opened:
        exchange = await opened.exchange()
        await exchange.request(GET, None, None)
        assert await rest_of(exchange) == b"ok"


async def test_a_body_at_hand_is_sent_whole() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        assert await peer.reader.readexactly(1_000_000) == b"x" * 1_000_000
        await peer.say(OK)
        await peer.rest()

    async with line(script) as opened:
        exchange = await opened.exchange()
        await exchange.request(sized(1_000_000), b"x" * 1_000_000, 1_000_000)
        assert await rest_of(exchange) == b"ok"
        assert opened.address.free == 1


@pytest.mark.parametrize(
    ("pieces", "length"), [((b"four",), 5), ((), 1), ((b"three", b"more"), 5), ((b"toomuch",), 5)]
)
async def test_a_body_that_belies_its_length_is_not_completed(pieces: tuple[bytes, ...], length: int) -> None:
    heard = asyncio.get_running_loop().create_future()

    async def script(peer: Peer) -> None:
        await peer.head()
        heard.set_result(await peer.rest())

    async with line(script) as opened:
        exchange = await opened.exchange()
        with pytest.raises(BadRequest, match="than declared"):
            await exchange.request(sized(length), body_of(*pieces), length)
        assert len(await heard) <= length
        assert opened.address.rests_until < 0  # it was not the upstream that failed


class ClientGone(Exception):
    pass


@pytest.mark.parametrize("kind", [ClientGone, asyncio.CancelledError])
async def test_a_body_that_breaks_off_is_not_completed(kind: type[BaseException]) -> None:
    heard = asyncio.get_running_loop().create_future()

    async def script(peer: Peer) -> None:
        await peer.head()
        heard.set_result(await peer.rest())

    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        raise kind

    async with line(script) as opened:
        exchange = await opened.exchange()
        with pytest.raises((ClientGone, UpstreamFailed)) as failed:
            await exchange.request(CHUNKED, body(), None)
        assert isinstance(failed.value, ClientGone) == (kind is ClientGone)
        assert b"0\r\n\r\n" not in await heard
        assert opened.address.rests_until < 0


async def test_a_body_that_breaks_off_after_the_head_of_the_answer() -> None:
    broken_off = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        await broken_off.wait()
        raise ClientGone

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        await peer.rest()

    async with line(script) as opened:
        exchange = await opened.exchange()
        await exchange.request(CHUNKED, body(), None)
        assert await exchange.next() == b"hello"
        broken_off.set()
        with pytest.raises(ClientGone):
            await exchange.next()


async def test_both_talk_at_the_same_time() -> None:
    """The client goes on only when it has heard the answer to what it said, and takes its time."""
    turns: asyncio.Queue[bytes] = asyncio.Queue()

    async def body() -> AsyncIterator[bytes]:
        while said := await turns.get():
            yield said

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n")
        for _ in range(3):
            await peer.say(await peer.reader.readexactly(5))
        await peer.rest()

    async with line(script, BRISK) as opened:
        exchange = await opened.exchange()
        await exchange.request(sized(15), body(), 15)
        for said in (b"first", b"again", b"still"):
            listening = asyncio.create_task(exchange.next())
            await asyncio.sleep(LONGER if said == b"again" else 0)
            turns.put_nowait(said)
            assert await listening == said
        assert await exchange.next() == b""
        assert opened.address.free == 0  # the body's own end was never reached


# --- early answers


@pytest.mark.parametrize("manner", ["reset", "end", "stay"])
async def test_an_early_answer_stops_the_request(manner: str) -> None:
    """The usual 413. The upstream reads nothing more; with "reset" our next write fails."""
    answer = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig"

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(answer)
        if manner == "end":
            peer.writer.write_eof()
        if manner == "stay":
            await peer.rest()
        else:
            peer.hang_up()  # with unread bytes in its buffer: a reset

    async with line(script) as opened:
        for _ in range(20):
            source = Source()
            exchange = await opened.exchange()
            await exchange.request(CHUNKED, source.body(), None)
            assert (exchange.reader.status, await rest_of(exchange)) == (413, b"big")
            await until(partial(getattr, source, "stopped"))
            assert opened.address.free == 0


async def test_an_early_answer_that_ends_with_the_connection() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\n\r\nbig")
        peer.writer.write_eof()
        await peer.rest()

    async with line(script) as opened:
        source = Source()
        exchange = await opened.exchange()
        await exchange.request(CHUNKED, source.body(), None)
        assert (exchange.reader.status, await rest_of(exchange)) == (413, b"big")
        await until(lambda: source.stopped)


# --- bounded memory


@pytest.mark.parametrize("framing", ["sized", "chunked", "until the end"])
async def test_a_hundred_megabytes_for_a_slow_reader(framing: str) -> None:
    total, piece = 100_000_000, b"x" * 100_000
    heads = {
        "sized": b"Content-Length: %d\r\n" % total,
        "chunked": b"Transfer-Encoding: chunked\r\n",
        "until the end": b"",
    }

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(b"HTTP/1.1 200 OK\r\n" + heads[framing] + b"\r\n")
        for _ in range(total // len(piece)):
            await peer.say(b"186a0\r\n" + piece + b"\r\n" if framing == "chunked" else piece)
        if framing == "chunked":
            await peer.say(b"0\r\n\r\n")
        peer.hang_up()

    async with line(script) as opened:
        exchange = await opened.exchange()
        await exchange.request(GET, None, None)
        received, most = 0, 0
        while True:
            for _ in range(3):
                await asyncio.sleep(0)  # the reader does something else, and bytes pile up
            most = max(most, exchange.buffered)
            if not (data := await exchange.next()):
                break
            received += len(data)
        assert received == total
        assert HIGH_WATER < most <= HIGH_WATER + SEGMENT


async def test_taking_a_late_answer_leaves_the_next_exchange_alone() -> None:
    """The connection went on to another exchange, whose own client is slow."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(OK)
        await peer.head()
        await peer.say(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await peer.say(b"x" * 100_000)

    async with line(script) as opened:
        first = await opened.exchange()
        await first.request(GET, None, None)
        await until(lambda: opened.address.free == 1)
        second = await opened.exchange()
        await second.request(GET, None, None)
        await until(lambda: second.buffered > HIGH_WATER)
        buffered = second.buffered
        assert first.take() == b"ok"
        await asyncio.sleep(0.05)
        assert second.buffered == buffered
        second.abort()


async def test_an_upstream_that_does_not_read_makes_the_client_wait() -> None:
    async with line(silent_after_head) as opened:
        source = Source()
        exchange = await opened.exchange()
        asking = asyncio.create_task(exchange.request(CHUNKED, source.body(), None))
        taken = -1
        while taken != source.taken:
            taken = source.taken
            await asyncio.sleep(0.05)
        assert 0 < taken < 50_000_000  # what the kernel's and our buffers hold, and no more
        asking.cancel()


async def silent_after_head(peer: Peer) -> None:
    await peer.head()
    peer.stop_reading()
    await asyncio.Event().wait()


# --- how answers end


@pytest.mark.parametrize(
    ("answer", "body", "free"),
    [
        (OK, b"ok", 1),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", 1),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n", b"ok", 1),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK, b"ok", 1),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", b"ok", 0),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok", 0),
        (OK + OK, b"ok", 0),
        (OK + b"\r\n", b"ok", 0),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n\r\n", b"ok", 0),
        (b"HTTP/1.1 204 No Content\r\n\r\nno content?", b"", 0),
    ],
)
async def test_a_connection_is_free_again_only_if_nothing_is_left(
    answer: bytes, body: bytes, free: int
) -> None:
    async with line(answering(answer)) as opened:
        exchange = await opened.exchange()
        await exchange.request(GET, None, None)
        assert await rest_of(exchange) == body
        assert (opened.address.free, exchange.buffered) == (free, 0)
        await until(lambda: opened.address.open == free)


async def test_an_answer_until_the_end_of_the_connection() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(b"HTTP/1.1 200 OK\r\n\r\n")
        await peer.say(b"all there is")
        peer.hang_up()

    async with line(script) as opened:
        exchange = await opened.exchange()
        await exchange.request(GET, None, None)
        assert await rest_of(exchange) == b"all there is"


@pytest.mark.parametrize(
    ("part", "manner"),
    [
        (b"", "end"),
        (b"", "reset"),
        (b"HTTP/1.1 200 OK\r\nConte", "end"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "end"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", "end"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", "reset"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", "end"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokay", "end"),
        (b"HTTP/1.1 200 OK\r\n\r\nok", "reset"),
        (b"HTTP/2.0 200 OK\r\n\r\nok", "stay"),
    ],
)
async def test_an_answer_that_breaks_off(part: bytes, manner: str) -> None:
    proceed = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(part)
        if b"200 OK" in part and b"\r\n\r\n" in part:
            await proceed.wait()  # the gateway has the first half of the body
        if manner == "stay":
            await peer.rest()
        peer.reset() if manner == "reset" else peer.hang_up()

    async with line(script) as opened:
        exchange = await opened.exchange()
        with pytest.raises(UpstreamFailed) as failed:
            await exchange.request(GET, None, None)
            assert await exchange.next() == b"ok"
            proceed.set()
            await exchange.next()
        assert failed.value.fault is UpstreamFault.BROKEN
        assert opened.address.free == 0
        assert opened.address.rests_until > 0


# --- time


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 O",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
)
async def test_an_upstream_that_falls_silent(said: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(said)
        await peer.rest()

    async with line(script, HASTY) as opened:
        exchange = await opened.exchange()
        with pytest.raises(UpstreamFailed) as failed:
            await exchange.request(GET, None, None)
            await exchange.next()
        assert failed.value.fault is UpstreamFault.TIMEOUT
        assert opened.address.rests_until > 0


async def test_an_upstream_whose_head_drips_in() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(b"HTTP/1.1 200 OK\r\n")
        for number in range(150):
            await peer.say(b"X-%d: x\r\n" % number)
            await asyncio.sleep(HASTY.first_byte / 4)
        await peer.say(b"Content-Length: 0\r\n\r\n")

    async with line(script, HASTY) as opened:
        exchange = await opened.exchange()
        with pytest.raises(UpstreamFailed) as failed:
            await exchange.request(GET, None, None)
        assert failed.value.fault is UpstreamFault.TIMEOUT


async def test_an_upstream_that_is_silent_after_a_streamed_body() -> None:
    async with line(silent, HASTY) as opened:
        exchange = await opened.exchange()
        with pytest.raises(UpstreamFailed) as failed:
            await exchange.request(CHUNKED, body_of(b"hello"), None)
        assert failed.value.fault is UpstreamFault.TIMEOUT


async def test_an_upstream_that_stops_reading() -> None:
    async with line(silent_after_head, HASTY) as opened:
        source = Source()
        exchange = await opened.exchange()
        with pytest.raises(UpstreamFailed) as failed:
            await exchange.request(CHUNKED, source.body(), None)
        assert failed.value.fault is UpstreamFault.TIMEOUT


async def test_a_slow_client_is_not_the_upstreams_fault() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.reader.readexactly(5)
        await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        await peer.say(b"x" * 1_000_000)
        await peer.rest()

    async def body() -> AsyncIterator[bytes]:
        await asyncio.sleep(LONGER)
        yield b"hello"

    async with line(script, BRISK) as opened:
        exchange = await opened.exchange()
        await exchange.request(sized(5), body(), 5)
        received = len(await exchange.next())
        await asyncio.sleep(LONGER)
        assert received + len(await rest_of(exchange)) == 1_000_000
        assert opened.address.rests_until < 0


# --- giving up


@pytest.mark.parametrize("moment", ["sending", "waiting", "reading"])
async def test_a_cancelled_caller_closes_the_connection(moment: str) -> None:
    """Case 43, for one: the upstream hears the end of it, the pool gets nothing back."""
    gone, reached = asyncio.Event(), asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        if moment == "reading":
            await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        reached.set()
        await peer.rest()
        gone.set()

    async def ask(exchange: Exchange) -> None:
        try:
            source = Source().body() if moment == "sending" else None
            await exchange.request(GET if source is None else CHUNKED, source, None)
            await rest_of(exchange)
        finally:
            exchange.abort()

    async with line(script) as opened:
        asking = asyncio.create_task(ask(await opened.exchange()))
        await reached.wait()
        for _ in range(5):
            await asyncio.sleep(0)
        asking.cancel()
        await gone.wait()
        assert asking.cancelled()
        await until(lambda: opened.address.open == 0)
        assert opened.address.rests_until < 0


async def test_giving_up_wakes_who_waits() -> None:
    async with line(silent) as opened:
        exchange = await opened.exchange()
        asking = asyncio.create_task(exchange.request(GET, None, None))
        await asyncio.sleep(0)
        exchange.abort()
        with pytest.raises(UpstreamFailed) as failed:
            await asking
        assert failed.value.fault is UpstreamFault.BROKEN
        assert opened.address.rests_until < 0


async def test_giving_up_after_the_end_harms_nobody() -> None:
    async with line(answering(OK)) as opened:
        first = await opened.exchange()
        await first.request(GET, None, None)
        second = await opened.exchange()
        first.abort()
        await second.request(GET, None, None)
        assert (await rest_of(first), await rest_of(second)) == (b"ok", b"ok")
        assert len(opened.upstream.peers) == 1


# --- tunnels

SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


async def test_a_tunnel_carries_bytes_both_ways_and_no_clock_runs() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(SWITCH + b"first")
        assert await peer.reader.readexactly(4) == b"ping"
        await asyncio.sleep(LONGER)
        await peer.say(b"pong")
        peer.writer.write_eof()
        assert await peer.rest() == b"last words"

    async with line(script, BRISK) as opened:
        exchange = await opened.exchange(upgrade=True)
        await exchange.request(GET, None, None)
        assert exchange.is_tunnel
        assert await exchange.next() == b"first"
        await exchange.write(b"ping")
        assert await exchange.next() == b"pong"
        assert await exchange.next() == b""
        await exchange.write(b"last words")
        exchange.close_tunnel()
        exchange.close_tunnel()
        assert opened.address.free == 0
        await until(lambda: opened.address.open == 0)


async def test_closing_a_tunnel_ends_its_reading_and_writing() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(SWITCH)
        await peer.rest()

    async with line(script) as opened:
        exchange = await opened.exchange(upgrade=True)
        await exchange.request(GET, None, None)
        reading = asyncio.create_task(exchange.next())
        await asyncio.sleep(0)
        exchange.close_tunnel()
        assert await reading == b""
        with pytest.raises(UpstreamFailed):
            await exchange.write(b"too late")


async def test_a_broken_tunnel() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(SWITCH)
        await peer.reader.readexactly(4)
        peer.reset()

    async with line(script) as opened:
        exchange = await opened.exchange(upgrade=True)
        await exchange.request(GET, None, None)
        await exchange.write(b"ping")
        with pytest.raises(UpstreamFailed) as failed:
            await exchange.next()
        assert failed.value.fault is UpstreamFault.BROKEN
        with pytest.raises(UpstreamFailed):
            await exchange.write(b"ping")
        assert opened.address.rests_until < 0  # who ends a socket is not thereby ill


async def test_a_tunnel_waits_for_a_slow_upstream() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(SWITCH)
        peer.stop_reading()
        await asyncio.Event().wait()

    async with line(script, HASTY) as opened:
        exchange = await opened.exchange(upgrade=True)
        await exchange.request(GET, None, None)
        writing = asyncio.create_task(exchange.write(b"x" * 50_000_000))
        await asyncio.sleep(0.05)
        assert not writing.done()
        exchange.abort()
        with pytest.raises(UpstreamFailed):
            await writing
