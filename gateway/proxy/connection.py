"""One connection to an upstream: an asyncio protocol that carries one exchange after another.

It passes on what arrives to its `receiver`, the exchange under way. While there is none, nobody has
asked anything: whatever arrives then belongs to nobody, and the connection is closed.
"""

import asyncio
import contextlib
import math
import os
import select
import socket
from collections.abc import Callable
from typing import Protocol, cast

from gateway.errors import UpstreamFailed, UpstreamFault
from gateway.web.parting import part

_SEGMENT = 16 * 1024


class Receiver(Protocol):
    """The exchange that a connection carries."""

    def received(self, data: bytes) -> None: ...

    def ended(self, error: Exception | None) -> None:
        """Nothing more will come. `error` is None if the upstream hung up in order."""

    def overdue(self) -> None:
        """Nothing has come for as long as `expect` said."""

    def writable(self) -> None:
        """The upstream has read enough of what was written to take more."""


class Home(Protocol):
    """Where connections come from and go back to."""

    def released(self, connection: "Connection") -> None:
        """The connection is free for another exchange."""

    def lost(self, connection: "Connection") -> None:
        """The connection is closed, or was never made."""

    def failed(self) -> None:
        """The upstream did not behave on this connection."""


class Connection(asyncio.Protocol):
    """A connection, from before it is made until it is lost."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.receiver: Receiver | None = None
        self._idle_since = 0.0
        self._transport: asyncio.Transport | None = None
        self._aborted = False
        self._lost = False
        self._deaf = False
        self._reading = True
        self._writable = asyncio.Event()
        self._writable.set()
        self._poll = select.poll()
        self._loop = asyncio.get_running_loop()  # kept: asking for it is a call of the system in Python 3.11
        self._due = self._looks_at = math.inf
        self._timer: asyncio.TimerHandle | None = None

    # what the pool does with it

    @property
    def is_new(self) -> bool:
        """Whether it still has to be made."""
        return self._transport is None

    def usable(self) -> bool:
        """Whether the upstream has neither hung up nor sent anything, as far as this machine knows.

        The kernel is asked, because the event loop may not have come round to what has arrived.
        """
        return self._transport is not None and not self._transport.is_closing() and not self._poll.poll(0)

    def idle_seconds(self) -> float:
        """How long it has been free."""
        return self._loop.time() - self._idle_since

    def release(self) -> None:
        """Take another exchange, after one that left nothing behind in either direction."""
        if self._transport is None or self._transport.is_closing() or self._transport.get_write_buffer_size():
            self.abort()
            return
        self.resume_reading()
        self._due = math.inf  # what was expected of this exchange is nothing to the next one
        self._idle_since = self._loop.time()
        self.home.released(self)

    def abort(self) -> None:
        """Close at once. Harmless when closed already."""
        self._aborted = True
        if self._transport is not None and not self._lost:
            self._transport.abort()

    def close(self, seconds: float) -> None:
        """Close once everything written has left, after `seconds` at the latest."""
        if self._transport is not None:
            self._transport.close()
            self._loop.call_later(seconds, self.abort)

    def part(self, last: bytes) -> None:
        """Cut the upstream off, with a last word to one that listens; forget what it says from now on."""
        self._say_last(last, self.abort)

    def leave(self, last: bytes, seconds: float) -> None:
        """The same, but to one that reads slowly it comes behind what was written, for up to `seconds`."""

        def close_behind() -> None:
            self.write(last)
            self.close(seconds)

        self._say_last(last, close_behind)

    def _say_last(self, last: bytes, otherwise: Callable[[], None]) -> None:
        self.receiver = None
        self._deaf = True
        self.resume_reading()
        part(self._transport, last, otherwise)

    # what an exchange does with it

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    @property
    def is_writable(self) -> bool:
        """Whether the upstream reads as fast as we write."""
        return self._writable.is_set()

    async def drain(self, seconds: float | None) -> None:
        """Wait while the upstream reads more slowly than we write.

        Raises UpstreamFailed(TIMEOUT) when that lasts longer than `seconds`.
        """
        if self._writable.is_set():
            return
        try:
            async with asyncio.timeout(seconds):
                await self._writable.wait()
        except TimeoutError:
            raise UpstreamFailed(UpstreamFault.TIMEOUT, "the upstream stopped reading the request") from None

    def pause_reading(self) -> None:
        if self._reading and self._transport is not None:
            self._reading = False
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._reading and self._transport is not None:
            self._reading = True
            self._transport.resume_reading()

    def expect(self, seconds: float | None) -> None:
        """Tell the receiver when so many seconds have passed, unless this is called again, or it is over.

        One timer serves many exchanges: it is looked at when it goes off, not set anew for each.
        """
        self._due = math.inf if seconds is None else self._loop.time() + seconds
        if self._due < self._looks_at:
            self._look_at_the_time()

    def _look_at_the_time(self) -> None:
        """Tell the receiver if it is time to, and come again if it may be later."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._looks_at = math.inf
        if self.receiver is None or self._lost or self._due == math.inf:
            return
        if self._loop.time() < self._due:
            self._looks_at = self._due
            self._timer = self._loop.call_at(self._due, self._look_at_the_time)
        else:
            self._due = math.inf
            self.receiver.overdue()

    # what the event loop does with it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self._aborted:
            self._transport.abort()
        else:
            self._poll.register(self._descriptor(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if self.receiver is None:
            self.abort()
        else:
            self.receiver.received(data)

    def eof_received(self) -> bool:
        """Keep our half open if the receiver does: a tunnel may still have something to say."""
        if self.receiver is not None:
            self.receiver.ended(None)
        return self.receiver is not None

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        if exc is not None:
            self._read_last_words()
        if self.receiver is not None:
            self.receiver.ended(exc or ConnectionAbortedError("closed by the gateway"))
        self._writable.set()
        if self._timer is not None:
            self._timer.cancel()
        self.home.lost(self)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()
        if self.receiver is not None:
            self.receiver.writable()

    def _read_last_words(self) -> None:
        """Read what the upstream said before it hung up on our writing: often the reason, as in a 413.

        After a failed write the event loop reads no more, although the bytes have arrived; the socket
        is closed only after `connection_lost`.
        """
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self._descriptor())) as rest:
            while self.receiver is not None and self._reading and (data := rest.recv(_SEGMENT)):
                self.receiver.received(data)

    def _descriptor(self) -> int:
        assert self._transport is not None  # noqa: S101 - called from connection_made on
        return cast("int", self._transport.get_extra_info("socket").fileno())
