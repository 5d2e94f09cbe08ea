"""Waiting until no node accepts what was revoked."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from gateway import clock, entropy
from gateway.errors import StoreUnavailable
from gateway.store.connection import Connection, pairs
from gateway.store.keys import APPLIED, Shard
from gateway.store.wire import Ear

_MOST_HEARD = 10_000
"""Revocations of which it is remembered who has applied them: an answer may come before it is waited for."""

_log = structlog.get_logger("gateway.store")


@dataclass(frozen=True, slots=True)
class Told:
    """A revocation that is in the feed of a shard. `waits`: the nodes that there are, and after how many
    seconds of silence each of them trusts nothing any more. `listed_for`: for how many seconds they have
    shown up to this server.
    """

    shard: Shard
    revocation_id: str
    subject: str
    waits: Mapping[str, float]
    listed_for: float


@dataclass(frozen=True, slots=True)
class Confirmation:
    """No node accepts what was revoked: `nodes` have said so, and the lease of `silent` ones is over."""

    nodes: int
    silent: int
    elapsed_ms: float


def told_from(shard: Shard, revocation_id: str, answer: Sequence[Any]) -> Told:
    """What the script gave (`tell_revocation`)."""
    subject, nodes, listed_for = answer
    waits = {node: float(said.split()[1]) for node, said in pairs(nodes).items()}
    return Told(shard, revocation_id, subject, waits, float(listed_for))


def applied_message(shard: Shard, revocation_id: str, node: str) -> str:
    """What a node publishes once it has applied a revocation."""
    return f"{_place(shard, revocation_id)} {node}"


def _place(shard: Shard, revocation_id: str) -> str:
    return f"{shard.index} {revocation_id}"


@dataclass(slots=True)
class _Heard:
    """Which nodes have applied one revocation; `more` is set with each."""

    nodes: set[str] = field(default_factory=set)
    more: asyncio.Event = field(default_factory=asyncio.Event)


class Confirmer:
    """Hears the nodes, on a channel that is this process's own.

    Nothing of it is kept by the store: an answer that is lost, with the connection or because it was given to
    a process that is gone, leaves its node silent, and is waited for until that one's lease is over.
    """

    def __init__(self, connection: Connection, waits: float) -> None:
        """`waits`: after so many seconds of silence a node trusts nothing any more, also one that the store
        has forgotten.
        """
        self._connection = connection
        self._waits = waits
        self._id = entropy.identifier()
        self._ear: Ear | None = None
        self._beginning: asyncio.Task[None] | None = None
        self._heard: OrderedDict[str, _Heard] = OrderedDict()

    async def listen(self) -> str | None:
        """Hear the nodes from now on: to whom they are to answer. None where they could not be heard.

        All who want that at a time share one attempt.
        """
        if self._ear is None or self._ear.is_lost:
            if self._beginning is None or self._beginning.done():
                self._beginning = asyncio.create_task(self._begin())
            await asyncio.shield(self._beginning)
        return None if self._ear is None or self._ear.is_lost else self._id

    async def close(self) -> None:
        if self._beginning is not None:
            await asyncio.wait([self._beginning])
        if self._ear is not None:
            await self._ear.close()

    async def _begin(self) -> None:
        """Listen with another ear before the one from before is closed: others may still hear with it."""
        try:
            ear = await self._connection.hearing(APPLIED + self._id, self._hear)
        except StoreUnavailable as error:
            _log.warning("nodes cannot be heard", error=str(error))
            return
        before, self._ear = self._ear, ear
        if before is not None:
            await before.close()

    async def wait(self, told: Sequence[Told]) -> tuple[int, int]:
        """Wait for every node, or until its lease is over; how many have answered, and how many have not.

        To be called once enough replicas hold the revocation, from when on no lease is renewed without it.
        Of several shards, each node has a lease on each: counted is the shard that most did not answer in.
        """
        began, ear = clock.boottime(), self._ear
        silent = await asyncio.gather(*(self._silent(each, began) for each in told))
        worst = max(silent, default=0)
        if worst and ear is not None:
            ear.is_lost = True  # it may be deaf: the next one begins to listen anew
        return max((len(each.waits) for each in told), default=0) - worst, worst

    async def _silent(self, told: Told, began: float) -> int:
        """How many nodes have not answered when their time is over."""
        place = _place(told.shard, told.revocation_id)
        heard = self._of(place)
        while missing := told.waits.keys() - heard.nodes:
            left = began + max(told.waits[node] for node in missing) - clock.boottime()
            heard.more.clear()
            try:
                async with asyncio.timeout(left):
                    await heard.more.wait()
            except TimeoutError:
                break
        longest = max([self._waits, *told.waits.values()])
        await asyncio.sleep(began + longest - told.listed_for - clock.boottime())
        self._heard.pop(place, None)
        return len(told.waits.keys() - heard.nodes)

    def _hear(self, message: str) -> None:
        place, _, node = message.rpartition(" ")
        heard = self._of(place)
        heard.nodes.add(node)
        heard.more.set()

    def _of(self, place: str) -> _Heard:
        heard = self._heard.setdefault(place, _Heard())
        if len(self._heard) > _MOST_HEARD:
            self._heard.popitem(last=False)
        return heard
