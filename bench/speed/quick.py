"""`make bench QUICK=1`: the small GET alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.speed import load, report, upstream
from bench.speed.proxies import Proxy, Starter
from bench.speed.rounds import Measured, Plan, all_running, in_turns

CONNECTIONS = 32
PLAN = Plan(rounds=3, seconds=2)


async def measure(folder: Path, starters: Mapping[str, Starter], plan: Plan = PLAN) -> dict[str, object]:
    async with (
        upstream.running(folder / "app") as app,
        all_running(starters, folder, app.port) as proxies,
    ):
        measured = await small_get(proxies, app, plan)
    report.show(
        "Small GET (1 KB), 32 connections, one core", report.RATE_HEADINGS, report.rate_rows(measured)
    )
    return {"small_get": report.requests_by_name(measured)}


async def small_get(
    proxies: Sequence[Proxy], app: upstream.Upstream, plan: Plan, connections: int = CONNECTIONS
) -> Measured:
    for proxy in proxies:
        await load.check(proxy, "1k", app.bodies["1k"])
        await load.measure(proxy, "1k", connections=connections, seconds=1)

    async def once(proxy: Proxy) -> load.Rate:
        await load.check(proxy, "1k", app.bodies["1k"])
        return await load.measure(proxy, "1k", connections=connections, seconds=plan.seconds)

    return await in_turns(f"small GET, {connections} connections", proxies, plan, once)
