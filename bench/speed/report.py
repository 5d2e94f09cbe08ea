"""What was measured, as tables on the terminal."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from bench.speed.aims import Aim
from bench.speed.rounds import Measured, title


def rate_rows(measured: Measured) -> list[list[str]]:
    """For each proxy: requests a second, how Watchword compares to it, how busy the proxy's core was."""
    own = measured["watchword"].requests if "watchword" in measured else None
    return [
        [
            title(name),
            f"{rate.requests:,.0f}",
            f"{own / rate.requests:.2f}" if own else "-",
            f"{rate.busy:.0%}",
        ]
        for name, rate in sorted(measured.items(), key=lambda each: -each[1].requests)
    ]


def show_rates(heading: str, measured: Measured) -> None:
    show(heading, RATE_HEADINGS, rate_rows(measured))


RATE_HEADINGS = ["proxy", "requests/s", "Watchword / it", "its core busy"]


def show(heading: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(title=heading, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    Console(width=110).print(table)


def requests_by_name(measured: Measured) -> Mapping[str, int]:
    return {name: round(rate.requests) for name, rate in measured.items()}


def show_costs(heading: str, measured: Measured) -> None:
    first = next(iter(measured.values())).requests
    rows = [
        [f"{int(name):,}", f"{rate.requests:,.0f}", f"{first / rate.requests:.3f}"]
        for name, rate in measured.items()
    ]
    show(heading, ["how many", "requests/s", "cost of a request"], rows)


def show_latency(half: str, by_name: Mapping[str, Mapping[str, float]]) -> None:
    whose = {"own": "its own maximum", "watchword": "Watchword's maximum"}[half]
    rows = [
        [title(name), f"{each['rate']:,.0f}", *(f"{each[share]:.2f}" for share in ("p50", "p99", "p999"))]
        for name, each in by_name.items()
    ]
    columns = ["proxy", "requests/s", "p50 ms", "p99 ms", "p99.9 ms"]
    show(f"Latency at a fixed rate: half of {whose}", columns, rows)


def show_memory(by_name: Mapping[str, Mapping[str, float]]) -> None:
    rows = [
        [
            title(name),
            f"{each['start_mib']:.0f}",
            " / ".join(f"{value:.1f}" for key, value in each.items() if key.startswith("idle_")),
            *(f"{each[key]:+.1f}" for key in ("get_10m_mib", "get_1g_mib", "upload_1g_mib")),
        ]
        for name, each in by_name.items()
    ]
    columns = [
        "proxy",
        "MiB at start",
        "KiB/idle connection",
        "10 MB down",
        "1 GB down",
        "1 GB up (MiB more)",
    ]
    show("Memory", columns, rows)


def show_aims(judged: Sequence[Aim]) -> None:
    rows = [[aim.name, aim.wanted, f"{aim.figure:g}", "met" if aim.is_met else "not met"] for aim in judged]
    show("The aims", ["aim", "wanted", "measured", ""], rows)
