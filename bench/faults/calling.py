"""A client of HTTP that sends a request once, and says whether an answer came."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` is 0 where none came in time."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body or b"{}")


NONE = Answer(0, {}, b"")


class Caller:
    """One connection at a time to a port of loopback, which is opened again when it was closed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(
        self, method: str, path: str, body: object = None, *, within: float, **headers: str
    ) -> Answer:
        """Send a request and read its answer."""
        try:
            async with asyncio.timeout(within):
                return await self._exchange(method, path, body, headers)
        except (OSError, TimeoutError, EOFError, ValueError):
            await self.close()
            return NONE

    async def _exchange(self, method: str, path: str, body: object, headers: Mapping[str, str]) -> Answer:
        if self._streams is None or self._streams[0].at_eof():
            await self.close()
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        content = b"" if body is None else json.dumps(body).encode()
        fields = {"Host": "localhost", **headers}
        if body is not None:
            fields |= {"Content-Type": "application/json", "Content-Length": str(len(content))}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + content)
        status_line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        # Of several of one name the first counts: cookies of ours are looked for by whoever needs them.
        answered: dict[str, str] = {}
        cookies = []
        for name, _, value in (line.partition(": ") for line in lines):
            if name.lower() == "set-cookie":
                cookies.append(value)
            answered.setdefault(name.lower(), value)
        answered["set-cookie"] = "\n".join(cookies)
        said = await reader.readexactly(int(answered.get("content-length", "0")))
        if answered.get("connection", "").lower() == "close":
            await self.close()
        return Answer(int(status_line.split()[1]), answered, said)

    async def close(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
