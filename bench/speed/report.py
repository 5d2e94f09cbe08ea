"""What was measured, as tables on the terminal."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from bench.speed.rounds import Measured, title


def rate_rows(measured: Measured) -> list[list[str]]:
    """For each proxy: requests a second, how Watchword compares to it, how busy the proxy's core was."""
    own = measured["watchword"].requests
    return [
        [title(name), f"{rate.requests:,.0f}", f"{own / rate.requests:.2f}", f"{rate.busy:.0%}"]
        for name, rate in sorted(measured.items(), key=lambda each: -each[1].requests)
    ]


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
