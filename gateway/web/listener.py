"""Where clients connect: aiohttp's low-level server around one handler, hardened."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Hashable, Iterable
from contextlib import suppress
from typing import Any
from weakref import WeakSet

from aiohttp import http_parser, web

from gateway.web.connection import Connection, ListenerLimits, refusal
from gateway.web.request_check import Unacceptable, check_request
from gateway.web.short_cut import QuickConnection, ShortCut

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_TURNS = 4
"""Turns of an event loop, at most, from accepting a connection to its `connection_made` (without TLS)."""

_POLL_SECONDS = 0.02

_ALLOW = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"


class Listener:
    """Gives every well-formed request to `handler`; everything else is answered here, and cut off.

    The handler sees targets and headers exactly as they came (`request.raw_path`, `raw_headers`).
    It need not think of `Expect`: 100 is sent when it first waits for the body. A `short_cut` is offered
    each request before that.
    """

    def __init__(self, handler: Handler, limits: ListenerLimits, short_cut: ShortCut | None = None) -> None:
        self._handler = handler
        self._short_cut = short_cut
        self._limits = limits
        self._connections: set[Connection] = set()
        self._accepted: WeakSet[Connection] = WeakSet()
        self._server: asyncio.Server | None = None
        self._adopted: dict[Hashable, list[asyncio.Server]] = {}
        self._stopping = False

    async def start(self, host: str, port: int, ssl_context: ssl.SSLContext | None = None) -> int:
        """Listen, and return the port: the one that was asked for, or for 0 one that was free.

        Raises OSError when the address cannot be had, RuntimeError when aiohttp lacks its C parser.
        """
        self._server = await self._opened(ssl_context, host=host, port=port)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def adopt(
        self,
        name: Hashable,
        sockets: Iterable[socket.socket],
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        """Accept connections of these bound sockets as well, until `leave(name)` or the stop.

        Then they are closed; where other processes have duplicates of them, those go on, with all that
        is in their queues. Raises RuntimeError when aiohttp lacks its C parser.
        """
        servers = self._adopted.setdefault(name, [])
        for sock in sockets:
            servers.append(await self._opened(ssl_context, sock=sock))
        if self._stopping:
            self.leave(name)

    def leave(self, name: Hashable) -> None:
        """Accept nothing more of these sockets; connections that were accepted go on."""
        for server in self._adopted.pop(name, ()):
            server.close()

    @property
    def adopted(self) -> frozenset[Hashable]:
        """The names of sockets that were adopted and not left."""
        return frozenset(self._adopted)

    async def _opened(self, ssl_context: ssl.SSLContext | None, **place: Any) -> asyncio.Server:
        _require_c_parser()
        server = web.Server(self._serve)

        def connection() -> Connection:
            # It is served although it comes late: the system took it before this stopped accepting.
            arriving = (
                Connection(server, self._limits, self._connections)
                if self._short_cut is None
                else QuickConnection(server, self._limits, self._connections, self._short_cut)
            )
            arriving.draining = self._stopping
            self._accepted.add(arriving)
            return arriving

        return await asyncio.get_running_loop().create_server(
            connection,
            ssl=ssl_context,
            ssl_handshake_timeout=self._limits.head_seconds if ssl_context else None,
            backlog=1024,
            **place,
        )

    async def stop(self, grace: float, linger: float = 0.0) -> None:
        """Stop accepting, let requests in flight end for up to `grace` seconds, then cut off the rest.

        For `linger` seconds before that, connections that are idle may bring one more request each, and
        are told to close with its answer: a client may be sending it just now.
        """
        self._stopping = True
        if self._server is not None:
            self._server.close()
        for name in self.adopted:
            self.leave(name)
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        if linger:
            await self._let_come(linger)
        for connection in tuple(self._connections):
            connection.drain()
        await self._wait_for_connections(grace)
        for connection in tuple(self._connections):
            connection.abort()
            if connection.task is not None:
                connection.task.cancel()
        await self._wait_for_connections(None)

    async def _let_come(self, seconds: float) -> None:
        for connection in self._accepted:
            connection.draining = True
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wait_for_connections(None)
                while any(connection.is_arriving for connection in self._accepted):
                    await asyncio.sleep(_POLL_SECONDS)
                    await self._wait_for_connections(None)

    async def _wait_for_connections(self, seconds: float | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while tasks := [
                    each.task for each in self._connections if each.task and not each.task.done()
                ]:
                    await asyncio.wait(tasks)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            check_request(request, head_bytes=self._limits.head_bytes)
        except Unacceptable as fault:
            answer = refusal(fault.status, str(fault))
            if fault.status == 405:
                answer.headers["Allow"] = _ALLOW
            return answer
        return await self._handler(request)


def _require_c_parser() -> None:
    """Most of aiohttp's request smuggling history is in its pure-Python parser."""
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise RuntimeError("aiohttp lacks its C parser, and the gateway does not run on the other")
