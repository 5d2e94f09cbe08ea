"""The clients of the live connections: WebSockets that do no more than they must, in a process of their own.

    python -m bench.sockets

Each line on standard input is an order, `{"ports": [...], "count": 1000, "cookie": "..."}`: open so many,
over these ports in turn. It is answered by `{"open": 1000}` and, once all are closed, by `{"closed": [[when,
code], ...], "cpu": ...}`: the Unix time at which each client had its close frame in hand, its code (0: there
was none), and the seconds of a processor that all of them took from the opening on.

Complete clients in Python would take longer over a thousand closings than the gateways do, on the same
processors.
"""

import asyncio
import json
import resource
import sys
import time
from typing import cast

import uvloop

_REQUEST = (
    "GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\nCookie: {cookie}\r\n"
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_OPEN = b"\x81\x04open"
"""What the app says at once."""

_CLOSE = 0x88


class Client(asyncio.Protocol):
    def __init__(self, port: int, cookie: str) -> None:
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[tuple[float, int]] = loop.create_future()
        self._request = _REQUEST.format(port=port, cookie=cookie).encode()
        self._said = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._said += data
        if not self.opened.done():
            if self._said.endswith(_OPEN):
                self._said = b""
                self.opened.set_result(None)
        elif not self.closed.done() and self._said[0] == _CLOSE and len(self._said) >= 4:
            self.closed.set_result((time.time(), int.from_bytes(self._said[2:4])))
            # The same code, masked by zeros (RFC 6455 section 5.5.1).
            self._transport.write(bytes((_CLOSE, 0x82, 0, 0, 0, 0)) + self._said[2:4])
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if not self.opened.done():
            self.opened.set_exception(ConnectionError(f"no WebSocket: {self._said[:200]!r}"))
        if not self.closed.done():
            self.closed.set_result((time.time(), 0))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def _opened(port: int, cookie: str) -> Client:
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(lambda: Client(port, cookie), "127.0.0.1", port)
    await client.opened
    return client


async def main() -> None:
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(orders), sys.stdin
    )
    async for line in orders:
        order = json.loads(line)
        ports = order["ports"]
        clients = [await _opened(ports[n % len(ports)], order["cookie"]) for n in range(order["count"])]
        print(json.dumps({"open": len(clients)}), flush=True)
        began = _cpu()
        closed = await asyncio.gather(*(client.closed for client in clients))
        print(json.dumps({"closed": closed, "cpu": _cpu() - began}), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
