"""A client that says its pieces whatever it hears, and keeps every byte that it gets until it is hung up on.

A stream reader would forget what came just before a reset.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager


class Transcript(asyncio.Protocol):
    def __init__(self) -> None:
        self.received = b""
        self.over = asyncio.Event()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.over.set()

    async def say(self, pieces: Iterable[tuple[bytes, int]]) -> None:
        """Each piece comes with a number of turns of the event loop to wait for behind it."""
        assert self._transport is not None
        for piece, turns in pieces:
            self._transport.write(piece)
            for _ in range(turns):
                await asyncio.sleep(0)

    def leave(self) -> None:
        assert self._transport is not None
        self._transport.abort()


@asynccontextmanager
async def transcript(port: int) -> AsyncIterator[Transcript]:
    _, client = await asyncio.get_running_loop().create_connection(Transcript, "127.0.0.1", port)
    try:
        yield client
    finally:
        client.leave()
