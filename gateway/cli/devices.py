"""`watchword device`: the devices of an account, as support looks after them.

To end one is `watchword revoke device`, like the end of anything else.
"""

from typing import Annotated, Any

import typer

from gateway import clock
from gateway.admin.devices import DeviceView
from gateway.cli.common import Config, Json, one_line, settings_from, with_store
from gateway.cli.output import console, fail, failures, moment, show_json, show_table
from gateway.cli.people import Subject, actor
from gateway.core.records import Device
from gateway.identity.device_names import LONGEST_NAME, chosen_name
from gateway.portal.texts import Texts
from gateway.store.audit import AuditEntry
from gateway.store.keyring import KeyRing
from gateway.store.opening import Store

app = typer.Typer(
    no_args_is_help=True,
    help="The devices of an account. To end one: watchword revoke device ID.",
)

Id = Annotated[str, typer.Argument(metavar="ID", help="The device's id, as device list shows it.")]

_NO_DEVICE = "There is no such device, or it was revoked."


@app.command("list")
def list_devices(subject: Subject, config: Config = None, as_json: Json = False) -> None:
    """List an account's devices, newest use first, with the two words that each shows while it waits.

    Browser and system are what it claims.
    """

    async def listed(store: Store, _: KeyRing) -> list[Device] | None:
        known = await store.accounts.find(subject)
        return None if known is None else await store.devices.list(subject)

    with failures(as_json=as_json):
        devices = with_store(settings_from(config), listed)
    if devices is None:
        raise fail(f"There is no account {subject!r}.", as_json=as_json)
    shown = [_shown(device) for device in devices]
    if as_json:
        show_json([view.model_dump() for view in shown])
    elif not shown:
        console.print(f"{subject} has used no device yet.")
    else:
        show_table(
            ("id", "name", "browser", "system", "state", "words", "last used", "from"),
            (
                (
                    view.id,
                    view.name,
                    view.browser or "",
                    view.system or "",
                    f"{view.state}, confirmed" if view.confirmed else view.state,
                    view.words or "",
                    moment(view.last_used_at),
                    view.address,
                )
                for view in shown
            ),
        )


@app.command()
def confirm(
    device_id: Id,
    reason: Annotated[
        str,
        typer.Option(
            callback=one_line, help="How you know that it is the account holder's, for the audit stream."
        ),
    ],
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Let a device in, as one that its owner stands behind. Ask for the two words that it shows first."""

    async def confirmed(store: Store, _: KeyRing) -> Device | None:
        now = clock.now()
        device = await store.devices.confirm(device_id, now)
        await _record(store, device, "device-authorised", reason, now)
        return device

    with failures(as_json=as_json):
        device = with_store(settings_from(config), confirmed)
    _tell(device, "is confirmed", as_json=as_json)


@app.command()
def rename(
    device_id: Id,
    name: Annotated[str, typer.Argument(help=f"One line of at most {LONGEST_NAME} visible characters.")],
    reason: Annotated[
        str, typer.Option(callback=one_line, help="Why, for the audit stream.")
    ] = "renamed by an operator",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Give a device another name, which its owner sees as well."""
    chosen = chosen_name(name)
    if chosen is None:
        raise typer.BadParameter(
            f"must be one line of visible text, at most {LONGEST_NAME} characters", param_hint="NAME"
        )

    async def renamed(store: Store, _: KeyRing) -> Device | None:
        device = await store.devices.rename(device_id, chosen)
        await _record(store, device, "device-renamed", f"{chosen}: {reason}", clock.now())
        return device

    with failures(as_json=as_json):
        device = with_store(settings_from(config), renamed)
    _tell(device, "has its new name", as_json=as_json)


async def _record(store: Store, device: Device | None, event: str, reason: str, now: float) -> None:
    if device is not None:
        entry = AuditEntry(now, event, actor(), device.subject, device_id=device.id, reason=reason)
        await store.audit.record(entry)


def _tell(device: Device | None, what: str, *, as_json: bool) -> None:
    """What became of a device; None for one that is not there, which is a failure."""
    if device is None:
        raise fail(_NO_DEVICE, as_json=as_json)
    if as_json:
        answer: dict[str, Any] = _shown(device).model_dump()
        show_json(answer)
    else:
        console.print(f"{device.name} of {device.subject} {what}.", markup=False)


def _shown(device: Device) -> DeviceView:
    """The same as the operators' API answers."""
    return DeviceView.shown(device, Texts.load("en").words)
