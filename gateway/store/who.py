"""Who is asking: from memory where that is safe, else from the store."""

import hashlib
from dataclasses import replace
from typing import Final

from gateway import clock
from gateway.core.records import Snapshot
from gateway.store.last_seen import LastSeen
from gateway.store.node import Node
from gateway.store.sessions import Sessions
from gateway.store.standing import Standing


class Place:
    """The shard of a session, and the hash of its cookie."""

    __slots__ = ("key", "standing")

    def __init__(self, standing: Standing, key: bytes) -> None:
        self.standing: Final = standing
        self.key: Final = key


class Who:
    def __init__(self, sessions: Sessions, node: Node, last_seen: LastSeen) -> None:
        self._sessions = sessions
        self._node = node
        self._last_seen = last_seen

    def place_of(self, cookie: str) -> Place | None:
        """Where memory would have who sends this cookie; the same for as long as this process runs."""
        standing = self._standing(cookie)
        return None if standing is None else Place(standing, _key(cookie))

    def remembered(self, place: Place | None, now: float) -> Snapshot | None:
        """What memory tells of who sends a cookie; None when it is not to be trusted, or has nothing.

        It serves to let an ordinary request through. Whatever else would follow from it, proof that is
        missing, a session that is over, is to be judged by what `ask` finds.
        """
        if place is None or not place.standing.lease.holds(clock.boottime()):
            return None
        return place.standing.near.get(place.key, now)

    async def ask(self, cookie: str, now: float) -> Snapshot | None:
        """What the store tells of who sends this cookie, in one round trip; None when it leads nowhere.

        No revocation that was confirmed before this call is missing in it. Raises StoreUnavailable, also
        where that cannot be known.
        """
        standing = self._standing(cookie)
        if standing is None:
            return None
        await self._node.show_up(standing)
        turn = standing.near.turn
        reading = await self._sessions.read(cookie, now, replicated=self._node.options.replicated)
        await self._node.believe(standing, reading.said_by)
        found = reading.found
        if found is None:
            return None
        snapshot = found.snapshot
        if snapshot.fault(now) is not None:
            return snapshot
        if self._node.contradicts(standing, snapshot, turn):
            return replace(snapshot, global_epoch=None)
        if standing.leased_by(reading.said_by, clock.boottime()):
            standing.near.put(_key(cookie), snapshot, found.until, turn=turn)
        return snapshot

    def used(self, cookie: str, snapshot: Snapshot, address: str, now: float) -> None:
        """Note that a session was used, which moves its idle deadline: in the store a moment later."""
        if not self._last_seen.is_due(snapshot, now):
            return
        idle_until = self._last_seen.note(snapshot, address, now)
        standing = self._standing(cookie)
        if standing is not None:
            standing.near.used(_key(cookie), now, idle_until)

    def _standing(self, cookie: str) -> Standing | None:
        shard = self._sessions.shard_of_cookie(cookie)
        return None if shard is None else self._node.standings[shard.index]


def _key(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode()).digest()
