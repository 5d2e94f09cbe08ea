"""Bodies of requests on the short cut: passed on as they come, and only as fast as they are taken."""

import asyncio

import pytest
from support.crossing import Crossed, counted, crossing, get, over, post, until_reset
from support.listening import drip_until_cut
from support.upstreams import OK, Peer, Script, until

from gateway.core.ending import Ending, Scope
from gateway.proxy.upstream import UpstreamLimits
from gateway.web.connection import ListenerLimits

MEGABYTE = 1024 * 1024
BODY = bytes(range(256)) * 40


def taking(size: int, received: list[bytes], answer: bytes = OK, times: int = 1) -> Script:
    """Read so many bytes of each body, then answer."""

    async def script(peer: Peer) -> None:
        for _ in range(times):
            await peer.head()
            received.append(await peer.reader.readexactly(size))
            await peer.say(answer)
        await peer.rest()

    return script


def listening(rest: list[bytes]) -> Script:
    """Never answer; note what comes of a body until the gateway hangs up."""

    async def script(peer: Peer) -> None:
        await peer.head()
        rest.append(await peer.rest())

    return script


def answering_at_once(answer: bytes = OK) -> Script:
    """Answer before anything of the body is read."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(answer)
        await peer.rest()

    return script


async def goes_on(scene: Crossed) -> None:
    """The client's connection is still in step: its next request is answered by the ordinary way."""
    await scene.client.send(b"PUT /next HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nnext")
    assert (await scene.client.answer()).body == b"next"


@pytest.mark.parametrize("split", [0, 1, 4096, len(BODY) - 1, len(BODY)])
async def test_a_body_may_come_with_its_head_or_behind_it(split: int) -> None:
    received: list[bytes] = []
    async with crossing(taking(len(BODY), received, times=2)) as scene:
        for number in (1, 2):
            await scene.client.send(post(len(BODY)) + BODY[:split])
            await until(lambda: len(scene.app.heads) == number)  # noqa: B023 - it waits here
            await scene.client.send(BODY[split:])
            assert (await scene.client.answer()).body == b"ok"
        assert received == [BODY, BODY]
        assert len(scene.app.peers) == 1
        assert scene.app.heads == [post(len(BODY))] * 2
        assert (len(scene.bridge.taken), scene.bridge.ordinary) == (2, [])
        assert counted(scene) == {"2xx": 2}


async def test_what_comes_behind_a_body_is_the_next_request() -> None:
    received: list[bytes] = []

    async def script(peer: Peer) -> None:
        await taking_two(peer)
        await peer.rest()

    async def taking_two(peer: Peer) -> None:
        for size in (len(BODY), 0):
            await peer.head()
            received.append(await peer.reader.readexactly(size))
            await peer.say(OK)

    async with crossing(script) as scene:
        await scene.client.send(post(len(BODY)) + BODY[:100])
        await until(lambda: len(scene.app.heads) == 1)
        await scene.client.send(BODY[100:] + get(b"/next"))
        for _ in range(2):
            assert (await scene.client.answer()).body == b"ok"
        assert received == [BODY, b""]
        assert [head.split()[1] for head in scene.app.heads] == [b"/up", b"/next"]
        assert len(scene.bridge.taken) == 2


async def test_a_client_waits_for_an_upstream_that_reads_slowly() -> None:
    size, go_on = 48 * MEGABYTE, asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        peer.stop_reading()
        await go_on.wait()
        peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert await peer.reader.readexactly(size) == bytes(size)
        await peer.say(OK)
        await peer.rest()

    limits = ListenerLimits(body_seconds=0.3)  # which is not for the time in which it has to wait
    async with crossing(script, limits=limits) as scene:
        scene.client.writer.write(post(size) + bytes(size))
        (connection,) = scene.listener._connections
        await until(lambda: bool(scene.bridge.crossings) and scene.bridge.crossings[0]._upstream is not None)
        upstream = scene.bridge.crossings[0]._upstream
        assert upstream is not None
        assert upstream._transport is not None
        transport = connection.transport
        assert transport is not None
        await until(lambda: not transport.is_reading())
        loop = asyncio.get_running_loop()
        paused_at = loop.time()
        await until(lambda: loop.time() > paused_at + 0.6)
        assert upstream._transport.get_write_buffer_size() < MEGABYTE
        go_on.set()
        assert (await scene.client.answer()).body == b"ok"
        assert counted(scene) == {"2xx": 1}


async def test_an_upstream_that_stops_reading_is_given_up() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        peer.stop_reading()
        await asyncio.Event().wait()

    limits = UpstreamLimits(idle=0.2, first_byte=60)
    async with crossing(script, upstream=limits) as scene:
        sending = asyncio.create_task(scene.client.send(post(48 * MEGABYTE) + bytes(48 * MEGABYTE)))
        answer = await scene.client.answer()
        assert (answer.status, answer.body) == (504, b"upstream-timeout")
        await sending
        assert counted(scene) == {}  # the ordinary way keeps the record
        await goes_on(scene)


@pytest.mark.parametrize("sent", [100, len(BODY)])
async def test_an_upstream_that_fails_before_it_answers_leaves_its_client_in_step(sent: int) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.reader.readexactly(sent)
        peer.reset()

    async with crossing(script) as scene:
        await scene.client.send(post(len(BODY)) + BODY[:sent])
        await until(lambda: scene.bridge.ordinary == ["POST /up"])
        await scene.client.send(BODY[sent:])
        answer = await scene.client.answer()
        assert (answer.status, answer.body) == (502, b"upstream-broken")
        assert len(scene.app.heads) == 1
        await goes_on(scene)


@pytest.mark.parametrize("more", [b"", BODY[100:200]])
async def test_an_answer_need_not_wait_for_the_body(more: bytes) -> None:
    async with crossing(answering_at_once(OK.replace(b"200 OK", b"413 No"))) as scene:
        await scene.client.send(post(len(BODY)) + BODY[:100])
        assert (await scene.client.answer()).status == 413
        await until(lambda: not scene.bridge.upstream.open_connections)  # it may still wait for the rest
        await scene.client.send(more)
        await scene.client.send(BODY[100 + len(more) :])
        await goes_on(scene)
        assert counted(scene) == {"4xx": 1}


async def test_a_client_that_sends_before_it_reads_is_no_fault_of_the_upstreams() -> None:
    size = 48 * MEGABYTE

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // MEGABYTE):
            await peer.say(bytes(MEGABYTE))
        await peer.reader.readexactly(len(BODY))
        await peer.rest()

    limits = UpstreamLimits(idle=0.2)
    async with crossing(script, upstream=limits, receive_buffer=4096) as scene:
        await scene.client.send(post(len(BODY)) + BODY[:100])
        await until(lambda: bool(scene.bridge.crossings))
        crossed = scene.bridge.crossings[0]
        await until(lambda: crossed._upstream is not None and not crossed._upstream._reading)
        await scene.client.send(BODY[100:])
        await until(lambda: not crossed._client.body_left)
        loop = asyncio.get_running_loop()
        sent_at = loop.time()
        await until(lambda: loop.time() > sent_at + 0.4)
        assert len((await scene.client.answer()).body) == size
        assert counted(scene) == {"2xx": 1}


async def test_what_was_expected_of_one_request_is_nothing_to_the_next() -> None:
    received: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(OK)
        await taking(len(BODY), received)(peer)

    async with crossing(script, upstream=UpstreamLimits(first_byte=0.2)) as scene:
        await scene.client.send(get())
        assert (await scene.client.answer()).body == b"ok"
        await scene.client.send(post(len(BODY)) + BODY[:100])
        await until(lambda: len(scene.app.heads) == 2)
        loop = asyncio.get_running_loop()
        sent_at = loop.time()
        await until(lambda: loop.time() > sent_at + 0.4)
        await scene.client.send(BODY[100:])
        assert (await scene.client.answer()).status == 200
        assert received == [BODY]


async def test_who_reads_slowly_while_sending_is_no_fault_of_the_apps() -> None:
    """The app answers before it reads on, and its answer waits for the client."""
    size = 24 * MEGABYTE

    async def script(peer: Peer) -> None:
        await peer.head()
        peer.stop_reading()
        await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // MEGABYTE):
            await peer.say(bytes(MEGABYTE))
        peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
        await peer.rest()

    async with crossing(script, upstream=UpstreamLimits(idle=0.2), receive_buffer=4096) as scene:
        sending = asyncio.create_task(scene.client.send(post(size) + bytes(size)))
        await until(lambda: bool(scene.bridge.crossings))
        crossed = scene.bridge.crossings[0]
        await until(lambda: crossed._client._holds_body and not crossed._client.is_writable)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await until(lambda: loop.time() > began + 0.4)
        assert len((await scene.client.answer()).body) == size
        await sending
        assert counted(scene) == {"2xx": 1}


async def test_the_rest_of_a_body_may_not_drip_for_ever() -> None:
    async with crossing(answering_at_once(), limits=ListenerLimits(body_seconds=0.3, body_rate=1)) as scene:
        await scene.client.send(post(10**14) + BODY)
        assert (await scene.client.answer()).body == b"ok"
        await drip_until_cut(scene.client, BODY)


@pytest.mark.parametrize("goes_on", [True, False])
async def test_a_listener_that_stops_reads_the_rest_of_a_body_for_a_while(goes_on: bool) -> None:
    """Who is cut off while it sends may lose its answer, which it has not read yet."""

    async with crossing(
        answering_at_once(), limits=ListenerLimits(body_seconds=60 if goes_on else 0.2)
    ) as scene:
        await scene.client.send(post(len(BODY)) + BODY[:100])
        await until(lambda: counted(scene) == {"2xx": 1})
        stopping = asyncio.create_task(scene.listener.stop(grace=600))
        await until(lambda: all(each.draining for each in scene.listener._connections))
        if goes_on:
            await scene.client.send(BODY[100:-1])
            client = scene.bridge.crossings[0]._client
            await until(lambda: client.body_left == 1)
            await scene.client.send(BODY[-1:])
            assert (await scene.client.answer()).body == b"ok"
            assert not await scene.client.is_reset()
        await stopping


async def test_the_rest_of_a_body_that_nobody_wants_has_a_deadline() -> None:
    async with crossing(answering_at_once(), limits=ListenerLimits(body_seconds=0.2)) as scene:
        await scene.client.send(post(len(BODY)) + BODY[:100])
        assert (await scene.client.answer()).body == b"ok"
        await until_reset(scene.client)


@pytest.mark.parametrize("drips", [False, True])
async def test_a_client_that_does_not_send_its_body_is_cut_off(drips: bool) -> None:
    """Case 38."""
    limits = ListenerLimits(body_seconds=0.3, body_rate=100_000)
    async with crossing(taking(MEGABYTE, []), limits=limits) as scene:
        await scene.client.send(post(MEGABYTE))
        if drips:
            assert await drip_until_cut(scene.client, BODY) == b""
        else:
            await until_reset(scene.client)
        await over(scene)
        assert counted(scene) == {"4xx": 1}


@pytest.mark.parametrize("how", ["reset", "half-closed"])
async def test_a_client_that_leaves_within_its_body_takes_it_with_it(how: str) -> None:
    rest: list[bytes] = []
    async with crossing(listening(rest)) as scene:
        await scene.client.send(post(len(BODY)) + BODY[:100])
        await until(lambda: bool(scene.app.heads))
        if how == "reset":
            scene.client.writer.transport.abort()
        else:
            scene.client.writer.write_eof()
        await over(scene)
        await until(lambda: bool(rest))
        assert rest == [BODY[:100]]
        assert counted(scene) == {"4xx": 1}


@pytest.mark.parametrize("by", ["ending", "fence"])
async def test_nothing_more_of_a_body_is_passed_on_when_the_session_ends(by: str) -> None:
    """Case 31."""
    rest: list[bytes] = []
    async with crossing(listening(rest)) as scene:
        await scene.client.send(post(len(BODY)) + BODY[:100])
        await until(lambda: bool(scene.app.heads))
        if by == "ending":
            assert scene.bridge.live.cut(Ending("r", Scope.ACCOUNT, subject="ada", epoch=2)) == 1
        scene.bridge.live.fence = lambda _: False
        scene.client.writer.write(BODY[100:])
        await until_reset(scene.client)
        await until(lambda: bool(rest))
        assert BODY[100:101] not in rest[0][100:]
        assert len(rest[0]) <= 100
        await over(scene)
