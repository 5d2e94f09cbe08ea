"""Counters of attempts. An attempt counts before it is checked, so no race gives one for free."""

import hashlib
from dataclasses import dataclass

from gateway.store.connection import Connection
from gateway.store.keys import Shard, shard_of_subject


@dataclass(frozen=True, slots=True)
class AttemptLimit:
    """At most `most` attempts within `window` seconds of the first one."""

    most: int
    window: float


@dataclass(frozen=True, slots=True)
class Attempt:
    """Whether an attempt may be checked, and if not, in how many seconds the next one may."""

    allowed: bool
    retry_after: int


class Attempts:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def count(self, kind: str, name: str, limit: AttemptLimit) -> Attempt:
        """Count one attempt of `kind` (such as `code`) by `name` (a subject or an address)."""
        count, seconds = await self._connection.run(
            "count_attempt", self._shard(name), name=f"{kind}:{_key_part(name)}", window=int(limit.window)
        )
        return Attempt(count <= limit.most, max(1, seconds))

    async def uncount(self, kind: str, name: str) -> None:
        """Take one attempt back, since it turned out to be none that is to be limited."""
        await self._connection.run("uncount_attempt", self._shard(name), name=f"{kind}:{_key_part(name)}")

    async def forget(self, kind: str, name: str) -> None:
        """Start afresh after a success."""
        key = self._shard(name).key("attempts", f"{kind}:{_key_part(name)}")
        await self._connection.call(self._connection.redis.delete(key))

    def _shard(self, name: str) -> Shard:
        return shard_of_subject(name, self._connection.shards)


def _key_part(name: str) -> str:
    """What a stranger typed as a name may be of any length; a key is not."""
    return name if len(name) <= 128 else hashlib.sha256(name.encode()).hexdigest()
