"""Where clients connect: aiohttp's low-level server around one handler, hardened."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable

from aiohttp import http_parser, web

from gateway.web.connection import Connection, ListenerLimits, refusal
from gateway.web.request_check import Unacceptable, check_request

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_ALLOW = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"


class Listener:
    """Gives every well-formed request to `handler`; everything else is answered here, and cut off.

    The handler sees targets and headers exactly as they came (`request.raw_path`, `raw_headers`).
    It need not think of `Expect`: 100 is sent when it first waits for the body.
    """

    def __init__(self, handler: Handler, limits: ListenerLimits) -> None:
        self._handler = handler
        self._limits = limits
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int, ssl_context: ssl.SSLContext | None = None) -> int:
        """Listen, and return the port: the one that was asked for, or for 0 one that was free.

        Raises OSError when the address cannot be had, RuntimeError when aiohttp lacks its C parser.
        """
        _require_c_parser()
        server = web.Server(self._serve)
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Connection(server, self._limits, self._connections),
            host,
            port,
            ssl=ssl_context,
            ssl_handshake_timeout=self._limits.head_seconds if ssl_context else None,
            backlog=1024,
        )
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def stop(self, grace: float) -> None:
        """Stop accepting, let requests in flight end for up to `grace` seconds, then cut off the rest."""
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._connections):
            connection.drain()
        await self._wait_for_connections(grace)
        for connection in tuple(self._connections):
            connection.abort()
            if connection.task is not None:
                connection.task.cancel()
        await self._wait_for_connections(None)

    async def _wait_for_connections(self, seconds: float | None) -> None:
        tasks = [connection.task for connection in self._connections if connection.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)

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
