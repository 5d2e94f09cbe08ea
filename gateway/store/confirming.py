"""Waiting until no node accepts what was revoked."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway import clock
from gateway.errors import StoreUnavailable
from gateway.store.connection import LONGEST_BLOCK, Connection, pairs
from gateway.store.keys import Shard
from gateway.store.node import Node


@dataclass(frozen=True, slots=True)
class Told:
    """A revocation that is in the feed of a shard. `waits`: the nodes that there are, and after how many
    seconds of silence each of them trusts nothing any more. `primary` is the process that told them; ""
    where there is only one server.
    """

    shard: Shard
    revocation_id: str
    subject: str
    waits: Mapping[str, float]
    primary: str = ""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """No node accepts what was revoked: `nodes` have said so, and the lease of `silent` ones is over."""

    nodes: int
    silent: int
    elapsed_ms: float


def told_from(shard: Shard, revocation_id: str, answer: Sequence[Any]) -> Told:
    """What the script gave (`tell_revocation`)."""
    subject, nodes, primary = answer
    waits = {node: float(said.split()[1]) for node, said in pairs(nodes).items()}
    return Told(shard, revocation_id, subject, waits, primary)


class Confirmer:
    """A registry knows the nodes that renewed their leases on its server. After a failover there may be
    others: their last renewals reached the primary before, and replicas that have followed it until then.
    Once replicas acknowledge a write to the new one, there are no more of these, and those that there were
    have ended a lease later. So whoever has not known a primary for so long waits for the rest of it.
    """

    def __init__(self, connection: Connection, node: Node) -> None:
        self._connection = connection
        self._node = node

    async def wait(self, told: Sequence[Told]) -> tuple[int, int]:
        """Wait for every node, or until its lease is over; how many have answered, and how many have not.

        To be called once enough replicas hold the revocation, from when on no lease is renewed without it.
        Of several shards, each node has a lease on each: counted is the shard that most did not answer in.
        """
        began = clock.boottime()
        silent = [await self._silent(each, began) for each in told]
        quiet = max((self._quiet_from(each, began) for each in told), default=0.0) - clock.boottime()
        if quiet > 0:
            await asyncio.sleep(quiet)
        worst = max(silent, default=0)
        return max((len(each.waits) for each in told), default=0) - worst, worst

    def _quiet_from(self, told: Told, began: float) -> float:
        """From when on (boot time) no node has a lease that this primary does not know of."""
        if not told.primary:
            return 0.0
        since = self._node.known_since(told.shard, told.primary)
        return (began if since is None else since) + self._node.options.waits

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
