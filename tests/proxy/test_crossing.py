"""A request on the short cut, between real sockets: what passes, what breaks it, and what is left of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from support.crossing import PATIENT, Crossed, counted, crossing, get, over, post, saying, until_reset
from support.raw_client import RawClient
from support.upstreams import OK, Peer, Script, refusing, until

from gateway.proxy.upstream import Upstream, UpstreamLimits

SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
VIA = b"Via: 1.1 watchword\r\n"


def breaking(answer: bytes, *, reset: bool = False) -> Script:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(answer)
        peer.reset() if reset else peer.hang_up()

    return script


# --- what passes


@pytest.mark.parametrize(
    ("method", "answer", "expected"),
    [
        (b"GET", OK, b"HTTP/1.1 200 OK\r\n" + VIA + b"Content-Length: 2\r\n\r\nok"),
        (
            b"GET",
            b"HTTP/1.1 299 !\r\nX: 1\r\nset-cookie: a\r\nx: 2\r\nSet-Cookie: ww-session=x\r\n"
            b"Connection: x-hop\r\nX-Hop: 1\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 299 !\r\nX: 1\r\nset-cookie: a\r\nx: 2\r\n" + VIA + b"Content-Length: 0\r\n\r\n",
        ),
        (
            b"GET",
            b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nok\r\n0\r\nA: b\r\n\r\n",
            b"HTTP/1.1 200 \r\n" + VIA + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ),
        (
            b"GET",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n" + VIA + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            b"GET",
            b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 204 No Content\r\n" + VIA + b"\r\n",
        ),
        (
            b"GET",
            b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
            b"HTTP/1.1 304 Not Modified\r\n" + VIA + b"Content-Length: 9\r\n\r\n",
        ),
        (
            b"HEAD",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n" + VIA + b"Content-Length: 1000\r\n\r\n",
        ),
        (
            b"HEAD",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n" + VIA + b"\r\n",
        ),
        (
            b"GET",
            b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK,
            b"HTTP/1.1 200 OK\r\n" + VIA + b"Content-Length: 2\r\n\r\nok",
        ),
    ],
)
@pytest.mark.parametrize("by_byte", [False, True])
async def test_answers(method: bytes, answer: bytes, expected: bytes, by_byte: bool) -> None:
    """However they arrive. The connections on both sides serve the next request."""

    async def script(peer: Peer) -> None:
        await peer.head()
        for piece in [bytes([byte]) for byte in answer] if by_byte else [answer]:
            await peer.say(piece)
            await asyncio.sleep(0)
        await peer.head()
        await peer.say(b"HTTP/1.1 404 Last\r\nContent-Length: 0\r\n\r\n")
        await peer.rest()

    async with crossing(script) as scene:
        await scene.client.send(get(b"/a?b", method))
        await until(lambda: bool(scene.app.heads))
        await until(lambda: not scene.bridge.live.count)
        await scene.client.send(get(b"/last"))
        received = await scene.client.reader.readuntil(b"HTTP/1.1 404 Last")
        whole = received.removesuffix(b"HTTP/1.1 404 Last")
        if by_byte and b"chunked" in expected and b"ok" in expected:  # its chunks are as they came
            whole = whole.replace(b"1\r\no\r\n1\r\nk\r\n", b"2\r\nok\r\n")
        assert whole == expected
        assert scene.app.heads[0].startswith(method + b" /a?b HTTP/1.1\r\n")
        assert (len(scene.bridge.taken), len(scene.app.peers)) == (2, 1)
        assert sum(counted(scene).values()) == 2


async def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    async with crossing(breaking(b"HTTP/1.1 200 OK\r\n\r\nall of it")) as scene:
        await scene.client.send(get())
        assert (await scene.client.answer()).body == b"all of it"
        await until(lambda: not scene.bridge.upstream.open_connections)
        await scene.client.send(get())  # the client's connection is as good as before
        assert (await scene.client.answer()).body == b"ordinary"


async def test_the_head_of_a_stream_does_not_wait_for_its_first_event() -> None:
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(STREAM)
        await go_on.wait()
        await peer.say(b"data: 1\n\n")
        await peer.rest()

    async with crossing(script) as scene:
        await scene.client.send(get())
        assert (await scene.client.answer(to_head=True)).header(b"transfer-encoding") == [b"chunked"]
        go_on.set()
        assert await scene.client.chunk() == b"data: 1\n\n"


# --- an upstream that fails


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200",
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\nb\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"SSH-2.0-OpenSSH\r\n",
    ],
)
@pytest.mark.parametrize("reset", [False, True])
async def test_who_fails_before_an_answer_began_is_a_502_and_is_not_asked_again(
    answer: bytes, reset: bool
) -> None:
    """Case 18."""
    async with crossing(breaking(answer, reset=reset)) as scene:
        await scene.client.send(get())
        answer_ = await scene.client.answer()
        assert (answer_.status, answer_.body) == (502, b"upstream-broken")
        assert (len(scene.app.heads), len(scene.bridge.failures)) == (1, 1)
        assert counted(scene) == {}, "the ordinary way keeps the record"
        assert scene.bridge.live.count == 0
        await scene.client.send(get(b"/next"))
        assert (await scene.client.answer()).body == b"ordinary"
        assert len(scene.bridge.failures) == 1
        await until(lambda: not scene.bridge.upstream.open_connections)


@pytest.mark.parametrize(
    ("head", "half"),
    [
        (b"Content-Length: 10", b"half"),
        (b"Transfer-Encoding: chunked", b"4\r\nhalf\r\n"),
        (b"Transfer-Encoding: chunked", b"4\r\nhalf\r\nzz\r\n"),
    ],
)
async def test_an_answer_that_is_broken_off_does_not_look_complete(head: bytes, half: bytes) -> None:
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n")
        await go_on.wait()
        await peer.say(half)
        peer.hang_up()

    async with crossing(script) as scene:
        await scene.client.send(get())
        await scene.client.answer(to_head=True)
        go_on.set()
        await until_reset(scene.client)
        await over(scene)
        assert (len(scene.app.heads), scene.bridge.ordinary) == (1, [])
        assert counted(scene) == {"2xx": 1}


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", b"HTTP/1.1 2"])
async def test_an_upstream_that_does_not_answer_is_a_504(said: bytes) -> None:
    """Nor does it help to drip: the time is for the whole head."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(said)
        while True:
            await asyncio.sleep(0.01)
            await peer.say(said[-1:] if said.endswith(b"2") else said[:0])

    impatient = UpstreamLimits(first_byte=0.15)
    async with crossing(script, upstream=impatient) as scene:
        await scene.client.send(get())
        await until(lambda: bool(scene.bridge.crossings))
        scene.bridge.crossings[0].pause()  # what was written before is taken slowly
        scene.bridge.crossings[0].resume()
        assert (await scene.client.answer()).status == 504
        assert len(scene.app.heads) == 1
        await until(lambda: not scene.bridge.upstream.open_connections)


async def test_an_upstream_that_pauses_for_too_long_is_given_up() -> None:
    """Case 38; it may take its time, as long as something comes."""
    more = 8

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(STREAM)
        for _ in range(more):
            await asyncio.sleep(0.05)
            await peer.say(b".")
        await peer.rest()

    async with crossing(script, upstream=UpstreamLimits(first_byte=60, idle=0.3)) as scene:
        await scene.client.send(get())
        await scene.client.answer(to_head=True)
        received = await until_reset(scene.client)
        assert received.count(b".") == more
        await over(scene)
        assert counted(scene) == {"2xx": 1}


@pytest.mark.parametrize("extra", [b"x", OK, b"\r\n", b"HTTP/1.1 200 OK\r\n"])
@pytest.mark.parametrize(
    "answer", [OK, b"HTTP/1.1 204 No\r\n\r\n", b"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"]
)
async def test_what_comes_behind_an_answer_is_nobodys(extra: bytes, answer: bytes) -> None:
    """Case 17."""
    async with crossing(saying(answer + extra)) as scene:
        await scene.client.send(get())
        await scene.client.answer()
        await until(lambda: not scene.bridge.upstream.open_connections)
        await scene.client.send(get())
        assert (await scene.client.answer()).body == b"ordinary"


# --- where no connection is free


async def test_a_request_waits_for_a_connection_that_is_made_for_it() -> None:
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await go_on.wait()
        await peer.say(OK)
        await peer.rest()

    async with crossing(script) as scene, await RawClient.connect(scene.bridge.port) as other:
        scene.bridge.waits = True
        await scene.client.send(get())
        await until(lambda: bool(scene.app.heads))
        await other.send(get(b"/warm"))
        assert (await other.answer()).body == b"warm"
        go_on.set()
        assert (await scene.client.answer()).body == b"ok"
        assert (scene.bridge.taken, scene.bridge.ordinary) == ([get(), get(b"/warm")], [])
        assert len(scene.app.peers) == 2
        assert counted(scene) == {"2xx": 2}


@asynccontextmanager
async def one_in_use(
    limits: UpstreamLimits = PATIENT, at_most: int = 1
) -> AsyncIterator[tuple[Crossed, RawClient, asyncio.Event]]:
    """The only connection is in use, until the event; a second client has asked for one, with a body."""
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await go_on.wait()
        await peer.say(OK)
        await peer.head()
        assert await peer.reader.readexactly(10) == b"0123456789"
        await peer.say(OK)
        await peer.rest()

    async with (
        crossing(script, upstream=replace(limits, connections=at_most)) as scene,
        await RawClient.connect(scene.bridge.port) as other,
    ):
        scene.bridge.waits = True
        await scene.client.send(get())
        await until(lambda: bool(scene.app.heads))
        await other.send(post(10) + b"012")
        await until(lambda: len(scene.bridge.crossings) == 2)
        await other.send(b"34")
        yield scene, other, go_on


async def test_a_request_waits_for_a_connection_that_another_one_has() -> None:
    async with one_in_use() as (scene, other, go_on):
        (_, waiting) = scene.bridge.crossings
        await until(lambda: waiting._client._held == b"34")
        go_on.set()
        assert (await scene.client.answer()).body == b"ok"
        await other.send(b"56789")
        assert (await other.answer()).body == b"ok"
        assert scene.bridge.ordinary == []
        assert len(scene.app.peers) == 1


async def test_who_waited_for_too_long_is_told_and_stays_in_step() -> None:
    async with one_in_use(replace(PATIENT, connect=0.1)) as (scene, other, go_on):
        await until(lambda: bool(scene.bridge.failures))
        await other.send(b"56789" + get(b"/next"))
        answer = await other.answer()
        assert (answer.status, answer.body) == (504, b"upstream-timeout")
        go_on.set()
        assert (await scene.client.answer()).body == b"ok"
        assert scene.bridge.ordinary[0] == "POST /up"


@pytest.mark.parametrize("how", ["the client leaves", "the session ends"])
async def test_who_is_gone_waits_no_more(how: str) -> None:
    async with one_in_use() as (scene, other, go_on):
        first, waiting = scene.bridge.crossings
        if how == "the client leaves":
            other.writer.transport.abort()
        else:
            waiting.cut("ended")
        await until(lambda: len(scene.listener._connections) == 1)
        assert counted(scene) == {"4xx": 1}
        assert scene.bridge.live.count == 1
        go_on.set()
        assert (await scene.client.answer()).body == b"ok"
        assert scene.bridge.upstream.free_connections == 1
        assert len(scene.app.heads) == 1
        assert first._upstream is None


async def test_who_may_not_pass_any_more_when_there_is_a_connection_is_cut() -> None:
    async with one_in_use() as (scene, other, go_on):
        first, _ = scene.bridge.crossings
        scene.bridge.live.fence = lambda _: first._upstream is not None
        go_on.set()
        assert (await scene.client.answer()).body == b"ok"
        await until_reset(other)
        assert scene.bridge.upstream.free_connections == 1
        assert len(scene.app.heads) == 1


async def test_where_none_can_be_made_the_ordinary_way_tells() -> None:
    async with crossing(saying()) as scene:
        scene.bridge.waits = True
        scene.bridge.upstream = Upstream([refusing()], PATIENT)
        await scene.client.send(post(10) + b"012")
        await until(lambda: bool(scene.bridge.crossings))
        await scene.client.send(b"3456789")
        assert (await scene.client.answer()).body == b"0123456789"
        assert (scene.bridge.ordinary, scene.bridge.failures) == (["POST /up"], [])
