"""A request on the short cut ends early: its client leaves, or does not read, or it is ended from outside."""

import asyncio

import pytest
from structlog.testing import capture_logs
from support.crossing import counted, crossing, get, over, saying, until_reset
from support.upstreams import OK, Peer, until

from gateway.core.ending import Ending, Scope
from gateway.proxy.upstream import UpstreamLimits
from gateway.web.connection import ListenerLimits

MEGABYTE = 1024 * 1024
SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


# --- a client that leaves, or does not read


@pytest.mark.parametrize("said", [b"", SIZED + b"half", STREAM])
@pytest.mark.parametrize("how", ["reset", "half-closed"])
async def test_a_client_that_leaves_takes_its_request_with_it(said: bytes, how: str) -> None:
    """Case 43."""
    async with crossing(saying(said)) as scene:
        await scene.client.send(get())
        await until(lambda: bool(scene.app.heads))
        if said:
            await scene.client.answer(to_head=True)
        if how == "reset":
            scene.client.writer.transport.abort()
        else:
            scene.client.writer.write_eof()
        await over(scene)
        assert counted(scene) == {"2xx" if said else "4xx": 1}
        assert scene.bridge.ordinary == []


async def test_a_client_that_left_is_a_499_in_the_log() -> None:
    async with crossing(saying(b"")) as scene:
        with capture_logs() as said:
            await scene.client.send(get())
            await until(lambda: bool(scene.app.heads))
            scene.client.writer.transport.abort()
            await over(scene)
    assert [(entry["event"], entry["status"]) for entry in said] == [("request", 499)]


async def test_an_upstream_waits_for_a_client_that_reads_slowly() -> None:
    size = 48 * MEGABYTE

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // MEGABYTE):
            await peer.say(bytes(MEGABYTE))
        await peer.rest()

    limits = UpstreamLimits(idle=0.2)  # which is not for the time in which it has to wait
    async with crossing(script, upstream=limits, receive_buffer=4096) as scene:
        await scene.client.send(get())
        await until(lambda: bool(scene.bridge.crossings))
        (connection,), (crossed,) = scene.listener._connections, scene.bridge.crossings
        await until(lambda: crossed._upstream is not None and not crossed._upstream._reading)
        loop = asyncio.get_running_loop()
        paused_at = loop.time()
        await until(lambda: loop.time() > paused_at + 0.4)
        assert connection.transport is not None
        assert connection.transport.get_write_buffer_size() < MEGABYTE
        assert len((await scene.client.answer()).body) == size
        assert counted(scene) == {"2xx": 1}


async def test_a_client_that_does_not_read_is_cut_off_from_the_upstream_too() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(STREAM)
        while True:
            await peer.say(bytes(MEGABYTE))

    async with crossing(script, limits=ListenerLimits(stall_seconds=0.2), receive_buffer=4096) as scene:
        await scene.client.send(get())
        await over(scene)
        assert counted(scene) == {"2xx": 1}


# --- what ends it from outside


@pytest.mark.parametrize("said", [b"", SIZED + b"half", STREAM + b"data: 1\n\n"])
@pytest.mark.parametrize("by", ["ending", "fence"])
async def test_both_sides_are_cut_when_the_session_ends(said: bytes, by: str) -> None:
    """Case 31: what comes later goes nowhere, and no part looks like the whole."""
    go_on = asyncio.Event()
    rest: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def script(peer: Peer) -> None:
        await peer.head()
        if said:
            await peer.say(said)
        await go_on.wait()
        await peer.say(b"secret" if said else OK)
        rest.set_result(await peer.rest())

    async with crossing(script) as scene:
        await scene.client.send(get())
        await until(lambda: bool(scene.app.heads))
        if said:
            await scene.client.reader.readuntil(said[-4:])
        if by == "ending":
            assert scene.bridge.live.cut(Ending("r", Scope.ACCOUNT, subject="ada", epoch=2)) == 1
        scene.bridge.live.fence = lambda _: False
        go_on.set()
        assert b"s" not in await until_reset(scene.client)
        assert await rest == b""
        await over(scene)
        assert counted(scene) == {"2xx" if said else "4xx": 1}
        assert scene.bridge.ordinary == []


async def test_a_session_that_ended_before_its_request_left_has_none() -> None:
    async with crossing(saying(OK)) as scene:
        scene.bridge.as_of = scene.bridge.live.mark()
        scene.bridge.live.cut(Ending("r", Scope.SESSION, id="phone", subject="ada"))
        await scene.client.send(get())
        await until_reset(scene.client)
        await over(scene)
        assert (scene.app.heads, scene.bridge.ordinary) == ([], [])
        assert counted(scene) == {"4xx": 1}


@pytest.mark.parametrize("when", ["before the head", "within the answer"])
async def test_a_listener_that_stops_lets_an_answer_end(when: str) -> None:
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        if when == "within the answer":
            await peer.say(SIZED)
        await go_on.wait()
        await peer.say((b"" if when == "within the answer" else SIZED) + b"0123456789")
        await peer.rest()

    async with crossing(script) as scene:
        await scene.client.send(get())
        await until(lambda: bool(scene.app.heads))
        if when == "within the answer":
            head = await scene.client.answer(to_head=True)
        stopping = asyncio.create_task(scene.listener.stop(grace=60))
        await until(lambda: all(each.draining for each in scene.listener._connections))
        go_on.set()
        if when == "before the head":
            head = await scene.client.answer(to_head=True)
        assert head.header(b"connection") == ([b"close"] if when == "before the head" else [])
        assert await scene.client.rest() == b"0123456789"
        await stopping
        assert counted(scene) == {"2xx": 1}
