"""One connection, at its edges: before and after an exchange, and when it ends badly.

The upstream is a plain socket, so that a test decides what has arrived while the event loop stands still.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from support.upstreams import until

from gateway.errors import UpstreamFailed, UpstreamFault
from gateway.proxy.connection import Connection


class Diary:
    """The home of a connection: writes down what the connection says of itself."""

    def __init__(self) -> None:
        self.entries: list[str] = []

    def released(self, connection: Connection) -> None:
        self.entries.append("released")

    def lost(self, connection: Connection) -> None:
        self.entries.append("lost")

    def failed(self) -> None:
        self.entries.append("failed")


class Collector:
    """Receives everything. Hangs up when the upstream does, unless it is a tunnel."""

    def __init__(self, connection: Connection, *, tunnel: bool = False) -> None:
        self.data = b""
        self.ends: list[Exception | None] = []
        self.overdue_at: list[float] = []
        self.tunnel = tunnel
        self.connection = connection
        connection.receiver = self

    def received(self, data: bytes) -> None:
        self.data += data

    def ended(self, error: Exception | None) -> None:
        self.ends.append(error)
        if not self.tunnel:
            self.connection.receiver = None
            self.connection.abort()

    def overdue(self) -> None:
        self.overdue_at.append(asyncio.get_running_loop().time())


@dataclass
class Link:
    connection: Connection
    diary: Diary
    peer: socket.socket

    def reset(self) -> None:
        self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.peer.close()


@pytest.fixture
async def link() -> AsyncIterator[Link]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        diary = Diary()
        connection = Connection(diary)
        await asyncio.get_running_loop().create_connection(lambda: connection, *server.getsockname())
        peer, _ = server.accept()
    with peer:
        yield Link(connection, diary, peer)
        connection.abort()
        await until(lambda: "lost" in diary.entries)


async def test_a_connection_that_is_not_made_yet() -> None:
    diary = Diary()
    connection = Connection(diary)
    assert connection.is_new
    assert not connection.usable()
    connection.write(b"goes nowhere")
    connection.abort()
    with socket.create_server(("127.0.0.1", 0)) as server:
        await asyncio.get_running_loop().create_connection(lambda: connection, *server.getsockname())
        assert not connection.usable()
        await until(lambda: diary.entries == ["lost"])


async def test_release_and_abort(link: Link) -> None:
    assert not link.connection.is_new
    link.connection.release()
    assert link.diary.entries == ["released"]
    assert link.connection.usable()
    link.connection.abort()
    assert not link.connection.usable()
    link.connection.release()
    await until(lambda: "lost" in link.diary.entries)
    assert link.diary.entries == ["released", "lost"]
    assert link.peer.recv(1) == b""


@pytest.mark.parametrize("what", ["bytes", "end"])
async def test_what_only_the_kernel_knows_makes_it_unusable(link: Link, what: str) -> None:
    """Case 17, in the moment before the event loop has read anything."""
    assert link.connection.usable()
    if what == "bytes":
        link.peer.sendall(b"x")
    else:
        link.peer.close()
    assert not link.connection.usable()


async def test_bytes_that_nobody_asked_for_close_it(link: Link) -> None:
    link.peer.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    await until(lambda: link.diary.entries == ["lost"])
    assert not link.connection.usable()


async def test_a_request_that_has_not_left_cannot_be_followed_by_another(link: Link) -> None:
    link.connection.write(b"x" * 10_000_000)
    link.connection.release()
    await until(lambda: link.diary.entries == ["lost"])


async def test_what_arrives_goes_to_the_receiver(link: Link) -> None:
    collector = Collector(link.connection)
    link.peer.sendall(b"one")
    await until(lambda: collector.data == b"one")
    link.peer.close()
    await until(lambda: bool(collector.ends))
    assert collector.ends == [None]


async def test_a_reset_is_an_error(link: Link) -> None:
    collector = Collector(link.connection)
    link.reset()
    await until(lambda: bool(collector.ends))
    assert isinstance(collector.ends[0], ConnectionError)


async def test_a_tunnel_keeps_its_own_half_open(link: Link) -> None:
    collector = Collector(link.connection, tunnel=True)
    link.peer.shutdown(socket.SHUT_WR)
    await until(lambda: collector.ends == [None])
    link.connection.write(b"still here")
    link.connection.receiver = None
    link.connection.close(60)
    await until(lambda: link.diary.entries == ["lost"])
    assert link.peer.recv(100) == b"still here"
    assert link.peer.recv(100) == b""


async def test_closing_lets_everything_leave_but_not_for_ever(link: Link) -> None:
    link.connection.write(b"x" * 10_000_000)
    link.connection.close(0.01)
    await until(lambda: link.diary.entries == ["lost"])  # the peer has read nothing


@pytest.mark.parametrize("size", [100, 40_000])
async def test_the_last_words_before_a_reset_are_heard(link: Link, size: int) -> None:
    """An upstream refuses a body that is still on its way: our write fails before its answer was read."""
    collector = Collector(link.connection)
    link.peer.sendall(b"w" * size)
    link.reset()
    while not link.diary.entries:
        link.connection.write(b"x" * 1000)
        await asyncio.sleep(0)
    assert collector.data == b"w" * size
    assert isinstance(collector.ends[-1], ConnectionError)


@pytest.mark.parametrize("then", ["pauses", "leaves"])
async def test_last_words_are_heard_only_as_far_as_they_are_wanted(link: Link, then: str) -> None:
    class Sated(Collector):
        def received(self, data: bytes) -> None:
            super().received(data)
            if then == "pauses":
                self.connection.pause_reading()
            else:
                self.connection.receiver = None

    collector = Sated(link.connection)
    link.peer.sendall(b"w" * 40_000)
    link.reset()
    while not link.diary.entries:
        link.connection.write(b"x")
        await asyncio.sleep(0)
    assert 0 < len(collector.data) < 40_000


async def test_a_connection_that_is_cut_tells_its_receiver(link: Link) -> None:
    collector = Collector(link.connection)
    link.connection.abort()
    await until(lambda: bool(collector.ends))
    assert isinstance(collector.ends[0], ConnectionAbortedError)


async def test_closing_and_then_aborting_is_harmless(link: Link, caplog: pytest.LogCaptureFixture) -> None:
    """asyncio's transport fails when it is aborted after a close that had to wait for the peer."""
    link.connection.write(b"x" * 10_000_000)
    link.connection.close(60)
    link.peer.setblocking(False)
    received = 0
    while not link.diary.entries:
        await asyncio.sleep(0)
        with contextlib.suppress(BlockingIOError):
            received += len(link.peer.recv(1_000_000))
    link.peer.setblocking(True)
    while data := link.peer.recv(1_000_000):
        received += len(data)
    assert received == 10_000_000
    link.connection.abort()
    await asyncio.sleep(0)
    assert caplog.records == []


async def test_reading_pauses_and_goes_on(link: Link) -> None:
    collector = Collector(link.connection)
    link.connection.pause_reading()
    link.connection.pause_reading()
    link.peer.sendall(b"x")
    for _ in range(10):
        await asyncio.sleep(0)
    assert collector.data == b""
    link.connection.resume_reading()
    await until(lambda: collector.data == b"x")


async def test_a_released_connection_reads_again(link: Link) -> None:
    link.connection.pause_reading()
    link.connection.release()
    link.peer.close()
    await until(lambda: link.diary.entries == ["released", "lost"])


async def test_writing_waits_for_a_slow_upstream(link: Link) -> None:
    link.connection.write(b"x" * 10_000_000)
    waiting = asyncio.create_task(link.connection.drain(60))
    await asyncio.sleep(0)
    assert not waiting.done()
    link.peer.setblocking(False)
    received = 0
    while not waiting.done():
        await asyncio.sleep(0)
        with contextlib.suppress(BlockingIOError):
            received += len(link.peer.recv(1_000_000))
    assert received > 0


async def test_an_upstream_that_stops_reading_is_given_up(link: Link) -> None:
    await link.connection.drain(0)
    link.connection.write(b"x" * 10_000_000)
    with pytest.raises(UpstreamFailed) as failed:
        await link.connection.drain(0.01)
    assert failed.value.fault is UpstreamFault.TIMEOUT


async def test_losing_the_connection_ends_the_wait(link: Link) -> None:
    link.connection.write(b"x" * 10_000_000)
    waiting = asyncio.create_task(link.connection.drain(None))
    await asyncio.sleep(0)
    link.reset()
    await waiting


# --- what is expected


async def test_who_waits_is_told_once_when_it_has_been_too_long(link: Link) -> None:
    collector = Collector(link.connection)
    loop = asyncio.get_running_loop()
    due = loop.time() + 0.05
    link.connection.expect(0.05)
    await until(lambda: bool(collector.overdue_at))
    assert collector.overdue_at[0] >= due
    await until(lambda: loop.time() > due + 0.1)
    assert len(collector.overdue_at) == 1


@pytest.mark.parametrize("first", [0.03, 60.0])
async def test_the_last_word_on_what_is_expected_counts(link: Link, first: float) -> None:
    """Whether it comes earlier than what was said before, or later."""
    collector = Collector(link.connection)
    loop = asyncio.get_running_loop()
    link.connection.expect(first)
    due = loop.time() + 0.1
    link.connection.expect(0.1)
    await until(lambda: bool(collector.overdue_at))
    assert collector.overdue_at[0] >= due


@pytest.mark.parametrize("over", ["taken back", "nobody waits", "closed"])
async def test_nobody_is_told_of_what_is_no_longer_expected(link: Link, over: str) -> None:
    collector = Collector(link.connection)
    loop = asyncio.get_running_loop()
    due = loop.time() + 0.03
    link.connection.expect(0.03)
    if over == "taken back":
        link.connection.expect(None)
    elif over == "nobody waits":
        link.connection.receiver = None
    else:
        link.connection.abort()
        await until(lambda: "lost" in link.diary.entries)
    await until(lambda: loop.time() > due + 0.05)
    assert collector.overdue_at == []


async def test_what_one_exchange_expected_is_not_the_next_ones_affair(link: Link) -> None:
    """One timer serves many exchanges."""
    first = Collector(link.connection)
    loop = asyncio.get_running_loop()
    link.connection.expect(0.03)
    link.connection.receiver = None
    second = Collector(link.connection)
    link.connection.expect(0.2)
    due = loop.time() + 0.2
    await until(lambda: bool(second.overdue_at))
    assert first.overdue_at == []
    assert second.overdue_at[0] >= due - 0.002  # uvloop counts milliseconds
