"""The outbox: messages that wait to be sent, until they were.

A message is claimed for a while by one node, and taken up again by any of them when that one fell silent:
each is sent at least once, and its id, which stays the same, tells a repetition.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from gateway.store.audit import AuditEntry, entry_from
from gateway.store.connection import Connection, time_text
from gateway.store.keys import Shard, shard_of_id


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be told. `to` is an e-mail address, or "" for a channel that needs none.

    `channel` is a `Channel`, or that of a receiver of events (`events_channel`): then the entry is the
    revocation `revocation_id`, with its session, its device, its subject, or none of them for everybody.
    `user_agent` is what the device of the entry calls itself. `attempts` counts the claims, this one too.
    """

    id: str
    channel: str
    to: str
    entry: AuditEntry
    user_agent: str
    attempts: int
    revocation_id: str = ""


class Outbox:
    def __init__(self, connection: Connection, receivers: Collection[str] = ()) -> None:
        """`receivers` are the names of all that events were ever for."""
        self._connection = connection
        self.receivers = receivers
        self._first = 0

    async def claim(self, channel: str, now: float, *, seconds: float, most: int) -> list[Message]:
        """Take at most `most` messages whose time has come; for `seconds` nobody else gets them."""
        claimed: list[Message] = []
        for shard in self._shards():
            rows = await self._connection.run(
                "claim_messages",
                shard,
                now=now,
                channel=channel,
                claimed_until=now + seconds,
                most=most - len(claimed),
            )
            claimed += [_message_from(row) for row in rows]
            if len(claimed) >= most:
                break
        return claimed

    async def done(self, message: Message) -> bool:
        """Forget a message, sent or given up; False when somebody else did."""
        return await self._settle(message, None)

    async def again(self, message: Message, at: float) -> bool:
        """Let a claimed message wait until `at`; False when it is somebody else's now."""
        return await self._settle(message, at)

    async def waiting(self, channel: str) -> int:
        """How many messages wait or are claimed, over all shards."""
        total = 0
        for index in range(self._connection.shards):
            key = Shard(index).key("outbox", channel)
            total += await self._connection.call(self._connection.redis.zcard(key))
        return total

    async def _settle(self, message: Message, again_at: float | None) -> bool:
        shard = shard_of_id(message.id, self._connection.shards)
        if shard is None:
            return False
        settled = await self._connection.run(
            "settle_message",
            shard,
            id=message.id,
            channel=message.channel,
            attempts=str(message.attempts),
            again_at=None if again_at is None else time_text(again_at),
        )
        return bool(settled)

    def _shards(self) -> Iterable[Shard]:
        """All of them, each time beginning with the next one: a full one must not starve the others."""
        count = self._connection.shards
        self._first = (self._first + 1) % count
        return [Shard((self._first + index) % count) for index in range(count)]


def _message_from(row: list[str]) -> Message:
    """A message of the names and values in turn, as a script gives a hash."""
    values = dict(zip(row[::2], row[1::2], strict=True))
    return Message(
        id=values["id"],
        channel=values["channel"],
        to=values["to"],
        entry=entry_from(values),
        user_agent=values["user_agent"],
        attempts=int(values["attempts"]),
        revocation_id=values.get("revocation", ""),
    )
