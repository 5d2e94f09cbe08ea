import asyncio
import gzip
import logging

import pytest
from aiohttp import web
from support.listening import GET, Recorder, drip_until_cut, listening, patient, post
from support.raw_client import RawClient

from gateway.web.connection import Connection


def connection_of(request: web.BaseRequest) -> Connection:
    assert isinstance(request.protocol, Connection)
    return request.protocol


# heads


async def test_a_client_that_says_nothing_is_cut_off() -> None:
    """Case 38."""
    async with (
        listening(Recorder(), patient(head_seconds=0.1)) as port,
        await RawClient.connect(port) as client,
    ):
        assert await client.rest() == b""


async def test_a_client_that_drips_a_head_is_cut_off_while_others_are_served() -> None:
    """Case 38."""
    async with (
        listening(Recorder(), patient(head_seconds=0.3)) as port,
        await RawClient.connect(port) as slow,
        await RawClient.connect(port) as quick,
    ):
        dripping = asyncio.create_task(drip_until_cut(slow, b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 2000))
        await quick.send(GET)
        assert (await quick.answer()).status == 200
        assert await dripping == b""


async def test_the_next_request_has_the_same_deadline() -> None:
    async with (
        listening(Recorder(), patient(head_seconds=0.2)) as port,
        await RawClient.connect(port) as client,
    ):
        await client.send(GET)
        assert (await client.answer()).status == 200
        assert await drip_until_cut(client, GET[:-2] + b"X: y\r\n" * 2000) == b""


async def test_empty_lines_before_a_request_are_no_way_to_stay() -> None:
    async with (
        listening(Recorder(), patient(head_seconds=0.2)) as port,
        await RawClient.connect(port) as client,
    ):
        assert await drip_until_cut(client, b"\r\n") == b""


async def test_a_client_is_not_blamed_for_a_slow_answer() -> None:
    """Its next request waits, half sent, while the handler works; the deadline runs from the answer on."""

    started = asyncio.Event()

    async def slow(request: web.BaseRequest) -> web.StreamResponse:
        started.set()
        await asyncio.sleep(0.3)
        return web.Response(text="at last")

    async with listening(slow, patient(head_seconds=0.1)) as port, await RawClient.connect(port) as client:
        await client.send(GET)
        await started.wait()
        await client.send(GET[:10])
        assert (await client.answer()).body == b"at last"
        assert await client.rest() == b""


async def test_a_head_that_never_ends_is_refused_before_its_end() -> None:
    """Case 39."""
    async with (
        listening(Recorder(), patient(head_bytes=5000)) as port,
        await RawClient.connect(port) as client,
    ):
        await client.send(GET[:-2])
        for _ in range(3):
            await client.send(b"X: " + b"a" * 2000 + b"\r\n")
            await asyncio.sleep(0.02)  # so that they arrive one by one; what is shown does not depend on it
        answer = await client.answer()
        assert answer.status == 431
        assert await client.rest() == b""


async def test_each_head_is_measured_by_itself() -> None:
    async with (
        listening(Recorder(), patient(head_bytes=100)) as port,
        await RawClient.connect(port) as client,
    ):
        for _ in range(10):
            await client.send(GET[:-2])
            await asyncio.sleep(0.02)  # so that it arrives in two parts; what is shown does not depend on it
            await client.send(GET[-2:])
            assert (await client.answer()).status == 200


async def test_an_idle_connection_is_closed() -> None:
    async with (
        listening(Recorder(), patient(idle_seconds=0.1)) as port,
        await RawClient.connect(port) as client,
    ):
        await client.send(GET)
        assert (await client.answer()).status == 200
        assert await client.rest() == b""


# bodies


async def test_a_client_that_stops_within_a_body_is_cut_off() -> None:
    """Case 38."""
    async with (
        listening(Recorder(), patient(body_seconds=0.1)) as port,
        await RawClient.connect(port) as client,
    ):
        await client.send(post(10, b"hello"))
        assert await client.rest() == b""


async def test_a_large_body_is_not_taken_for_a_head() -> None:
    body = bytes(500_000)
    async with (
        listening(Recorder(), patient(head_bytes=1000)) as port,
        await RawClient.connect(port) as client,
    ):
        for _ in range(2):
            await client.send(post(len(body), body))
            assert (await client.answer()).body == body


async def test_a_body_comes_as_it_was_sent() -> None:
    """Case 39: nothing is decompressed, so a zip bomb does not go off here."""
    bomb = gzip.compress(bytes(1_000_000))
    async with listening(Recorder()) as port, await RawClient.connect(port) as client:
        await client.send(post(len(bomb), bomb, extra=b"Content-Encoding: gzip\r\n"))
        assert (await client.answer()).body == bomb


async def test_a_body_that_nobody_reads_stops_at_the_socket() -> None:
    """Case 39: memory stays flat."""
    release = asyncio.Event()
    read_ahead = []

    async def busy(request: web.BaseRequest) -> web.StreamResponse:
        await release.wait()
        read_ahead.append(request.content.total_bytes)
        return web.Response()

    async with listening(busy) as port, await RawClient.connect(port) as client:
        await client.send(post(10**9))
        sending = asyncio.create_task(client.send(bytes(50_000_000)))
        await asyncio.wait([sending], timeout=0.5)
        assert not sending.done()
        release.set()
        assert (await client.answer()).status == 200
        sending.cancel()
    assert read_ahead[0] < 1_000_000


async def test_a_client_that_leaves_its_body_unread_and_goes_is_forgotten_at_once() -> None:
    """The slot is free again, although the body might have been waited for."""

    async def refuse(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=401)

    async with listening(refuse, patient(connections=1)) as port:
        async with await RawClient.connect(port) as client:
            await client.send(post(1000, b"a"))
            assert (await client.answer()).status == 401
        assert await status_of_first_served(port) == 401


async def test_a_client_that_is_lost_between_its_request_and_the_handler_is_forgotten(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[Connection] = []

    async def note(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(connection_of(request))
        return web.Response()

    async with listening(note, patient()) as port, await RawClient.connect(port) as client:
        await client.send(GET)
        await client.answer()
        (connection,) = seen
        transport, task = connection.transport, connection.task
        assert transport is not None
        assert task is not None
        connection.data_received(GET)
        transport.abort()
        connection.connection_lost(None)  # as the event loop does in the same round
        await task
        assert seen == [connection]
    assert caplog.records == []


async def status_of_first_served(port: int) -> int:
    """Knock until the listener has room."""
    while True:
        async with await RawClient.connect(port) as client:
            try:
                await client.send(GET)
                status = (await client.answer()).status
            except (ConnectionError, asyncio.IncompleteReadError):
                continue  # the 503 was lost in the reset
            if status != 503:
                return status


# answers


async def test_a_client_that_does_not_read_is_cut_off() -> None:
    lost = asyncio.Event()

    async def gush(request: web.BaseRequest) -> web.StreamResponse:
        connection_of(request).on_lost = lost.set
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(100_000))

    async with (
        listening(gush, patient(stall_seconds=0.2)) as port,
        await RawClient.connect(port, receive_buffer=4096) as client,
    ):
        await client.send(GET)
        await lost.wait()


async def test_a_closed_connection_does_not_wait_for_a_client_that_does_not_read() -> None:
    served: list[Connection] = []

    async def last(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.set_write_buffer_limits(high=100_000_000)  # the whole answer counts as written
        served.append(connection_of(request))
        response = web.Response(body=bytes(50_000_000))
        response.force_close()
        return response

    async with (
        listening(last, patient(stall_seconds=0.2)) as port,
        await RawClient.connect(port, receive_buffer=4096) as client,
    ):
        await client.send(GET)
        await client.reader.readexactly(100)
        task = served[0].task
        assert task is not None
        await task
        assert len(await client.rest()) < 50_000_000


async def test_our_answers_do_not_name_the_software() -> None:
    async with listening(Recorder()) as port, await RawClient.connect(port) as client:
        await client.send(GET)
        assert (await client.answer()).header(b"server") == []


async def test_a_handler_that_fails_is_answered_for_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(request: web.BaseRequest) -> web.StreamResponse:
        raise LookupError("secret")

    async with listening(fail) as port, await RawClient.connect(port) as client:
        await client.send(GET[:-2] + b"Accept: text/html\r\n\r\n")
        answer = await client.answer()
        assert (answer.status, answer.body) == (500, b"500 Internal Server Error\n")
        assert await client.rest() == b""
    assert "LookupError" in caplog.text


async def test_a_handler_that_fails_halfway_breaks_the_answer_off(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        raise LookupError

    async with listening(fail) as port, await RawClient.connect(port) as client:
        await client.send(GET.replace(b"1.1", b"1.0"))
        assert await client.is_reset()
    assert "LookupError" in caplog.text


async def test_clients_that_leave_or_talk_nonsense_leave_no_trace_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    lost = asyncio.Event()

    async def read(request: web.BaseRequest) -> web.StreamResponse:
        connection_of(request).on_lost = lost.set
        return web.Response(body=await request.read())

    async def refuse(request: web.BaseRequest) -> web.StreamResponse:
        connection_of(request).on_lost = lost.set
        return web.Response(status=401)

    for handler in (read, refuse):
        async with listening(handler) as port:
            for raw in (
                post(10, b"hello"),
                post(10, extra=b"Transfer-Encoding: chunked\r\n"),
                b"\x16\x03\x01",
            ):
                async with await RawClient.connect(port) as client:
                    await client.send(raw)
            await lost.wait()
            chunked = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            async with await RawClient.connect(port) as client:
                await client.send(chunked)
                await asyncio.sleep(0.05)  # now an answer may be there, and the body still open
                await client.send(b"zz\r\n")
                await client.rest()
        lost.clear()
    assert caplog.text == ""


# connections


async def test_beyond_the_limit_connections_are_refused() -> None:
    async with listening(Recorder(), patient(connections=2)) as port:
        async with await RawClient.connect(port) as first, await RawClient.connect(port) as second:
            for client in (first, second):
                await client.send(GET)
                assert (await client.answer()).status == 200
            async with await RawClient.connect(port) as third:
                answer = await third.answer()
                assert (answer.status, answer.header(b"retry-after")) == (503, [b"1"])
                assert await third.rest() == b""
            await first.send(GET)
            assert (await first.answer()).status == 200
        assert await status_of_first_served(port) == 200


async def test_a_handler_at_work_for_a_client_that_left_still_counts() -> None:
    """Otherwise connecting and leaving would cost the client nothing, and us a handler each time."""
    lost, release = asyncio.Event(), asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        connection_of(request).on_lost = lost.set
        await release.wait()
        return web.Response()

    async with listening(handler, patient(connections=1)) as port:
        async with await RawClient.connect(port) as client:
            await client.send(GET)
            while not client.writer.transport.is_closing() and not lost.is_set():
                client.writer.transport.abort()
        await lost.wait()
        async with await RawClient.connect(port) as second:
            assert (await second.answer()).status == 503
        release.set()
        assert await status_of_first_served(port) == 200


async def test_pipelined_requests_are_answered_in_order() -> None:
    async def echo_path(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=request.path)

    async with listening(echo_path) as port, await RawClient.connect(port) as client:
        await client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(100)))
        assert [(await client.answer()).body for _ in range(100)] == [
            b"/%d" % number for number in range(100)
        ]
