"""The cases of resets: each step is one script, which takes it only if nobody was first."""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

from gateway.core.ending import Scope
from gateway.core.reasons import Reason
from gateway.core.reset import Actor, Reset, ResetState, Statement
from gateway.store.audit import Audit, AuditEntry
from gateway.store.connection import Connection, time_text
from gateway.store.failures import store_errors
from gateway.store.keys import Shard, shard_of_id, shard_of_subject
from gateway.store.orders import Order
from gateway.store.promises import Promises

HELD_SECONDS = 300.0
"""How long after the last look a case is looked at again that is due for a disabled account."""

_READ_AT_ONCE = 100


class Resets:
    def __init__(self, connection: Connection, audit: Audit, promises: Promises) -> None:
        self._connection = connection
        self._audit = audit
        self._promises = promises

    def new_id(self, subject: str) -> str:
        return shard_of_subject(subject, self._connection.shards).new_id()

    async def find(self, reset_id: str) -> Reset | None:
        shard = shard_of_id(reset_id, self._connection.shards)
        if shard is None:
            return None
        row = await self._connection.call(self._connection.redis.hgetall(shard.key("reset", reset_id)))
        return _reset_from(row) if row else None

    async def open(self, reset: Reset, *, entries: Sequence[AuditEntry] = ()) -> Reason | None:
        """Keep a new case; a Reason when the account has none to get."""
        outcome = await self._audit.run(
            "open_reset",
            self._shard(reset),
            entries,
            subject=reset.subject,
            reset=reset.id,
            fields=_fields_of(reset),
            live=_live_text(reset),
            opened_at=reset.opened_at,
            look_at=reset.next_at,
        )
        return None if outcome == "opened" else Reason(outcome)

    async def move(
        self, before: Reset, after: Reset, *, forget_at: float, entries: Sequence[AuditEntry] = ()
    ) -> bool:
        """Replace a case by the one that follows; False when it is no longer as it was before.

        A closed one is kept until `forget_at`.
        """
        moved = await self._audit.run(
            "move_reset",
            self._shard(before),
            entries,
            reset=before.id,
            was={"state": before.state, "statements": str(len(before.evidence))},
            fields=_fields_of(after),
            live=_live_text(after),
            look_at=after.next_at,
            forget_at=forget_at,
        )
        return bool(moved)

    async def complete(
        self, done: Reset, now: float, *, forget_at: float, entries: Sequence[AuditEntry] = ()
    ) -> bool:
        """Do what a case was for, and close it as `done`; False when it did not wait, or not long enough, or
        the account is disabled, which holds it.

        Everything at once: factors and what belongs to them are removed, all sessions end, every device
        is revoked, and the account must set up a factor anew.
        """
        shard, by = self._shard(done), _name_of(done.closed_by)
        order = Order(
            shard.new_id(),
            Scope.ACCOUNT,
            None,
            done.subject,
            f"reset {done.id}",
            by,
            now,
            entries=tuple(entries),
        )
        return await self._promises.run(
            "complete_reset",
            order,
            reset=done.id,
            fields=_fields_of(done),
            forget_at=forget_at,
            held_until=now + HELD_SECONDS,
            events=self._audit.events(shard, by),
        )

    async def due(self, now: float, most: int) -> list[Reset]:
        """Cases that something has to be done about by now, at most `most` of each shard."""
        shards = [Shard(index) for index in range(self._connection.shards)]
        with store_errors():
            pipeline = self._connection.redis.pipeline(transaction=False)
            for shard in shards:
                pipeline.zrangebyscore(shard.key("due"), "-inf", time_text(now), start=0, num=most)
            found = await pipeline.execute()
        due: list[Reset] = []
        for shard, ids in zip(shards, found, strict=True):
            cases = await self._read(shard, ids) if ids else []
            if forgotten := set(ids) - {reset.id for reset in cases}:
                await self._connection.call(self._connection.redis.zrem(shard.key("due"), *forgotten))
            due += cases
        return due

    async def tell(self, session_id: str, reset_id: str, now: float) -> None:
        """Note that the person of a session was shown the page about a case."""
        shard = shard_of_id(session_id, self._connection.shards)
        if shard is not None:
            await self._connection.run("told_of_reset", shard, now=now, session=session_id, reset=reset_id)

    async def _list(self, shard: Shard, states: Collection[ResetState], most: int) -> list[Reset]:
        found: list[Reset] = []
        start = 0
        while len(found) < most:
            ids = await self._connection.call(
                self._connection.redis.zrevrange(shard.key("resets"), start, start + _READ_AT_ONCE - 1)
            )
            if not ids:
                break
            found += [reset for reset in await self._read(shard, ids) if reset.state in states]
            start += _READ_AT_ONCE
        return found[:most]

    async def _read(self, shard: Shard, ids: Iterable[str]) -> list[Reset]:
        """The cases of these ids that are not forgotten yet."""
        rows = await self._connection.hashes(shard.key("reset", reset_id) for reset_id in ids)
        return [_reset_from(row) for row in rows]

    def _shard(self, reset: Reset) -> Shard:
        return shard_of_subject(reset.subject, self._connection.shards)

    async def list(self, states: Collection[ResetState], most: int) -> list[Reset]:
        """The latest cases in these states, newest first."""
        found: list[Reset] = []
        for index in range(self._connection.shards):
            found += await self._list(Shard(index), states, most)
        return sorted(found, key=lambda reset: -reset.opened_at)[:most]


_ACTORS = ("opened_by", "approved_by", "closed_by")
_TIMES = ("opened_at", "lapses_at", "approved_at", "due_at", "closed_at")


def _fields_of(reset: Reset) -> dict[str, str]:
    """A case as the store keeps it. What it does not have yet has no field."""
    fields = {name: getattr(reset, name) for name in ("id", "subject", "state", "why", "closed_because")}
    for name in _TIMES:
        if (moment := getattr(reset, name)) is not None:
            fields[name] = time_text(moment)
    for name in _ACTORS:
        if (actor := getattr(reset, name)) is not None:
            fields[name] = json.dumps(asdict(actor))
    fields["checklist"] = json.dumps(reset.checklist)
    fields["evidence"] = json.dumps([asdict(statement) for statement in reset.evidence])
    fields["statements"] = str(len(reset.evidence))
    return fields


def _reset_from(row: dict[str, str]) -> Reset:
    reset = Reset(
        id=row["id"],
        subject=row["subject"],
        state=ResetState(row["state"]),
        opened_at=float(row["opened_at"]),
        opened_by=Actor(**json.loads(row["opened_by"])),
        why=row["why"],
        checklist=tuple(json.loads(row["checklist"])),
        lapses_at=float(row["lapses_at"]),
        evidence=tuple(_statement_from(value) for value in json.loads(row["evidence"])),
        closed_because=row["closed_because"],
    )
    later: dict[str, Any] = {name: float(row[name]) for name in _TIMES if name in row}
    later |= {name: Actor(**json.loads(row[name])) for name in _ACTORS if name in row}
    return replace(reset, **later)


def _statement_from(value: dict[str, Any]) -> Statement:
    return Statement(value["item"], value["text"], Actor(**value["by"]), value["at"])


def _live_text(reset: Reset) -> str | None:
    return json.dumps(asdict(reset.live)) if reset.live else None


def _name_of(actor: Actor | None) -> str:
    return actor.name if actor else ""
