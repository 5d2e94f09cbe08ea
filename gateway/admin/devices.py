"""Devices as operators look after them: seen as their owners see them, let in, and named.

Revoking one is an order like the revocation of anything else.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Self

from pydantic import AfterValidator, StringConstraints

from gateway.admin.call import Call, Outcome, Refused
from gateway.admin.operations import account_of
from gateway.admin.orders import Body, Why, read_body, visible
from gateway.admin.views import View
from gateway.core.reasons import Reason
from gateway.core.records import Device, DeviceState
from gateway.identity.device_names import LONGEST_NAME
from gateway.store.audit import AuditEntry
from gateway.store.opening import Store

Words = Callable[[str], str | None]
"""The words that stand for a seed, None for ""."""

_NO_DEVICE = "There is no such device, or it was revoked."


class LetIn(Body):
    """Let a device in; the reason says how it is known to be its owner's."""

    reason: Why


class Rename(Body):
    """Give a device another name."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_NAME), AfterValidator(visible)]
    reason: Why


class DeviceView(View):
    """A browser or client that the account has used.

    Browser and system are what it claims. `words` are what it shows while it asks to be confirmed, so
    that whoever asks support can say which one is theirs.
    """

    id: str
    name: str
    browser: str | None
    system: str | None
    user_agent: str
    state: DeviceState
    confirmed: bool
    words: str | None
    address: str
    first_used_at: datetime
    last_used_at: datetime

    @classmethod
    def shown(cls, device: Device, words: Words) -> Self:
        return cls.model_validate(
            {
                **{name: getattr(device, name) for name in _AS_RECORDED},
                "browser": device.browser or None,
                "system": device.system or None,
                "confirmed": device.is_confirmed,
                "words": words(device.word_seed),
            }
        )


_AS_RECORDED = ("id", "name", "user_agent", "state", "address", "first_used_at", "last_used_at")


class DeviceOperations:
    """Each takes a call and returns its outcome; each raises Refused and StoreUnavailable."""

    def __init__(self, store: Store, words: Words) -> None:
        self._store = store
        self._words = words

    async def devices(self, call: Call) -> Outcome:
        subject = (await account_of(self._store, call)).subject
        devices = await self._store.devices.list(subject)
        views = [DeviceView.shown(device, self._words) for device in devices]
        return Outcome(views, call.entry("devices-read", subject))

    async def authorise_device(self, call: Call) -> Outcome:
        order = await read_body(call.request, LetIn)
        entry = await self._entry(call, "device-authorised", order.reason)
        return self._outcome(await self._store.devices.confirm(entry.device_id, call.now, entries=[entry]))

    async def rename_device(self, call: Call) -> Outcome:
        order = await read_body(call.request, Rename)
        name = order.name.strip()
        entry = await self._entry(call, "device-renamed", f"{name}: {order.reason}")
        return self._outcome(await self._store.devices.rename(entry.device_id, name, entries=[entry]))

    async def _entry(self, call: Call, event: str, reason: str) -> AuditEntry:
        """How the step that a call takes is put on record, in that step."""
        device = await self._store.devices.find(call.request.match_info["id"])
        if device is None:
            raise Refused(Reason.NOT_FOUND, _NO_DEVICE)
        return call.entry(event, device.subject, device_id=device.id, reason=reason)

    def _outcome(self, device: Device | None) -> Outcome:
        if device is None:
            raise Refused(Reason.NOT_FOUND, _NO_DEVICE)
        return Outcome(DeviceView.shown(device, self._words), None)
