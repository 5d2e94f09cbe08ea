"""Where a request's time goes: `make profile`. Everything in the table is measured, nothing is estimated.

    python -m bench.speed.profile

Measures the package that it finds: compiled, or as Python. The whole and the system's part are those of a
gateway under load: how busy its process was, and how much of that inside the kernel. Our own part is measured
by itself: one connection's two ends in a gateway of this process, on transports that do nothing. What is left
is uvloop, and its calls into our code. Which part of Python takes how much is from `cProfile`, scaled to what
Python takes without it; it sees nothing of what is compiled.
"""

import asyncio
import cProfile
import json
import logging
import os
import pstats
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import structlog
import uvloop
from aiohttp import web

from bench.speed import load, machine, report, upstream, watchword, workloads
from bench.speed.proxies import Proxy
from gateway import clock
from gateway.app import Gateway, start_gateway
from gateway.core import decision
from gateway.proxy.connection import Connection
from gateway.proxy.delivery import Delivery
from gateway.proxy.short_cut import ShortCut
from gateway.settings import load_settings
from gateway.web.short_cut import QuickConnection

_SECONDS = 5
_TIMES, _ROUNDS = 1000, 20
_TURN_SECONDS = 0.05

COMPILED = not decision.__file__.endswith(".py")
"""Whether that is what is measured here."""

_PARTS: Mapping[str, tuple[str, ...]] = {
    "the bytes arrive; the head is read": ("short_cut", "header", "headers", "cookies", "reading", "target"),
    "who asks, the rule, decide()": ("passage", "who", "node", "matching", "decision", "records", "clock"),
    "headers for the app": ("identity_headers", "assertions", "assertion", "delivery"),
    "a connection to the app": ("pool", "connection", "upstream", "customers"),
    "the answer": ("wire", "response_head", "answer"),
    "kept: what is under way, counters": ("live", "record", "request_counts", "metrics", "crossing"),
}

_ANSWER = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Sat, 28 Nov 2026 01:20:00 GMT\r\n"
    b"Content-Type: application/octet-stream\r\nContent-Length: 1024\r\n"
    b"Last-Modified: Sat, 28 Nov 2026 01:10:00 GMT\r\nConnection: keep-alive\r\n"
    b'ETag: "6928f1c0-400"\r\nAccept-Ranges: bytes\r\n\r\n' + bytes(1024)
)


class _Nowhere(asyncio.Transport):
    """A transport that sends nothing; `sent` is the last that it was given."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.sent = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent = bytes(data)

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...


class _Nobody:
    """Stands for the poll that looks whether the app has hung up: there is no socket here."""

    def poll(self, _: int) -> list[tuple[int, int]]:
        return []


async def measure(folder: Path, *, seconds: int = _SECONDS, rounds: int = _ROUNDS) -> dict[str, float]:
    """Microseconds of the core for one small GET, by part."""
    async with upstream.running(folder / "app") as app:
        own = folder / "loaded"
        own.mkdir()
        package = watchword.COMPILED if COMPILED else watchword.SOURCE
        async with watchword.running(own, app.port, package=package) as proxy:
            whole, system = await _under_load(proxy, seconds)
        own = folder / "alone"
        own.mkdir()
        async with watchword.with_store(own, app.port, name="alone", rules=10) as (_, store):
            cookie = (await watchword.begin_session(store, watchword.USER)).cookie
        python = await _alone(own / "gateway.yaml", cookie, app.port, rounds)
    rest = whole - system - python["seen"]
    return {"in all": whole, "the system": system, "uvloop, and its calls": rest} | python


async def _under_load(proxy: Proxy, seconds: int) -> tuple[float, float]:
    """What the process took for a request in all, and inside the kernel."""

    async def loaded(seconds: int) -> float:
        rate = await load.measure(proxy, "1k", connections=workloads.FEW, seconds=seconds)
        return rate.requests * seconds

    await loaded(1)
    before = _times(proxy.pid)
    requests = await loaded(seconds)
    user, system = (now - then for now, then in zip(_times(proxy.pid), before, strict=True))
    return (user + system) / requests * 1e6, system / requests * 1e6


def _times(pid: int) -> tuple[float, float]:
    """Seconds that a process has run so far, by itself and inside the kernel (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return tuple(int(each) / os.sysconf("SC_CLK_TCK") for each in fields[11:13])  # type: ignore[return-value]


async def _alone(config: Path, cookie: str, app: int, rounds: int) -> dict[str, float]:
    """Python's part, for lines that the connection has seen before, and for such as it has not."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    gateway = await start_gateway(load_settings(config, {}))
    try:
        await gateway.store.who.ask(cookie, clock.now())
        client, server = _ends(gateway, app)
        head = "".join(f"{name}: {value}\r\n" for name, value in load.BROWSER.items() if name != "Cookie")
        request = (
            f"GET /1k HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}Cookie: {watchword.COOKIE}={cookie}\r\n\r\n"
        ).encode()

        def seen(_: int) -> None:
            client.data_received(request)
            server.data_received(_ANSWER)

        def unseen(number: int) -> None:
            another = request.replace(b"/1k", b"/1k?%d" % number, 1)
            client.data_received(another.replace(b"/overview", b"/%d" % number))
            server.data_received(_ANSWER.replace(b"-400", b"-%d" % number))

        found = {"seen": await _fastest(seen, rounds), "unseen": await _fastest(unseen, rounds)}
        shares = {} if COMPILED else _shares(seen)
        to_client = cast("_Nowhere", client.transport)
        to_client.sent = b""
        seen(0)
        if not to_client.sent.startswith(b"HTTP/1.1 200 OK"):
            raise machine.NotMeasurable("plain requests did not take the short cut")
        return found | {name: found["seen"] * share for name, share in shares.items()}
    finally:
        await gateway.stop()


def _ends(gateway: Gateway, app: int) -> tuple[QuickConnection, Connection]:
    """A client's connection that waits for a request, and a free one to the app."""
    loop, listener = asyncio.get_running_loop(), cast("Any", gateway)._front.listener
    short_cut: ShortCut = listener._short_cut
    client = QuickConnection(web.Server(listener._serve), listener._limits, set(), short_cut)
    client.transport, client.peer = _Nowhere(), ("127.0.0.1", 1)
    client._waiter = loop.create_future()
    client._keepalive_handle = loop.call_later(3600, client.close)
    delivery: Delivery = short_cut._delivery
    (address,) = delivery._upstream((f"http://127.0.0.1:{app}",))._pool.addresses
    server = Connection(address)
    server._transport = _Nowhere()
    server._poll = cast("Any", _Nobody())
    address._open.add(server)
    server.release()
    return client, server


async def _fastest(once: Callable[[int], None], rounds: int) -> float:
    """Microseconds of one, in the fastest of the rounds: whatever else ran only made it slower."""
    best = float("inf")
    for _ in range(rounds):
        begun = time.perf_counter()
        for number in range(_TIMES):
            once(number)
        best = min(best, (time.perf_counter() - begun) / _TIMES * 1e6)
        await asyncio.sleep(_TURN_SECONDS)  # the lease is renewed, and timers have their turn
    return best


def _shares(once: Callable[[int], None]) -> dict[str, float]:
    """How much of the time belongs to each part, by the files of functions; of built-ins, the callers'."""
    profile = cProfile.Profile()
    with _profiling(profile):
        for number in range(_TIMES):
            once(number)
    spent: dict[str, float] = defaultdict(float)
    stats: dict[tuple[str, int, str], Any] = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    for (file, _, _), (_, _, own, _, callers) in stats.items():
        if file.startswith("~"):
            for (calling, _, _), each in callers.items():
                spent[_part(calling)] += each[2]
        else:
            spent[_part(file)] += own
    total = sum(spent.values())
    return {part: spent[part] / total for part in (*_PARTS, _REST)}


_REST = "the rest"


def _part(file: str) -> str:
    name = Path(file).stem
    return next((part for part, names in _PARTS.items() if name in names), _REST)


@contextmanager
def _profiling(profile: cProfile.Profile) -> Iterator[None]:
    profile.enable()
    try:
        yield
    finally:
        profile.disable()


def main() -> None:
    machine.check_cores()
    machine.allow_many_connections()
    os.sched_setaffinity(0, {machine.LOAD_CORE})
    with tempfile.TemporaryDirectory(prefix="ww-profile-") as folder:
        found = uvloop.run(measure(Path(folder)))
    ours = "our code" if COMPILED else "Python"
    names = {"seen": ours, "unseen": f"{ours}, where path, a header and the answer's head are new"}
    report.show(
        f"The small GET, {'compiled' if COMPILED else 'not compiled'}, in microseconds of the core",
        ["what", "µs"],
        [[names.get(name, name), f"{value:.1f}"] for name, value in found.items()],
    )
    print(json.dumps({name: round(value, 1) for name, value in found.items()}))


if __name__ == "__main__":
    main()
