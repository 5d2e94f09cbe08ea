"""How long a client may take over the body of its request, and the word that it may send one."""

import asyncio
from collections.abc import Callable
from types import TracebackType

from aiohttp import HttpVersion11, web
from aiohttp.helpers import BaseTimerContext

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class BodyClock:
    """Counts while the gateway waits for bytes of one request's body, and tells when that is too long.

    At a time it may be `seconds`, and altogether that plus a second for every `rate` bytes that came.
    """

    __slots__ = ("_handle", "_overdue", "_rate", "_seconds", "_since", "_waited")

    def __init__(self, seconds: float, rate: int, overdue: Callable[[], None]) -> None:
        self._seconds = seconds
        self._rate = rate
        self._overdue = overdue
        self._waited = 0.0
        self._since = 0.0
        self._handle: asyncio.TimerHandle | None = None

    def start(self, came: int) -> None:
        """From now on more bytes are waited for; `came` did so far."""
        loop = asyncio.get_running_loop()
        allowed = min(self._seconds, self._seconds + came / self._rate - self._waited)
        self._since = loop.time()
        self._handle = loop.call_later(max(0.0, allowed), self._overdue)

    def stop(self) -> None:
        """Nobody waits now. Harmless when nobody did."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
            self._waited += asyncio.get_running_loop().time() - self._since


class BodyTimer(BaseTimerContext):
    """Entered and left each time a handler waits for bytes of one request's body.

    The first time is also the moment to send 100 (RFC 9110 section 10.1.1): a handler that waits has
    decided that it wants the body. When an answer is already on its way, aiohttp is only clearing up.
    """

    __slots__ = ("_clock", "_request", "_to_continue")

    def __init__(self, request: web.BaseRequest, clock: BodyClock) -> None:
        self._request = request
        self._clock = clock
        self._to_continue = "Expect" in request.headers and request.version == HttpVersion11

    def __enter__(self) -> BaseTimerContext:
        self._send_continue()
        self._clock.start(self._request.content.total_bytes)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clock.stop()

    def _send_continue(self) -> None:
        transport = self._request.transport
        if self._to_continue and transport is not None and self._request.writer.output_size == 0:
            transport.write(_CONTINUE)
        self._to_continue = False
