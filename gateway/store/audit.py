"""The audit stream: who did what, from where, on which session and device, and why.

Each entry is also in a stream of the account that it is about, and where the account's holder is to be
told of it (`gateway.core.telling.TOLD`), a message for each channel waits in the outbox: all in one step,
so that nothing is ever on record that nobody will be told of.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import structlog

from gateway.core.records import Snapshot
from gateway.core.telling import COMMON, TOLD, Channel, channel_of, events_channel, is_by_transmitter
from gateway.store.connection import Connection, time_text
from gateway.store.keys import Shard, shard_of_subject

MOST_ENTRIES = 100_000
"""Entries kept for each shard; older ones are trimmed."""

MOST_OWN_ENTRIES = 200
"""Entries kept for each account, of those that its holder is told of, and of all others.

Counted apart: whoever only fails to sign in, or looks at an account, washes nothing out that matters.
"""

FORGET_SECONDS = 400 * 86_400.0
"""An account's entries are forgotten when nothing happened for so long."""

MOST_WAITING = 20
"""Messages about one event that wait for one account on one channel; what is more is not told."""

MOST_HOURLY = 20
"""Mails about one event that an account is sent within an hour."""

MOST_EVENTS_WAITING = 1000
"""Events of one scope about one account that wait for one receiver; what is more is not told."""

_log = structlog.get_logger("gateway.audit")


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing that happened. `actor` is `account:<subject>`, `operator:<name>`, `cli:<user>` or
    `transmitter:<issuer>`.

    `token_id` tells an operator's tokens apart. `device_name` is what the device was called then: the
    store fills it in.
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
    device_name: str = ""


Follower = Callable[[Sequence[str], Sequence[str]], None]
"""Hears, after an entry, of a channel for each message that waits now, and for each that was too many."""


class Audit:
    def __init__(
        self, connection: Connection, channels: Collection[Channel] = (), receivers: Collection[str] = ()
    ) -> None:
        """`channels` are the ones on which account holders are told, `receivers` the names of the programs
        that are told of revocations.
        """
        self._connection = connection
        self._channels = channels
        self._receivers = receivers
        self._follower: Follower | None = None

    def follow(self, follower: Follower) -> None:
        """Let `follower` hear of what is to be told, from now on."""
        self._follower = follower

    async def record(self, entry: AuditEntry, *, also_to: str = "") -> None:
        """Keep an entry on record. Who is told by mail is told at the account's e-mail address of now.

        `also_to` is a further address, such as the one that the account had until now.
        """
        shard = self._shard(entry.subject)
        self._heard(
            await self._connection.run("record", shard, records=[self.argument(entry, also_to=also_to)])
        )

    async def run(
        self,
        script: str,
        shard: Shard,
        entries: Iterable[AuditEntry],
        *,
        also_to: str = "",
        **arguments: Any,
    ) -> Any:
        """Run a script on the shard of an account, as `Connection.run` does, and put `entries` on record in
        the same step if it changes something: neither happens without the other.
        """
        records = [self.argument(entry, also_to=also_to) for entry in entries]
        return self._heard(await self._connection.run(script, shard, records=records, **arguments))

    async def run_acknowledged(
        self,
        script: str,
        shard: Shard,
        entries: Iterable[AuditEntry],
        *,
        replicas: int,
        within: float,
        **arguments: Any,
    ) -> tuple[Any, int]:
        """The same, and then wait for replicas, as `Connection.run_acknowledged` does."""
        records = [self.argument(entry) for entry in entries]
        answer, held = await self._connection.run_acknowledged(
            script, shard, replicas=replicas, within=within, records=records, **arguments
        )
        return self._heard(answer), held

    def events(self, shard: Shard, actor: str) -> dict[str, Any] | None:
        """What a script that revokes something is to tell receivers; None for nothing.

        What another party told us is not told on: of two gateways that tell each other, each would end
        what the other one just did, for ever.
        """
        if not self._receivers or is_by_transmitter(actor):
            return None
        return {
            "messages": [
                {"id": shard.new_id(), "channel": events_channel(receiver)} for receiver in self._receivers
            ],
            "most_waiting": MOST_EVENTS_WAITING,
        }

    def argument(self, entry: AuditEntry, *, also_to: str = "") -> dict[str, Any]:
        """An entry as scripts take it."""
        told = entry.event in TOLD and entry.subject != ""
        return {
            "event": entry.event,
            "subject": entry.subject,
            "device": entry.device_id,
            "at": time_text(entry.at),
            "entry": _pairs(entry),
            "stream": "told" if told and entry.event not in COMMON else "activity",
            "most": MOST_ENTRIES,
            "most_own": MOST_OWN_ENTRIES,
            "forget_at": time_text(entry.at + FORGET_SECONDS),
            "most_waiting": MOST_WAITING,
            "most_hourly": MOST_HOURLY,
            "hour_ends": time_text(entry.at + 3600),
            "messages": self._messages(self._shard(entry.subject), also_to) if told else [],
        }

    def _heard(self, answer: list[Any]) -> Any:
        """What a script gave, once the follower has heard of the messages that came of it."""
        outcome, queued, dropped = answer
        if dropped:
            _log.error("too many notices of one kind wait for an account", kinds=dropped)
        if self._follower is not None and (queued or dropped):
            self._follower([channel_of(kind) for kind in queued], [channel_of(kind) for kind in dropped])
        return outcome

    async def latest(self, subject: str, most: int = 100) -> list[AuditEntry]:
        """The latest entries about an account ("" for none in particular), newest first."""
        rows: list[tuple[str, dict[str, str]]] = []
        for stream in ("told", "activity"):
            key = self._shard(subject).key(stream, subject)
            rows += await self._connection.call(self._connection.redis.xrevrange(key, count=most))
        rows.sort(key=lambda row: _order(row[0]), reverse=True)
        return [entry_from(row) for _, row in rows[:most]]

    def _messages(self, shard: Shard, also_to: str) -> list[dict[str, Any]]:
        """What the script is to queue: one message for each channel, and one for a further address."""
        messages: list[dict[str, Any]] = [
            {"channel": channel, "to_account": channel is Channel.MAIL} for channel in self._channels
        ]
        if also_to and Channel.MAIL in self._channels:
            messages.append({"channel": Channel.MAIL, "also_to": also_to})
        return [{"id": shard.new_id(), **message} for message in messages]

    def _shard(self, subject: str) -> Shard:
        return shard_of_subject(subject, self._connection.shards)


def entry_of(snapshot: Snapshot, event: str, about: str, *, address: str, now: float) -> AuditEntry:
    """What a person did in a session; `about` says to what, or why."""
    session = snapshot.session
    return AuditEntry(
        at=now,
        event=event,
        actor=f"account:{session.subject}",
        subject=session.subject,
        session_id=session.id,
        device_id=session.device_id,
        address=address,
        reason=about,
    )


def entry_from(row: Mapping[str, Any]) -> AuditEntry:
    """An entry of its fields as stored; other versions may have stored more, or fewer."""
    values = {field.name: row[field.name] for field in fields(AuditEntry) if field.name in row}
    return AuditEntry(**{**values, "at": float(row["at"])})


def _pairs(entry: AuditEntry) -> list[str]:
    """Names and values in turn, always the same names: a stream then keeps them only once for many."""
    values = {field.name: getattr(entry, field.name) for field in fields(entry)} | {"at": time_text(entry.at)}
    del values["device_name"]
    return [str(part) for pair in values.items() for part in pair]


def _order(entry_id: str) -> tuple[int, ...]:
    return tuple(map(int, entry_id.split("-")))
