"""Who is measured: all in one run, in turns, several rounds in another order each; the median counts."""

import statistics
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.speed.load import Rate
from bench.speed.proxies import Proxy, Starter

TITLES = {
    "watchword": "Watchword, every check on",
    "watchword_python": "Watchword, not compiled",
    "watchword_logging": "Watchword, with a log of requests",
    "nginx": "nginx",
    "caddy": "Caddy",
    "traefik": "Traefik",
    "envoy": "Envoy",
    "naive_aiohttp": "naive aiohttp proxy",
    "oauth2_proxy": "oauth2-proxy, session in Redis",
    "none": "no proxy: the app itself",
    "nothing": "a proxy that does nothing: only wakes",
}

Measured = dict[str, Rate]
"""The median of each proxy's rounds, by its name."""


@dataclass(frozen=True)
class Plan:
    """How often and for how long each is measured, in whole seconds."""

    rounds: int
    seconds: int


@asynccontextmanager
async def all_running(
    starters: Mapping[str, Starter], folder: Path, upstream: int
) -> AsyncIterator[list[Proxy]]:
    """Every proxy at once, each with its own folder; while one is measured the others have nothing to do."""
    say("starting " + ", ".join(map(title, starters)) + " ...")
    async with AsyncExitStack() as stack:
        proxies = []
        for name, starter in starters.items():
            own = folder / name
            own.mkdir(parents=True)
            proxies.append(await stack.enter_async_context(starter(own, upstream)))
        yield proxies


async def in_turns(
    workload: str, proxies: Sequence[Proxy], plan: Plan, measure: Callable[[Proxy], Awaitable[Rate]]
) -> Measured:
    """Measure each of them once in every round, and tell how it goes."""
    found: dict[str, list[Rate]] = {proxy.name: [] for proxy in proxies}
    for number in range(plan.rounds):
        first = number % len(proxies)
        for proxy in [*proxies[first:], *proxies[:first]]:
            rate = await measure(proxy)
            found[proxy.name].append(rate)
            say(
                f"{workload}, round {number + 1} of {plan.rounds}: {title(proxy.name)} {rate.requests:,.0f}/s"
            )
    return {name: median(rates) for name, rates in found.items()}


def title(name: str) -> str:
    return TITLES.get(name, name)


def median(rates: Sequence[Rate]) -> Rate:
    return Rate(
        statistics.median(rate.requests for rate in rates),
        statistics.median(rate.bytes for rate in rates),
        statistics.median(rate.busy for rate in rates),
        sum(rate.broken for rate in rates),
    )


def say(line: str) -> None:
    print(f"  {line}", flush=True)
