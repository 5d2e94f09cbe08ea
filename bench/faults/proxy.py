"""A TCP proxy that fails on command: the network between a gateway and its store."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum

from bench.faults.ending import end

_PIECE = 64 * 1024


class Way(StrEnum):
    UP = "up"
    """From whoever connects to the server."""

    DOWN = "down"


class Moment(StrEnum):
    """When a trap springs: before the marked bytes are passed on, once they are, or before the answer is."""

    BEFORE = "before"
    SENT = "sent"
    ANSWERED = "answered"


@dataclass
class Trap:
    """Does something, once, as bytes with this marker pass on their way up."""

    marker: bytes
    moment: Moment
    action: Callable[[], Awaitable[None]]
    sprung: asyncio.Event = field(default_factory=asyncio.Event)

    async def spring(self) -> None:
        if not self.sprung.is_set():
            self.sprung.set()
            await self.action()


@dataclass(eq=False)
class _Link:
    """One connection through it."""

    writers: list[asyncio.StreamWriter]
    expected: Trap | None = None

    def drop(self) -> None:
        for writer in self.writers:
            with suppress(RuntimeError):  # its loop is closed already
                writer.transport.abort()


class Proxy:
    """Listens on `port` of loopback. Its state changes hold for connections that are there, and new ones."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self._target = target
        self._open = True
        self._delay = 0.0
        self._hears = {way: asyncio.Event() for way in Way}
        for event in self._hears.values():
            event.set()
        self._trap: Trap | None = None
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self._delay = 0.0
        self.hear()
        self.drop()  # so that they end by themselves
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)

    def point_at(self, port: int) -> None:
        """Lead to another server from now on; what is connected is dropped."""
        self._target = port
        self.drop()

    def lead_new_ones_to(self, port: int) -> None:
        """Lead to another server from now on; what is connected stays where it is."""
        self._target = port

    def cut(self) -> None:
        """Refuse everything."""
        self._open = False
        self.drop()

    def deafen(self, way: Way) -> None:
        """Let nothing through in this direction. What is sent meanwhile arrives late, or never."""
        self._hears[way].clear()

    def delay(self, seconds: float) -> None:
        """Keep each piece of what is sent down for so long."""
        self._delay = seconds

    def trap(self, trap: Trap) -> None:
        self._trap = trap

    def mend(self) -> None:
        """Work again. Whatever was under way is dropped, as by hosts that have given up."""
        broken = not all(event.is_set() for event in self._hears.values())
        self._open, self._delay, self._trap = True, 0.0, None
        if broken:
            self.drop()
        for event in self._hears.values():
            event.set()

    def hear(self) -> None:
        """Let through what was held back: it arrives late."""
        for event in self._hears.values():
            event.set()

    def drop(self) -> None:
        for link in list(self._links):
            link.drop()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        link = _Link([writer])
        self._links.add(link)
        try:
            if not self._open:
                return
            upper = await asyncio.open_connection("127.0.0.1", self._target)
            link.writers.append(upper[1])
            pumps = [
                asyncio.create_task(self._pump(link, Way.UP, reader, upper[1])),
                asyncio.create_task(self._pump(link, Way.DOWN, upper[0], writer)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await end(pumps)
        except OSError:
            pass  # the server is not there: as it would be without us
        finally:
            link.drop()
            self._links.discard(link)

    async def _pump(
        self, link: _Link, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while piece := await reader.read(_PIECE):
                await self._hears[way].wait()
                if way is Way.DOWN:
                    await asyncio.sleep(self._delay)
                trap = await self._before(link, way, piece)
                writer.write(piece)
                await writer.drain()
                if trap is not None:
                    await trap.spring()

    async def _before(self, link: _Link, way: Way, piece: bytes) -> Trap | None:
        """Spring what is due before this piece is passed on; what is due once it is."""
        if way is Way.DOWN:
            expected, link.expected = link.expected, None
            if expected is not None:
                await expected.spring()
            return None
        trap = self._trap
        if trap is None or trap.sprung.is_set() or trap.marker not in piece:
            return None
        if trap.moment is Moment.SENT:
            return trap
        if trap.moment is Moment.ANSWERED:
            link.expected = trap
        else:
            await trap.spring()
        return None
