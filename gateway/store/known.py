"""What a node knows to have ended, whatever the store says later: high-water marks, and a log to repeat from.

A store can forget: a failover to a replica that lacks the last writes, a torn file, a backup put back. What
a node has once been told is over is not believed to live again.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator
from itertools import takewhile
from typing import TypeVar

from gateway.core.ending import Ending, Scope
from gateway.core.records import Snapshot
from gateway.store.feed import FeedEntry, Position

V = TypeVar("V")

MOST_REMEMBERED = 100_000
"""Sessions, devices and accounts whose end a node remembers, of each; the ones told longest ago give way."""

MOST_LOGGED = 20_000
"""Entries of feeds that a node can repeat."""

_LEAST = 1000
"""Of both, for each shard, however many there are."""


class Known:
    """Of one shard, of so many."""

    def __init__(self, shards: int = 1) -> None:
        self._most = max(_LEAST, MOST_REMEMBERED // shards)
        self._most_logged = max(_LEAST, MOST_LOGGED // shards)
        self._global_epoch = 0
        self._accounts: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._sessions: OrderedDict[str, None] = OrderedDict()
        self._devices: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._base = Position()
        self._log: deque[FeedEntry] = deque(maxlen=self._most_logged)

    def begin(self, base: Position) -> None:
        """Entries will be told from `base` on; what was told before cannot be repeated from here."""
        self._base = base
        self._log.clear()

    def learn(self, entry: FeedEntry) -> None:
        """Take the next entry of the feed."""
        if len(self._log) == self._most_logged:
            self._base = Position(self._log[0].seq, self._log[0].id)
        self._log.append(entry)
        if entry.ending is not None:
            self._remember(entry.ending, entry.at)

    def _remember(self, ending: Ending, at: float) -> None:
        match ending.scope:
            case Scope.SESSION:
                self._keep(self._sessions, ending.id, None)
            case Scope.DEVICE:
                self._keep(self._devices, ending.id, (at, self._as_of))
            case Scope.ACCOUNT:
                before, _ = self._accounts.get(ending.subject, (0, 0))
                self._keep(self._accounts, ending.subject, (max(before, ending.epoch), self._as_of))
            case Scope.EVERYBODY:
                self._global_epoch = max(self._global_epoch, ending.epoch)

    @property
    def _as_of(self) -> int:
        """The global epoch of now; where none is known yet, one that no session is later than."""
        return self._global_epoch or 2**63

    def _keep(self, remembered: OrderedDict[str, V], name: str, value: V) -> None:
        remembered[name] = value
        remembered.move_to_end(name)
        if len(remembered) > self._most:
            remembered.popitem(last=False)

    @property
    def global_epoch(self) -> int:
        """The highest that was told; 0 where none was."""
        return self._global_epoch

    def saw_global_epoch(self, epoch: int | None, before: int) -> bool:
        """Remember an epoch that the store told; False when it is missing, or lower than the one that was
        known `before` the store was asked: a higher one may have come since, from the feed.
        """
        if epoch is None or epoch < before:
            return False
        self._global_epoch = max(self._global_epoch, epoch)
        return True

    def contradicts(self, snapshot: Snapshot) -> bool:
        """Whether the store tells as living what is known to be over, or an epoch from before."""
        session, account, epoch = snapshot.session, snapshot.account, snapshot.global_epoch
        if epoch is not None and epoch < self._global_epoch:
            return True
        if session.id in self._sessions:
            return True
        # What began after everybody's end is later than all that ended before, whatever the store has lost.
        mark, as_of = self._accounts.get(session.subject, (0, 0))
        if account.epoch is not None and account.epoch < mark and session.global_epoch <= as_of:
            return True
        # A device that was forgotten and comes back is another one.
        at, as_of = self._devices.get(session.device_id, (-1.0, 0))
        return session.device_since <= at and session.global_epoch <= as_of

    def positions(self) -> Iterator[Position]:
        """Places in the feed from which everything that followed can be repeated, newest first."""
        yield from (Position(entry.seq, entry.id) for entry in reversed(self._log))
        yield self._base

    def endings_after(self, position: Position) -> list[FeedEntry]:
        """What ended after a position of `positions`, oldest first."""
        later = takewhile(lambda entry: entry.seq > position.seq, reversed(self._log))
        return [entry for entry in later if entry.ending is not None][::-1]
