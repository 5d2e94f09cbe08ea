"""`watchword token` and `revoke`: what operators do at the keyboard."""

from dataclasses import replace
from typing import Annotated, TypedDict

import typer

from gateway import clock
from gateway.admin.tokens import Scope as TokenScope
from gateway.admin.tokens import issue_token
from gateway.cli.common import Config, Json, one_line, settings_from, with_store
from gateway.cli.output import INTERRUPTED, console, demand_terminal, fail, failures, show_ended, show_json
from gateway.cli.people import actor
from gateway.core.ending import Scope
from gateway.errors import RevocationPending, StoreUnavailable
from gateway.store.audit import AuditEntry
from gateway.store.keyring import KeyRing
from gateway.store.opening import Store
from gateway.store.orders import Revocation

_DAY = 86400.0


class _Why(TypedDict):
    reason: str
    actor: str
    now: float


def token(
    name: Annotated[str, typer.Argument(help="Who the token is for; the audit stream names them.")],
    scope: Annotated[
        list[TokenScope],
        typer.Option(
            help="What it allows: to look things up, to revoke, to reset factors. May be given several times."
        ),
    ],
    days: Annotated[int, typer.Option(min=1, max=3650, help="How many days it is valid.")] = 30,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Make a bearer token for the operators' API, and print it. It cannot be shown again.

    It is signed with the key ring, which has to be that of the store: no gateway would take another's. It
    counts until it expires, and cannot be called back singly.
    """

    async def fitting(_: Store, ring: KeyRing) -> KeyRing:
        return ring

    with failures(as_json=as_json):
        ring = with_store(settings_from(config), fitting)
    try:
        value = issue_token(ring, name, frozenset(scope), days * _DAY, clock.now())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="NAME") from None
    if as_json:
        show_json({"name": name, "scopes": sorted(scope), "days": days, "token": value})
    else:
        typer.echo(value)


def revoke(
    scope: Annotated[Scope, typer.Argument(help="What to end.")],
    target: Annotated[
        str | None,
        typer.Argument(
            help="The id of the session or device, or the account's name; none for everybody. watchword "
            "device list shows devices, GET /v1/accounts/NAME/sessions at the operators' API sessions."
        ),
    ] = None,
    reason: Annotated[
        str, typer.Option(callback=one_line, help="Why, for the audit stream.")
    ] = "revoked by an operator",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether everybody is meant.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """End a session, a device, an account's sessions, or everybody's, and wait until no gateway accepts it.

    Before it ends everybody's it asks at the terminal; without one, --yes has to be said.

    Where replicas do not answer, or the store falls silent on the way, it is pending: a gateway on this
    machine finishes it, and this command ends with 1. A store that is down takes nothing: it ends with 3.
    """
    if (scope is Scope.EVERYBODY) != (target is None):
        raise typer.BadParameter(
            "everybody takes no target" if target else f"name the {scope} to end", param_hint="TARGET"
        )

    if scope is Scope.EVERYBODY and not yes:
        _confirm_everybody(as_json=as_json)

    async def revoked(store: Store, _: KeyRing) -> Revocation | None:
        return await _revoke(store, scope, target or "", reason, clock.now())

    with failures(as_json=as_json):
        try:
            done = with_store(settings_from(config), revoked)
        except RevocationPending:
            raise
        except StoreUnavailable as error:
            raise StoreUnavailable(f"{error}. {_NOTHING_ENDED}") from error
        except KeyboardInterrupt:
            raise fail(_INTERRUPTED, as_json=as_json, code=INTERRUPTED) from None
    if done is None:
        raise fail(f"There is no {scope} {target!r}.", as_json=as_json)
    what = f"{scope}{f' {target}' if target else ''}"
    show_ended(done, f"Revoked {what}{_by_whom(done)}", as_json=as_json)


_NOTHING_ENDED = (
    "Nothing was ended, as far as can be told: ask again. A gateway that runs takes an account's end, and "
    "everybody's, also now: POST /v1/revocations at the operators' API."
)


_INTERRUPTED = (
    "Interrupted. That calls nothing off: what the store or the disk has taken is finished by a gateway on "
    "this machine. GET /v1/revocations at the operators' API tells what became of it."
)


def _confirm_everybody(*, as_json: bool) -> None:
    demand_terminal(as_json=as_json)
    console.print("Everybody will have to sign in again, at every app, and what they have open is cut off.")
    if (
        typer.prompt(f"Type {Scope.EVERYBODY} if that is meant", default="", show_default=False)
        != "everybody"
    ):
        raise typer.Abort


def _by_whom(done: Revocation) -> str:
    confirmed = done.confirmation
    if confirmed is None:
        return ""
    nodes = "1 node has" if confirmed.nodes == 1 else f"{confirmed.nodes} nodes have"
    silent = f", and the lease of {confirmed.silent} more is over" if confirmed.silent else ""
    by_whom = f"{nodes} confirmed it{silent}" if confirmed.nodes or silent else "no gateway runs"
    return f": {by_whom} ({confirmed.elapsed_ms:.1f} ms)"


async def _revoke(store: Store, scope: Scope, target: str, reason: str, now: float) -> Revocation | None:
    """It goes on record in the step that does it, so that a pending one does as well."""
    revocations = store.revocations
    why: _Why = {"reason": reason, "actor": actor(), "now": now}
    entry = AuditEntry(now, f"{scope}-revoked", actor(), reason=reason)
    match scope:
        case Scope.SESSION:
            session = await store.sessions.find(target)
            if session is None:
                return None
            entry = replace(entry, subject=session.subject, session_id=target)
            return await revocations.session(target, **why, entries=[entry])
        case Scope.DEVICE:
            device = await store.devices.find(target)
            if device is None:
                return None
            entry = replace(entry, subject=device.subject, device_id=target)
            return await revocations.device(target, **why, entries=[entry])
        case Scope.ACCOUNT:
            return await revocations.account(target, **why, entries=[replace(entry, subject=target)])
        case Scope.EVERYBODY:
            return await revocations.everybody(**why, entries=[entry])
