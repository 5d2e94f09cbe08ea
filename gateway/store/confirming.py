"""Waiting until no node accepts what was revoked."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway import clock
from gateway.errors import StoreUnavailable
from gateway.store.connection import LONGEST_BLOCK, Connection, pairs
from gateway.store.keys import Shard


@dataclass(frozen=True, slots=True)
class Told:
    """A revocation that is in the feed of a shard. `waits`: the nodes that there were then, and after how
    many seconds of silence each of them trusts nothing any more.
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


def told_from(shard: Shard, revocation_id: str, answer: Sequence[object]) -> Told:
    """What `tell_revocation` gave."""
    subject, _, nodes = answer
    said = pairs(nodes)  # type: ignore[arg-type]  # a list of texts, by the script
    waits = {node: float(words.split()[1]) for node, words in said.items()}
    return Told(shard, revocation_id, str(subject), waits)


class Confirmer:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def wait(self, told: Sequence[Told]) -> tuple[int, int]:
        """Wait for every node, or until its lease is over; how many have answered, and how many have not.

        To be called once enough replicas hold the revocation, from when on no lease is renewed without it.
        """
        began = clock.boottime()
        silent: set[str] = set()
        nodes: set[str] = set()
        for each in told:
            nodes |= each.waits.keys()
            silent |= await self._silent(each, began)
        return len(nodes - silent), len(silent)

    async def _silent(self, told: Told, began: float) -> set[str]:
        """The nodes whose time passed without an answer."""
        missing, key = dict(told.waits), told.shard.key("acks", told.revocation_id)
        while missing:
            left = began + max(missing.values()) - clock.boottime()
            if left <= 0:
                break
            node = await self._next(key, min(left, LONGEST_BLOCK))
            if node is not None:
                missing.pop(node, None)
        return set(missing)

    async def _next(self, key: str, seconds: float) -> str | None:
        try:
            return await self._connection.pop(key, block=max(0.01, seconds))
        except StoreUnavailable:
            # The leases run out without it.
            await asyncio.sleep(seconds)
            return None
