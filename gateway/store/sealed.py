"""Everything that is sealed in the store: what there is, under which keys, and sealing it anew.

`ww:meta` holds a sealed check value, and the names of the keys that something may be sealed with. A
start with a ring that lacks one of them is refused, instead of failing at somebody's first code.
"""

import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog

from gateway.errors import SealBroken, StoreUnavailable
from gateway.store.connection import Connection, Server, time_text
from gateway.store.failures import store_errors
from gateway.store.keyring import KeyRing, KeyState
from gateway.store.keys import META, Meta, Shard

CHECK = b"watchword"
"""What the check value hides."""

_KEY = re.compile(r"ww:\{s(?P<shard>[0-9a-f]{2})\}:(?P<kind>\w+):(?P<id>.+)", re.DOTALL)
_SCANNED_AT_ONCE = 500
_READ_AT_ONCE = 20
"""Records; a parked request may have a mebibyte."""

_log = structlog.get_logger("gateway.keys")


@dataclass(frozen=True, slots=True)
class SealedField:
    """Where records of one kind keep something sealed; `owner` is the field that says whose they are."""

    kind: str
    field: str
    owner: str

    def bound_to(self, owner: str, record_id: str) -> str:
        """What the value of a record is bound to: moved to another one, or to somebody else's, it is void."""
        return f"{self.kind}:{owner}:{record_id}"


SEEDS = SealedField("factor", "sealed_seed", "subject")
PARKED_REQUESTS = SealedField("challenge", "parked", "session")

SEALED_FIELDS = {sealed.kind: sealed for sealed in (SEEDS, PARKED_REQUESTS)}
"""All of them. What is not in here is not sealed anew, and does not keep its key from being retired."""


@dataclass(frozen=True, slots=True)
class SealedValue:
    """One value as it is in the store; `record` is its key within the place."""

    place: Shard | Meta
    record: str
    field: str
    bound_to: str
    text: str

    @property
    def key_name(self) -> str:
        return self.text.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a pass over the store has come.

    `seen` of about `total` records were looked at, `resealed` of them sealed anew, and `broken` can be opened
    by no key.
    """

    seen: int = 0
    total: int = 0
    resealed: int = 0
    broken: int = 0


@dataclass(frozen=True, slots=True)
class KnownKeys:
    """The names of keys in `ww:meta`, with when each was last known to be used, or was retired."""

    used: dict[str, float]
    retired: dict[str, float]


class Sealed:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def known_keys(self) -> KnownKeys:
        return known_keys(await self._connection.call(self._connection.redis.hgetall(META)))

    async def note_use(self, name: str, now: float) -> None:
        """Remember that something is sealed with a key from now on, or still is."""
        await self._connection.call(self._connection.redis.hset(META, f"key:{name}", time_text(now)))

    async def expect(self, ring: KeyRing, now: float) -> None:
        """Make a ring's active key known before it is used: whoever starts without it is refused from now on.

        The check value goes first, so that there is no moment in which it is used and not missed.
        """
        await self._sealed_anew(await self._check(), lambda: ring, lambda name: name != ring.active)
        await self.note_use(ring.active, now)

    async def forget(self, name: str, now: float) -> None:
        """Nothing is sealed with this key any more, and nothing may be."""
        with store_errors():
            async with self._connection.redis.pipeline(transaction=True) as both:
                both.hdel(META, f"key:{name}")
                both.hset(META, f"retired:{name}", time_text(now))
                await both.execute()

    async def needs(self) -> Counter[str]:
        """How many sealed values need each key, by its name.

        A value may count twice while the server rearranges its tables, and never less than once.
        """
        needs: Counter[str] = Counter()
        async for _, values in self._batches():
            needs.update(value.key_name for value in values)
        return needs

    async def reseal(self, current: Callable[[], KeyRing]) -> AsyncIterator[Progress]:
        """Seal everything anew that is sealed with a key that is only kept; tells how far it has come.

        It may end anywhere and be begun again, and any number of processes may do it at once: each value
        is replaced only if it is still the one that was opened. `current` gives the ring, asked each time.
        """
        total = 0
        for server in await self._connection.servers():
            total += await self._connection.call(server.redis.dbsize())
        seen = resealed = broken = 0
        async for count, values in self._batches():
            seen += count
            for value in values:
                try:
                    resealed += await self._sealed_anew(value, current, lambda name: _is_due(current(), name))
                except SealBroken as error:
                    broken += 1
                    _log.error("cannot be opened", record=value.record, key=value.key_name, why=str(error))
            yield Progress(seen, max(seen, total), resealed, broken)

    async def _sealed_anew(
        self, value: SealedValue | None, current: Callable[[], KeyRing], is_due: Callable[[str], bool]
    ) -> bool:
        """Whether a value was replaced; False where none is due, or somebody else was quicker."""
        while value is not None and is_due(value.key_name):
            ring = current()
            plain = ring.open(value.text.encode(), bound_to=value.bound_to)
            becomes = ring.seal(plain, bound_to=value.bound_to).decode("ascii")
            changed = await self._connection.run(
                "reseal", value.place, record=value.record, field=value.field, was=value.text, becomes=becomes
            )
            if changed:
                return True
            value = await self._again(value)
        return False

    async def _again(self, value: SealedValue) -> SealedValue | None:
        """The same as it is by now; None when it went."""
        key = f"{value.place.prefix}{value.record}"
        text = await self._connection.call(self._connection.redis.hget(key, value.field))
        return None if text is None else replace(value, text=text)

    async def _check(self) -> SealedValue:
        text = await self._connection.call(self._connection.redis.hget(META, "check"))
        return SealedValue(Meta(), "", "check", META, text)

    async def _batches(self) -> AsyncIterator[tuple[int, Sequence[SealedValue]]]:
        """Every sealed value, a few at a time, with the number of records that were looked at for them.

        What is in the store from beginning to end is met (SCAN); nobody is kept waiting meanwhile. Raises
        StoreUnavailable where that cannot be said, as servers took over from each other meanwhile.
        """
        yield 1, [await self._check()]
        layout = await self._connection.layout()
        for server in await self._connection.servers():
            async for keys in self._keys_of(server):
                places = [place for key in keys if (place := _place_of(key)) is not None]
                yield len(keys) - len(places), []
                for start in range(0, len(places), _READ_AT_ONCE):
                    some = places[start : start + _READ_AT_ONCE]
                    yield len(some), await self._read(some)
        if await self._connection.layout() != layout:
            raise StoreUnavailable("the store's servers changed while it was looked through")

    async def _keys_of(self, server: Server) -> AsyncIterator[Sequence[str]]:
        cursor = 0
        while True:
            cursor, keys = await self._connection.call(
                server.redis.scan(cursor, match="ww:{*", count=_SCANNED_AT_ONCE)
            )
            yield keys
            if cursor == 0:
                return

    async def _read(self, places: Sequence[tuple[Shard, SealedField, str]]) -> list[SealedValue]:
        with store_errors():
            pipeline = self._connection.redis.pipeline(transaction=False)
            for shard, sealed, record_id in places:
                pipeline.hmget(shard.key(sealed.kind, record_id), sealed.field, sealed.owner)
            rows = await pipeline.execute()
        found = []
        for (shard, sealed, record_id), (text, owner) in zip(places, rows, strict=True):
            if text is not None and owner is not None:
                record, bound_to = f"{sealed.kind}:{record_id}", sealed.bound_to(owner, record_id)
                found.append(SealedValue(shard, record, sealed.field, bound_to, text))
        return found


def known_keys(meta: dict[str, Any]) -> KnownKeys:
    """What the fields of `ww:meta` say of keys."""

    def named(prefix: str) -> dict[str, float]:
        return {
            name.removeprefix(prefix): float(value) for name, value in meta.items() if name.startswith(prefix)
        }

    return KnownKeys(used=named("key:"), retired=named("retired:"))


def _is_due(ring: KeyRing, name: str) -> bool:
    """Whether values under a key are to be sealed anew.

    A key that waits here is newer than the active one: it is the active one elsewhere by now.
    """
    return name not in ring.keys or ring.state(name) is KeyState.KEPT


def _place_of(key: str) -> tuple[Shard, SealedField, str] | None:
    """The shard, kind and id of a record with something sealed; None for every other key."""
    named = _KEY.fullmatch(key)
    if named is None or named["kind"] not in SEALED_FIELDS:
        return None
    return Shard(int(named["shard"], 16)), SEALED_FIELDS[named["kind"]], named["id"]
