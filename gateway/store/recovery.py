"""When a store has gone back behind what it told: what is known to have ended is ended again.

A node remembers the feed entry by entry. From the newest one that the store still has, it knows all that is
lost and repeats it. If the store has none of them, what was lost cannot be told, and everybody's sessions
end: better a sign-in too many than a thief's session that lives again.
"""

import structlog

from gateway import clock, entropy
from gateway.core.ending import Ending, Scope
from gateway.store.accounts import first_epoch
from gateway.store.connection import Connection, time_text
from gateway.store.failures import store_errors
from gateway.store.feed import FeedEntry, Position, entries_from
from gateway.store.keys import Shard, shard_of_id
from gateway.store.standing import Standing, Surroundings

_AT_ONCE = 500

_LOOK_BACK = 1000
"""Entries that a node which has just joined can repeat."""

_log = structlog.get_logger("gateway.node")


class Recovery:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def repeat(self, standing: Standing, epoch: int) -> Position:
        """End again what the store has lost the end of; where its feed stands then.

        `epoch`: the global one that was known before, 0 if none was. Where it is higher now, another node
        has ended everybody: nothing that is lost began later. Raises StoreUnavailable.
        """
        shard = standing.shard
        common = await self._newest_common(standing)
        if common is None:
            _log.error("what the store lost is not known: everybody's sessions must end", shard=shard.index)
            await self._end_everybody(shard, epoch)
        else:
            lost = standing.known.endings_after(common)
            _log.error("the store lost revocations, they are repeated", shard=shard.index, count=len(lost))
            for entry in lost:
                await self._reassert(shard, entry)
        return await self.tail(shard)

    async def _newest_common(self, standing: Standing) -> Position | None:
        positions = list(standing.known.positions())
        for start in range(0, len(positions), _AT_ONCE):
            some = positions[start : start + _AT_ONCE]
            place: int = await self._connection.run(
                "known_entries",
                standing.shard,
                entries=[position.entry for position in some],
                seqs=[position.seq for position in some],
            )
            if place:
                return some[place - 1]
        return None

    async def _reassert(self, shard: Shard, entry: FeedEntry) -> None:
        ending = entry.ending
        if ending is None:
            return
        await self._connection.run(
            "reassert",
            shard,
            scope=ending.scope,
            id=ending.id,
            subject=ending.subject,
            epoch=ending.epoch,
            kept=ending.kept,
            disable=ending.disabled or None,
            now=time_text(entry.at),
            entry={"id": _name_of(ending), "reason": ending.reason, "actor": "gateway"},
        )

    async def _end_everybody(self, shard: Shard, epoch: int) -> None:
        now = clock.now()
        await self._connection.run(
            "revoke",
            shard,
            scope=Scope.EVERYBODY,
            past=epoch or None,
            now=time_text(now),
            floor=first_epoch(now),
            entry={
                "id": entropy.identifier(),
                "reason": "the store lost revocations that nobody can repeat",
                "actor": "gateway",
            },
        )

    async def look_back(self, shard: Shard, position: Position) -> list[FeedEntry]:
        """The last entries before and at a position, oldest first, so that they can be repeated as well.

        Raises StoreUnavailable.
        """
        feed = shard.key("feed")
        rows = await self._connection.call(
            self._connection.redis.xrevrange(feed, max=position.entry, count=_LOOK_BACK)
        )
        entries, all_of_them = entries_from(reversed(rows))
        return entries if all_of_them else []

    async def tail(self, shard: Shard) -> Position:
        """Where the feed stands. Raises StoreUnavailable."""
        with store_errors():
            pipeline = self._connection.redis.pipeline(transaction=True)
            pipeline.get(shard.key("fed"))
            pipeline.xrevrange(shard.key("feed"), count=1)
            fed, rows = await pipeline.execute()
        return Position(int(fed or 0), rows[0][0]) if rows else Position()

    async def check_live(self, shard: Shard, surroundings: Surroundings) -> None:
        """Cut what is live of sessions that ended while this node was not told. Raises StoreUnavailable."""
        shards = self._connection.shards
        ids = [each.id for each in surroundings.sessions() if shard_of_id(each.id, shards) == shard]
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            over = await self._connection.run("still_live", shard, now=time_text(clock.now()), sessions=some)
            for place in over:
                surroundings.cut(some[place - 1])


def _name_of(ending: Ending) -> str:
    """By what a revocation is known, so that it is repeated only once; what made room has no name."""
    return ending.revocation_id or f"{ending.scope}-{ending.id}"
