"""Where a node stands in one shard: how far it followed, what it keeps, and for how long that counts."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.core.ending import Ending
from gateway.core.records import Session
from gateway.store.feed import FeedEntry, Position
from gateway.store.keys import Shard
from gateway.store.known import Known
from gateway.store.lease import Lease
from gateway.store.near import NearCache


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """`lease` and `grace` in seconds. There are `replicas`, of which `acknowledge` have to hold what was
    written; each shard's cache has `most_cached` cookies.
    """

    lease: float = 2.0
    grace: float = 3.0
    replicas: int = 0
    acknowledge: int = 0
    most_cached: int = 100_000

    @property
    def replicated(self) -> bool | None:
        """As scripts are told it: nothing where there is one server."""
        return True if self.replicas else None

    @property
    def prove(self) -> int:
        """How many replicas must hold what was written after a read, for the read to be believed without a
        lease. With the servers that hold a confirmed revocation these are more than there are, so one has
        seen both, in the order in which they were.
        """
        return self.replicas - self.acknowledge

    @property
    def waits(self) -> float:
        """Seconds after which a node that is silent trusts nothing any more, and lets nothing pass.

        Clocks of two machines differ in speed; a hundredth is far more than any should.
        """
        return (self.lease + self.grace) * 1.01 + 0.05


class Surroundings(Protocol):
    """What else of a gateway has to hear what a node learns."""

    def ended(self, ending: Ending) -> None:
        """Something is over. When this returns, its live connections are cut."""

    def sessions(self) -> Sequence[Session]:
        """The sessions that have live connections."""

    def cut(self, session_id: str) -> None:
        """This session turned out to be over."""

    def leases(self, held: int, of: int) -> None:
        """So many leases hold now, of so many; told a few times in each lease."""

    def alarm(self, what: str) -> None:
        """The store told less than it had told before."""


class Nobody:
    """The surroundings of a node that has no live connections."""

    def ended(self, ending: Ending) -> None:
        del ending

    def sessions(self) -> Sequence[Session]:
        return ()

    def cut(self, session_id: str) -> None:
        del session_id

    def leases(self, held: int, of: int) -> None:
        del held, of

    def alarm(self, what: str) -> None:
        del what


class Standing:
    def __init__(self, shard: Shard, options: NodeOptions, shards: int = 1) -> None:
        self.shard = shard
        self.near = NearCache(options.most_cached)
        self.lease = Lease(options.lease, options.grace)
        self.known = Known(shards)
        self.position = Position()
        self.joined = False
        self.unseen = False
        """Whether live connections may be of sessions that ended without this node being told."""
        self.renewing = asyncio.Lock()
        """One renewal at a time; those who wait for one share the next."""
        self.begun = 0
        """Renewals that began."""
        self.shown_at = -math.inf
        """When the latest of them was sent that reached the store (`clock.boottime`)."""
        self.proven = 0
        self.proven_on = ""
        """The latest of them by which a read was proven, and on which primary."""
        self.primary = ""
        """The one that a renewal was last acknowledged on, as `reign` in the scripts names it."""

    def apply(self, entry: FeedEntry, surroundings: Surroundings) -> bool:
        """Take an entry of the feed; False when it is not the next one.

        The lease counts only when all of an entry was applied, live connections too.
        """
        if not self.position.precedes(entry):
            return False
        self.near.apply(entry)
        self.known.learn(entry)
        if entry.ending is not None:
            surroundings.ended(entry.ending)
        self.position = Position(entry.seq, entry.id)
        self.lease.applied(self.position)
        return True

    def acknowledged_on(self, primary: str) -> bool:
        """Enough replicas hold what was just written to this process; whether it was another one before."""
        before, self.primary = self.primary, primary
        return before not in ("", primary)

    def leased_by(self, primary: str, now: float) -> bool:
        """Whether the lease holds, and what this primary tells counts under it."""
        return primary == self.primary and self.lease.holds(now)

    def distrust(self) -> None:
        """Keep nothing of what was read, until there is a new lease."""
        self.lease.lose()
        self.near.clear()

    def go_on_from(self, position: Position, before: Sequence[FeedEntry] = ()) -> None:
        """Follow the feed from here on. What came before is known as far as `before` goes, up to here."""
        self.distrust()
        self.position = position
        fits = bool(before) and (before[-1].seq, before[-1].id) == (position.seq, position.entry)
        self.known.begin(Position(before[0].seq - 1, before[0].after) if fits else position)
        for entry in before if fits else ():
            self.known.learn(entry)
        self.lease.begin(position)
        self.joined = self.unseen = True
