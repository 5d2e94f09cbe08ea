"""Upstreams that say exactly the bytes that a test writes for them, and what it takes to ask them."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

from gateway.core.decision import Forward, Permit, decide
from gateway.core.policy.model import App, Match, Need
from gateway.core.target import parse_target
from gateway.proxy.header import Header

HOST = [(b"Host", b"app.test")]


def pairs(headers: Iterable[Header]) -> list[tuple[bytes, bytes]]:
    return [(header.name, header.value) for header in headers]


def permit(method: str = "GET", target: str = "/") -> Permit:
    """As the policy of an app without secrets gives it."""
    app = App("app", "app.yaml", "App", ("app.test",), ("http://127.0.0.1:1",), Need.PUBLIC)
    decision = decide(
        parse_target(method, target, "app.test"), Match(app, None, Need.PUBLIC, None), None, 0.0
    )
    assert isinstance(decision, Forward)
    return decision.permit


class Peer:
    """The upstream's end of one connection."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number, self.reader, self.writer = number, reader, writer
        self.heads: list[bytes] = []

    async def head(self) -> bytes:
        """The next request's head. Raises EOFError when the gateway has hung up."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        return head

    async def rest(self) -> bytes:
        """Everything until the gateway hangs up, however it does."""
        received = b""
        try:
            while piece := await self.reader.read(65536):
                received += piece
        except ConnectionError:
            pass
        return received

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def hang_up(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        """Break the connection instead of ending it: what is under way is lost."""
        if not self.writer.transport.is_closing():
            linger = struct.pack("ii", 1, 0)
            self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.writer.transport.abort()

    def stop_reading(self) -> None:
        self.writer.transport.pause_reading()  # type: ignore[attr-defined]


Script = Callable[[Peer], Awaitable[None]]


class Scripted:
    """A running upstream. `peers` are its connections in the order in which they were made."""

    def __init__(self, script: Script) -> None:
        self.peers: list[Peer] = []
        self.address = ""
        self._script = script
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def heads(self) -> list[bytes]:
        return [head for peer in self.peers for head in peer.heads]

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(len(self.peers), reader, writer)
        self.peers.append(peer)
        self._tasks.append(asyncio.get_running_loop().create_task(self._follow(peer)))

    async def _follow(self, peer: Peer) -> None:
        try:
            await self._script(peer)
        except (EOFError, ConnectionError):
            peer.hang_up()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        outcomes = await asyncio.gather(*self._tasks, return_exceptions=True)
        for peer in self.peers:
            peer.reset()
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome


@asynccontextmanager
async def serving(script: Script) -> AsyncIterator[Scripted]:
    """Follow `script` on every connection while the block runs; its connections stay open afterwards."""
    scripted = Scripted(script)
    server = await asyncio.start_server(scripted.connected, "127.0.0.1", 0)
    scripted.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield scripted
    finally:
        server.close()
        await scripted.stop()


def answering(response: bytes) -> Script:
    """Answer every request (without a body) with `response`."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.head()
            await peer.say(response)

    return script


def refusing() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop run until `condition` holds; pytest's timeout ends what never does."""
    while not condition():
        await asyncio.sleep(0.001)
