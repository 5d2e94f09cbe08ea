"""One client's connection: aiohttp's, with the limits and deadlines that it lacks.

A deadline counts only while the client is who keeps everybody waiting:

head    from the first byte (on a fresh connection: from the start) to the end of a request's headers
body    while a handler waits for bytes of a body; a client that drips them uses it up as well
stall   while an answer cannot be written because the client does not read it
idle    between requests; aiohttp's own keep-alive timer

Whoever misses one is cut off. Handlers learn of that, and of clients that leave, by `on_lost`.
"""

import asyncio
import fcntl
import socket
import struct
import termios
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, cast

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler, RequestPayloadError, _ErrInfo

from gateway.web.body_timer import BodyClock, BodyTimer
from gateway.web.parting import part

READ_AHEAD = 64 * 1024
"""Bytes of a body that are kept while nobody reads them; twice that pauses the socket."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

_OVERLOADED = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
)


@dataclass(frozen=True, slots=True)
class ListenerLimits:
    """What one client may cost.

    `line_bytes` is for the request's target and for each header, `head_bytes` for all headers, `headers`
    is their number. A body may keep a handler waiting for `body_seconds` at a time, and altogether no
    longer than that plus a second for every `body_rate` bytes that came.
    """

    connections: int = 10_000
    line_bytes: int = 8190
    head_bytes: int = 32 * 1024
    headers: int = 100
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    body_rate: int = 100
    stall_seconds: float = 60.0
    idle_seconds: float = 75.0


@dataclass(frozen=True, slots=True)
class Earlier:
    """A request was sent on, and failed before it had an answer. `began` is by `clock.stopwatch`."""

    failure: Exception
    began: float


class Request(web.BaseRequest):
    """aiohttp's, but its answers do not name the server's software, and end with the listener.

    `earlier` is what came of the request already: it was sent on, and is not to be sent again.
    """

    earlier: Earlier | None = None

    @property
    def keep_alive(self) -> bool:
        connection = self.protocol
        return super().keep_alive and not (isinstance(connection, Connection) and connection.draining)

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        response.headers.popall("Server", None)


def refusal(status: int, detail: str = "") -> web.Response:
    """A plain answer to what is not good HTTP; the connection ends with it."""
    text = f"{status} {HTTPStatus(status).phrase}{detail and ': '}{detail}\n"
    response = web.Response(status=status, text=text)
    response.force_close()
    return response


class _Gone(Exception):
    """The client is, and its request is not begun."""


def _too_late(*_: object) -> Request:
    raise _Gone


def _reset(transport: asyncio.Transport | None) -> None:
    """Close with RST: after a mere FIN, an answer that ends with its connection would look complete."""
    if transport is None or (transport.is_closing() and not transport.get_write_buffer_size()):
        return
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()


class Connection(RequestHandler):
    """Server side of one connection.

    `on_lost` is called once when the connection is gone, for whatever reason, and `on_drain` in place of
    closing it when the listener stops; a handler that sets them takes them back when it ends. `earlier` is
    for the next request (see `Request`). `peer` is where the client is, also when it has left.
    `open_connections` are counted against the limit: this connection is in it from its start until
    nothing of it is left, handlers included.
    """

    __slots__ = (
        "__weakref__",
        "_body",
        "_deaf",
        "_head_size",
        "_head_timer",
        "_limits",
        "_lost",
        "_open_connections",
        "_stall_timer",
        "draining",
        "earlier",
        "on_drain",
        "on_lost",
        "peer",
        "task",
    )

    def __init__(
        self, server: web.Server, limits: ListenerLimits, open_connections: "set[Connection]"
    ) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # None is how aiohttp's own Server is told to keep none
            auto_decompress=False,
            keepalive_timeout=limits.idle_seconds,
            lingering_time=limits.body_seconds,
            max_field_size=limits.line_bytes,
            max_headers=limits.headers,
            max_line_size=limits.line_bytes,
            read_bufsize=READ_AHEAD,
        )
        self._request_factory = self._begin_request
        self._limits = limits
        self._open_connections = open_connections
        self._lost = asyncio.Event()
        self._deaf = False
        self._body: StreamReader = EMPTY_PAYLOAD
        self._head_size = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self.draining = False
        self.earlier: Earlier | None = None
        self.on_lost: Callable[[], None] | None = None
        self.on_drain: Callable[[], None] | None = None
        self.peer: object = None
        self.task: asyncio.Task[None] | None = None

    # the connection's life

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if len(self._open_connections) >= self._limits.connections:
            self._refuse_connection(transport)
            return
        self._open_connections.add(self)
        self.peer = transport.get_extra_info("peername")
        super().connection_made(transport)
        self.task = self._task_handler
        self._start_head_timer()

    def _refuse_connection(self, transport: asyncio.BaseTransport) -> None:
        self._deaf = True
        self._manager = None  # so that connection_lost finds nothing to undo
        cast("asyncio.Transport", transport).write(_OVERLOADED)
        transport.close()

    async def start(self) -> None:
        """Serve until the connection is closed, then see to it that it really goes away."""
        transport = self.transport
        try:
            await super().start()
        except _Gone:
            pass
        finally:
            await self._bury(transport)

    async def _bury(self, transport: asyncio.Transport | None) -> None:
        try:
            # What is still to be written may wait for a client that does not read.
            async with asyncio.timeout(self._limits.stall_seconds):
                await self._lost.wait()
        except TimeoutError:
            pass
        finally:
            _reset(transport)
            self._open_connections.discard(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._request_factory = _too_late  # which aiohttp may still ask for a request that came just before
        if not self._body.is_eof():
            # aiohttp tells a handler, but not itself when it clears up an unread body.
            self._body.set_exception(ConnectionResetError("the client has left"))
        self._lost.set()
        self._stop_head_timer()
        self._stop_stall_timer()
        if self.on_lost is not None:
            self.on_lost()

    def abort(self) -> None:
        """Cut the client off at once, in the middle of whatever it was being sent."""
        _reset(self.transport)

    def part(self, last: bytes) -> None:
        """Cut the client off, with a last word to one that listens; `abort` where there is none."""
        part(self.transport, last, self.abort)

    def leave(self, last: bytes) -> None:
        """Close with a last word, in good order: who reads slowly gets it behind what was written before."""
        part(self.transport, last, partial(self._close_behind, last))

    def _close_behind(self, last: bytes) -> None:
        if last and self.transport is not None and not self.transport.is_closing():
            self.transport.write(last)
        self.force_close()

    def drain(self) -> None:
        """Close when the request in progress, if there is one, has its answer.

        A tunnel has no end to wait for: `on_drain` closes it at once. A request of which anything has come,
        if only to the system's buffer, is one in progress.
        """
        self.draining = True
        if self.on_drain is not None:
            self.on_drain()
        elif self._is_idle() and not self._is_coming():
            self.force_close()

    @property
    def is_arriving(self) -> bool:
        """Whether it was accepted and is not open yet: TLS is being agreed on."""
        return self.task is None and not self._deaf

    def _is_idle(self) -> bool:
        return self._waiter is not None and not self._messages

    def _is_coming(self) -> bool:
        if self._head_size:
            return True
        sock = None if self.transport is None else self.transport.get_extra_info("socket")
        if sock is None or sock.fileno() < 0:
            return False
        return any(fcntl.ioctl(sock.fileno(), termios.FIONREAD, bytes(4)))

    # requests coming in

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if self._upgraded or not data:
            super().data_received(data)
            return
        count, body = self._request_count, self._newest_body()
        between_requests = body.is_eof()
        super().data_received(data)
        if self._request_count != count:
            self._head_arrived(body)
        elif between_requests:
            self._head_grew(len(data))

    def _newest_body(self) -> StreamReader:
        """The body that bytes would belong to; it is at its end between requests."""
        return self._messages[-1][1] if self._messages else self._body

    def _head_arrived(self, body_before: StreamReader) -> None:
        self._stop_head_timer()
        self._head_size = 0
        if isinstance(self._messages[-1][0], _ErrInfo) and not body_before.is_eof():
            # aiohttp queues its 400 behind the request whose body this was, and lets that one wait.
            body_before.set_exception(RequestPayloadError("the body is malformed"))

    def _head_grew(self, size: int) -> None:
        self._head_size += size
        self._start_head_timer()
        if self._head_size > self._limits.head_bytes:
            self._stop_head_timer()
            self._deaf = True
            self._messages.append(
                (_ErrInfo(status=431, exc=BadHttpMessage("too large"), message=""), EMPTY_PAYLOAD)
            )
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_result(None)

    def _begin_request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> Request:
        self._body = payload
        request = Request(message, payload, protocol, writer, task, self._loop)
        request.earlier, self.earlier = self.earlier, None
        if not payload.is_eof():
            payload._timer = BodyTimer(request, self._body_clock())
        return request

    # deadlines

    def _body_clock(self) -> BodyClock:
        return BodyClock(self._limits.body_seconds, self._limits.body_rate, self.abort)

    def _start_head_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self._loop.call_later(self._limits.head_seconds, self._head_overdue)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_overdue(self) -> None:
        self._head_timer = None
        if self._is_idle():
            self.abort()
        else:
            # It is the answer to the request before that takes so long.
            self._start_head_timer()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall_timer = self._loop.call_later(self._limits.stall_seconds, self.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_stall_timer()

    def _stop_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    # answers

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        result = await super().finish_response(request, resp, start_time)
        if self.draining:
            self.close()
        if self._paused:  # or the answers to requests that came all at once would pile up here
            await self._drain_helper()
        return result

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to malformed requests, and to what a handler let escape. Neither tells details."""
        del message
        if isinstance(exc, RequestPayloadError):
            status = 400
        elif status >= 500 and not isinstance(exc, ConnectionError):
            self.logger.error("a handler failed", exc_info=exc)
        if isinstance(exc, ConnectionError) or request.writer.output_size > 0:
            self.abort()
            raise ConnectionResetError("the answer cannot be completed")
        return refusal(status)

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log what is a fault of ours; clients that leave or talk nonsense are none."""
        if not isinstance(kw.get("exc_info"), ConnectionError | RequestPayloadError):
            super().log_exception(*args, **kw)
