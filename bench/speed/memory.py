"""Memory: of a proxy that has just started, for each idle connection, and while large bodies go through."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from bench.speed import load, machine, workloads
from bench.speed.proxies import Proxy, Starter
from bench.speed.rounds import say, title
from bench.speed.upstream import KIB, LARGEST, MIB, Upstream

IDLE = 1_000
IDLE_OF_WATCHWORD = 10_000
_AT_ONCE = 20
_SETTLE_SECONDS = 1.0
_LOOK_SECONDS = 0.01
_BLOCK = bytes(256 * KIB)

Memory = dict[str, float]


async def of_each(
    starters: Mapping[str, Starter],
    folder: Path,
    app: Upstream,
    *,
    idle: int = IDLE,
    most_idle: int = IDLE_OF_WATCHWORD,
) -> dict[str, Memory]:
    """Of each proxy by its name, which is started for this alone: see `of_one`."""
    found = {}
    for name, starter in starters.items():
        own = folder / name
        own.mkdir(parents=True)
        async with starter(own, app.port) as proxy:
            counts = (idle, most_idle) if name == "watchword" else (idle,)
            found[name] = await of_one(proxy, app, counts)
        memory = found[name]
        say(
            f"Memory: {title(name)} {memory['start_mib']:.0f} MiB, "
            f"{memory[f'idle_{idle}_kib']:.1f} KiB for an idle connection, "
            f"{memory['get_1g_mib']:+.1f} and {memory['upload_1g_mib']:+.1f} MiB while 1 GB "
            "goes down and up"
        )
    return found


async def of_one(proxy: Proxy, app: Upstream, idle: tuple[int, ...]) -> Memory:
    """What it has at the start (MiB), for each idle connection (KiB), and what bodies add (MiB)."""
    pids = machine.tree(proxy.pid)
    await load.check(proxy, "1k", app.bodies["1k"])
    found: Memory = {"start_mib": round(machine.resident(pids) / MIB, 1)}
    await load.measure(proxy, "1k", connections=_AT_ONCE, seconds=1)
    for count in idle:
        found[f"idle_{count}_kib"] = round(await _for_each_idle(proxy, pids, count) / KIB, 1)
    for name, transfer in _TRANSFERS.items():
        found[f"{name}_mib"] = round(await _growth(pids, lambda moved=transfer: moved(proxy)) / MIB, 1)
    return found


async def _for_each_idle(proxy: Proxy, pids: list[int], count: int) -> float:
    """Bytes that a connection adds which has asked once and stays open."""
    await asyncio.sleep(_SETTLE_SECONDS)
    before = machine.resident(pids)
    async with _idle_connections(proxy, count):
        await asyncio.sleep(_SETTLE_SECONDS)
        return (machine.resident(pids) - before) / count


@asynccontextmanager
async def _idle_connections(proxy: Proxy, count: int) -> AsyncIterator[None]:
    request = _head(proxy, "GET", "1k")
    writers = []

    async def opened(_: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writers.append(writer)
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise machine.NotMeasurable(f"{proxy.name} answers {head[:100]!r}")
        await reader.readexactly(KIB)

    try:
        for first in range(0, count, _AT_ONCE):
            await asyncio.gather(*map(opened, range(first, min(first + _AT_ONCE, count))))
        yield
    finally:
        for writer in writers:
            writer.close()


async def _growth(pids: list[int], transfer: Callable[[], Awaitable[object]]) -> float:
    """Bytes that the processes have at the most during a transfer, above what they had before it."""
    await asyncio.sleep(_SETTLE_SECONDS)
    before = most = machine.resident(pids)
    moving = asyncio.ensure_future(transfer())
    while not moving.done():
        await asyncio.wait([moving], timeout=_LOOK_SECONDS)
        most = max(most, machine.resident(pids))
    await moving
    return most - before


async def _download_10m(proxy: Proxy) -> None:
    await load.measure(proxy, "10m", connections=workloads.DOWNLOADS, seconds=2)


async def _download_1g(proxy: Proxy) -> None:
    await asyncio.to_thread(_download, proxy)


async def _upload_1g(proxy: Proxy) -> None:
    await asyncio.to_thread(_upload, proxy)


_TRANSFERS = {"get_10m": _download_10m, "get_1g": _download_1g, "upload_1g": _upload_1g}


def _download(proxy: Proxy) -> None:
    """Take 1 GB as fast as it comes."""
    with _connected(proxy, _head(proxy, "GET", "1g", "Connection: close")) as connection:
        room = bytearray(MIB)
        received = connection.recv_into(room)
        if not room.startswith(b"HTTP/1.1 200"):
            raise machine.NotMeasurable(f"{proxy.name} answers {bytes(room[:100])!r}")
        while size := connection.recv_into(room):
            received += size
        if received < LARGEST:
            raise machine.NotMeasurable(f"{proxy.name} stops after {received} bytes of 1 GB")


def _upload(proxy: Proxy) -> None:
    """Send 1 GB as fast as it is taken."""
    head = _head(proxy, "POST", "upload", f"Content-Length: {LARGEST}", "Connection: close")
    with _connected(proxy, head) as connection:
        for _ in range(LARGEST // len(_BLOCK)):
            connection.sendall(_BLOCK)
        answer = connection.recv(4096)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise machine.NotMeasurable(f"{proxy.name} answers {answer[:100]!r} to an upload of 1 GB")


def _connected(proxy: Proxy, head: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", proxy.port), timeout=60.0)
    connection.sendall(head)
    return connection


def _head(proxy: Proxy, method: str, path: str, *more: str) -> bytes:
    headers = {"Host": f"127.0.0.1:{proxy.port}", **load.headers_for(proxy)}
    lines = [f"{method} /{path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), *more]
    return "\r\n".join([*lines, "", ""]).encode()
