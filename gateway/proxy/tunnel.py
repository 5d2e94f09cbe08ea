"""A WebSocket after its handshake: bytes both ways, of which no more is known than where a frame ends.

Pings, close codes, sub-protocols and extensions work because they pass unchanged.
"""

import asyncio
from collections.abc import Callable
from functools import partial

from aiohttp.abc import AbstractStreamWriter

from gateway import entropy
from gateway.errors import UpstreamFailed
from gateway.proxy.exchange import Tunnel
from gateway.proxy.frames import FrameTracker, close_frame
from gateway.web.connection import Connection

STALL_SECONDS = 60.0
"""How long an upstream may take nothing of what a client sends. The listener looks after the other way."""

POLICY_VIOLATION = 1008
"""The close code (RFC 6455 section 7.4.1) for a WebSocket whose session is over."""

GOING_AWAY = 1001
"""For an app whose client leaves, because the gateway it came by stops."""

SERVICE_RESTART = 1012
"""For a client that may come back at once, to another gateway or to the one that follows (in the registry of
RFC 6455 section 11.7)."""

_RESTART = "the gateway restarts"

_HIGH_WATER = 64 * 1024
_LARGE = 16 * 1024


class ClientBytes:
    """What a client sends, as a parser to aiohttp's connection and as a stream to us.

    `passes_on` is offered what arrives where nothing waits, and takes all of it or nothing.
    """

    def __init__(self, connection: Connection) -> None:
        self.passes_on: Callable[[bytes], bool] | None = None
        self._connection = connection
        self._pieces: list[bytes] = []
        self._size = 0
        self._ended = False
        self._deaf = False
        self._changed = asyncio.Event()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        if self._deaf:
            return False, b""
        if not self._pieces and self.passes_on is not None and self.passes_on(data):
            return False, b""
        self._pieces.append(data)
        self._size += len(data)
        if self._size > _HIGH_WATER:
            self._connection.pause_reading()
        self._changed.set()
        return False, b""

    def feed_eof(self) -> None:
        self._ended = True
        self._changed.set()

    async def read(self) -> bytes:
        """The next bytes; b"" once the client has left."""
        while not self._pieces and not self._ended:
            self._changed.clear()
            await self._changed.wait()
        data = b"".join(self._pieces)
        self._pieces.clear()
        if self._size > _HIGH_WATER:
            self._connection.resume_reading()
        self._size = 0
        return data

    def write_now(self, data: bytes) -> bool:
        """Write to the client, if it reads as fast as that; else nothing is done."""
        transport = self._connection.transport
        if transport is None or self._connection._paused:
            return False
        transport.write(data)
        return True

    def part(self, last: bytes) -> None:
        """Cut the client off, with `last` if it listens. What it says from now on is forgotten."""
        self._forget()
        self._connection.part(last)

    def leave(self, last: bytes) -> None:
        """The same, but one that reads slowly gets `last` behind what was written before."""
        self._forget()
        self._connection.leave(last)

    def _forget(self) -> None:
        self._deaf = True
        self._pieces.clear()
        if self._size > _HIGH_WATER:
            self._connection.resume_reading()
        self._size = 0

    async def gone(self) -> None:
        """Wait until the client has left."""
        while not self._ended:
            self._changed.clear()
            await self._changed.wait()


class Splice:
    """A client and an upstream, joined until one of them closes or somebody cuts; `run` it once.

    What arrives is passed on where it arrives. For each direction a task takes over while the other side does
    not read as fast as that, and for large pieces, of which it sees to it that they leave.

    `may_pass` is asked before each part is passed on; where it says no, it has called `cut` already.
    """

    def __init__(
        self,
        client: ClientBytes,
        writer: AbstractStreamWriter,
        tunnel: Tunnel,
        may_pass: Callable[[], bool] = lambda: True,
    ) -> None:
        self._client = client
        self._writer = writer
        self._tunnel = tunnel
        self._may_pass = may_pass
        self._to_upstream, self._to_client = FrameTracker(), FrameTracker()
        self._is_cut = False

    async def run(self) -> None:
        """Carry bytes both ways until one side closes and the other one was given everything it said."""
        self._client.passes_on = self._pass_up
        self._tunnel.pass_on(self._pass_down)
        up, down = asyncio.create_task(self._upwards()), asyncio.create_task(self._downwards())
        try:
            await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
            # Who cannot be written to any more may still have said something before.
            if _failed(up, UpstreamFailed):
                await asyncio.wait((down,))
            elif _failed(down, ConnectionError):
                await asyncio.wait((up,))
            if self._is_cut:
                await self._client.gone()  # which `cut` sees to; closing earlier would lose its last word
            else:
                await self._tunnel.close()
        finally:
            self._client.passes_on = None
            up.cancel()
            down.cancel()
            await asyncio.gather(up, down, return_exceptions=True)

    def cut(self, reason: str) -> Callable[[], None] | None:
        """Stop at once, and close both sides with 1008 and `reason`; from its return on, nothing more passes.

        A side that was last given half a frame would take the close frame for the rest of it, and one that
        was given a close frame already must be sent no more (RFC 6455 section 5.5.1): those are only
        disconnected, as is a side that does not read. What waits for such a side is dropped.

        What is returned closes the upstream's side, and is to be called before anything is awaited. The tasks
        are not woken up: what they have in hand they do not pass on, and they end when their side does.
        """
        if self._is_cut:
            return None
        self._is_cut = True
        self._client.part(self._for_client(POLICY_VIOLATION, reason))
        return partial(self._part_from_upstream, reason)

    def _part_from_upstream(self, reason: str) -> None:
        self._tunnel.part(self._for_upstream(POLICY_VIOLATION, reason))

    def leave(self) -> None:
        """Close both sides because the gateway stops: nobody is at fault, and what was written still leaves.

        Whoever cannot be sent a frame (see `cut`) is disconnected without one.
        """
        if not self._is_cut:
            self._is_cut = True
            self._client.leave(self._for_client(SERVICE_RESTART, _RESTART))
            self._tunnel.leave(self._for_upstream(GOING_AWAY, _RESTART))

    def _for_client(self, code: int, reason: str) -> bytes:
        return close_frame(code, reason) if self._to_client.takes_a_frame else b""

    def _for_upstream(self, code: int, reason: str) -> bytes:
        return close_frame(code, reason, mask=entropy.octets(4)) if self._to_upstream.takes_a_frame else b""

    def _pass_up(self, data: bytes) -> bool:
        if self._goes_on():
            if len(data) > _LARGE or not self._tunnel.write_now(data):
                return False
            self._to_upstream.feed(data)
        return True  # what comes after a cut is dropped

    def _pass_down(self, data: bytes) -> bool:
        if self._goes_on():
            if len(data) > _LARGE or not self._client.write_now(data):
                return False
            self._to_client.feed(data)
        return True

    async def _upwards(self) -> None:
        while (data := await self._client.read()) and self._goes_on():
            self._to_upstream.feed(data)
            async with asyncio.timeout(STALL_SECONDS):
                await self._tunnel.write(data)

    async def _downwards(self) -> None:
        while (data := await self._tunnel.read()) and self._goes_on():
            self._to_client.feed(data)
            await self._writer.write(data)

    def _goes_on(self) -> bool:
        return not self._is_cut and self._may_pass()


def _failed(task: asyncio.Task[None], how: type[Exception]) -> bool:
    return task.done() and not task.cancelled() and isinstance(task.exception(), how)
