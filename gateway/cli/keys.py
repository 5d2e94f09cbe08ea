"""`watchword keys`: the key ring, while gateways use it."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gateway import clock
from gateway.cli.common import Config, Json, settings_with_ring, with_store
from gateway.cli.output import (
    console,
    counted,
    demand_terminal,
    errors,
    fail,
    failures,
    moment,
    show_json,
    show_table,
)
from gateway.cli.people import actor
from gateway.errors import KeyRefused
from gateway.settings import Settings
from gateway.store import rotation, sealed
from gateway.store.audit import AuditEntry
from gateway.store.keyring import KeyRing
from gateway.store.live_ring import LiveKeyRing
from gateway.store.opening import Store
from gateway.store.ring_file import load

app = typer.Typer(
    no_args_is_help=True,
    help=(
        "The key ring that secrets in the store are sealed with.\n\n"
        "One machine: keys rotate. Several: keys add, copy the ring to all of them, keys rotate, and copy it "
        "once more. Gateways take it up while they run. After that keys retire takes the old key out."
    ),
)


@contextmanager
def _refusals(*, as_json: bool) -> Iterator[None]:
    with failures(as_json=as_json):
        try:
            yield
        except KeyRefused as error:
            raise fail(str(error), as_json=as_json) from None


@app.command("list")
def list_keys(config: Config = None, as_json: Json = False) -> None:
    """List the keys: their names, what they do and since when, and how much is sealed with each.

    An active key seals. One that waits will, after keys rotate. One that is kept only opens what was sealed
    with it. The keys themselves are never shown.
    """

    async def listed(store: Store, ring: KeyRing) -> list[dict[str, Any]]:
        return _rows(ring, await store.sealed.needs(), [*(await store.sealed.known_keys()).used])

    with failures(as_json=as_json):
        settings = settings_with_ring(config)
        rows = with_store(settings, listed)
    if as_json:
        active = next(row["name"] for row in rows if row["state"] == "active")
        show_json({"path": str(settings.keys), "active": active, "keys": rows})
        return
    console.print(f"{settings.keys}", markup=False)
    show_table(
        ("key", "state", "since", "sealed with it"),
        ((row["name"], row["state"], row["since"] or "", str(row["needed_by"])) for row in rows),
    )


@app.command()
def add(config: Config = None, as_json: Json = False) -> None:
    """Add a key that waits, to be copied to other machines before keys rotate makes it the active one."""
    with failures(as_json=as_json):
        settings = settings_with_ring(config)
        name = rotation.add(settings.keys, clock.now())
    if as_json:
        show_json({"path": str(settings.keys), "added": name})
        return
    console.print(f"Added {name}, which waits.")
    console.print(f"Copy {settings.keys} to every machine, then: watchword keys rotate", markup=False)


@app.command()
def rotate(config: Config = None, as_json: Json = False) -> None:
    """Let the key that waits seal from now on, or a new one, and seal everything in the store anew with it.

    Gateways go on meanwhile, and nobody waits. What was interrupted is taken up by keys reseal.
    """

    async def rotated(store: Store, _: KeyRing) -> rotation.Rotated:
        now = clock.now()
        done = await rotation.rotate(settings.keys, store.sealed, now)
        reason = f"{done.becomes} in place of {done.was}"
        await store.audit.record(AuditEntry(now, "keys-rotated", actor(), reason=reason))
        return done

    with _refusals(as_json=as_json):
        settings = settings_with_ring(config)
        done = with_store(settings, rotated)
    if not as_json:
        console.print(f"{done.becomes} is active now, in place of {done.was}.")
    progress = _resealed(settings, as_json=as_json)
    if as_json:
        show_json({"active": done.becomes, "was": done.was, **_counts(progress)})


@app.command()
def reseal(config: Config = None, as_json: Json = False) -> None:
    """Seal anew what is still sealed with a key that is only kept. It may be interrupted and repeated."""
    with _refusals(as_json=as_json):
        settings = settings_with_ring(config)
    progress = _resealed(settings, as_json=as_json)
    if as_json:
        show_json(_counts(progress))


@app.command()
def retire(
    name: Annotated[str, typer.Argument(help="The key, as keys list names it.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether that is meant.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Take a key out of the ring for good, if nothing in the store needs it. No copy is kept.

    A backup of the store from before everything was sealed anew opens with the old key only.
    """

    async def checked(store: Store, ring: KeyRing) -> None:
        await rotation.demand_retirable(ring, store.sealed, name, clock.now())

    with _refusals(as_json=as_json):
        settings = settings_with_ring(config)
        if not yes:
            with_store(settings, checked)  # nobody is asked about what cannot be done
    if not yes:
        _confirm(name, as_json=as_json)

    async def retired(store: Store, _: KeyRing) -> None:
        now = clock.now()
        await rotation.retire(settings.keys, store.sealed, name, now)
        await store.audit.record(AuditEntry(now, "keys-retired", actor(), reason=name))

    with _refusals(as_json=as_json):
        with_store(settings, retired)
    if as_json:
        show_json({"retired": name})
    else:
        console.print(f"Retired {name}. Copy the ring to the other machines, if there are any.", markup=False)


def _resealed(settings: Settings, *, as_json: bool) -> sealed.Progress:
    """Seal everything anew, and say how far it is; what could not be opened is a failure."""
    shown = Progress(
        TextColumn("Looking through the store's records"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=errors,
        disable=as_json,
    )

    async def resealed(store: Store, _: KeyRing) -> sealed.Progress:
        ring, this = LiveKeyRing(settings.keys, load(settings.keys)), asyncio.current_task()
        progress = sealed.Progress()
        async for progress in store.sealed.reseal(ring.current):
            shown.update(bar, completed=progress.seen, total=progress.total)
            if this and this.cancelling():
                raise asyncio.CancelledError  # a call of the store may have swallowed it: see `follow`
        shown.update(bar, completed=progress.seen, total=progress.seen)
        return progress

    try:
        with failures(as_json=as_json), shown:
            bar = shown.add_task("", total=None)
            done = with_store(settings, resealed)
    except KeyboardInterrupt:
        raise fail("Interrupted. watchword keys reseal goes on with it.", as_json=as_json) from None
    if done.broken:
        raise fail(
            f"{counted(done.broken, 'sealed value')} cannot be opened; the log names all.", as_json=as_json
        )
    if not as_json:
        console.print(f"Sealed {counted(done.resealed, 'value')} anew.")
    return done


def _counts(done: sealed.Progress) -> dict[str, int]:
    return {"seen": done.seen, "resealed": done.resealed}


def _confirm(name: str, *, as_json: bool) -> None:
    demand_terminal(as_json=as_json)
    console.print(f"{name} will be gone, and whatever is sealed with it. No copy is kept.", markup=False)
    typer.confirm("Retire it?", abort=True)


def _rows(ring: KeyRing, needs: Counter[str], used: list[str]) -> list[dict[str, Any]]:
    """The keys of the ring, and those that the store has heard of and the ring has not."""
    rows = [(name, str(ring.state(name)), ring.since(name)) for name in ring.keys]
    rows += [(name, "missing", None) for name in sorted(used) if name not in ring.keys]
    return [
        {
            "name": name,
            "state": state,
            "since": None if since is None else moment(since),
            "needed_by": needs[name],
        }
        for name, state, since in rows
    ]
