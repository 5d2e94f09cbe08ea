"""What is ordered to end, and what came of it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from gateway.core.ending import Scope
from gateway.store.audit import AuditEntry, entry_from
from gateway.store.confirming import Confirmation


@dataclass(frozen=True, slots=True)
class Order:
    """A revocation as it was asked for, with all that it takes to carry it out again.

    `id` names a session or device, `subject` an account (or whose the session or device must be); `disable`
    keeps the account from signing in. `entries` go on record with it. `took_place`: it came with a step that
    cannot be repeated, such as a new password; if the store has lost that, nothing took place.
    `confirmation`: what was said already, and only has to be noted.
    """

    revocation_id: str
    scope: Scope
    id: str | None
    subject: str | None
    reason: str
    actor: str
    at: float
    disable: bool = False
    entries: tuple[AuditEntry, ...] = field(default=())
    took_place: bool = False
    confirmation: Confirmation | None = None

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "Order":
        """What `to_json` gave, parsed. Raises ValueError, TypeError, KeyError for anything else."""
        order = cls(**value)
        entries = tuple(entry_from(entry) for entry in value["entries"])
        confirmation = order.confirmation and Confirmation(**value["confirmation"])
        return replace(order, scope=Scope(order.scope), entries=entries, confirmation=confirmation)


@dataclass(frozen=True, slots=True)
class Revocation:
    """What was ended. `id` names a session or device, `subject` the account it belongs to.

    `confirmation` is None for one that is still pending, and in lists.
    """

    revocation_id: str
    scope: Scope
    id: str | None
    subject: str | None
    reason: str
    actor: str
    at: float
    confirmation: Confirmation | None = None
