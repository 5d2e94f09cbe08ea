"""How long a node may trust what it keeps in memory of one shard.

A renewal is a write that enough servers hold. It counts from before it was sent, and only once all that the
feed had until then was applied. So whoever revokes something and waits for as long as a lease lasts knows
that no node still trusts what it read before.

Times are seconds of `clock.boottime`, which goes on while a machine or a process is stopped, and which no
change of the wall clock moves.
"""

from collections import deque
from dataclasses import dataclass

from gateway.store.feed import Position

MOST_RECENT = 1000
"""Places of the feed that are remembered, for renewals whose answer comes after they were passed."""


@dataclass(frozen=True, slots=True)
class Renewal:
    """A renewal that was written: when it began to be sent, and with which entry the feed ended then.

    The number of that entry is not enough: what was applied meanwhile may have come from the primary before,
    where another entry has it.

    `acknowledged`: by enough replicas for a lease. One that was not still proves, where the setting says
    that a read needs no more, that the node reads what a confirmed revocation has reached.
    """

    sent_at: float
    tail: Position
    acknowledged: bool


class Lease:
    def __init__(self, length: float, grace: float) -> None:
        """`grace`: for how long live connections outlast what they are judged by."""
        self._length = length
        self._grace = grace
        self._until = 0.0
        self._proven_until = 0.0
        self._waiting: list[Renewal] = []
        self._passed = deque([Position()], maxlen=MOST_RECENT)

    def renewed(self, renewal: Renewal) -> None:
        """A renewal was written; it counts once its tail is applied."""
        self._waiting.append(renewal)
        self._count()

    def applied(self, position: Position) -> None:
        """The next entry of the feed was applied."""
        self._passed.append(position)
        if self._waiting:
            self._count()

    def begin(self, position: Position) -> None:
        """The feed is followed from here on."""
        self.lose()
        self._passed.clear()
        self._passed.append(position)

    def lose(self) -> None:
        """Trust nothing any more, nor what is still under way. Live connections have until their time is
        over: whoever revokes something waits for that as well.
        """
        self._until = 0.0
        self._waiting.clear()

    def holds(self, now: float) -> bool:
        return now < self._until

    def lets_pass(self, now: float) -> bool:
        """Whether live connections may go on."""
        return now < self._proven_until + self._grace

    def _count(self) -> None:
        last = self._passed[-1]
        for renewal in self._waiting:
            tail = renewal.tail
            if tail == last or (tail.seq < last.seq and tail in self._passed):
                until = renewal.sent_at + self._length
                self._proven_until = max(self._proven_until, until)
                if renewal.acknowledged:
                    self._until = max(self._until, until)
        self._waiting = [renewal for renewal in self._waiting if renewal.tail.seq > last.seq]
