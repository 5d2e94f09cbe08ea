"""A listener whose short cut takes requests to `/quick`; a test says when and how they are answered."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from support.listening import patient
from support.raw_client import RawClient
from support.upstreams import until

from gateway.web.connection import ListenerLimits, Request
from gateway.web.listener import Listener
from gateway.web.short_cut import QuickConnection

QUICK = b"GET /quick HTTP/1.1\r\nHost: a\r\n\r\n"
SLOW = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"
MEGABYTE = 1024 * 1024


def post(body: bytes) -> bytes:
    return b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


@dataclass
class Crossing:
    """`events` is what it was told."""

    connection: QuickConnection
    data: bytes
    events: list[str] = field(default_factory=list)

    def body(self, data: bytes) -> None:
        self.events.append(f"body {len(data)}")

    def lost(self) -> None:
        self.events.append("lost")

    def pause(self) -> None:
        self.events.append("pause")

    def resume(self) -> None:
        self.events.append("resume")

    def finish(self, body: bytes = b"quick", *, keep_alive: bool = True) -> None:
        self.connection.write(answer(body))
        self.connection.crossed(keep_alive=keep_alive)


@dataclass
class Server:
    """`ordinary` are the requests that went the ordinary way, and what had come of them before.

    `at_once` is what every crossing is answered with as soon as it begins; None leaves that to the test.
    """

    listener: Listener = field(init=False)
    offered: list[bytes] = field(default_factory=list)
    crossings: list[Crossing] = field(default_factory=list)
    ordinary: list[tuple[str, Exception | None]] = field(default_factory=list)
    at_once: bytes | None = None
    arrived: bytearray = field(default_factory=bytearray)

    def short_cut(self, connection: QuickConnection, data: bytes) -> bool:
        self.offered.append(data)
        if data != QUICK:
            return False
        crossing = Crossing(connection, data)
        self.crossings.append(crossing)
        connection.cross(crossing)
        if self.at_once is not None:
            crossing.finish(self.at_once)
        return True

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        assert isinstance(request, Request)
        failure = request.earlier.failure if request.earlier else None
        self.ordinary.append((f"{request.method} {request.raw_path}", failure))
        await request.read()
        return web.Response(text="ordinary")

    @property
    def paths(self) -> list[str]:
        return [line for line, _ in self.ordinary]


@asynccontextmanager
async def serving(
    limits: ListenerLimits | None = None, *, receive_buffer: int | None = None, kind: type["Server"] = Server
) -> AsyncIterator[tuple[Server, RawClient]]:
    """A listener, and a client whose connection waits for its first request."""
    server = kind()
    server.listener = Listener(server.handle, limits or patient(), server.short_cut)
    ordinary = QuickConnection.data_received

    def noted(self: QuickConnection, data: bytes) -> None:
        server.arrived += data
        ordinary(self, data)

    port = await server.listener.start("127.0.0.1", 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(QuickConnection, "data_received", noted)
        try:
            async with await RawClient.connect(port, receive_buffer=receive_buffer) as raw:
                await settled(server)
                yield server, raw
        finally:
            await server.listener.stop(grace=0)


async def settled(server: Server) -> None:
    """Wait until the connection waits for a request."""
    open_ = server.listener._connections
    await until(lambda: bool(open_) and all(each._waiter is not None for each in open_))
