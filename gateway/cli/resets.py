"""`watchword reset`: support gives somebody back an account whose factors are all lost.

The rule that one person cannot do it alone holds here as well: `cli:grace` and the operator grace are
the same person. Whoever holds this machine can call themselves what they like; they hold the key ring
and the store anyway, which no rule of this program can protect from them.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway import clock
from gateway.admin.resets import ResetView
from gateway.assembly import reset_cases
from gateway.cli.common import Config, Json, one_line, settings_from, with_store
from gateway.cli.output import console, fail, failures, moment, show_json, show_table
from gateway.cli.people import Subject, actor
from gateway.core.reasons import Reason
from gateway.core.reset import Actor, Reset, ResetState, Step
from gateway.identity.resets import Described, ResetCases, objection
from gateway.store.audit import AuditEntry
from gateway.store.keyring import KeyRing
from gateway.store.opening import Store
from gateway.web.problems import title_of

_MOST_LISTED = 1000
_NO_CASE = "There is no such case."

app = typer.Typer(
    no_args_is_help=True,
    help=(
        "Support gives somebody back an account whose authenticator apps are all lost.\n\n"
        "reset open, then reset evidence for each item of the list (resets.evidence), then reset approve by "
        "somebody else. The account's holder is told, and can stop it. When the waiting time "
        "(resets.waiting) is over, a gateway takes all authenticator apps and recovery codes off the "
        "account, and ends its sessions and devices."
    ),
)


Id = Annotated[str, typer.Argument(metavar="ID", help="The case's id, as reset list shows it.")]
Why = Annotated[str, typer.Option("--reason", callback=one_line, help="Why, for the audit stream.")]

Take = Callable[[ResetCases, Actor, float, Described], Awaitable[Reset | Reason]]


@app.command("open")
def open_reset(subject: Subject, reason: Why, config: Config = None, as_json: Json = False) -> None:
    """Open a case: somebody says that all they had is lost. The account's holder is told at once."""
    _take(
        lambda cases, by, now, described: cases.open(subject, reason, by, now, described=described),
        ("reset-opened", reason),
        config,
        subject=subject,
        as_json=as_json,
    )


@app.command()
def evidence(
    reset_id: Id,
    item: Annotated[str, typer.Argument(help="What was checked: an item of the list, such as phone.")],
    statement: Annotated[
        str,
        typer.Argument(
            callback=one_line, help="What was found. Say it; copies of papers do not belong here."
        ),
    ],
    config: Config = None,
    as_json: Json = False,
) -> None:
    """State what you checked, and what you found. Each item of the list needs a statement.

    reset show tells which items have none yet.
    """
    _take(
        lambda cases, by, now, described: cases.record(
            reset_id, item, statement, by, now, described=described
        ),
        ("reset-evidence", item),
        config,
        reset_id=reset_id,
        as_json=as_json,
    )


@app.command()
def approve(reset_id: Id, reason: Why, config: Config = None, as_json: Json = False) -> None:
    """Let it happen, after the waiting time. Not for whoever opened the case or recorded evidence."""
    _take(
        lambda cases, by, now, described: cases.approve(reset_id, by, now, described=described),
        ("reset-approved", reason),
        config,
        reset_id=reset_id,
        as_json=as_json,
    )


@app.command()
def refuse(reset_id: Id, reason: Why, config: Config = None, as_json: Json = False) -> None:
    """Close a case: the evidence is not enough."""
    _take(
        lambda cases, by, now, described: cases.close(
            reset_id, Step.REFUSE, reason, by, now, described=described
        ),
        ("reset-refused", reason),
        config,
        reset_id=reset_id,
        as_json=as_json,
    )


@app.command()
def abandon(reset_id: Id, reason: Why, config: Config = None, as_json: Json = False) -> None:
    """Close a case: it is not wanted any more."""
    _take(
        lambda cases, by, now, described: cases.close(
            reset_id, Step.ABANDON, reason, by, now, described=described
        ),
        ("reset-abandoned", reason),
        config,
        reset_id=reset_id,
        as_json=as_json,
    )


@app.command("list")
def list_resets(
    state: Annotated[ResetState | None, typer.Option(help="Only the cases in this state.")] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """List the cases that are kept, newest first."""
    states = frozenset(ResetState if state is None else (state,))

    async def listed(store: Store, _: KeyRing) -> list[Reset]:
        return await store.resets.list(states, _MOST_LISTED)

    with failures(as_json=as_json):
        resets = with_store(settings_from(config), listed)
    if as_json:
        show_json([_row(reset) for reset in resets])
    elif not resets:
        console.print("There is no such case.")
    else:
        show_table(
            ("id", "subject", "state", "opened", "by", "not checked yet"),
            (
                (
                    reset.id,
                    reset.subject,
                    reset.state,
                    _moment(reset.opened_at),
                    reset.opened_by.name,
                    ", ".join(reset.missing) if reset.live else "",
                )
                for reset in resets
            ),
        )


@app.command()
def show(reset_id: Id, config: Config = None, as_json: Json = False) -> None:
    """Show a case with all that was stated in it."""

    async def found(store: Store, _: KeyRing) -> Reset | None:
        return await store.resets.find(reset_id)

    with failures(as_json=as_json):
        reset = with_store(settings_from(config), found)
    if reset is None:
        raise fail(_NO_CASE, as_json=as_json)
    if as_json:
        show_json(_row(reset))
        return
    show_table(("", ""), _told(reset))
    if reset.evidence:
        show_table(
            ("checked", "found", "by", "at"),
            ((each.item, each.text, each.by.name, _moment(each.at)) for each in reset.evidence),
        )


def _take(
    take: Take,
    said: tuple[str, str],
    config: Path | None,
    *,
    reset_id: str | None = None,
    subject: str | None = None,
    as_json: bool,
) -> None:
    """Take one step of a case, or the first for an account, and tell what the case is now.

    It is put on record as `said`, an event and what about it.
    """
    event, about = said

    async def taken(store: Store, _: KeyRing) -> Reset | str:
        now = clock.now()

        def described(reset: Reset) -> list[AuditEntry]:
            return [AuditEntry(now, event, actor(), reset.subject, reason=f"{reset.id} {about}")]

        outcome = await take(reset_cases(settings, store), Actor(actor()), now, described)
        if isinstance(outcome, Reason):
            reset = None if reset_id is None else await store.resets.find(reset_id)
            return _why_not(
                outcome, reset, _NO_CASE if subject is None else f"There is no account {subject!r}."
            )
        return outcome

    with failures(as_json=as_json):
        settings = settings_from(config)
        outcome = with_store(settings, taken)
    if isinstance(outcome, str):
        raise fail(outcome, as_json=as_json)
    if as_json:
        show_json(_row(outcome))
    else:
        console.print(_summary(outcome), markup=False)


def _why_not(reason: Reason, reset: Reset | None, missing: str) -> str:
    """What an operator is told; `missing` is what is not there if something is not."""
    if reason is Reason.NOT_FOUND:
        return missing
    return f"{title_of(reason)}. {objection(reason, reset)}".strip()


def _summary(reset: Reset) -> str:
    match reset.state:
        case ResetState.OPEN:
            left = (
                f"Not checked yet: {', '.join(reset.missing)}."
                if reset.missing
                else "Somebody else can approve it."
            )
            return f"Reset {reset.id} of {reset.subject} is open. {left}"
        case ResetState.WAITING:
            return f"Reset {reset.id} of {reset.subject} waits until {_moment(reset.due_at)}."
        case _:
            return f"Reset {reset.id} of {reset.subject} is {reset.state}."


def _told(reset: Reset) -> list[tuple[str, str]]:
    told = [
        ("case", reset.id),
        ("account", reset.subject),
        ("state", str(reset.state)),
        ("opened", f"{_moment(reset.opened_at)} by {reset.opened_by.name}: {reset.why}"),
    ]
    if reset.missing:
        told.append(("not checked", ", ".join(reset.missing)))
    if reset.approved_by:
        told.append(("approved", f"{_moment(reset.approved_at)} by {reset.approved_by.name}"))
    if reset.state is ResetState.WAITING:
        told.append(("due", _moment(reset.due_at)))
    if reset.closed_by:
        told.append(
            ("closed", f"{_moment(reset.closed_at)} by {reset.closed_by.name}: {reset.closed_because}")
        )
    return told


def _row(reset: Reset) -> dict[str, Any]:
    """The same as the operators' API answers, with times to the second."""
    return ResetView.shown(reset).model_dump()


def _moment(seconds: float | None) -> str:
    """When; empty for what has not happened."""
    return "" if seconds is None else moment(seconds)
