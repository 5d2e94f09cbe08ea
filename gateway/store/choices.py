"""The switches of account holders: which actions ask them for a code, where the policy leaves that open."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.core.records import Grant
from gateway.store.audit import Audit, AuditEntry
from gateway.store.connection import Connection
from gateway.store.factors import Rotation
from gateway.store.keys import shard_of_id
from gateway.store.sessions import grant_argument


@dataclass(frozen=True, slots=True)
class Lasting:
    """A grant that comes with a choice, and the session's new cookie that holds it."""

    grant: Grant
    rotation: Rotation


class Choices:
    """They are kept in the account's own record, so that the one read of a request has them."""

    def __init__(self, connection: Connection, audit: Audit) -> None:
        self._connection = connection
        self._audit = audit

    async def choose(
        self,
        session_id: str,
        action: str,
        now: float,
        *,
        on: bool,
        lasting: Lasting | None = None,
        entries: Sequence[AuditEntry] = (),
    ) -> bool:
        """Keep a choice of the session's account about `action`, an `app/action` name.

        False when the session ended meanwhile. Whether there is a choice is for the caller to know.
        """
        shard = shard_of_id(session_id, self._connection.shards)
        if shard is None:
            return False
        brought: dict[str, Any] = (
            {"grant": grant_argument(lasting.grant), **lasting.rotation.arguments()} if lasting else {}
        )
        chosen = await self._audit.run(
            "choose", shard, entries, now=now, session=session_id, action=action, on=on, **brought
        )
        return bool(chosen)
