"""`make bench QUICK=1`: the small GET alone."""

from collections.abc import Mapping
from pathlib import Path

from bench.speed import report, upstream, workloads
from bench.speed.proxies import Starter
from bench.speed.rounds import Plan, all_running

PLAN = Plan(rounds=3, seconds=2)


async def measure(folder: Path, starters: Mapping[str, Starter], plan: Plan = PLAN) -> dict[str, object]:
    async with (
        upstream.running(folder / "app") as app,
        all_running(starters, folder, app.port) as proxies,
    ):
        measured = await workloads.measure(workloads.SMALL_GET, proxies, app, plan)
    report.show_rates(workloads.SMALL_GET.title, measured)
    return {"small_get": report.requests_by_name(measured)}
