"""The app of uploads and WebSockets: takes bodies of any size and forgets them, and says frames back.

    python -m bench.speed.sink PORT

It does no more than it must, so that the proxy in front of it is what is measured.
"""

import asyncio
import base64
import hashlib
import sys
from typing import cast

import httptools
import uvloop

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
_SMALL_FRAME = 6
"""Bytes before the payload of a client's frame of at most 125 bytes: two, and its mask."""


class Sink(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpRequestParser(self)
        self._frames: bytes | None = None
        self._headers: dict[bytes, bytes] = {}

    def on_message_begin(self) -> None:
        self._headers = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_message_complete(self) -> None:
        if not self._parser.should_upgrade():
            signed = b" signed" if b"watchword-assertion" in self._headers else b""
            user = self._headers.get(b"remote-user", b"") + signed
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(user), user))

    def data_received(self, data: bytes) -> None:
        if self._frames is not None:
            self._echo(self._frames + data)
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._frames = b""
            key = self._headers[b"sec-websocket-key"]
            accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())
            self._transport.write(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept
            )
        except httptools.HttpParserError:
            self._transport.close()

    def _echo(self, data: bytes) -> None:
        answer = []
        at = 0
        while len(data) - at >= _SMALL_FRAME:
            size = data[at + 1] & 0x7F
            end = at + _SMALL_FRAME + size
            if len(data) < end:
                break
            mask = data[at + 2 : at + 6] * (size // 4 + 1)
            payload = int.from_bytes(data[at + 6 : end]) ^ int.from_bytes(mask[:size])
            answer.append(bytes((data[at], size)) + payload.to_bytes(size))
            at = end
        self._frames = data[at:]
        self._transport.write(b"".join(answer))


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
