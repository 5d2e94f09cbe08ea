"""Many clients in a process of their own, each of which asks once and then says nothing more.

    python idle_clients.py PORT COUNT PATH

Says `open` when all have their answer, and `closed` when the server has hung up on all of them.
"""

import asyncio
import os
import resource
import sys

_AT_ONCE = 100


class Client(asyncio.Protocol):
    def __init__(self, request: bytes) -> None:
        self._request = request
        self._said = b""
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._said += data
        if self._said.endswith(b"\r\n\r\nidle") and not self.answered.done():
            self.answered.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.answered.done():
            self.answered.set_exception(ConnectionError(f"hung up after {self._said!r}"))
        self.closed.set_result(None)


async def main(port: int, count: int, request: bytes) -> None:
    loop, clients = asyncio.get_running_loop(), []
    for _ in range(count // _AT_ONCE):
        some = [loop.create_connection(lambda: Client(request), "127.0.0.1", port) for _ in range(_AT_ONCE)]
        for _, client in await asyncio.gather(*some):
            clients.append(client)
        await asyncio.gather(*(client.answered for client in clients[-_AT_ONCE:]))
    os.write(1, b"open\n")
    await asyncio.gather(*(client.closed for client in clients))
    os.write(1, b"closed\n")


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asked = f"GET {sys.argv[3]} HTTP/1.1\r\nHost: localhost\r\n\r\n"
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), asked.encode()))
