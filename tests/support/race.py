"""Four processes that do one thing at one moment."""

import asyncio
import multiprocessing
from collections.abc import Awaitable, Callable, Iterator, Sequence
from multiprocessing.synchronize import Barrier
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from support.store import LIMITS, opened_store

from gateway import clock
from gateway.core.telling import Channel
from gateway.store import rotation
from gateway.store.keyring import KeyRing
from gateway.store.live_ring import LiveKeyRing
from gateway.store.opening import StoreOptions, open_store
from gateway.store.ring_file import load_or_create

PROCESSES = 4

Race = Callable[..., list[Any]]

StoreCall = tuple[str, tuple[Any, ...], dict[str, Any]]
"""A method of the store, such as `factors.spend`, and its arguments, by place and by name."""

_start: Barrier


@pytest.fixture(scope="session")
def race() -> Iterator[Race]:
    """Call one of the functions below in every process; gives what each of them returned."""
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(PROCESSES, initializer=_meet_at, initargs=[spawn.Barrier(PROCESSES)]) as pool:
        yield lambda function, *arguments: pool.starmap(function, [arguments] * PROCESSES, chunksize=1)


def _meet_at(barrier: Barrier) -> None:
    global _start
    _start = barrier


def store_calls(url: str, method: str, times: int, *arguments: Any) -> list[Any]:
    """What `times` calls at once of a method (such as `factors.spend`) of the store at `url` gave."""
    return mixed_calls(url, [(method, arguments, {})] * times)


def mixed_calls(url: str, calls: Sequence[StoreCall]) -> list[Any]:
    """What different calls at once of the store at `url` gave."""

    async def called() -> list[Any]:
        store = await opened_store(url)
        try:
            _start.wait(60)
            return await asyncio.gather(
                *(attrgetter(method)(store)(*arguments, **named) for method, arguments, named in calls)
            )
        finally:
            await store.close()

    return asyncio.run(called())


def store_work(url: str, work: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
    """What `work`, a function of some module here, gave for the store at `url`."""

    async def done() -> Any:
        store = await opened_store(url)
        try:
            _start.wait(60)
            return await work(store, *arguments)
        finally:
            await store.close()

    return asyncio.run(done())


def ring_made(path: Path) -> KeyRing:
    _start.wait(60)
    return load_or_create(path)


def ids_claimed(url: str, now: float) -> list[str]:
    """The ids of the messages that one process gets, five at a time, until there are no more."""

    async def claimed() -> list[str]:
        store, ids = await opened_store(url), []
        try:
            _start.wait(60)
            while batch := await store.outbox.claim(Channel.MAIL, now, seconds=60, most=5):
                ids += [message.id for message in batch]
            return ids
        finally:
            await store.close()

    return asyncio.run(claimed())


def key_added(path: Path, times: int) -> list[str]:
    """The names of the keys that were added to a ring."""
    _start.wait(60)
    return [rotation.add(path, clock.now()) for _ in range(times)]


def keys_rotated(path: Path, url: str, times: int) -> list[tuple[str, str]]:
    """Rotate, and seal everything anew, that often; which key followed which."""

    async def rotated() -> list[tuple[str, str]]:
        ring = LiveKeyRing(path, load_or_create(path))
        store, _ = await open_store(StoreOptions(url, Path(), shards=1, timeout=20), ring.current(), LIMITS)
        done = []
        _start.wait(60)
        for _ in range(times):
            done.append(await rotation.rotate(path, store.sealed, clock.now()))
            async for _ in store.sealed.reseal(ring.current):
                pass
        await store.close()
        return [(each.was, each.becomes) for each in done]

    return asyncio.run(rotated())
