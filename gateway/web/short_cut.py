"""A client's connection with a short cut: some requests are answered from `data_received`, without aiohttp.

Only what has arrived between two requests is offered to the short cut: one whole request, or one whose body
is still coming. While a request is answered by either way, what the client sends next waits, so answers keep
the order of their requests; so does what comes from a client that has not read its last answer, or answers
would pile up here. Whatever the short cut does not take goes the ordinary way, as if it had never been
looked at; and so does a request that failed before its answer began: the ordinary way tells the client, and
sends nothing again.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from aiohttp import web
from aiohttp.http_parser import RawRequestMessage

from gateway.web.body_timer import BodyClock
from gateway.web.connection import READ_AHEAD, Connection, Earlier, ListenerLimits


class Crossing(Protocol):
    """A request on the short cut, as its client's connection knows it."""

    def body(self, data: bytes) -> None:
        """More of the request's body has come."""

    def lost(self) -> None:
        """The client is gone."""

    def pause(self) -> None:
        """The client does not read what it was written."""

    def resume(self) -> None:
        """It does again."""


ShortCut = Callable[["QuickConnection", bytes], bool]
"""Is offered what arrived; takes all of it (`cross` was called) or nothing."""


_END_OF_HEAD = b"\r\n\r\n"


class QuickConnection(Connection):
    """`memory` is the short cut's own, from one request of this connection to the next.

    `body_left` is how many bytes are still to come, or held, of the body of the request that crosses.
    """

    __slots__ = (
        "_body_came",
        "_body_timer",
        "_crossing",
        "_held",
        "_holds_body",
        "_owed",
        "_short_cut",
        "body_left",
        "memory",
    )

    def __init__(
        self,
        server: web.Server,
        limits: ListenerLimits,
        open_connections: "set[Connection]",
        short_cut: ShortCut,
    ) -> None:
        super().__init__(server, limits, open_connections)
        self._short_cut = short_cut
        self._crossing: Crossing | None = None
        self._held = b""
        self._owed: int | None = 0  # bytes of a body; None where aiohttp may hold the beginning of a request
        self.memory: object = None
        self.body_left = self._body_came = 0
        self._body_timer: BodyClock | None = None
        self._holds_body = False

    # what the short cut does with it

    def cross(self, crossing: Crossing, body_left: int = 0) -> None:
        """A request begins to cross: its connection is not idle until `crossed` or `turn_back`.

        Of its body, so many bytes are still to come. They are passed on as they come, but for those between
        `hold_body` and `release_body`.
        """
        if self._head_timer is not None:
            self._stop_head_timer()
        self._crossing = crossing
        if body_left:
            self.body_left, self._body_came, self._holds_body = body_left, 0, False
            self._body_timer = self._body_clock()
            self._body_timer.start(0)

    def write(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.write(data)

    def hold_body(self) -> None:
        """Wait with the body: whoever gets it does not take more just now."""
        self._holds_body = True
        self._stop_body_timer()

    def release_body(self) -> None:
        """Go on with it. Harmless when it was not held."""
        if self._holds_body:
            self._holds_body = False
            self._await_body()
            self._release()

    def crossed(self, *, keep_alive: bool) -> None:
        """The answer is written; close behind it, or go on with what has come meanwhile.

        A body that the answer did not wait for is read to its end first, as far as its client has the time
        for that: who is cut off while it sends may never see the answer.
        """
        self._crossing = None
        if self.body_left:
            self._crossing = _Rest(self, keep_alive, self._limits.body_seconds)
            self.release_body()
            return
        if self.draining or not keep_alive:
            self.force_close()
            return
        self._next_keepalive_close_time = self._loop.time() + self._limits.idle_seconds
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(
                self._next_keepalive_close_time, self._process_keepalive
            )
        if self._held:
            self._release()

    def turn_back(self, data: bytes, earlier: Earlier | None) -> None:
        """Let the ordinary way answer the request `data`, which failed so before it had an answer.

        What is left of its body comes behind `data`. Without `earlier`, nothing of it was sent on yet.
        """
        self._crossing = None
        self.earlier = earlier
        self._stop_body_timer()
        if self.body_left:
            data, self._held, self.body_left = data + self._held, b"", 0
            self._resume_transport_reading()
        self._take_the_ordinary_way(data)

    @property
    def is_writable(self) -> bool:
        """Whether the client takes what it is written."""
        return not self._paused

    # what the event loop does with it

    def data_received(self, data: bytes) -> None:
        idle = self._crossing is None and not self._held and not self._paused
        if idle and self._is_between_requests():
            if not (data and self._short_cut(self, data)):
                self._take_the_ordinary_way(data)
        elif data and self._must_wait():
            if self.body_left and not (self._holds_body or self._held):
                self._pass_body(data)
            else:
                self._hold(data)
        else:
            self._take_the_ordinary_way(data)

    def _take_the_ordinary_way(self, data: bytes) -> None:
        count, owed = self._request_count, self._owed
        super().data_received(data)
        self._owed = self._owed_after(data, owed, self._request_count - count)

    def _owed_after(self, data: bytes, owed: int | None, begun: int) -> int | None:
        """What aiohttp's parser waits for, after `data` in which so many requests began.

        It does not tell. So what is not plain counts as unknown: whatever comes next may be the rest of it.
        Only of a request that began with `data` is it known that the first end of a head in there is its own;
        else that may be in a body, and the head's end have come in two pieces.
        """
        if not data:  # aiohttp calls itself with nothing
            return owed
        if owed and not begun and len(data) <= owed:
            return owed - len(data)
        end = data.find(_END_OF_HEAD)
        if end < 0:
            return None
        more = len(data) - end - len(_END_OF_HEAD)
        if begun == 1 and owed == 0:
            length = self._declared_length()
            return length - more if length >= more else None
        return 0 if not more and self._newest_body().is_eof() else None

    def _declared_length(self) -> int:
        """Of the body of the request that came last; 0 for chunks, of which `is_eof` tells the end."""
        message = self._messages[-1][0] if self._messages else None
        return (
            int(message.headers.get("Content-Length", "0")) if isinstance(message, RawRequestMessage) else 0
        )

    def connection_lost(self, exc: BaseException | None) -> None:
        crossing, self._crossing = self._crossing, None
        super().connection_lost(exc)
        self._stop_body_timer()
        if crossing is not None:
            crossing.lost()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._crossing is not None:
            self._crossing.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._crossing is not None:
            self._crossing.resume()
        else:
            self._go_on()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        result = await super().finish_response(request, resp, start_time)
        self._go_on_soon()
        return result

    # the body of a request that crosses

    def _pass_body(self, data: bytes) -> None:
        part, rest = data, b""
        if len(data) > self.body_left:
            part, rest = data[: self.body_left], data[self.body_left :]
        self._stop_body_timer()
        self.body_left -= len(part)
        self._body_came += len(part)
        self._await_body()
        if self._crossing is not None:
            self._crossing.body(part)
        if rest:
            self.data_received(rest)

    def _await_body(self) -> None:
        if self.body_left and self._body_timer is not None:
            self._body_timer.start(self._body_came)

    def _stop_body_timer(self) -> None:
        if self._body_timer is not None:
            self._body_timer.stop()

    # what waits for its turn

    def _must_wait(self) -> bool:
        if self._crossing is not None or self._held:
            return True
        if self._waiter is None:  # aiohttp has not come round to the next request
            return self._is_clear() and self._body.is_eof()
        return self._paused and self._is_between_requests()

    def _hold(self, data: bytes) -> None:
        self._held += data
        if len(self._held) > READ_AHEAD:  # until then it is noticed when the client leaves
            self._pause_transport_reading()
        if self._crossing is None and not self._request_in_progress:
            self._go_on_soon()

    def _go_on_soon(self) -> None:
        if self._held:
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        """Let in what waited for an answer of the ordinary way, once aiohttp waits for a request."""
        transport = self.transport
        if self._crossing is not None or self._paused or transport is None or transport.is_closing():
            return
        if self._waiter is not None:
            self._release()
        elif not self._request_in_progress:
            self._go_on_soon()

    def _release(self) -> None:
        if self._held:
            held, self._held = self._held, b""
            self._resume_transport_reading()
            self.data_received(held)

    # aiohttp's idea of being idle

    def _is_between_requests(self) -> bool:
        waiter = self._waiter
        return waiter is not None and not waiter.done() and not self.draining and self._is_clear()

    def _is_clear(self) -> bool:
        """Whether all that came was whole requests, of which at most one has no answer yet."""
        return (
            not self._messages
            and self._owed == 0
            and not self._deaf
            and not self._upgraded
            and not (self._force_close or self._close)
        )

    def _is_idle(self) -> bool:
        return self._crossing is None and super()._is_idle()

    def _is_coming(self) -> bool:
        return bool(self._held) or super()._is_coming()

    def _process_keepalive(self) -> None:
        if self._crossing is not None:  # to be looked at again
            self._next_keepalive_close_time = self._loop.time() + self._limits.idle_seconds
        super()._process_keepalive()


class _Rest:
    """The rest of a body that nobody wants, of a request that has its answer: for so many seconds in all."""

    def __init__(self, connection: QuickConnection, keep_alive: bool, seconds: float) -> None:
        self._connection = connection
        self._keep_alive = keep_alive
        self._timer = asyncio.get_running_loop().call_later(seconds, connection.abort)

    def body(self, data: bytes) -> None:
        del data
        if not self._connection.body_left:
            self._timer.cancel()
            self._connection.crossed(keep_alive=self._keep_alive)

    def lost(self) -> None:
        self._timer.cancel()

    def pause(self) -> None: ...

    def resume(self) -> None: ...
