"""The near cache: sessions in memory, so that an ordinary request asks the store nothing.

It may be behind the store by as much as the feed lags. So it is used only while the node's lease holds, and
only to let an ordinary request through; whoever asks it takes every other outcome to the store.
"""

import math
from collections import OrderedDict, deque
from dataclasses import dataclass, replace
from itertools import islice

from gateway.core.ending import Ending, Scope
from gateway.core.records import Snapshot
from gateway.store.feed import FeedEntry

MOST_RECENT = 1000
"""Entries of the feed that may overtake a read, and it can still be told whether they concern it."""

_EVERYBODY = ""

SAME_TIME = 60.0
"""Seconds within which uses count as one, for who gives way: to note each costs more than to find it."""


@dataclass(slots=True)
class Cached:
    """What a cookie leads to, until the cookie ends; when it was put in order (Unix seconds)."""

    snapshot: Snapshot
    until: float
    in_order_at: float


class NearCache:
    """Of one shard, by the hash of the cookie; indexed by account and by device."""

    def __init__(self, most: int) -> None:
        """`most`: how many cookies it holds; the ones used least recently give way."""
        self._most = most
        self._cached: OrderedDict[bytes, Cached] = OrderedDict()
        self._by_subject: dict[str, tuple[bytes, ...]] = {}
        self._by_device: dict[str, tuple[bytes, ...]] = {}
        self._recent: deque[str] = deque(maxlen=MOST_RECENT)
        self._turn = 0
        self._global_epoch = 0

    def __len__(self) -> int:
        return len(self._cached)

    def get(self, cookie: bytes, now: float) -> Snapshot | None:
        """What was read of this cookie, if it is still here and may be used."""
        cached = self._cached.get(cookie)
        if cached is None:
            return None
        if now >= cached.until or cached.snapshot.session.global_epoch < self._global_epoch:
            self._drop(cookie)
            return None
        if not 0 <= now - cached.in_order_at < SAME_TIME:
            cached.in_order_at = now
            self._cached.move_to_end(cookie)
        return cached.snapshot

    @property
    def turn(self) -> int:
        """Changes with every entry; to be noted before a read whose result is to be put here."""
        return self._turn

    def put(self, cookie: bytes, snapshot: Snapshot, until: float, *, turn: int) -> bool:
        """Keep what was read; False where something that came since `turn` may have overtaken it."""
        subject = snapshot.session.subject
        if self._overtaken(turn, subject):
            return False
        self._drop(cookie)
        self._cached[cookie] = Cached(snapshot, until, -math.inf)
        _add(self._by_subject, subject, cookie)
        _add(self._by_device, snapshot.session.device_id, cookie)
        if len(self._cached) > self._most:
            self._drop(next(iter(self._cached)))
        return True

    def used(self, cookie: bytes, last_used_at: float, idle_until: float) -> None:
        """Note that a session was used, which moves its idle deadline."""
        cached = self._cached.get(cookie)
        if cached is not None:
            session = replace(cached.snapshot.session, last_used_at=last_used_at, idle_until=idle_until)
            cached.snapshot = replace(cached.snapshot, session=session)

    def apply(self, entry: FeedEntry) -> None:
        """Forget what an entry is about. Everybody's end costs no more than one person's."""
        self._came(entry.subject)
        ending = entry.ending
        if ending is not None and ending.scope is Scope.EVERYBODY:
            self._global_epoch = max(self._global_epoch, ending.epoch)
            return
        for cookie in self._concerned(entry.subject, ending):
            self._drop(cookie)

    def clear(self) -> None:
        """Forget everything, also what is being read now."""
        self._came(_EVERYBODY)
        self._cached.clear()
        self._by_subject.clear()
        self._by_device.clear()

    def _came(self, subject: str) -> None:
        self._turn += 1
        self._recent.append(subject)

    def _overtaken(self, turn: int, subject: str) -> bool:
        since = self._turn - turn
        if since > len(self._recent):
            return True
        return any(of in (_EVERYBODY, subject) for of in islice(reversed(self._recent), since))

    def _concerned(self, subject: str, ending: Ending | None) -> tuple[bytes, ...]:
        if ending is not None and ending.scope is Scope.DEVICE:
            return self._by_device.get(ending.id, ())
        of_account = self._by_subject.get(subject, ())
        if ending is not None and ending.scope is Scope.SESSION:
            return tuple(each for each in of_account if self._cached[each].snapshot.session.id == ending.id)
        return of_account

    def _drop(self, cookie: bytes) -> None:
        cached = self._cached.pop(cookie, None)
        if cached is not None:
            _remove(self._by_subject, cached.snapshot.session.subject, cookie)
            _remove(self._by_device, cached.snapshot.session.device_id, cookie)


def _add(index: dict[str, tuple[bytes, ...]], name: str, cookie: bytes) -> None:
    index[name] = (*index.get(name, ()), cookie)


def _remove(index: dict[str, tuple[bytes, ...]], name: str, cookie: bytes) -> None:
    left = tuple(other for other in index[name] if other != cookie)
    if left:
        index[name] = left
    else:
        del index[name]
