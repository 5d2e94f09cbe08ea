import asyncio
import os
import socket
import ssl
from pathlib import Path

import pytest
from aiohttp import http_parser, web
from support.listening import Recorder, listening
from support.raw_client import RawClient
from support.tls import self_signed

from gateway.web.connection import ListenerLimits
from gateway.web.listener import Listener

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Gate:
    """A handler that says when it was entered and waits to be let go."""

    def __init__(self) -> None:
        self.entered, self.release = asyncio.Event(), asyncio.Event()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        self.entered.set()
        await self.release.wait()
        return web.Response(body=await request.read())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_it_serves_where_it_says(host: str) -> None:
    async with listening(Recorder(), host=host) as port, await RawClient.connect(port, host) as client:
        await client.send(GET)
        assert (await client.answer()).status == 200


async def test_it_listens_on_the_port_that_was_asked_for() -> None:
    first = Listener(Recorder(), ListenerLimits())
    port = await first.start("127.0.0.1", 0)
    await first.stop(grace=0)
    again = Listener(Recorder(), ListenerLimits())
    assert await again.start("127.0.0.1", port) == port
    with pytest.raises(OSError, match="address"):
        await Listener(Recorder(), ListenerLimits()).start("127.0.0.1", port)
    await again.stop(grace=0)


async def test_without_the_c_parser_it_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_parser, "HttpRequestParser", http_parser.HttpRequestParserPy)
    with pytest.raises(RuntimeError, match="C parser"):
        await Listener(Recorder(), ListenerLimits()).start("127.0.0.1", 0)


async def test_stopping_lets_a_request_end_and_closes_what_is_idle() -> None:
    gate = Gate()
    listener = Listener(gate, ListenerLimits())
    port = await listener.start("127.0.0.1", 0)
    async with await RawClient.connect(port) as busy, await RawClient.connect(port) as idle:
        gate.release.set()
        await idle.send(GET)
        assert (await idle.answer()).status == 200
        gate.release.clear()
        gate.entered.clear()
        await busy.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
        await gate.entered.wait()
        stopping = asyncio.create_task(listener.stop(grace=100))
        assert await idle.rest() == b""
        with pytest.raises(OSError, match="Connect"):
            await RawClient.connect(port)
        gate.release.set()
        await busy.send(b"world")
        answer = await busy.answer()
        assert (answer.body, answer.header(b"connection")) == (b"helloworld", [b"close"])
        assert await busy.rest() == b""
        await stopping


async def test_stopping_closes_a_connection_whose_answer_began_before() -> None:
    begun, release = asyncio.Event(), asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "4"})
        await response.prepare(request)
        begun.set()
        await release.wait()
        await response.write(b"done")
        return response

    listener = Listener(handler, ListenerLimits())
    port = await listener.start("127.0.0.1", 0)
    async with await RawClient.connect(port) as client:
        await client.send(GET)
        await begun.wait()
        stopping = asyncio.create_task(listener.stop(grace=100))
        await asyncio.sleep(0)
        release.set()
        assert (await client.answer()).body == b"done"
        assert await client.rest() == b""
        await stopping


async def test_after_the_grace_requests_are_cut_off() -> None:
    gate = Gate()
    cancelled = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await gate(request)
        except asyncio.CancelledError:
            cancelled.append(request)
            raise

    listener = Listener(handler, ListenerLimits())
    port = await listener.start("127.0.0.1", 0)
    async with await RawClient.connect(port) as client:
        await client.send(GET)
        await gate.entered.wait()
        await listener.stop(grace=0.05)
        assert await client.rest() == b""
    assert len(cancelled) == 1


async def test_a_connection_in_the_queue_outlives_the_listener_that_shared_the_socket() -> None:
    with socket.create_server(("127.0.0.1", 0)) as shared:
        shared.setblocking(False)
        old, new = Listener(Recorder(), ListenerLimits()), Listener(Recorder(), ListenerLimits())
        await old.adopt(0, [shared.dup()])
        assert old.adopted == {0}
        await old.stop(grace=0)
        assert old.adopted == set()
        async with await RawClient.connect(shared.getsockname()[1]) as client:
            await client.send(GET)
            await new.adopt(0, [shared.dup()])
            assert (await client.answer()).status == 200
        new.leave(0)
        async with await RawClient.connect(shared.getsockname()[1]) as client:
            await new.adopt(1, [shared.dup()])
            await client.send(GET)
            assert (await client.answer()).status == 200
        await new.stop(grace=0)
        await new.adopt(2, [shared.dup()])
        assert new.adopted == set(), "it has stopped"


async def test_who_lingers_answers_one_more_request_on_an_idle_connection() -> None:
    listener = Listener(Recorder(), ListenerLimits())
    port = await listener.start("127.0.0.1", 0)
    async with await RawClient.connect(port) as client:
        await client.send(GET)
        assert (await client.answer()).header(b"connection") == []
        stopping = asyncio.create_task(listener.stop(grace=100, linger=100))
        with pytest.raises(OSError, match="Connect"):
            while True:
                (await asyncio.open_connection("127.0.0.1", port))[1].close()
        await client.send(GET)
        answer = await client.answer()
        assert (answer.status, answer.header(b"connection")) == (200, [b"close"])
        assert await client.rest() == b""
        await stopping


async def test_lingering_has_an_end() -> None:
    listener = Listener(Recorder(), ListenerLimits())
    port = await listener.start("127.0.0.1", 0)
    async with await RawClient.connect(port) as client:
        await client.send(GET)
        await client.answer()
        await listener.stop(grace=100, linger=0.05)
        assert await client.rest() == b""


async def test_a_request_that_has_begun_to_come_is_one_in_progress() -> None:
    """In our hands, or still in the system's: to the client it is sent."""
    listener = Listener(Recorder(), ListenerLimits())
    port = await listener.start("127.0.0.1", 0)
    async with await RawClient.connect(port) as ours, await RawClient.connect(port) as systems:
        for client in (ours, systems):
            await client.send(GET)
            assert (await client.answer()).status == 200
        await ours.send(GET[:9])
        await systems.send(GET)
        assert (await systems.answer()).status == 200  # so that the other one's half was read
        # In one turn of the loop, so that nobody reads it meanwhile.
        os.write(systems.writer.get_extra_info("socket").fileno(), GET)
        for connection in tuple(listener._connections):
            connection.drain()
        await ours.send(GET[9:])
        for client in (ours, systems):
            answer = await client.answer()
            assert (answer.status, answer.header(b"connection")) == (200, [b"close"])
    await listener.stop(grace=0)


async def test_stopping_what_never_started_is_harmless() -> None:
    await Listener(Recorder(), ListenerLimits()).stop(grace=1)


async def test_it_speaks_tls(tmp_path: Path) -> None:
    certificate = tmp_path / "localhost.pem"
    certificate.write_bytes(self_signed("localhost"))
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_side.load_cert_chain(certificate)
    listener = Listener(Recorder(), ListenerLimits())
    port = await listener.start("localhost", 0, server_side)
    client_side = ssl.create_default_context(cafile=certificate)
    reader, writer = await asyncio.open_connection("localhost", port, ssl=client_side)
    async with RawClient(reader, writer) as client:
        await client.send(GET)
        assert (await client.answer()).status == 200
    await listener.stop(grace=0)
