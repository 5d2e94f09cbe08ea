"""A WebSocket after its handshake: bytes both ways, which nobody here looks into.

Pings, close codes, sub-protocols and extensions work because they pass unchanged.
"""

import asyncio

from aiohttp.abc import AbstractStreamWriter

from gateway.errors import UpstreamFailed
from gateway.proxy.upstream import Tunnel
from gateway.web.connection import Connection

STALL_SECONDS = 60.0
"""How long an upstream may take nothing of what a client sends. The listener looks after the other way."""

_HIGH_WATER = 64 * 1024


class ClientBytes:
    """What a client sends, as a parser to aiohttp's connection and as a stream to us."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._pieces: list[bytes] = []
        self._size = 0
        self._ended = False
        self._changed = asyncio.Event()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
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


async def join(client: ClientBytes, writer: AbstractStreamWriter, tunnel: Tunnel) -> None:
    """Carry bytes both ways until one side closes and the other one was given everything it said."""
    up = asyncio.create_task(_upwards(client, tunnel))
    down = asyncio.create_task(_downwards(tunnel, writer))
    try:
        await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
        # Who cannot be written to any more may still have said something before.
        if up.done() and isinstance(up.exception(), UpstreamFailed):
            await asyncio.wait((down,))
        elif down.done() and isinstance(down.exception(), ConnectionError):
            await asyncio.wait((up,))
        await tunnel.close()
    finally:
        up.cancel()
        down.cancel()
        await asyncio.gather(up, down, return_exceptions=True)


async def _upwards(client: ClientBytes, tunnel: Tunnel) -> None:
    while data := await client.read():
        async with asyncio.timeout(STALL_SECONDS):
            await tunnel.write(data)


async def _downwards(tunnel: Tunnel, writer: AbstractStreamWriter) -> None:
    while data := await tunnel.read():
        await writer.write(data)
