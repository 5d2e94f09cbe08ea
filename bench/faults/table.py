"""What came out, as a table."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.faults.history import History
from bench.faults.judge import judge, late, outage

HEADS = (
    "fault",
    "runs",
    "revocations",
    "confirmed",
    "at first pending",
    "requests",
    "accepted after confirmed",
    "503s",
    "longest outage",
)


@dataclass(frozen=True, slots=True)
class Row:
    """The runs of one fault together. `confirmed`: in the end; `outage` in seconds."""

    fault: str
    runs: int
    revocations: int
    confirmed: int
    pending: int
    requests: int
    late: int
    unavailable: int
    outage: float
    violations: int

    def cells(self) -> tuple[str, ...]:
        numbers = (self.runs, self.revocations, self.confirmed, self.pending, self.requests, self.late)
        return (
            self.fault,
            *(f"{number:,}" for number in (*numbers, self.unavailable)),
            f"{self.outage:.1f} s",
        )


def row_of(fault: str, histories: Sequence[History]) -> Row:
    revocations = [each for history in histories for each in history.revocations]
    requests = [each for history in histories for each in history.requests]
    return Row(
        fault,
        len(histories),
        len(revocations),
        sum(each.confirmed is not None for each in revocations),
        sum(each.known_as is not None and each.status != 200 for each in revocations),
        len(requests),
        sum(map(late, histories)),
        sum(each.status == 503 for each in requests),
        max(map(outage, histories), default=0.0),
        sum(len(judge(history)) for history in histories),
    )


def markdown(rows: Sequence[Row]) -> str:
    """A table for a document."""
    alignment = ("---", *("--:" for _ in HEADS[1:]))
    lines = [HEADS, alignment, *(row.cells() for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def plain(rows: Sequence[Row]) -> str:
    """A table for a terminal."""
    lines = [HEADS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADS))]
    return "".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        + "\n"
        for line in lines
    )
