"""The way out as the rest of the gateway uses it, with upstreams that do what upstreams do."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from support.upstreams import HOST, OK, Peer, Script, answering, pairs, permit, serving, until

from gateway.errors import UpstreamFailed, UpstreamFault
from gateway.proxy.upstream import Upstream, UpstreamLimits, UpstreamResponse
from gateway.proxy.wire import header_lines

PATIENT = UpstreamLimits(connections=4, connect=60, first_byte=60, idle=60, keep=60, retry_after_failure=60)


@asynccontextmanager
async def reaching(*addresses: str, limits: UpstreamLimits = PATIENT) -> AsyncIterator[Upstream]:
    """An upstream whose connections are all gone at the end: none leaks."""
    upstream = Upstream(addresses, limits)
    yield upstream
    await upstream.close()
    await until(lambda: upstream.open_connections == 0)


async def body_of(response: UpstreamResponse) -> bytes:
    return b"".join([piece async for piece in response.chunks()])


async def silent(peer: Peer) -> None:
    await peer.head()
    await peer.rest()


def refusing() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


# --- requests


async def test_method_and_target_are_the_permits() -> None:
    async with serving(answering(OK)) as app, reaching(app.address) as upstream:
        for method, target in [("GET", "/a/b?c=%2F&d"), ("DELETE", "/x?"), ("PROPFIND", "/")]:
            response = await upstream.send(permit(method, target), [*HOST, (b"X-A", b"b")], None)
            assert await body_of(response) == b"ok"
        assert app.heads == [
            b"GET /a/b?c=%2F&d HTTP/1.1\r\nHost: app.test\r\nX-A: b\r\n\r\n",
            b"DELETE /x? HTTP/1.1\r\nHost: app.test\r\nX-A: b\r\n\r\n",
            b"PROPFIND / HTTP/1.1\r\nHost: app.test\r\nX-A: b\r\n\r\n",
        ]
        assert len(app.peers) == 1


async def pieces() -> AsyncIterator[bytes]:
    yield b"hel"
    yield b"lo"


@pytest.mark.parametrize(
    ("body", "length", "sent"),
    [
        (None, None, b"\r\n"),
        (None, 0, b"Content-Length: 0\r\n\r\n"),
        (b"hello", None, b"Content-Length: 5\r\n\r\nhello"),
        (b"", None, b"Content-Length: 0\r\n\r\n"),
        (pieces, 5, b"Content-Length: 5\r\n\r\nhello"),
        (pieces, None, b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"),
    ],
)
async def test_bodies(body: Any, length: int | None, sent: bytes) -> None:
    whole = b"POST / HTTP/1.1\r\nHost: app.test\r\n" + sent

    async def script(peer: Peer) -> None:
        assert await peer.reader.readexactly(len(whole)) == whole
        await peer.say(OK)
        assert await peer.rest() == b""

    async with serving(script) as app, reaching(app.address) as upstream:
        given = body() if callable(body) else body
        response = await upstream.send(permit("POST"), HOST, given, length=length)
        assert await body_of(response) == b"ok"
        assert upstream.free_connections == 1


@pytest.mark.parametrize(
    ("method", "headers", "body", "length", "upgrade"),
    [
        ("GET", [*HOST, (b"A", b"b\r\nC: d")], None, None, False),
        ("GET", [*HOST, (b"Connection", b"close")], None, None, False),
        ("POST", [*HOST, (b"Content-Length", b"5")], b"hello", None, False),
        ("POST", HOST, None, 5, False),
        ("POST", HOST, None, None, True),
        ("GET", HOST, b"hello", None, True),
        ("CONNECT", HOST, None, None, False),
    ],
)
async def test_what_may_not_be_sent_is_never_dialled(
    method: str, headers: Any, body: Any, length: int | None, upgrade: bool
) -> None:
    async with serving(answering(OK)) as app, reaching(app.address) as upstream:
        with pytest.raises(ValueError, match=r"."):
            await upstream.send(permit(method), headers, body, length=length, upgrade=upgrade)
        assert upstream.open_connections == 0


async def test_nothing_leaves_without_a_permit() -> None:
    async with serving(answering(OK)) as app, reaching(app.address) as upstream:
        forged: Any = permit().target
        with pytest.raises(TypeError, match=r"(?i)permit"):
            await upstream.send(forged, HOST, None)
        assert app.peers == []


# --- answers


@pytest.mark.parametrize(
    ("method", "answer", "length", "has_body", "body"),
    [
        ("GET", OK, 2, True, b"ok"),
        (
            "GET",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            None,
            True,
            b"ok",
        ),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0, True, b""),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", None, False, b""),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n", None, False, b""),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", None, False, b""),
        ("GET", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + OK, 2, True, b"ok"),
    ],
)
async def test_answers(method: str, answer: bytes, length: int | None, has_body: bool, body: bytes) -> None:
    async with serving(answering(answer)) as app, reaching(app.address) as upstream:
        response = await upstream.send(permit(method), HOST, None)
        assert (
            response.reader.body.length if response.reader.has_body else None,
            response.reader.has_body,
        ) == (length, has_body)
        assert await body_of(response) == body
        assert upstream.free_connections == 1
        response = await upstream.send(permit(method), HOST, None)
        await until(lambda: upstream.free_connections == 1)
        assert response.whole() == body


async def test_headers_are_given_as_they_came() -> None:
    answer = (
        b"HTTP/1.1 299 Odd\r\nSet-Cookie: a\r\nset-COOKIE:  b \r\nConnection: x\r\nContent-Length: 0\r\n\r\n"
    )
    async with serving(answering(answer)) as app, reaching(app.address) as upstream:
        response = await upstream.send(permit(), HOST, None)
        assert (response.status, response.head.reason) == (299, b"Odd")
        assert [name for name, _ in pairs(response.head.headers)] == [
            b"Set-Cookie",
            b"set-COOKIE",
            b"Connection",
            b"Content-Length",
        ]
        assert [value for _, value in pairs(response.head.headers)] == [b"a", b"b", b"x", b"0"]


async def test_a_body_that_is_still_coming_is_not_whole() -> None:
    proceed = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(OK[:-1])
        await proceed.wait()
        await peer.say(OK[-1:])
        await peer.rest()

    async with serving(script) as app, reaching(app.address) as upstream:
        response = await upstream.send(permit(), HOST, None)
        assert response.whole() is None
        proceed.set()
        assert await body_of(response) == b"ok"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: b\n\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
        b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"hello\r\n",
    ],
)
async def test_a_hostile_answer_fails_and_its_connection_is_closed(answer: bytes) -> None:
    """Case 18; all kinds of them are in test_wire.py."""
    async with serving(answering(answer)) as app, reaching(app.address) as upstream:
        with pytest.raises(UpstreamFailed) as failed:
            await upstream.send(permit(), HOST, None)
        assert failed.value.fault is UpstreamFault.BROKEN
        await until(lambda: upstream.open_connections == 0)


@pytest.mark.parametrize("later", [False, True])
async def test_bytes_beyond_an_answer_reach_nobody(later: bool) -> None:
    """Case 17: in the same segment, and after the connection has gone back to the pool."""
    smuggled = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"

    async def script(peer: Peer) -> None:
        while True:
            await peer.head()
            if later:
                await peer.say(OK)
                await until(lambda: upstream.free_connections == 1)
                await peer.say(smuggled)
            else:
                await peer.say(OK + smuggled)

    async with serving(script) as app, reaching(app.address) as upstream:
        for count in range(1, 6):
            response = await upstream.send(permit(), HOST, None)
            assert await body_of(response) == b"ok"
            await until(lambda: upstream.open_connections == 0)
            assert len(app.peers) == count


async def test_an_answer_given_up_closes_its_connection() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok")
        await peer.rest()

    async with serving(script) as app, reaching(app.address) as upstream:
        response = await upstream.send(permit(), HOST, None)
        await response.close()
        await response.close()
        await until(lambda: upstream.open_connections == 0)
        response = await upstream.send(permit(), HOST, None)
        body = response.chunks()
        assert await anext(body) == b"ok"
        await body.aclose()
        await until(lambda: upstream.open_connections == 0)


async def test_a_cancelled_request_closes_its_connection() -> None:
    """Case 43, for one: nobody else gets what it would have been answered."""
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.rest()
        gone.set()

    async with serving(script) as app, reaching(app.address) as upstream:
        asking = asyncio.create_task(upstream.send(permit(), HOST, None))
        await until(lambda: bool(app.heads))
        asking.cancel()
        await gone.wait()
        await until(lambda: upstream.open_connections == 0)
        assert asking.cancelled()


# --- no silent repeat


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "POST"])
async def test_a_connection_that_drops_after_sending_is_the_callers_to_know(method: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(b"HTTP/1.1 204 No Content\r\n\r\n")
        await peer.head()
        peer.hang_up()

    async with serving(script) as app, reaching(app.address) as upstream:
        await body_of(await upstream.send(permit(method), HOST, None))
        with pytest.raises(UpstreamFailed) as failed:
            await upstream.send(permit(method, "/once"), HOST, None)
        assert failed.value.fault is UpstreamFault.BROKEN
        assert [b"/once" in head for head in app.heads] == [False, True]


async def test_a_connection_closed_while_free_is_noticed_before_sending() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(OK)
        await until(lambda: upstream.free_connections == 1)
        peer.hang_up()

    async with serving(script) as app, reaching(app.address) as upstream:
        for count in range(1, 6):
            assert await body_of(await upstream.send(permit("DELETE"), HOST, None)) == b"ok"
            await until(lambda: upstream.open_connections == 0)
            assert len(app.heads) == count


async def test_where_nobody_listens_the_next_address_is_asked() -> None:
    async with serving(answering(OK)) as app, reaching(refusing(), app.address, refusing()) as upstream:
        for _ in range(6):
            assert await body_of(await upstream.send(permit("POST"), HOST, b"x")) == b"ok"
        assert len(app.heads) == 6


async def test_nobody_listens_anywhere() -> None:
    async with reaching(refusing(), refusing()) as upstream:
        with pytest.raises(UpstreamFailed) as failed:
            await upstream.send(permit(), HOST, None)
        assert failed.value.fault is UpstreamFault.REFUSED


async def test_an_address_that_breaks_off_rests() -> None:
    async def breaks_off(peer: Peer) -> None:
        await peer.head()
        peer.hang_up()

    async with (
        serving(breaks_off) as bad,
        serving(answering(OK)) as good,
        reaching(good.address, bad.address) as upstream,
    ):
        with pytest.raises(UpstreamFailed):
            for _ in range(2):
                await body_of(await upstream.send(permit(), HOST, None))
        for _ in range(6):
            assert await body_of(await upstream.send(permit(), HOST, None)) == b"ok"
        assert len(bad.heads) == 1


# --- upgrades


async def test_an_upgrade() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        while said := await peer.reader.read(100):
            await peer.say(said.upper())
        peer.hang_up()

    async with serving(script) as app, reaching(app.address) as upstream:
        response = await upstream.send(permit(), HOST, None, upgrade=True)
        assert b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" in app.heads[0]
        assert (response.status, response.reader.has_body) == (101, False)
        tunnel = response.tunnel()
        for said in (b"ping", b"again"):
            await tunnel.write(said)
            assert await tunnel.read() == said.upper()
        reading = asyncio.create_task(tunnel.read())
        await asyncio.sleep(0)
        reading.cancel()  # one direction gives up: the other still has something to say
        await asyncio.wait([reading])
        await tunnel.write(b"bye")
        assert await tunnel.read() == b"BYE"
        await tunnel.close()
        assert await tunnel.read() == b""


async def test_an_upgrade_that_is_declined_is_an_answer() -> None:
    async with serving(answering(OK)) as app, reaching(app.address) as upstream:
        response = await upstream.send(permit(), HOST, None, upgrade=True)
        with pytest.raises(RuntimeError):
            response.tunnel()
        assert await body_of(response) == b"ok"
        assert upstream.free_connections == 1


# --- many at once


def echo_of_the_path(delays: bool = False) -> Script:
    """Answers with the request's own path, in two parts."""

    async def script(peer: Peer) -> None:
        while True:
            path = (await peer.head()).split(b" ")[1]
            if delays:
                await asyncio.sleep(int(path[1:]) % 7 * 0.001)
            await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (2 * len(path)) + path)
            await asyncio.sleep(0)
            await peer.say(path)

    return script


async def test_many_share_few_connections() -> None:
    async with serving(echo_of_the_path()) as app, reaching(app.address) as upstream:

        async def ask(number: int) -> None:
            response = await upstream.send(permit("GET", f"/{number}"), HOST, None)
            assert await body_of(response) == b"/%d" % number * 2

        await asyncio.gather(*[ask(number) for number in range(500)])
        assert len(app.peers) <= PATIENT.connections
        assert (upstream.open_connections, upstream.free_connections) == (len(app.peers), len(app.peers))


async def test_cancelled_by_the_hundred() -> None:
    """Case 43: every answer reaches who asked, every request is seen once at most, no place is lost."""
    async with serving(echo_of_the_path(delays=True)) as app, reaching(app.address) as upstream:
        answered = set()

        async def ask(number: int) -> None:
            response = await upstream.send(permit("DELETE", f"/{number}"), HOST, None)
            try:
                assert await body_of(response) == b"/%d" % number * 2
            finally:
                await response.close()
            answered.add(number)

        tasks = [asyncio.create_task(ask(number)) for number in range(600)]
        for turn, task in enumerate(tasks):
            if turn % 3:
                if turn % 9 == 1:
                    await asyncio.sleep(0.001)
                task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} <= {type(None), asyncio.CancelledError}
        assert answered >= set(range(0, 600, 3))
        await until(lambda: upstream.open_connections == upstream.free_connections <= PATIENT.connections)
        seen = [head.split(b" ")[1] for head in app.heads]
        assert len(seen) == len(set(seen))
        await asyncio.gather(*[ask(number) for number in range(600, 620)])


async def test_waiting_for_a_connection_has_an_end() -> None:
    limits = replace(PATIENT, connections=1, connect=0.05)
    async with serving(silent) as app, reaching(app.address, limits=limits) as upstream:
        first = asyncio.create_task(upstream.send(permit(), HOST, None))
        await until(lambda: len(app.peers) == 1)
        with pytest.raises(UpstreamFailed) as failed:
            await upstream.send(permit(), HOST, None)
        assert failed.value.fault is UpstreamFault.TIMEOUT
        first.cancel()


async def test_closing_ends_everything() -> None:
    async with serving(silent) as app, reaching(app.address) as upstream:
        asking = asyncio.create_task(upstream.send(permit(), HOST, None))
        await until(lambda: len(app.heads) == 1)
        await upstream.close()
        with pytest.raises(UpstreamFailed) as failed:
            await asking
        assert failed.value.fault is UpstreamFault.BROKEN
        with pytest.raises(UpstreamFailed):
            await upstream.send(permit(), HOST, None)
        assert len(app.peers) == 1


# --- without waiting


class Listening:
    """Receives what comes over one connection."""

    def __init__(self) -> None:
        self.data = b""
        self.is_overdue = False

    def received(self, data: bytes) -> None:
        self.data += data

    def ended(self, error: Exception | None) -> None: ...

    def overdue(self) -> None:
        self.is_overdue = True

    def writable(self) -> None: ...


async def test_a_request_leaves_at_once_over_a_free_connection() -> None:
    async with serving(answering(OK)) as app, reaching(app.address) as upstream:
        assert upstream.free_now() is None
        await body_of(await upstream.send(permit(), HOST, None))
        connection, listening = upstream.free_now(), Listening()
        assert connection is not None
        upstream.send_now(
            permit("HEAD", "/a?b"), header_lines([*HOST, (b"X-A", b"b")]), connection, listening
        )
        await until(lambda: listening.data == OK)
        assert app.heads[1] == b"HEAD /a?b HTTP/1.1\r\nHost: app.test\r\nX-A: b\r\n\r\n"
        assert len(app.peers) == 1
        assert not listening.is_overdue
        connection.abort()


async def test_what_may_not_be_sent_does_not_leave_at_once_either() -> None:
    async with serving(answering(OK)) as app, reaching(app.address) as upstream:
        await body_of(await upstream.send(permit(), HOST, None))
        connection = upstream.free_now()
        assert connection is not None
        forged: Any = permit().target
        with pytest.raises(TypeError, match=r"(?i)permit"):
            upstream.send_now(forged, header_lines(HOST), connection, Listening())
        with pytest.raises(ValueError, match="host"):
            upstream.send_now(permit(), header_lines([]), connection, Listening())
        connection.release()
        await body_of(await upstream.send(permit(target="/last"), HOST, None))
        assert [head.split()[1] for head in app.heads] == [b"/", b"/last"]
