"""Counters of attempts. An attempt counts before it is checked, so no race gives one for free.

What can be told by account counts in a row: each failure makes the next attempt wait longer, whatever
the hour, until one succeeds. Addresses, which people share, have a window.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.core.records import Device
from gateway.store.connection import Connection
from gateway.store.keys import Shard, shard_of_subject

CODES = "code"
"""The kind of attempt that every code is, whatever door it comes through."""

RECOVERY = "recovery"
"""The kind that every recovery code is."""

FORGET_APART_SECONDS = 86_400.0
"""How long after the last failure on a device its own failures are forgotten; the lock remembers them."""


@dataclass(frozen=True, slots=True)
class AttemptLimit:
    """At most `most` attempts within `window` seconds of the first one."""

    most: int
    window: float


@dataclass(frozen=True, slots=True)
class GrowingDelay:
    """How failures in a row slow down. Times are in seconds.

    `free` of them make nobody wait; the next attempt then waits for `first`, and after each further
    failure twice as long, up to `longest`. After `lock` failures there is no next one (NIST SP 800-63B
    section 3.2.2 wants that after 100 at the latest). They are forgotten once nothing was tried for
    `forget_after`.
    """

    free: int
    first: float
    longest: float
    lock: int | None = None
    forget_after: float | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """Whether an attempt may be checked, and if not, in how many seconds the next one may.

    `locked`: if this one fails as well, or may not be checked, there is no next one.
    """

    allowed: bool
    retry_after: int = 0
    locked: bool = False


class Attempts:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def begin(
        self, kind: str, name: str, delay: GrowingDelay, now: float, *, device: Device | None = None
    ) -> Attempt:
        """Count an attempt of `kind` by `name` (a subject), as a failure until it succeeds.

        One that comes too early, or after the lock, is not allowed and does not count. On a `device` on
        which a code was given before, how long to wait depends on its own failures only: or whoever
        knows the password would keep the owner waiting, by guessing whenever a guess is allowed.
        """
        apart = device.id if device and device.proved_at is not None else None
        allowed, locked, seconds = await self._connection.run(
            "begin_attempt",
            self._shard(name),
            name=f"{kind}:{_key_part(name)}",
            now=now,
            free=delay.free,
            first=delay.first,
            longest=delay.longest,
            lock=delay.lock,
            forget_after=delay.forget_after,
            apart=f"{kind}:{apart}" if apart else None,
            forget_apart_at=now + FORGET_APART_SECONDS,
        )
        return Attempt(bool(allowed), seconds, bool(locked))

    async def succeed(self, kind: str, name: str) -> None:
        """Forget the failures before a success."""
        key = self._shard(name).key("failures", f"{kind}:{_key_part(name)}")
        await self._connection.call(self._connection.redis.delete(key))

    async def unlock(self, subject: str) -> None:
        """Let an account's codes and recovery codes count again, the next one at once."""
        shard = self._shard(subject)
        devices = await self._connection.call(
            self._connection.redis.zrange(shard.key("devices", subject), 0, -1)
        )
        keys = [
            shard.key("failures", f"{kind}:{whose}")
            for kind in (CODES, RECOVERY)
            for whose in (subject, *devices)
        ]
        await self._connection.call(self._connection.redis.delete(*keys))

    async def locked(self, subjects: Iterable[str]) -> frozenset[str]:
        """Those of these accounts whose codes are locked."""
        subjects = list(subjects)
        keys = (self._shard(subject).key("failures", f"{CODES}:{subject}") for subject in subjects)
        found = await self._connection.fields(keys, "locked")
        return frozenset(subject for subject, locked in zip(subjects, found, strict=True) if locked)

    async def count(self, kind: str, name: str, limit: AttemptLimit) -> Attempt:
        """Count one attempt of `kind` by `name` (an address) within its window."""
        count, seconds = await self._connection.run(
            "count_attempt", self._shard(name), name=f"{kind}:{_key_part(name)}", window=int(limit.window)
        )
        return Attempt(count <= limit.most, max(1, seconds))

    async def uncount(self, kind: str, name: str) -> None:
        """Take one attempt back, since it turned out to be none that is to be limited."""
        await self._connection.run("uncount_attempt", self._shard(name), name=f"{kind}:{_key_part(name)}")

    def _shard(self, name: str) -> Shard:
        return shard_of_subject(name, self._connection.shards)


def _key_part(name: str) -> str:
    """What a stranger typed as a name may be of any length; a key is not."""
    return name if len(name) <= 128 else hashlib.sha256(name.encode()).hexdigest()
