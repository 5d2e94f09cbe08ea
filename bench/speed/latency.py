"""How long a request takes at a fixed rate: at half of each proxy's own maximum, and of Watchword's."""

import asyncio
import statistics
from collections.abc import Mapping, Sequence

from bench.speed import load, machine
from bench.speed.proxies import Proxy
from bench.speed.rounds import Plan, say, title

CONNECTIONS = 128
_MOST = 0.9
"""A proxy whose maximum is hardly more than a rate cannot keep it up: its queue would only grow."""

Latency = dict[str, float]


NONE = "none"
"""The app itself, asked at the same rate: what of the times is the load's, and the machine's."""

NOTHING = "nothing"
"""What only wakes when a request is due, on the proxy's core, while the other one is busy with `NONE`."""


async def at_half(
    proxies: Sequence[Proxy], most: Mapping[str, float], plan: Plan, app: int
) -> dict[str, dict[str, Latency]]:
    """By whose half it is (`own` or `watchword`) and by proxy: the rate, and percentiles in milliseconds.

    `app` is the port of the app behind them all.
    """
    rates = {
        "own": {proxy.name: most[proxy.name] / 2 for proxy in proxies},
        "watchword": {
            proxy.name: most["watchword"] / 2
            for proxy in proxies
            if most["watchword"] / 2 < _MOST * most[proxy.name]
        }
        | {NONE: most["watchword"] / 2},
    }
    everybody = [*proxies, Proxy(NONE, app, 0)]
    found: dict[str, dict[str, list[Latency]]] = {half: {} for half in rates}
    for number in range(plan.rounds):
        first = number % len(everybody)
        for proxy in [*everybody[first:], *everybody[:first]]:
            for half, by_name in rates.items():
                if proxy.name not in by_name or (half, proxy.name) == ("watchword", "watchword"):
                    continue
                for name, once in (await _measured(proxy, by_name[proxy.name], plan.seconds)).items():
                    found[half].setdefault(name, []).append(once)
                    say(
                        f"Latency, round {number + 1}/{plan.rounds}: {title(name)} "
                        f"at {once['rate']:,.0f}/s: p50 {once['p50']:.2f} ms, p99 {once['p99']:.2f} ms"
                    )
    medians = {
        half: {name: _median(each) for name, each in by_name.items()} for half, by_name in found.items()
    }
    medians["watchword"]["watchword"] = medians["own"]["watchword"]
    return medians


async def _measured(proxy: Proxy, rate: float, seconds: int) -> dict[str, Latency]:
    if proxy.name != NONE:
        return {proxy.name: await _once(proxy, rate, seconds)}
    once, nothing = await asyncio.gather(
        _once(proxy, rate, seconds),
        load.of_module("bench.speed.pauses", proxy, {"rate": rate, "seconds": seconds}),
    )
    return {NONE: once, NOTHING: {"rate": round(rate), **nothing}}


async def _once(proxy: Proxy, rate: float, seconds: int) -> Latency:
    core = machine.CoreUse(machine.LOAD_CORE)
    order = {"path": "/1k", "rate": rate, "seconds": seconds, "connections": CONNECTIONS}
    found = await load.of_module("bench.speed.openloop", proxy, order)
    if found["unanswered"] > found["asked"] / 100:
        raise machine.NotMeasurable(f"{proxy.name} does not answer all at {rate:,.0f} requests a second")
    return {
        "rate": round(rate),
        **{name: found[name] for name in ("p50", "p99", "p999")},
        "late_p99": found["late"]["p99"],
        "load_busy": round(core.share(), 2),
    }


def _median(found: Sequence[Latency]) -> Latency:
    return {name: round(statistics.median(each[name] for each in found), 3) for name in found[0]}
