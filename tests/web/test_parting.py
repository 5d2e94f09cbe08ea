"""A last word to who listens, and none to who does not."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import pytest
from support.raw_client import RawClient

from gateway.web import parting
from gateway.web.parting import part

BYE = b"bye"


@dataclass(eq=False)
class Server(asyncio.Protocol):
    """The side that parts."""

    made: asyncio.Event = field(default_factory=asyncio.Event)
    lost: asyncio.Event = field(default_factory=asyncio.Event)
    aborted: int = 0
    received: bytes = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.made.set()

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()

    def part(self, last: bytes) -> None:
        part(self.transport, last, self.abort)

    def abort(self) -> None:
        self.aborted += 1
        if not self.lost.is_set():
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()


@asynccontextmanager
async def connected(receive_buffer: int | None = None) -> AsyncIterator[tuple[Server, RawClient]]:
    side = Server()
    server = await asyncio.get_running_loop().create_server(lambda: side, "127.0.0.1", 0)
    async with await RawClient.connect(
        server.sockets[0].getsockname()[1], receive_buffer=receive_buffer
    ) as client:
        await side.made.wait()
        yield side, client
    server.close()


async def test_who_listens_hears_the_last_word_and_then_the_end() -> None:
    async with connected() as (side, client):
        side.part(BYE)
        assert await client.reader.read(-1) == BYE
        client.writer.close()
        await side.lost.wait()
        assert side.aborted == 0


async def test_who_talks_meanwhile_hears_it_all_the_same() -> None:
    """Bytes that nobody has read would turn the end into a reset, which may overtake the last word."""
    async with connected() as (side, client):
        side.transport.pause_reading()
        await client.send(bytes(100_000))
        side.transport.resume_reading()
        side.part(BYE)
        assert await client.reader.read(-1) == BYE
        await client.send(b"yes?")
        client.writer.close()
        await side.lost.wait()
        assert side.received.endswith(b"yes?")


async def test_what_was_written_in_the_same_turn_goes_before_it() -> None:
    async with connected() as (side, client):
        side.transport.write(b"so ")
        side.part(BYE)
        assert await client.reader.read(-1) == b"so bye"


async def test_who_does_not_read_is_cut_off_and_gets_no_more() -> None:
    async with connected(receive_buffer=4096) as (side, client):
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        side.transport.write(bytes(10_000_000))
        side.part(BYE)
        await side.lost.wait()
        assert side.aborted == 1
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        rest = await client.rest()
        assert not rest.strip(b"\0")
        assert len(rest) < 10_000_000


async def test_nothing_to_say_is_said_at_once() -> None:
    async with connected() as (side, client):
        side.part(b"")
        assert side.aborted == 1
        assert await client.is_reset()
        await side.lost.wait()
        side.part(BYE)  # too late
        assert side.aborted == 2


async def test_who_has_just_left_is_no_fault() -> None:
    """Its socket is closed, and the event loop does not know yet: the last word breaks the connection."""
    parted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def part_now() -> None:
        try:
            side.part(BYE)
        except OSError as error:
            parted.set_exception(error)
        else:
            parted.set_result(None)

    async with connected() as (side, client):
        client.writer.transport.abort()
        asyncio.get_running_loop().call_soon(part_now)  # behind the close of its socket
        await parted
        await side.lost.wait()


async def test_without_a_connection_there_is_only_the_rest() -> None:
    done = []
    part(None, BYE, lambda: done.append(True))
    assert done == [True]


async def test_who_stays_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parting, "PART_SECONDS", 0.1)
    async with connected() as (side, client):
        side.part(BYE)
        assert await client.reader.readexactly(3) == BYE
        await side.lost.wait()
