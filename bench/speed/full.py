"""`make bench`: everything, in some twenty minutes."""

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.speed import (
    aims,
    costs,
    forward_auth,
    latency,
    memory,
    oauth2,
    programs,
    report,
    upstream,
    watchword,
    workloads,
)
from bench.speed.load import Rate
from bench.speed.proxies import PLAIN, Proxy, Starter
from bench.speed.rounds import Plan, all_running, say

LOGGING = "watchword_logging"
PYTHON = "watchword_python"
OAUTH2 = "oauth2_proxy"

Figures = dict[str, Any]


async def measure(
    folder: Path, starters: Mapping[str, Starter], plan: Plan, also: Mapping[str, Starter]
) -> Figures:
    """All figures by name. `also` are those whose small GET alone is of interest."""
    figures: Figures = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "versions": programs.versions(),
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        "busy": {},
    }
    async with upstream.running(folder / "app") as app:
        async with all_running({**starters, **also}, folder / "plain", app.port) as proxies:
            await _rates(figures, proxies, frozenset(also), app, plan)
            await _latency(figures, proxies, frozenset(also), app, plan)
        own = {name: starter for name, starter in starters.items() if name != OAUTH2}
        async with all_running(own, folder / "sink", app.sink) as proxies:
            measured = await workloads.measure(workloads.UPLOAD, proxies, app, plan)
            _put(figures, workloads.UPLOAD.name, workloads.UPLOAD.title, measured)
            _put(
                figures, "websocket", "WebSocket echo, 64 sockets", await workloads.websockets(proxies, plan)
            )
        measured = await forward_auth.measure(folder / "forward-auth", app, plan)
        _put(figures, "forward_auth", "Small GET, asking Watchword about each request", measured)
        await _costs(figures, folder, app, plan)
        figures["memory"] = await memory.of_each(own, folder / "memory", app)
        report.show_memory(figures["memory"])
    judged = aims.judge(figures)
    report.show_aims(judged)
    figures["aims"] = {aim.name: {"figure": aim.figure, "met": aim.is_met} for aim in judged}
    return figures


async def _rates(
    figures: Figures, proxies: list[Proxy], also: frozenset[str], app: upstream.Upstream, plan: Plan
) -> None:
    for workload in workloads.OF_THE_APP:
        measured = await workloads.measure(
            workload,
            [proxy for proxy in proxies if workload is workloads.SMALL_GET or proxy.name not in also],
            app,
            plan,
        )
        _put(figures, workload.name, workload.title, measured)


async def _latency(
    figures: Figures, proxies: list[Proxy], also: frozenset[str], app: upstream.Upstream, plan: Plan
) -> None:
    some = [proxy for proxy in proxies if proxy.name not in also]
    most = figures[workloads.SMALL_GET.name]
    figures["latency"] = await latency.at_half(some, most, plan, app.port)
    for half, by_name in figures["latency"].items():
        report.show_latency(half, by_name)


async def _costs(figures: Figures, folder: Path, app: upstream.Upstream, plan: Plan) -> None:
    twice = Plan(plan.rounds * 2, plan.seconds)
    for name, measured in (
        ("rules", await costs.rules(folder, app, twice)),
        ("sessions", await costs.sessions(folder, app, twice)),
    ):
        figures[name] = report.requests_by_name(measured)
        report.show_costs(f"Small GET, by the number of {name}", measured)
    figures["rules_10_vs_10000"] = _cost(figures["rules"], costs.RULES)
    figures["sessions_100_vs_100000"] = _cost(figures["sessions"], costs.SESSIONS)


def _cost(by_count: Mapping[str, int], counts: tuple[int, ...]) -> float:
    """What a request costs with the most of them, as a multiple of what it costs with the fewest."""
    return round(by_count[str(counts[0])] / by_count[str(counts[-1])], 3)


def _put(figures: Figures, name: str, heading: str, measured: dict[str, Rate]) -> None:
    figures[name] = report.requests_by_name(measured)
    figures["busy"][name] = {proxy: round(rate.busy, 2) for proxy, rate in measured.items()}
    report.show_rates(heading, measured)


def everybody() -> dict[str, Starter]:
    """Those that take part: oauth2-proxy where it could be built, and a line that says so where not."""
    if oauth2.PROGRAM.exists():
        return {**PLAIN, OAUTH2: oauth2.running, "watchword": watchword.running}
    say(oauth2.NOT_HERE)
    return EVERYBODY


EVERYBODY: dict[str, Starter] = {**PLAIN, "watchword": watchword.running}
ALSO: dict[str, Starter] = {
    LOGGING: watchword.running_and_logging,
    PYTHON: watchword.running_as_python,
}
