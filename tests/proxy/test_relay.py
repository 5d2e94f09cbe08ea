import asyncio
import contextlib
import hashlib
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from support.live import session
from support.raw_client import RawClient
from support.relaying import Passage, relaying
from support.upstreams import OK, Peer, Script, Scripted, answering, serving, until

from gateway.core.ending import Ending, Scope
from gateway.errors import BadRequest, PayloadTooLarge, UpstreamFailed, UpstreamFault
from gateway.proxy.relay import Relay
from gateway.proxy.upstream import UpstreamLimits
from gateway.web.connection import ListenerLimits

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
GET_1_0 = b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n"
VIA = b"Via: 1.1 watchword\r\n"


def post(*lines: bytes, body: bytes = b"", method: bytes = b"POST") -> bytes:
    return b"\r\n".join((method + b" / HTTP/1.1", b"Host: localhost", *lines, b"", body))


def sized(body: bytes, declared: int | None = None) -> bytes:
    return post(b"Content-Length: %d" % (len(body) if declared is None else declared), body=body)


CHUNKED = b"Transfer-Encoding: chunked"


@asynccontextmanager
async def passing(script: Script, **options: Any) -> AsyncIterator[tuple[Scripted, Passage, RawClient]]:
    """An upstream, the proxy in front of it, and a client in front of that."""
    async with (
        serving(script) as upstream,
        relaying(upstream.address, **options) as passage,
        await RawClient.connect(passage.port, "localhost") as client,
    ):
        yield upstream, passage, client


def one_answer(response: bytes, *, then: Script | None = None) -> Script:
    """An upstream that reads a head, says `response`, and then does `then`."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(response)
        if then is not None:
            await then(peer)
        else:
            await peer.rest()

    return script


async def hang_up(peer: Peer) -> None:
    peer.hang_up()


# what the client gets


@pytest.mark.parametrize(
    ("request_", "response", "expected"),
    [
        pytest.param(GET, OK, b"HTTP/1.1 200 OK\r\n" + VIA + b"Content-Length: 2\r\n\r\nok", id="sized"),
        pytest.param(
            GET,
            b"HTTP/1.1 299 !\r\nX: 1\r\nset-cookie: a\r\nx: 2\r\nSet-Cookie: b\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 299 !\r\nX: 1\r\nset-cookie: a\r\nx: 2\r\nSet-Cookie: b\r\n"
            + VIA
            + b"Content-Length: 0\r\n\r\n",
            id="status, reason, order and repetition",
        ),
        pytest.param(
            GET,
            b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nok\r\n0\r\nA: b\r\n\r\n",
            b"HTTP/1.1 200 \r\n" + VIA + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            id="chunked, without its trailers",
        ),
        pytest.param(
            GET,
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n" + VIA + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            id="chunked and empty",
        ),
        pytest.param(
            GET,
            b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 204 No Content\r\n" + VIA + b"\r\n",
            id="204",
        ),
        pytest.param(
            GET,
            b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\nETag: a\r\n\r\n",
            b"HTTP/1.1 304 Not Modified\r\nETag: a\r\n" + VIA + b"Content-Length: 1000\r\n\r\n",
            id="304 keeps the length of what there would be",
        ),
        pytest.param(
            GET.replace(b"GET", b"HEAD"),
            b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n" + VIA + b"Content-Length: 1000\r\n\r\n",
            id="HEAD keeps the length of what there would be",
        ),
        pytest.param(
            GET.replace(b"GET", b"HEAD"),
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n" + VIA + b"\r\n",
            id="HEAD without a length",
        ),
        pytest.param(
            GET,
            b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK,
            b"HTTP/1.1 200 OK\r\n" + VIA + b"Content-Length: 2\r\n\r\nok",
            id="informational answers stay here",
        ),
        pytest.param(
            GET,
            b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\n" + VIA + b"Content-Length: 0\r\n\r\n",
            id="redirects are not followed",
        ),
        pytest.param(
            GET,
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08",
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n" + VIA + b"Content-Length: 3\r\n\r\n\x1f\x8b\x08",
            id="nothing is decompressed",
        ),
        pytest.param(
            GET,
            b"HTTP/1.1 200 OK\r\nConnection: close, X\r\nX: 1\r\nKeep-Alive: 5\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n" + VIA + b"Content-Length: 0\r\n\r\n",
            id="the upstream's connection is its own affair",
        ),
        pytest.param(
            GET,
            b"HTTP/1.1 200 OK\r\nSet-Cookie: ww-session=evil\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\n" + VIA + b"Content-Length: 0\r\n\r\n",
            id="our cookies are ours to set (case 27)",
        ),
    ],
)
async def test_an_answer_arrives_as_it_was_given(request_: bytes, response: bytes, expected: bytes) -> None:
    """Twice on one connection, so that nothing of the first is left where the second begins."""
    async with passing(answering(response)) as (_, passage, client):
        for _ in range(2):
            await client.send(request_)
            assert await client.reader.readexactly(len(expected)) == expected
    assert [answer.complete for answer in passage.answers] == [True, True]


@pytest.mark.parametrize(
    ("request_", "ends"),
    [(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), True), (GET_1_0, True),
     (GET_1_0.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n"), False)],
)  # fmt: skip
async def test_the_clients_connection_ends_when_it_wants(request_: bytes, ends: bool) -> None:
    async with passing(answering(OK)) as (_, _, client):
        await client.send(request_)
        answer = await client.answer()
        assert answer.body == b"ok"
        if ends:
            assert answer.header(b"connection") in ([b"close"], [])
            assert await client.rest() == b""
        else:
            assert answer.header(b"connection") == [b"keep-alive"]
            await client.send(request_)
            assert (await client.answer()).body == b"ok"


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nok",
    ],
)
async def test_a_body_of_unknown_length_ends_with_the_connection_in_http_1_0(response: bytes) -> None:
    keep = GET_1_0.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n")
    async with passing(one_answer(response, then=hang_up)) as (_, _, client):
        await client.send(keep)
        assert await client.rest() == b"HTTP/1.1 200 OK\r\n" + VIA + b"\r\nok"


async def test_a_body_that_ended_with_the_upstreams_connection_is_chunked_in_http_1_1() -> None:
    response = b"HTTP/1.1 200 OK\r\n\r\nok"
    async with passing(one_answer(response, then=hang_up)) as (_, _, client):
        for _ in range(2):
            await client.send(GET)
            answer = await client.answer()
            assert (answer.header(b"transfer-encoding"), answer.body) == ([b"chunked"], b"ok")


async def test_our_own_cookies_go_out_with_the_apps_answer() -> None:
    async with serving(answering(OK)) as upstream, relaying(upstream.address) as passage:
        passage.extra.append((b"Set-Cookie", b"ww-resume=; Max-Age=0"))
        async with await RawClient.connect(passage.port, "localhost") as client:
            await client.send(GET)
            assert (await client.answer()).header(b"set-cookie") == [b"ww-resume=; Max-Age=0"]


async def test_events_arrive_one_by_one() -> None:
    """Server-sent events: the head before the first event, and each event before the next."""
    next_event = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for number in range(3):
            await next_event.wait()
            next_event.clear()
            await peer.say(b"data: %d\n\n" % number)
        peer.hang_up()

    async with passing(script) as (_, _, client):
        await client.send(GET)
        await client.answer(to_head=True)
        for number in range(3):
            next_event.set()
            assert await client.chunk() == b"data: %d\n\n" % number
        assert await client.chunk() == b""


async def test_pipelined_requests_are_answered_in_order() -> None:
    async def script(peer: Peer) -> None:
        while True:
            path = (await peer.head()).split()[1]
            await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))

    async with passing(script) as (_, _, client):
        await client.send(b"".join(GET.replace(b"/ ", b"/%d " % number, 1) for number in range(50)))
        assert [(await client.answer()).body for _ in range(50)] == [b"/%d" % number for number in range(50)]


# what the upstream gets


async def received_by_upstream(request: bytes, body_end: bytes) -> bytes:
    """The request as the upstream sees it; `body_end` is how its body ends."""
    seen = asyncio.get_running_loop().create_future()

    async def script(peer: Peer) -> None:
        head = await peer.head()
        seen.set_result(head + (await peer.reader.readuntil(body_end) if body_end else b""))
        await peer.say(OK)

    async with passing(script) as (_, _, client):
        await client.send(request)
        assert (await client.answer()).status == 200
    result: bytes = await seen
    return result


FORWARDED = (
    b"X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: localhost\r\n"
    b"Via: 1.1 watchword\r\n"
)


@pytest.mark.parametrize(
    ("request_", "body_end", "expected"),
    [
        (GET, b"", b"GET / HTTP/1.1\r\nHost: localhost\r\n" + FORWARDED + b"\r\n"),
        (
            sized(b"hello"),
            b"hello",
            b"POST / HTTP/1.1\r\nHost: localhost\r\n" + FORWARDED + b"Content-Length: 5\r\n\r\nhello",
        ),
        (
            post(b"Content-Length: 0"),
            b"",
            b"POST / HTTP/1.1\r\nHost: localhost\r\n" + FORWARDED + b"Content-Length: 0\r\n\r\n",
        ),
        (post(), b"", b"POST / HTTP/1.1\r\nHost: localhost\r\n" + FORWARDED + b"Content-Length: 0\r\n\r\n"),
        (
            post(method=b"DELETE"),
            b"",
            b"DELETE / HTTP/1.1\r\nHost: localhost\r\n" + FORWARDED + b"\r\n",
        ),
        (
            # Case 16: trailers are nobody's headers.
            post(CHUNKED, body=b"5;x=y\r\nhello\r\n0\r\nRemote-User: eve\r\n\r\n"),
            b"0\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: localhost\r\n"
            + FORWARDED
            + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ),
    ],
    ids=["no body", "sized", "empty", "none, with POST", "none, with DELETE", "chunked"],
)
async def test_a_request_arrives_as_it_was_sent(request_: bytes, body_end: bytes, expected: bytes) -> None:
    assert await received_by_upstream(request_, body_end) == expected


async def test_a_body_that_was_parked_goes_out_in_place_of_the_clients_own() -> None:
    async with serving(answering(OK)) as upstream, relaying(upstream.address) as passage:
        passage.resumed = ("POST", b"")
        async with await RawClient.connect(passage.port, "localhost") as client:
            await client.send(GET)
            assert (await client.answer()).body == b"ok"
    assert upstream.heads[0].startswith(b"POST / HTTP/1.1\r\n")
    assert b"Content-Length: 0\r\n" in upstream.heads[0]


async def test_100_is_sent_once_the_upstream_is_there_to_take_the_body() -> None:
    async def script(peer: Peer) -> None:
        assert b"Expect" not in await peer.head()
        await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + await peer.reader.readexactly(5))

    expecting = post(b"Content-Length: 5", b"Expect: 100-continue")
    async with passing(script) as (_, _, client):
        await client.send(expecting)
        assert (await client.answer()).status == 100
        await client.send(b"hello")
        assert (await client.answer()).body == b"hello"


async def test_100_is_not_sent_when_there_is_no_upstream() -> None:
    async with (
        relaying("http://127.0.0.1:1") as passage,
        await RawClient.connect(passage.port, "localhost") as client,
    ):
        await client.send(post(b"Content-Length: 5", b"Expect: 100-continue"))
        assert (await client.answer()).status == 502


async def test_an_upload_and_its_echo_flow_in_constant_memory() -> None:
    """Case 39. The answer begins before the request has ended, and both are larger than any buffer."""
    size, piece = 40_000_000, bytes(range(256)) * 400

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        left = size
        while left:
            data = await peer.reader.read(65536)
            left -= len(data)
            await peer.say(data)

    async def send(client: RawClient) -> None:
        await client.send(sized(b"", size))
        for start in range(0, size, len(piece)):
            await client.send(piece[: size - start])

    async with passing(script) as (_, _, client):
        tracemalloc.start()
        try:
            sending = asyncio.create_task(send(client))
            await client.answer(to_head=True)
            digest = hashlib.sha256()
            left = size
            while left:
                data = await client.reader.read(65536)
                left -= len(data)
                digest.update(data)
            await sending
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    whole, rest = divmod(size, len(piece))
    assert digest.hexdigest() == hashlib.sha256(piece * whole + piece[:rest]).hexdigest()
    assert peak < 10_000_000


@pytest.mark.parametrize("response", [b"Content-Length: 1000000000", b"Transfer-Encoding: chunked"])
async def test_a_slow_client_slows_the_upstream_down(response: bytes) -> None:
    said = 0

    async def script(peer: Peer) -> None:
        nonlocal said
        await peer.head()
        await peer.say(b"HTTP/1.1 200 OK\r\n" + response + b"\r\n\r\n")
        piece = b"10000\r\n" + bytes(0x10000) + b"\r\n" if response.endswith(b"chunked") else bytes(0x10000)
        while said < 500_000_000:
            await peer.say(piece)
            said += len(piece)

    async with passing(script) as (_, _, client):
        await client.send(GET)
        await client.answer(to_head=True)
        before = -1
        while said != before:  # until nothing moves any more
            before = said
            await asyncio.sleep(0.2)
        assert said < 50_000_000


async def test_a_slow_upstream_slows_the_client_down() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await asyncio.Event().wait()

    async with passing(script) as (_, _, client):
        await client.send(sized(b"", 10**9))
        sending = asyncio.create_task(client.send(bytes(50_000_000)))
        await asyncio.wait([sending], timeout=0.5)
        assert not sending.done()
        sending.cancel()


# limits and faults


async def test_a_body_declared_too_long_is_refused_before_the_upstream_is_asked() -> None:
    async with serving(answering(OK)) as upstream, relaying(upstream.address, body_limit=10) as passage:
        async with await RawClient.connect(passage.port, "localhost") as client:
            await client.send(sized(b"0123456789"))
            assert (await client.answer()).status == 200
            await client.send(sized(b"", 11))
            assert (await client.answer()).status == 413
        assert len(upstream.heads) == 1
    assert isinstance(passage.failures[0], PayloadTooLarge)


async def test_a_body_that_grows_too_long_is_cut_off() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        assert b"0\r\n\r\n" not in await peer.rest()

    async with passing(script, body_limit=10) as (upstream, _, client):
        await client.send(post(CHUNKED, body=b"5\r\nhello\r\n"))
        await until(lambda: bool(upstream.heads))
        await client.send(b"6\r\n world\r\n")
        assert (await client.answer()).status == 413


async def test_a_body_that_grows_too_long_under_an_answer_breaks_it_off() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
        await peer.rest()

    async with serving(script) as upstream, relaying(upstream.address, body_limit=10) as passage:
        async with await RawClient.connect(passage.port, "localhost") as client:
            await client.send(post(CHUNKED, body=b"5\r\nhello\r\n"))
            await client.answer(to_head=True)
            assert await client.chunk() == b"ok"
            await client.send(b"6\r\n world\r\n")
            assert await client.is_reset()
        assert not passage.answers[0].complete


async def test_a_malformed_body_is_the_clients_fault() -> None:
    """The upstream must not see an end of the body that the client never sent."""
    rest = []

    async def script(peer: Peer) -> None:
        await peer.head()
        rest.append(await peer.rest())

    async with serving(script) as upstream, relaying(upstream.address) as passage:
        async with await RawClient.connect(passage.port, "localhost") as client:
            await client.send(post(CHUNKED, body=b"5\r\nhello\r\n"))
            await until(lambda: bool(upstream.heads))
            await client.send(b"zz\r\n" + GET)
            assert (await client.answer()).status == 400
            assert await client.rest() == b""
        assert isinstance(passage.failures[0], BadRequest)
        await until(lambda: bool(rest))
    assert rest[0] in (b"", b"5\r\nhello\r\n")


@pytest.mark.parametrize(
    ("response", "fault"),
    [
        (b"HTTP/1.1 200 OK\r\nX: a\nb\r\n\r\n", UpstreamFault.BROKEN),  # case 18
        (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
            UpstreamFault.BROKEN,
        ),
        (b"HTTP/1.1 200", UpstreamFault.BROKEN),
        (b"", UpstreamFault.BROKEN),
    ],
)
async def test_an_upstream_that_fails_before_its_head_is_done_is_reported(
    response: bytes, fault: UpstreamFault
) -> None:
    async with passing(one_answer(response, then=hang_up)) as (_, passage, client):
        await client.send(GET)
        assert (await client.answer()).status == 502
        await client.send(GET)  # the client's connection is as good as before
        assert (await client.answer()).status == 502
    failure = passage.failures[0]
    assert isinstance(failure, UpstreamFailed)
    assert failure.fault is fault


@pytest.mark.parametrize(
    ("request_", "head", "half"),
    [
        (GET, b"Content-Length: 10", b"half"),
        (GET, b"Transfer-Encoding: chunked", b"4\r\nhalf\r\n"),
        (GET, b"Transfer-Encoding: chunked", b"4\r\nhalf\r\nzz\r\n"),
        (GET_1_0, b"Content-Length: 10", b"half"),
        (GET_1_0, b"Transfer-Encoding: chunked", b"4\r\nhalf\r\n"),
    ],
    ids=["sized", "chunked", "malformed chunk", "sized for HTTP/1.0", "chunked for HTTP/1.0"],
)
async def test_an_answer_that_is_broken_off_does_not_look_complete(
    request_: bytes, head: bytes, half: bytes
) -> None:
    begun = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n")
        await begun.wait()
        await peer.say(half)
        peer.hang_up()

    async with passing(script) as (_, passage, client):
        await client.send(request_)
        await client.answer(to_head=True)
        begun.set()
        assert await client.is_reset()
    assert [(answer.status, answer.complete) for answer in passage.answers] == [(200, False)]


async def test_an_upstream_that_pauses_for_too_long_is_given_up() -> None:
    response = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
    patience = UpstreamLimits(idle=0.1)
    async with passing(one_answer(response), upstream_limits=patience) as (_, _, client):
        await client.send(GET)
        assert await client.is_reset()


@pytest.mark.parametrize(
    "request_",
    [GET, sized(b"hello", 10), post(CHUNKED, body=b"5\r\nhello\r\n")],
    ids=["no body", "sized", "chunked"],
)
async def test_a_client_that_leaves_before_the_answer_takes_its_request_with_it(request_: bytes) -> None:
    """Case 43."""
    hung_up = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.rest()
        hung_up.set()

    async with serving(script) as upstream, relaying(upstream.address) as passage:
        async with await RawClient.connect(passage.port, "localhost") as client:
            await client.send(request_)
            await until(lambda: bool(upstream.heads))
        await hung_up.wait()
        await until(lambda: bool(passage.answers))
        assert not passage.answers[0].complete
        assert passage.failures == []


async def test_a_client_that_leaves_within_the_answer_ends_it() -> None:
    hung_up = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        try:
            while True:
                await peer.say(bytes(100_000))
        except ConnectionError:
            hung_up.set()

    async with serving(script) as upstream, relaying(upstream.address) as passage:
        async with await RawClient.connect(passage.port, "localhost") as client:
            await client.send(GET)
            await client.reader.readexactly(100_000)
        await hung_up.wait()
        await until(lambda: bool(passage.answers))


async def test_a_client_that_does_not_read_is_cut_off_from_the_upstream_too() -> None:
    hung_up = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        try:
            while True:
                await peer.say(bytes(100_000))
        except ConnectionError:
            hung_up.set()

    limits = ListenerLimits(stall_seconds=0.2)
    async with (
        serving(script) as upstream,
        relaying(upstream.address, limits=limits) as passage,
        await RawClient.connect(passage.port, receive_buffer=4096) as client,
    ):
        await client.send(GET)
        await hung_up.wait()


async def test_an_early_answer_does_not_wait_for_the_rest_of_the_request() -> None:
    refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"
    async with passing(one_answer(refusal)) as (upstream, _, client):
        await client.send(sized(b"hello", 10))
        assert (await client.answer()).body == b"no"
        await client.send(b"world" + GET)  # the rest is read and forgotten; a new request is a new one
        assert (await client.answer()).body == b"no"
    assert len(upstream.heads) == 2


async def test_an_answer_can_be_cut_off_from_outside() -> None:
    """Case 31: both sides are closed."""
    hung_up = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        await peer.rest()
        hung_up.set()

    async with passing(script) as (_, passage, client):
        await client.send(GET)
        await client.answer(to_head=True)
        await client.chunk()
        passage.relays[0].close()
        passage.relays[0].close()
        assert await client.is_reset()
        await hung_up.wait()
        await until(lambda: bool(passage.answers))
        passage.relays[0].close()


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"
DOWNLOAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nthe first"


@pytest.mark.parametrize("answer", [STREAM, DOWNLOAD], ids=["event stream", "download"])
async def test_an_answer_is_cut_when_its_session_ends(answer: bytes) -> None:
    """Case 31: both sides are closed; the client's by a reset, so that it takes no part for the whole."""
    begun = answer.partition(b"\r\n\r\n")[2]
    hung_up, go_on = asyncio.Event(), asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(answer)
        await go_on.wait()
        try:
            while True:
                await peer.say(b"more")
        except ConnectionError:
            hung_up.set()

    async with passing(script) as (_, passage, client):
        await client.send(GET)
        await client.answer(to_head=True)
        assert begun in await client.reader.readuntil(begun)
        assert passage.live.cut(Ending("r", Scope.ACCOUNT, subject="ada", epoch=2)) == 1
        go_on.set()
        rest = await until_reset(client)
        assert rest in (b"", b"\r\n"), "nothing but the end of the chunk that had come"
        await hung_up.wait()
        await until(lambda: bool(passage.answers))
        assert not passage.answers[0].complete
        assert passage.upstream.open_connections == passage.live.count == 0


@pytest.mark.parametrize(
    "request_",
    [sized(b"first", 1_000_000), post(CHUNKED, body=b"5\r\nfirst\r\n")],
    ids=["sized", "chunked"],
)
async def test_an_upload_is_cut_when_its_session_ends(request_: bytes) -> None:
    """Case 31: what comes in the same turn of the event loop as the end, or later, goes nowhere."""
    received: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    begun = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        first = await peer.reader.readuntil(b"first")
        begun.set()
        received.set_result(first + await peer.rest())

    async with passing(script) as (_, passage, client):
        await client.send(request_)
        await begun.wait()
        passage.relays[0]._request.content.feed_data(b"second")  # here already, and not passed on yet
        assert passage.live.cut(Ending("r", Scope.SESSION, id="phone", subject="ada")) == 1
        with contextlib.suppress(ConnectionError):
            await client.send(b"third")
        assert await client.is_reset()
        assert (await received).strip(b"\r\n") in (b"first", b"5\r\nfirst")
        await until(lambda: bool(passage.answers))
        assert passage.upstream.open_connections == passage.live.count == 0
        assert passage.failures == []


async def test_a_request_that_waits_for_its_answer_is_cut() -> None:
    hung_up = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.rest()
        hung_up.set()

    async with passing(script) as (upstream, passage, client):
        await client.send(GET)
        await until(lambda: bool(upstream.heads))
        assert passage.live.cut_all("over") == 1
        assert await client.is_reset()
        await hung_up.wait()
        await until(lambda: bool(passage.answers))


async def test_a_request_that_waits_for_a_connection_is_cut_and_never_leaves() -> None:
    begun = asyncio.Event()

    async def script(peer: Peer) -> None:
        while True:
            await peer.head()
            await begun.wait()
            await peer.say(OK)

    one = UpstreamLimits(connections=1)
    async with (
        passing(script, upstream_limits=one) as (upstream, passage, client),
        await RawClient.connect(passage.port) as other,
    ):
        await client.send(GET)
        await until(lambda: bool(upstream.heads))
        passage.session = session("other")
        await other.send(GET)
        await until(lambda: passage.live.count == 2)
        assert passage.live.cut_session("other", "over") == 1
        assert await other.is_reset()
        begun.set()
        assert (await client.answer()).body == b"ok"
        await client.send(GET.replace(b"/", b"/last", 1))
        await until(lambda: len(upstream.heads) == 2)
        assert b"/last" in upstream.heads[1]
        assert passage.answers[0].status == 499


async def test_connections_outlive_their_exchanges() -> None:
    """What is over is not cut: not the connection that its client keeps, and not the upstream's."""
    async with passing(answering(OK)) as (upstream, passage, client):
        for _ in range(3):
            await client.send(GET)
            assert (await client.answer()).body == b"ok"
            await until(lambda: passage.live.count == 0)
            assert passage.live.cut_all("over") == 0
        assert len(upstream.peers) == 1


@pytest.mark.parametrize("when", ["before", "head", "download", "upload"])
async def test_a_fence_that_says_no_lets_nothing_pass(when: str) -> None:
    """As on a node that was stopped for longer than its lease: what has come meanwhile goes nowhere."""
    received: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        if when == "download":
            await peer.say(DOWNLOAD)
        if when in ("head", "download"):
            await go_on.wait()
            await peer.say(OK)
        received.set_result(await peer.rest())

    async with passing(script) as (upstream, passage, client):
        if when == "before":
            passage.live.fence = lambda _: False
        await client.send(sized(b"", 10) if when == "upload" else GET)
        if when != "before":
            await until(lambda: bool(upstream.heads))
        if when == "download":
            await client.reader.readuntil(b"the first")
        passage.live.fence = lambda _: False
        go_on.set()
        if when == "upload":
            await client.send(b"0123456789")
        assert not await until_reset(client)
        await until(lambda: bool(passage.answers))
        assert passage.live.count == 0
        assert not passage.answers[0].complete
        assert bool(upstream.heads) is (when != "before")
        if when in ("download", "upload"):  # a complete answer leaves the upstream's connection free
            assert await received == b""


async def until_reset(client: RawClient) -> bytes:
    """What a client gets before its connection is reset; an end in good order is a failure."""
    received = bytearray()
    with pytest.raises(ConnectionResetError):
        while True:
            received += await client.reader.readexactly(1)
    return bytes(received)


async def test_what_is_cut_off_before_it_began_never_leaves() -> None:
    class CutOff(Passage):
        async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
            permit = self.permit("GET", request)
            relay = Relay(request, permit, self.upstream, [(b"Host", b"localhost")])
            relay.close()
            return await relay.run()

    async with serving(answering(OK)) as upstream, relaying(upstream.address, kind=CutOff) as passage:
        async with await RawClient.connect(passage.port, "localhost") as client:
            await client.send(GET)
            assert await client.is_reset()
        assert upstream.peers == []


async def test_stopping_the_listener_is_not_taken_for_a_client_that_left() -> None:
    """Who is cancelled from outside must say so, or it could not be stopped."""
    cancelled = []

    class Watched(Passage):
        async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
            try:
                return await super().__call__(request)
            except asyncio.CancelledError:
                cancelled.append(request)
                raise

    async with serving(one_answer(b"")) as upstream, relaying(upstream.address, kind=Watched) as passage:
        client = await RawClient.connect(passage.port, "localhost")
        await client.send(GET)
        await until(lambda: bool(upstream.heads))
    assert len(cancelled) == 1
    assert await client.rest() == b""
    client.writer.close()


async def test_answers_to_who_does_not_read_do_not_pile_up() -> None:
    """Case 38: requests that came all at once are sent on as the answers to those before are taken."""
    body = bytes(50_000)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    async with (
        serving(answering(answer)) as upstream,
        relaying(upstream.address) as passage,
        await RawClient.connect(passage.port, receive_buffer=4096) as client,
    ):
        client.writer.write(GET * 1000)
        assert passage.listener is not None
        connections = passage.listener._connections
        await until(lambda: bool(connections))
        (connection,) = connections
        await until(lambda: connection.writing_paused)
        for _ in range(200):  # turns of the event loop, enough for many answers
            await asyncio.sleep(0.001)
        transport = connection.transport
        assert transport is not None
        assert transport.get_write_buffer_size() < 1_000_000
        assert len(upstream.heads) < 500
        for _ in range(1000):
            assert len((await client.answer()).body) == len(body)


async def test_a_client_that_leaves_while_its_answers_wait_is_no_fault_of_ours(
    caplog: pytest.LogCaptureFixture,
) -> None:
    body = bytes(50_000)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    async with serving(answering(answer)) as upstream, relaying(upstream.address) as passage:
        assert passage.listener is not None
        connections = passage.listener._connections
        async with await RawClient.connect(passage.port, receive_buffer=4096) as client:
            client.writer.write(GET * 200)
            await until(lambda: any(each.writing_paused for each in connections))
            await until(lambda: any(each._drain_waiter for each in connections))
        await until(lambda: not connections)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
