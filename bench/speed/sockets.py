"""The load of WebSockets: each says a short text, waits to hear it again, and says the next.

    python -m bench.speed.sockets '{"port": 8080, "headers": {...}, "sockets": 64, "seconds": 2}'

Prints `{"count": round trips, "seconds": how long they took}`.
"""

import asyncio
import json
import sys
import time
from typing import cast

import uvloop

_TEXT = b"x" * 64
_ASKED = bytes((0x81, 0x80 | len(_TEXT), 0, 0, 0, 0)) + _TEXT
"""Masked by zeros, which is a mask as well (RFC 6455 section 5.3)."""

_ANSWERED = bytes((0x81, len(_TEXT))) + _TEXT


class Client(asyncio.Protocol):
    def __init__(self, head: bytes) -> None:
        self.open: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.count = 0
        self.stopped = False
        self._head = head
        self._said = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._head)

    def start(self) -> None:
        self._transport.write(_ASKED)

    def data_received(self, data: bytes) -> None:
        if not self.open.done():
            self._said += data
            if b"\r\n\r\n" in self._said:
                if self._said.startswith(b"HTTP/1.1 101"):
                    self.open.set_result(None)
                else:
                    self.open.set_exception(ConnectionError(self._said[:200].decode("latin-1")))
                self._said = b""
            return
        if data != _ANSWERED:
            self._said += data
            if self._said != _ANSWERED:
                return
            self._said = b""
        self.count += 1
        if not self.stopped:
            self._transport.write(_ASKED)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.open.done():
            self.open.set_exception(exc or ConnectionError("closed"))


async def load(port: int, headers: dict[str, str], sockets: int, seconds: float) -> dict[str, float]:
    wanted = {
        **headers,
        "Host": f"127.0.0.1:{port}",
        "Origin": f"http://127.0.0.1:{port}",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    head = "".join(
        ["GET /ws HTTP/1.1\r\n", *(f"{name}: {value}\r\n" for name, value in wanted.items()), "\r\n"]
    )
    loop = asyncio.get_running_loop()
    clients = []
    for _ in range(sockets):
        _, client = await loop.create_connection(lambda: Client(head.encode()), "127.0.0.1", port)
        await client.open
        clients.append(client)
    began = time.perf_counter()
    for client in clients:
        client.start()
    await asyncio.sleep(seconds)
    count, took = sum(client.count for client in clients), time.perf_counter() - began
    return {"count": count, "seconds": took}


if __name__ == "__main__":
    print(json.dumps(uvloop.run(load(**json.loads(sys.argv[1])))))
