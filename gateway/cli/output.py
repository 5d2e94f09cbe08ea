"""Tables for people, JSON for programs, and one way to fail.

Exit codes: 0 done, 1 it could not be done, 2 wrong usage, 3 the store did not answer.
"""

import errno
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.errors import Fault, Faulty, StoreUnavailable

FAILED = 1
STORE_UNAVAILABLE = 3

_WIDE = 10_000

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def failures(*, as_json: bool = False) -> Iterator[None]:
    """Turn what the gateway raises on purpose into a message and an exit code, without a traceback."""
    try:
        yield
    except Faulty as error:
        show_faults(error.faults, as_json=as_json)
        raise typer.Exit(FAILED) from None
    except StoreUnavailable as error:
        errors.print(f"The store is not available: {error}", style="red", markup=False)
        raise typer.Exit(STORE_UNAVAILABLE) from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise fail(f"{error.strerror}. Choose another port, or stop what listens there.") from None
        where = f": {error.filename}" if error.filename else ""
        raise fail(f"{error.strerror or error}{where}") from None


def show_faults(faults: Sequence[Fault], *, as_json: bool) -> None:
    """All faults: `file:line:column: message` on standard error, or a JSON list on standard output."""
    if as_json:
        rows = [{"file": f.file, "line": f.line, "column": f.column, "message": f.message} for f in faults]
        show_json({"faults": rows})
        return
    for fault in faults:
        errors.print(str(fault), markup=False)
    errors.print(f"[red]{len(faults)} fault{'s' if len(faults) != 1 else ''}[/]")


def fail(message: str, *, as_json: bool = False) -> typer.Exit:
    """Say why it could not be done, on standard error or as `{"error"}` on standard output; to be raised."""
    if as_json:
        show_json({"error": message})
    else:
        errors.print(message, style="red", markup=False)
    return typer.Exit(FAILED)


def show_json(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False))


def show_table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column == "id")  # an id is there to be copied
    for row in rows:
        table.add_row(*map(Text, row))  # as it is: what people wrote may look like markup
    # For a program, a row is a line, however long.
    (console if console.is_terminal else Console(width=_WIDE, highlight=False)).print(table)
