"""`watchword device`: support lets in the device of somebody who has no other one at hand."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import typer

from gateway import clock
from gateway.admin.devices import DeviceView
from gateway.cli.common import Config, Json, settings_from, with_store
from gateway.cli.output import console, fail, failures, show_json, show_table
from gateway.cli.people import Subject, actor
from gateway.cli.resets import Why
from gateway.core.records import Device
from gateway.identity.device_names import LONGEST_NAME, chosen_name
from gateway.portal.texts import Texts
from gateway.store.audit import AuditEntry
from gateway.store.keyring import KeyRing
from gateway.store.opening import Store

app = typer.Typer(
    no_args_is_help=True, help="The devices of an account. To end one: watchword revoke device ID."
)

Id = Annotated[str, typer.Argument(metavar="ID", help="The device's id, as list shows it.")]


@app.command("list")
def list_devices(subject: Subject, config: Config = None, as_json: Json = False) -> None:
    """List an account's devices, newest use first, each with the words that it shows while it waits."""

    async def listed(store: Store, _: KeyRing) -> list[Device] | None:
        known = await store.accounts.find(subject)
        return None if known is None else await store.devices.list(subject)

    with failures(as_json=as_json):
        devices = with_store(settings_from(config), listed)
    if devices is None:
        raise fail(f"There is no account {subject!r}.", as_json=as_json)
    words = Texts.load("en").words
    if as_json:
        show_json([DeviceView.shown(device, words).model_dump(mode="json") for device in devices])
        return
    show_table(
        ("id", "name", "state", "words", "address"),
        (
            (device.id, device.name, _state(device), words(device.word_seed) or "", device.address)
            for device in devices
        ),
    )


@app.command()
def confirm(device_id: Id, reason: Why, config: Config = None, as_json: Json = False) -> None:
    """Let a device in, as one that its owner confirmed. Ask for its two words, and who is asking, first."""
    _change(
        device_id,
        lambda store, now: store.devices.confirm(device_id, now),
        ("device-authorised", reason),
        config,
        as_json=as_json,
    )


@app.command()
def rename(
    device_id: Id,
    name: Annotated[str, typer.Argument(help="Its new name.")],
    reason: Why,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Give a device another name."""
    chosen = chosen_name(name)
    if chosen is None:
        raise typer.BadParameter(
            f"must be one line of visible text, at most {LONGEST_NAME} characters", param_hint="NAME"
        )
    _change(
        device_id,
        lambda store, _: store.devices.rename(device_id, chosen),
        ("device-renamed", f"{chosen}: {reason}"),
        config,
        as_json=as_json,
    )


def _change(
    device_id: str,
    change: Callable[[Store, float], Awaitable[Device | None]],
    said: tuple[str, str],
    config: Path | None,
    *,
    as_json: bool,
) -> None:
    """Change a device, put that on record as (event, reason), and tell what it is now."""
    event, reason = said

    async def changed(store: Store, _: KeyRing) -> Device | None:
        now = clock.now()
        device = await change(store, now)
        if device is not None:
            entry = AuditEntry(now, event, actor(), device.subject, device_id=device_id, reason=reason)
            await store.audit.record(entry)
        return device

    with failures(as_json=as_json):
        device = with_store(settings_from(config), changed)
    if device is None:
        raise fail("There is no such device, or it was revoked.", as_json=as_json)
    if as_json:
        show_json(DeviceView.shown(device, Texts.load("en").words).model_dump(mode="json"))
    else:
        console.print(f"{device.name} of {device.subject} is {_state(device)}.", markup=False)


def _state(device: Device) -> str:
    return "confirmed" if device.is_confirmed else str(device.state)
