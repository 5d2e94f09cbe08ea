"""The network of the harness breaks as it is told to, and works otherwise."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bench.faults.proxy import Moment, Proxy, Trap, Way


class Echo:
    """A server that answers each piece with itself, and remembers what it was sent."""

    def __init__(self) -> None:
        self.heard = b""
        self.came = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(1000):
            self.heard += piece
            self.came.set()
            writer.write(piece)
        writer.close()


@pytest.fixture
async def echo() -> AsyncIterator[tuple[Echo, int]]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    yield echo, server.sockets[0].getsockname()[1]
    server.close()


@pytest.fixture
async def proxy(echo: tuple[Echo, int]) -> AsyncIterator[Proxy]:
    proxy = Proxy(echo[1])
    await proxy.start()
    yield proxy
    await proxy.stop()


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connected(proxy: Proxy) -> Streams:
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def ended(streams: Streams) -> bool:
    try:
        return await streams[0].read(10) == b""
    except ConnectionResetError:
        return True


async def exchanged(streams: Streams, text: bytes) -> bytes:
    streams[1].write(text)
    return await streams[0].read(1000)


async def test_it_passes_on_what_is_sent(proxy: Proxy) -> None:
    streams = await connected(proxy)
    assert await exchanged(streams, b"one") == b"one"
    proxy.delay(0.01)
    assert await exchanged(streams, b"two") == b"two"
    streams[1].close()


async def test_what_is_cut_ends_and_is_refused_until_it_is_mended(proxy: Proxy) -> None:
    streams = await connected(proxy)
    assert await exchanged(streams, b"one") == b"one"
    proxy.cut()
    assert await ended(streams)
    assert await ended(await connected(proxy))
    proxy.mend()
    again = await connected(proxy)
    assert await exchanged(again, b"three") == b"three"
    again[1].close()


@pytest.mark.parametrize(("way", "arrives"), [(Way.UP, b""), (Way.DOWN, b"one")])
async def test_one_direction_is_lost_and_arrives_late(
    proxy: Proxy, echo: tuple[Echo, int], way: Way, arrives: bytes
) -> None:
    streams = await connected(proxy)
    proxy.deafen(way)
    streams[1].write(b"one")
    reading = asyncio.create_task(streams[0].read(10))
    if arrives:
        await echo[0].came.wait()
    done, _ = await asyncio.wait([reading], timeout=0.1)
    assert (done, echo[0].heard) == (set(), arrives)
    proxy.hear()
    assert await reading == b"one"
    streams[1].close()


async def test_it_leads_elsewhere_and_drops_what_is_connected(proxy: Proxy) -> None:
    other = Echo()
    server = await asyncio.start_server(other.serve, "127.0.0.1", 0)
    streams = await connected(proxy)
    assert await exchanged(streams, b"one") == b"one"
    proxy.point_at(server.sockets[0].getsockname()[1])
    assert await ended(streams)
    again = await connected(proxy)
    assert await exchanged(again, b"two") == b"two"
    assert other.heard == b"two"
    again[1].close()
    server.close()


@pytest.mark.parametrize(
    ("moment", "heard"), [(Moment.BEFORE, b""), (Moment.SENT, b"a mark"), (Moment.ANSWERED, b"a mark")]
)
async def test_a_trap_springs_once_at_its_moment(
    proxy: Proxy, echo: tuple[Echo, int], moment: Moment, heard: bytes
) -> None:
    sprung = []

    async def note() -> None:
        if moment is not Moment.BEFORE:
            await echo[0].came.wait()
        sprung.append(echo[0].heard)

    proxy.trap(Trap(b"mark", moment, note))
    streams = await connected(proxy)
    assert await exchanged(streams, b"a mark") == b"a mark"
    assert await exchanged(streams, b"a mark") == b"a mark"
    assert sprung == [heard]
    streams[1].close()
