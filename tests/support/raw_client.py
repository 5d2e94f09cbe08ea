"""A client that sends exactly the bytes that it is given."""

import asyncio
import json
import socket
import ssl
from dataclasses import dataclass
from types import TracebackType
from typing import Any


@dataclass(frozen=True)
class Answer:
    head: bytes
    body: bytes

    @property
    def status(self) -> int:
        return int(self.head.split(b" ", 2)[1])

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        lines = self.head.split(b"\r\n")[1:]
        return [(name, value.strip()) for name, _, value in (line.partition(b":") for line in lines)]

    def header(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.headers if key.lower() == name]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class RawClient:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(
        cls,
        port: int,
        host: str = "127.0.0.1",
        receive_buffer: int | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> "RawClient":
        """By TLS, the server is to be `localhost`."""
        if tls is not None:
            return cls(*await asyncio.open_connection(host, port, ssl=tls, server_hostname="localhost"))
        if receive_buffer is None:
            return cls(*await asyncio.open_connection(host, port))
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.connect((host, port))
        return cls(*await asyncio.open_connection(sock=sock, limit=receive_buffer))

    async def __aenter__(self) -> "RawClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.transport.abort()

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, *, to_head: bool = False) -> Answer:
        """The next answer, its body without the framing."""
        head = (await self.reader.readuntil(b"\r\n\r\n"))[:-4]
        answer = Answer(head, b"")
        if to_head or answer.status in (100, 101, 204, 304):
            return answer
        if answer.header(b"transfer-encoding") == [b"chunked"]:
            return Answer(head, await self._chunked())
        if length := answer.header(b"content-length"):
            return Answer(head, await self.reader.readexactly(int(length[0])))
        return Answer(head, await self.reader.read(-1))

    async def _chunked(self) -> bytes:
        body = b""
        while chunk := await self.chunk():
            body += chunk
        return body

    async def chunk(self) -> bytes:
        """The next chunk of a chunked body; b"" for the last one."""
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    async def rest(self) -> bytes:
        """Everything until the server closes, however it does."""
        received = b""
        try:
            while piece := await self.reader.read(65536):
                received += piece
        except ConnectionError:
            pass
        return received

    async def is_reset(self) -> bool:
        """Whether the connection was broken rather than closed, once everything was read."""
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:
            return True
        return False
