"""Waiting until no node accepts what was revoked."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway import clock
from gateway.errors import StoreUnavailable
from gateway.store.connection import LONGEST_BLOCK, Connection, pairs
from gateway.store.keys import Shard


@dataclass(frozen=True, slots=True)
class Told:
    """A revocation that is in the feed of a shard. `waits`: the nodes that there are, and after how many
    seconds of silence each of them trusts nothing any more.
    """

    shard: Shard
    revocation_id: str
    subject: str
    waits: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Confirmation:
    """No node accepts what was revoked: `nodes` have said so, and the lease of `silent` ones is over."""

    nodes: int
    silent: int
    elapsed_ms: float


def told_from(shard: Shard, revocation_id: str, answer: Sequence[Any]) -> Told:
    """What the script gave (`tell_revocation`)."""
    subject, nodes = answer
    waits = {node: float(said.split()[1]) for node, said in pairs(nodes).items()}
    return Told(shard, revocation_id, subject, waits)


class Confirmer:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def wait(self, told: Sequence[Told]) -> tuple[int, int]:
        """Wait for every node, or until its lease is over; how many have answered, and how many have not.

        To be called once enough replicas hold the revocation, from when on no lease is renewed without it.
        Of several shards, each node has a lease on each: counted is the shard that most did not answer in.
        """
        began = clock.boottime()
        silent = [await self._silent(each, began) for each in told]
        worst = max(silent, default=0)
        return max((len(each.waits) for each in told), default=0) - worst, worst

    async def _silent(self, told: Told, began: float) -> int:
        """How many nodes have not answered when their time is over."""
        missing, key = dict(told.waits), told.shard.key("acks", told.revocation_id)
        while missing:
            left = began + max(missing.values()) - clock.boottime()
            if left <= 0:
                break
            for node in await self._answered(key, min(left, LONGEST_BLOCK)):
                missing.pop(node, None)
        return len(missing)

    async def _answered(self, key: str, seconds: float) -> list[str]:
        try:
            return await self._connection.pop(key, block=max(0.01, seconds))
        except StoreUnavailable:
            await asyncio.sleep(seconds)  # the leases run out without it
            return []
