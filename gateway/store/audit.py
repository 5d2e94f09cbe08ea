"""The audit stream: who did what, from where, on which session and device, and why."""

from dataclasses import dataclass, fields
from typing import Any

from gateway.store.connection import Connection, time_text
from gateway.store.keys import Shard, shard_of_subject

MOST_ENTRIES = 100_000
"""Entries kept for each shard; older ones are trimmed."""

_READ_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing that happened. `actor` is `account:<subject>`, `operator:<name>` or `cli:<user>`.

    `token_id` tells an operator's tokens apart.
    """

    at: float
    event: str
    actor: str
    subject: str = ""
    session_id: str = ""
    device_id: str = ""
    address: str = ""
    reason: str = ""
    token_id: str = ""


class Audit:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def record(self, entry: AuditEntry) -> None:
        """Append one entry, to the stream of the account it is about."""
        values: dict[Any, Any] = {field.name: getattr(entry, field.name) for field in fields(entry)}
        values["at"] = time_text(entry.at)
        key = self._shard(entry.subject).key("audit")
        await self._connection.call(
            self._connection.redis.xadd(key, values, maxlen=MOST_ENTRIES, approximate=True)
        )

    async def latest(self, subject: str, most: int = 100) -> list[AuditEntry]:
        """The latest entries about an account ("" for none in particular), newest first."""
        key = self._shard(subject).key("audit")
        found: list[AuditEntry] = []
        before = "+"
        while len(found) < most:  # a stream is shared with the other accounts of its shard
            rows = await self._connection.call(
                self._connection.redis.xrevrange(key, max=before, count=_READ_AT_ONCE)
            )
            if not rows:
                break
            found += [_entry_from(row) for _, row in rows if row["subject"] == subject]
            before = f"({rows[-1][0]}"
        return found[:most]

    def _shard(self, subject: str) -> Shard:
        return shard_of_subject(subject, self._connection.shards)


def _entry_from(row: dict[str, Any]) -> AuditEntry:
    return AuditEntry(**{**row, "at": float(row["at"])})
