"""One request and its answer on one connection.

The request's body is sent by a task of its own, because an upstream may answer before it has read
everything, or talk and listen at the same time. An exchange is over when the answer is complete, when
something failed, or when the caller gave up; a connection goes back to its pool only if both the
request and the answer are complete, and is closed otherwise.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable

from gateway.errors import BadRequest, UpstreamFailed, UpstreamFault
from gateway.proxy.connection import Connection
from gateway.proxy.pool import UpstreamLimits
from gateway.proxy.response_head import broken
from gateway.proxy.wire import LAST_CHUNK, ResponseReader, chunk

HIGH_WATER = 64 * 1024
"""Bytes of an answer that may wait for the client before the upstream is made to wait."""


class Exchange:
    """Receives what its connection brings, and keeps it until the caller takes it.

    `passes_on` is offered what arrives where nothing waits, and takes all of it or nothing.
    """

    def __init__(self, connection: Connection, reader: ResponseReader, limits: UpstreamLimits) -> None:
        connection.receiver = self
        self.reader = reader
        self.buffered = 0
        self.passes_on: Callable[[bytes], bool] | None = None
        self._connection = connection
        self._limits = limits
        self._pieces: list[bytes] = []
        self._sent = False
        self._over = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._sender: asyncio.Task[None] | None = None

    async def request(
        self, head: bytes, body: AsyncIterable[bytes] | bytes | None, length: int | None
    ) -> None:
        """Send the request and wait for the head of the answer.

        `length` is what the head declares; None with a body of unknown length, which is sent in chunks.
        Raises UpstreamFailed, and whatever `body` raises while it is read.
        """
        if body is None or isinstance(body, bytes):
            self._connection.write(head + body if body else head)
            self._sent = True
        else:
            self._connection.write(head)
            self._sender = asyncio.get_running_loop().create_task(self._send(body, length))
        loop, deadline = asyncio.get_running_loop(), None
        while self._error is None and self.reader.body is None:
            if self._sent and deadline is None:
                deadline = loop.time() + self._limits.first_byte  # a head that drips in uses it up as well
            await self._change(None if deadline is None else max(0.0, deadline - loop.time()))
        if self._error is not None:
            raise self._error

    async def next(self) -> bytes:
        """The next part of the answer's body; b"" at the end. Raises as `request` does."""
        while not self._pieces:
            if self.reader.complete:
                return b""
            if self._error is not None:
                raise self._error
            await self._change(self._limits.idle if self._sent and not self.is_tunnel else None)
        return self.take()

    def take(self) -> bytes:
        """What has arrived of the body."""
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self.buffered = 0
        if not self._over:
            self._connection.resume_reading()
        return data

    def abort(self, error: Exception | None = None) -> None:
        """Give up. Harmless when the exchange is over."""
        if self._over:
            return
        self._error = error or broken("the exchange was given up")
        self._conclude()
        self._connection.abort()

    # tunnels

    @property
    def is_tunnel(self) -> bool:
        return self.reader.status == 101

    def write_now(self, data: bytes) -> bool:
        """Write, if the upstream reads as fast as that; else nothing is done."""
        if self._over or not self._connection.is_writable:
            return False
        self._connection.write(data)
        return True

    async def write(self, data: bytes) -> None:
        if not self._over:
            self._connection.write(data)
            await self._connection.drain(None)
        if self._over:
            raise self._error or broken("the tunnel is closed")

    def close_tunnel(self) -> None:
        """End both directions; what was written still leaves."""
        if not self._over:
            self.reader.end()
            self._conclude()
            self._connection.close(self._limits.connect)

    def part(self, last: bytes) -> None:
        """End both directions at once: nothing more comes, and `last` is the last that leaves."""
        if not self._over:
            self._give_up_tunnel()
            self._connection.part(last)

    def leave(self, last: bytes) -> None:
        """End both directions: nothing more comes, and `last` leaves behind what was written before."""
        if not self._over:
            self._give_up_tunnel()
            self._connection.leave(last, self._limits.connect)

    def _give_up_tunnel(self) -> None:
        self._error = broken("the tunnel was closed")
        self._pieces.clear()
        self._conclude()

    # Receiver, as the connection knows it

    def received(self, data: bytes) -> None:
        try:
            body = self.reader.feed(data)
        except UpstreamFailed as failure:
            self._fail(failure)
            return
        if body and (self._pieces or self.passes_on is None or not self.passes_on(body)):
            self._pieces.append(body)
            self.buffered += len(body)
        if self.reader.complete:
            self._finish()
        elif self.buffered > HIGH_WATER:
            self._connection.pause_reading()
        self._wake()

    def ended(self, error: Exception | None) -> None:
        try:
            if error is not None:
                raise broken(f"the connection to the upstream broke: {error}")
            self.reader.end()
        except UpstreamFailed as failure:
            self._fail(failure)
            return
        if not self.is_tunnel:
            self._finish()
        self._wake()

    def overdue(self) -> None:
        """Whoever waits has a deadline of their own here."""

    def writable(self) -> None:
        """Whoever sends waits for that by `drain`."""

    async def _send(self, body: AsyncIterable[bytes], length: int | None) -> None:
        sent = 0
        try:
            async for piece in body:
                if not piece:
                    continue
                sent += len(piece)
                if length is not None and sent > length:
                    raise BadRequest("the request's body is longer than declared")
                self._connection.write(piece if length is not None else chunk(piece))
                await self._connection.drain(self._limits.idle)
            if length is not None and sent < length:
                raise BadRequest("the request's body is shorter than declared")
        except asyncio.CancelledError:
            self.abort()
            raise
        except Exception as error:  # whatever it is, it goes to whoever waits for the answer
            self._fail(error)
            return
        if length is None:
            self._connection.write(LAST_CHUNK)
        self._sent = True
        self._wake()

    def _finish(self) -> None:
        """The answer is complete. A request that is not cannot be followed by another."""
        self._conclude()
        if self._sent and self.reader.reusable:
            self._connection.release()
        else:
            self._connection.abort()

    def _fail(self, error: Exception) -> None:
        if isinstance(error, UpstreamFailed) and not self.is_tunnel:
            self._connection.home.failed()
        self.abort(error)

    def _conclude(self) -> None:
        self._over = True
        self._connection.receiver = None
        self.passes_on = None
        if self._sender is not None:
            self._sender.cancel()
        self._wake()

    async def _change(self, seconds: float | None) -> None:
        """Wait until anything happens; after `seconds` the exchange fails."""
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = None if seconds is None else loop.call_later(seconds, self._time_out)
        try:
            await self._waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _time_out(self) -> None:
        if self._waiter is not None and not self._waiter.done():  # nothing came in the last moment
            self._fail(UpstreamFailed(UpstreamFault.TIMEOUT, "the upstream stays silent"))


class Tunnel:
    """Raw bytes both ways, after a 101. A cancelled read or write loses nothing; `close` ends it."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def read(self) -> bytes:
        """The next bytes; b"" at the end. Raises UpstreamFailed(BROKEN) when the connection breaks."""
        return await self._exchange.next()

    def pass_on(self, to: Callable[[bytes], bool]) -> None:
        """Offer what arrives while nothing waits to be read; `to` takes all of it or nothing."""
        self._exchange.passes_on = to

    def write_now(self, data: bytes) -> bool:
        """Write, if the upstream reads as fast as that; else nothing is done, and False."""
        return self._exchange.write_now(data)

    async def write(self, data: bytes) -> None:
        """Returns when the upstream has read enough to take more. Raises UpstreamFailed(BROKEN)."""
        await self._exchange.write(data)

    def part(self, last: bytes) -> None:
        """Cut it off, with `last` as the last word if the upstream listens. Harmless when closed already."""
        self._exchange.part(last)

    def leave(self, last: bytes) -> None:
        """End it with a last word, behind what was written before. Harmless when closed already."""
        self._exchange.leave(last)

    async def close(self) -> None:
        """What was written still leaves. Harmless when closed already."""
        self._exchange.close_tunnel()


class UpstreamResponse:
    """An upstream's answer, whose body is still to be read.

    `head` is all that it sent of one, hop-by-hop headers included, trailers never.
    """

    def __init__(self, exchange: Exchange) -> None:
        if exchange.reader.head is None:
            raise ValueError("the head of the answer is not there yet")
        self.reader = exchange.reader
        self.head = exchange.reader.head
        self.status = self.head.status
        self._exchange = exchange

    def whole(self) -> bytes | None:
        """The complete body if all of it has arrived, as small ones have; None if `chunks` is needed."""
        return self._exchange.take() if self._exchange.reader.complete else None

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body without its framing; for one reader, once.

        Raises UpstreamFailed: BROKEN when it ends early, TIMEOUT when it pauses for too long; and what the
        request's body raises, if that is still being sent.
        """
        try:
            while data := await self._exchange.next():
                yield data
        finally:
            self._exchange.abort()  # cancelled or closed halfway; nothing to do at the end

    def tunnel(self) -> Tunnel:
        """The connection itself, after a requested upgrade was answered with 101."""
        if not self._exchange.is_tunnel:
            raise RuntimeError("the upstream did not switch protocols")
        return Tunnel(self._exchange)

    async def close(self) -> None:
        """Give up: the connection is closed, never reused. Harmless after the end."""
        self._exchange.abort()
