"""Changing the key ring of a store that is in use: a new active key, and taking an old one out.

A ring is changed in its file, which is held meanwhile, and the store is told of a key before anything is
sealed with it. Killed anywhere, both are as before or one step further, and the next call goes on.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from gateway import clock
from gateway.errors import KeyRefused, SealBroken, StoreUnavailable
from gateway.store.keyring import KeyRing, KeyState
from gateway.store.live_ring import LiveKeyRing
from gateway.store.ring_file import changing
from gateway.store.sealed import Progress, Sealed

SETTLING_SECONDS = 60.0
"""How long after its last use a key stays: a gateway may be writing what it sealed with it just now."""

_FOLLOW_SECONDS = 15.0
_PAUSE_SECONDS = 0.005

_log = structlog.get_logger("gateway.keys")


@dataclass(frozen=True, slots=True)
class Rotated:
    """The name of the key that sealed so far, and of the one that does from now on."""

    was: str
    becomes: str


def add(path: Path, now: float) -> str:
    """Add a key that waits, so that every machine can have it before it is used; its name. Raises Faulty."""
    with changing(path) as file:
        before = file.ring
        file.put(before.with_new_key(now))
        (name,) = file.ring.keys.keys() - before.keys.keys()
        return name


async def rotate(path: Path, sealed: Sealed, now: float) -> Rotated:
    """Let the newest key that waits, or a new one if none does, seal from now on.

    Raises Faulty, KeyRefused, StoreUnavailable.
    """
    with changing(path) as file:
        was = file.ring.active
        if file.ring.waiting() is None:
            file.put(file.ring.with_new_key(now))
        becomes = file.ring.waiting() or was
        ring = file.ring.activated(becomes, now)
        try:
            await sealed.expect(ring, now)
        except SealBroken:
            raise KeyRefused("the key ring was changed elsewhere meanwhile: copy it from there") from None
        file.put(ring)
    return Rotated(was, becomes)


async def retire(path: Path, sealed: Sealed, name: str, now: float) -> None:
    """Take a key out that nothing needs any more. Raises Faulty, KeyRefused, StoreUnavailable."""
    with changing(path) as file:
        await demand_retirable(file.ring, sealed, name, now)
        # The store first: a key that it has forgotten and the ring has not does no harm.
        await sealed.forget(name, now)
        if name in file.ring.keys:
            file.put(file.ring.without(name))


async def demand_retirable(ring: KeyRing, sealed: Sealed, name: str, now: float) -> None:
    """Raises KeyRefused for a key that is not there, or has to stay; and StoreUnavailable."""
    used = (await sealed.known_keys()).used
    if name not in ring.keys and name not in used:
        raise KeyRefused(f"There is no key {name!r}.")
    state = ring.state(name)
    if state is KeyState.ACTIVE:
        raise KeyRefused(f"{name} is the active key: watchword keys rotate makes another one active.")
    wait = _last_use(ring, name, used) + SETTLING_SECONDS - now
    if state is KeyState.KEPT and wait > 0:
        raise KeyRefused(f"{name} was in use just now: try again in {int(wait) + 1} s.")
    if needed_by := (await sealed.needs())[name]:
        what = "value is sealed with it" if needed_by == 1 else "values are sealed with it"
        command = "rotate" if state is KeyState.WAITING else "reseal"
        raise KeyRefused(f"{name} is needed: {needed_by} {what}. First: watchword keys {command}")


def _last_use(ring: KeyRing, name: str, used: dict[str, float]) -> float:
    return max((ring.since(name) if name in ring.keys else None) or 0.0, used.get(name, 0.0))


async def follow(ring: LiveKeyRing, sealed: Sealed, told: asyncio.Event) -> None:
    """Keep a running gateway up with its key ring, until it is told to stop.

    The store is told which key is in use here, so that it is not retired elsewhere. What is sealed with a
    key that another one followed is sealed anew, once nobody can be writing with the old one.

    To be told, not cancelled: before Python 3.12, a call of the store that ends just then swallows a
    cancellation (`asyncio.wait_for`), and this would go on.
    """
    done: KeyRing | None = None
    while not told.is_set():
        current, now = ring.current(), clock.now()
        try:
            await sealed.note_use(current.active, now)
            kept = any(current.state(name) is KeyState.KEPT for name in current.keys)
            settled = now >= (current.since(current.active) or 0.0) + SETTLING_SECONDS
            if kept and settled and current != done:
                await _reseal(ring, sealed, told)
                done = current
        except StoreUnavailable as error:
            _log.warning("the keys in use cannot be told to the store", why=str(error))
        with suppress(TimeoutError):
            await asyncio.wait_for(told.wait(), _FOLLOW_SECONDS)


async def _reseal(ring: LiveKeyRing, sealed: Sealed, told: asyncio.Event) -> None:
    done = Progress()
    async for progress in sealed.reseal(ring.current):
        done = progress
        await asyncio.sleep(_PAUSE_SECONDS)  # requests go first
        if told.is_set():
            break
    if done.resealed or done.broken:
        _log.info("sealed anew", resealed=done.resealed, broken=done.broken)
