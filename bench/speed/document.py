"""`docs/performance.md`: its figures are replaced by those of a whole run, its prose stays."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.speed import aims, chart
from bench.speed.rounds import TITLES, title

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "performance.md"
PICTURE = ROOT / "docs" / "pictures" / "performance.svg"

BEGIN, END = "<!-- figures: written by make bench -->", "<!-- end of figures -->"

_RATES = {
    "small_get": "small GET, 32 connections",
    "small_get_256": "256 connections",
    "varied_get": "no two alike",
    "headers_100": "100 headers",
    "get_64k": "64 KB",
    "websocket": "WebSocket echo",
}
_MOVING = {"get_10m": ("download of 10 MB", 10.0), "upload_1m": ("upload of 1 MB", 1.0)}
"""With the MiB that each request moves."""


def write(figures: Mapping[str, Any]) -> None:
    """Put a run's figures into the page, and its chart beside it."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{tables(figures)}\n{END}{after}")
    PICTURE.write_text(chart.drawn(figures))


def tables(figures: Mapping[str, Any]) -> str:
    parts = [
        _run(figures),
        "## The aims\n",
        _aims(figures),
        "## Beside other proxies\n",
        "Requests a second on one core; the others check nothing.\n",
        _rates(figures),
        "Large bodies, in MiB a second:\n",
        _moving(figures),
        *_asked(figures),
        "## Rules and sessions\n",
        _costs(figures),
        "## Latency\n",
        "At a fixed rate, in milliseconds from when a request was due.\n",
        _latency(figures),
        "## Memory\n",
        "In MiB, and KiB for each idle connection (for Watchword, of 1,000 and of 10,000).\n",
        _memory(figures["memory"]),
    ]
    return "\n".join(parts)


def _run(figures: Mapping[str, Any]) -> str:
    versions = dict(figures["versions"])
    machine = versions.pop("machine")
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"Measured on {figures['date']} on {machine}: the medians of {figures['rounds']} rounds of "
        f"{figures['seconds']} second{'s' if figures['seconds'] > 1 else ''} each.\n{named}.\n"
    )


def _aims(figures: Mapping[str, Any]) -> str:
    rows = [
        [aim.name, aim.wanted, f"{aim.figure:g}", "met" if aim.is_met else "**not met**"]
        for aim in aims.judge(figures)
    ]
    return _table(["aim", "wanted", "measured", ""], rows)


def _rates(figures: Mapping[str, Any]) -> str:
    rows = [
        [title(name), *(_number(figures[workload].get(name)) for workload in _RATES)]
        for name in _order(figures["small_get"])
    ]
    return _table(["", *_RATES.values()], rows)


def _moving(figures: Mapping[str, Any]) -> str:
    rows = [
        [
            title(name),
            *(
                _number(rate * size if (rate := figures[workload].get(name)) is not None else None)
                for workload, (_, size) in _MOVING.items()
            ),
        ]
        for name in _order(figures["get_10m"])
    ]
    return _table(["", *(heading for heading, _ in _MOVING.values())], rows)


def _asked(figures: Mapping[str, Any]) -> list[str]:
    """Other proxies that ask Watchword about each request, if they were measured."""
    rates = figures.get("forward_auth")
    if not rates:
        return []
    rows = [[title(name), _number(figures["small_get"][name]), _number(rate)] for name, rate in rates.items()]
    return [
        "Other proxies that ask Watchword about each request (forward-auth), both on the one core.\n"
        "Small GET, requests a second:\n",
        _table(["", "without", "asking Watchword"], rows),
    ]


def _costs(figures: Mapping[str, Any]) -> str:
    rows = [
        [f"{int(count):,} {kind}", _number(rate), f"{next(iter(figures[kind].values())) / rate:.3f}"]
        for kind in ("rules", "sessions")
        for count, rate in figures[kind].items()
    ]
    return _table(["", "requests/s", "cost of a request"], rows)


def _latency(figures: Mapping[str, Any]) -> str:
    own, common = figures["latency"]["own"], figures["latency"]["watchword"]
    rows = [
        [
            title(name),
            _number(own[name]["rate"]),
            *(f"{own[name][share]:.2f}" for share in ("p50", "p99", "p999")),
            *(f"{common[name][share]:.2f}" if name in common else "-" for share in ("p50", "p99", "p999")),
        ]
        for name in _order(own)
    ]
    rows += [
        [title(name), *["-"] * 4, *(f"{each[share]:.2f}" for share in ("p50", "p99", "p999"))]
        for name in ("none", "nothing")
        if (each := common.get(name))
    ]
    rate = _number(common["watchword"]["rate"])
    at = [f"at {rate}: p50", "p99", "p99.9"]
    return _table(["", "half of its maximum", "p50", "p99", "p99.9", *at], rows)


def _memory(memory: Mapping[str, Mapping[str, float]]) -> str:
    rows = [
        [
            title(name),
            f"{each['start_mib']:.0f}",
            " / ".join(f"{value:.1f}" for key, value in each.items() if key.startswith("idle_")),
            *(f"{each[key]:+.1f}" for key in ("get_10m_mib", "get_1g_mib", "upload_1g_mib")),
        ]
        for name, each in ((name, memory[name]) for name in _order(memory))
    ]
    columns = ["", "at start", "idle connection", "10 MB down, 8 at once", "1 GB down", "1 GB up"]
    return _table(columns, rows)


def _order(names: Iterable[str]) -> list[str]:
    """Those that there are, always in the same order, ours first."""
    there = set(names)
    return [name for name in TITLES if name in there]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---", *("---:" for _ in columns[1:])], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
