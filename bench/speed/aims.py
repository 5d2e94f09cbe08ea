"""What Watchword is to reach, as ratios of one run, and whether it does."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_LARGEST_GROWTH_MIB = 8.0
"""What counts as flat: buffers that are filled for the first time, and nothing that grows with a body."""

_IDLE_KB = 20.0


@dataclass(frozen=True)
class Aim:
    """A figure and its bound: at least, or at most."""

    name: str
    figure: float
    bound: float
    at_least: bool

    @property
    def is_met(self) -> bool:
        return self.figure >= self.bound if self.at_least else self.figure <= self.bound

    @property
    def wanted(self) -> str:
        return f"{'at least' if self.at_least else 'at most'} {self.bound:g}"


def judge(figures: Mapping[str, Any]) -> list[Aim]:
    """Every aim with the figure of a whole run."""

    def beside(workload: str, proxy: str) -> float:
        rates = figures[workload]
        return round(rates["watchword"] / rates[proxy], 3)

    memory, latency = figures["memory"]["watchword"], figures["latency"]["own"]["watchword"]
    idle = max(value for name, value in memory.items() if name.startswith("idle_"))
    growth = max(memory["get_1g_mib"], memory["upload_1g_mib"])
    return [
        Aim("small GET, beside Caddy's plain proxy", beside("small_get", "caddy"), 2.0, True),
        Aim("small GET, beside Envoy's", beside("small_get", "envoy"), 1.3, True),
        Aim("small GET, beside nginx's", beside("small_get", "nginx"), 0.5, True),
        Aim("small GET, beside the naive aiohttp proxy", beside("small_get", "naive_aiohttp"), 5.0, True),
        Aim("download of 10 MB, beside nginx's", beside("get_10m", "nginx"), 0.8, True),
        Aim("upload of 1 MB, beside nginx's", beside("upload_1m", "nginx"), 0.8, True),
        Aim("a request under 10,000 rules, beside 10", figures["rules_10_vs_10000"], 1.05, False),
        Aim("a request of 100,000 sessions, beside 100", figures["sessions_100_vs_100000"], 1.05, False),
        Aim("MiB more while a body of 1 GB goes through", growth, _LARGEST_GROWTH_MIB, False),
        Aim("KB for an idle connection", round(idle * 1.024, 1), _IDLE_KB, False),
        Aim(
            "p99 beside the median, at half of the maximum rate",
            round(latency["p99"] / latency["p50"], 2),
            3.0,
            False,
        ),
    ]
