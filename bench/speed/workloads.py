"""What the proxies are asked to do: each workload is one kind of load, the same for all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.speed import load
from bench.speed.proxies import Proxy
from bench.speed.rounds import Measured, Plan, in_turns
from bench.speed.upstream import MIB, Upstream

FEW, MANY, DOWNLOADS, UPLOADS = 32, 256, 8, 8
"""Connections of the load."""

SOCKETS = 64


@dataclass(frozen=True)
class Workload:
    """`name` is its key in the results, `size` the bytes that each request moves where that is the point."""

    name: str
    title: str
    path: str = "1k"
    connections: int = FEW
    script: str = "plain"
    arguments: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    size: int = 0


MANY_HEADERS = {f"X-App-Field-{number:02}": f"value-{number * 7919:08}-of-a-field" for number in range(89)}
"""With a browser's eleven, a hundred."""

SMALL_GET = Workload("small_get", "Small GET (1 KB), 32 connections")
DOWNLOAD = Workload("get_10m", "Download of 10 MB", "10m", DOWNLOADS, size=10 * MIB)
UPLOAD = Workload(
    "upload_1m", "Upload of 1 MB", "upload", UPLOADS, script="upload", arguments=(str(MIB),), size=MIB
)
OF_THE_APP = (
    SMALL_GET,
    Workload("small_get_256", "Small GET (1 KB), 256 connections", connections=MANY),
    Workload("varied_get", "Small GET, no two requests alike", script="varied"),
    Workload("headers_100", "Small GET with 100 headers", headers=MANY_HEADERS),
    Workload("get_64k", "Download of 64 KB", "64k", size=65536),
    DOWNLOAD,
)
"""Those for the app with the files."""


async def measure(
    workload: Workload, proxies: Sequence[Proxy], app: Upstream, plan: Plan, *, warm_up: bool = True
) -> Measured:
    """Load every proxy in turns. Raises NotMeasurable where one does not serve as it should."""
    body = app.bodies.get(workload.path)
    if warm_up:
        for proxy in proxies:
            await load.check(proxy, workload.path, body)
            await load.measure(proxy, workload.path, connections=workload.connections, seconds=1)

    async def once(proxy: Proxy) -> load.Rate:
        await load.check(proxy, workload.path, body)
        return await load.measure(
            proxy,
            workload.path,
            connections=workload.connections,
            seconds=plan.seconds,
            script=workload.script,
            headers=workload.headers,
            arguments=workload.arguments,
        )

    return await in_turns(workload.title, proxies, plan, once)


async def websockets(proxies: Sequence[Proxy], plan: Plan) -> Measured:
    """Round trips of short texts in a second, over `SOCKETS` WebSockets at once."""

    async def once(proxy: Proxy) -> load.Rate:
        core = load.machine.CoreUse(load.machine.PROXY_CORE)
        order = {"sockets": SOCKETS, "seconds": plan.seconds}
        found = await load.of_module("bench.speed.sockets", proxy, order)
        return load.Rate(found["count"] / found["seconds"], 0.0, core.share())

    return await in_turns("WebSocket echo", proxies, plan, once)
