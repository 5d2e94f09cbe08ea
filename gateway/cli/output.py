"""Tables for people, JSON for programs, one way to write times and numbers, and one way to fail.

What does not go to a terminal is not wrapped: a row of a table is a line.

Exit codes: 0 done, 1 it could not be done, 2 wrong usage, 3 the store did not answer, 130 it was
interrupted.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.admin.views import Pending
from gateway.core.ending import Scope
from gateway.errors import CannotListen, Fault, Faulty, RevocationPending, StoreUnavailable
from gateway.store.orders import Revocation

FAILED = 1
STORE_UNAVAILABLE = 3
INTERRUPTED = 130

_WIDEST = 100_000
"""Columns of what is not read at a terminal; no row is as long."""

console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def failures(*, as_json: bool = False) -> Iterator[None]:
    """Turn what the gateway raises on purpose into a message and an exit code, without a traceback."""
    try:
        yield
    except Faulty as error:
        show_faults(error.faults, as_json=as_json)
        raise typer.Exit(FAILED) from None
    except RevocationPending as error:
        if as_json:
            show_json(Pending.said(error.revocation_id, Scope(error.scope)).model_dump())
        else:
            console.print(
                f"The store did not take the revocation: {error}. {pending(error.revocation_id)}",
                markup=False,
            )
        raise typer.Exit(FAILED) from None
    except StoreUnavailable as error:
        message = f"The store is not available: {error}"
        raise fail(message, as_json=as_json, code=STORE_UNAVAILABLE) from None
    except CannotListen as error:
        raise fail(f"{error}.", as_json=as_json) from None
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        raise fail(f"{error.strerror or error}{where}", as_json=as_json) from None


def show_faults(faults: Sequence[Fault], *, as_json: bool) -> None:
    """All faults: `file:line:column: message` on standard error, or a JSON list on standard output."""
    if as_json:
        rows = [{"file": f.file, "line": f.line, "column": f.column, "message": f.message} for f in faults]
        show_json({"faults": rows})
        return
    for fault in faults:
        errors.print(str(fault), markup=False)
    errors.print(f"[red]{counted(len(faults), 'fault')}[/]")


def fail(message: str, *, as_json: bool = False, code: int = FAILED) -> typer.Exit:
    """Say why it could not be done, on standard error or as `{"error"}` on standard output; to be raised."""
    if as_json:
        show_json({"error": message})
    else:
        errors.print(message, style="red", markup=False)
    return typer.Exit(code)


def told(done: Revocation) -> dict[str, object]:
    """A revocation for programs: its confirmation, or where to ask for it."""
    said: dict[str, object] = {"id": done.revocation_id, "scope": done.scope, "subject": done.subject}
    if done.confirmation is None:
        return {**said, **Pending.said(done.revocation_id, done.scope).model_dump()}
    return {**said, "confirmed": True, **asdict(done.confirmation)}


def show_ended(done: Revocation, what: str, *, as_json: bool, **more: object) -> None:
    """Say `what` a command has done that ended sessions, and end it with 1 while that end is pending."""
    if as_json:
        show_json({**told(done), **more})
    elif done.confirmation is None:
        console.print(f"{what}, {unacknowledged(done)}", markup=False)
    else:
        console.print(f"{what}.", markup=False)
    if done.confirmation is None:
        raise typer.Exit(FAILED)


def unacknowledged(done: Revocation) -> str:
    """The rest of a sentence on what took place and is not certain yet."""
    return f"but too few replicas of the store have acknowledged it. {pending(done.revocation_id)}"


def pending(revocation_id: str) -> str:
    """What becomes of a revocation that is not certain yet, and how to ask."""
    return (
        "It is pending: a gateway on this machine goes on until it is confirmed. Its id is "
        f"{revocation_id}; GET /v1/revocations/{revocation_id} at the operators' API tells what became of it."
    )


def demand_terminal(*, as_json: bool) -> None:
    """Before anybody is asked whether it is meant. Raises typer.Exit where there is nobody to ask."""
    if as_json:
        raise fail("With --json nothing is asked; say --yes if it is meant.", as_json=True)
    if not sys.stdin.isatty():
        raise fail("There is no terminal to ask at; say --yes if it is meant.")


def counted(number: int, what: str) -> str:
    """`1 fault`, `2 faults`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def moment(at: float | datetime) -> str:
    """RFC 3339 in UTC, to the second: `2026-11-27T09:12:40Z`. `at` in Unix seconds, or with a time zone."""
    time = at if isinstance(at, datetime) else datetime.fromtimestamp(at, UTC)
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def show_json(value: Any) -> None:
    """One line. Times may be in it as `datetime`."""
    typer.echo(json.dumps(value, ensure_ascii=False, default=moment))


def show_table(columns: Sequence[str], rows: Iterable[Iterable[str]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold", show_header=any(columns))
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column == "id")  # an id is there to be copied
    for row in rows:
        table.add_row(*map(Text, row))  # as it is: what people wrote may look like markup
    if console.is_terminal:
        console.print(table, soft_wrap=False)
    else:
        wide = Console(highlight=False, width=_WIDEST)
        with wide.capture() as captured:
            wide.print(table)
        for line in captured.get().removesuffix("\n").split("\n"):
            typer.echo(line.rstrip())
