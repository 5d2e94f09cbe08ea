"""Rotations and retirements on a real file and a real store: no key that is needed is ever lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs
from support.race import Race, keys_rotated
from support.store import LIMITS, RING, contents, new_factor, signed_in

from gateway.errors import Faulty, KeyRefused, StoreUnavailable
from gateway.store import rotation
from gateway.store.keyring import KeyRing, KeyState, KeyTimes
from gateway.store.live_ring import LiveKeyRing
from gateway.store.opening import Store, StoreOptions, open_store
from gateway.store.ring_file import RingFile, changing, load, load_or_create
from gateway.store.rotation import SETTLING_SECONDS, retire, rotate
from gateway.store.sealed import SEEDS

NOW = 1_800_000_000.0
LATER = NOW + SETTLING_SECONDS
OLD = RING.active


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with the ring that the store of the tests is sealed with."""
    path = tmp_path / "keys.json"
    load_or_create(path)
    with changing(path) as file:
        file.put(replace(RING, times={OLD: KeyTimes(made_at=1.0, active_from=1.0)}))
    return path


async def resealed(store: Store, path: Path) -> None:
    async for _ in store.sealed.reseal(lambda: load(path)):
        pass


async def with_factor(store: Store, ring: KeyRing = RING) -> str:
    await signed_in(store)
    factor = new_factor(store)
    seed = ring.seal(b"seed", bound_to=SEEDS.bound_to("ada", factor.id))
    await store.factors.add(replace(factor, sealed_seed=seed), NOW, code_given=True)
    return factor.id


async def starts(url: str, ring: KeyRing) -> str:
    """Whether a start with this ring is refused, and why."""
    try:
        store, _ = await open_store(StoreOptions(url, Path(), shards=1, timeout=20), ring, LIMITS)
    except StoreUnavailable as error:
        return str(error)
    await store.close()
    return ""


# --- rotate


async def test_a_rotation_makes_a_key_that_seals_and_keeps_the_others(store: Store, path: Path) -> None:
    done = await rotate(path, store.sealed, NOW)
    ring = load(path)
    assert (done.was, done.becomes) == (OLD, ring.active)
    assert (ring.state(OLD), ring.since(OLD), ring.since(ring.active)) == (KeyState.KEPT, NOW, NOW)
    assert ring.keys[OLD] == RING.keys[OLD]
    assert (await store.sealed.known_keys()).used.keys() == {OLD, ring.active}


async def test_a_key_that_waits_is_the_one(store: Store, path: Path) -> None:
    added = [rotation.add(path, NOW + number) for number in range(2)]
    assert load(path).active == OLD
    assert (await rotate(path, store.sealed, NOW + 5)).becomes == added[1]
    assert (await rotate(path, store.sealed, NOW + 6)).becomes == added[0]
    assert len(load(path).keys) == 3


class Killed(BaseException):
    """What ends a process there, as far as a file and a store can tell."""


@pytest.mark.parametrize("moment", ["the key was added", "the store was told", "the key was activated"])
async def test_a_rotation_that_is_killed_leaves_a_store_that_starts_and_the_next_one_goes_on(
    store: Store, path: Path, valkey_url: str, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    async def killed(ring: KeyRing, now: float) -> None:
        if moment == "the store was told":
            await type(store.sealed).expect(store.sealed, ring, now)
        raise Killed

    if moment == "the key was activated":
        await rotate(path, store.sealed, NOW)
    else:
        with monkeypatch.context() as patch:
            patch.setattr(store.sealed, "expect", killed)
            with pytest.raises(Killed):
                await rotate(path, store.sealed, NOW)
    left = load(path)
    assert len(left.keys) == 2
    assert await starts(valkey_url, left) == ""
    if left.waiting():
        assert (await rotate(path, store.sealed, NOW + 1)).becomes == left.waiting()
    await with_factor(store, left)
    await resealed(store, path)
    assert await store.sealed.needs() == {load(path).active: 2}


async def test_a_store_that_does_not_answer_leaves_the_active_key(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(ring: KeyRing, now: float) -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(store.sealed, "expect", away)
    with pytest.raises(StoreUnavailable):
        await rotate(path, store.sealed, NOW)
    assert load(path).active == OLD


async def test_machines_that_rotate_without_a_copy_are_told(store: Store, path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_bytes(path.read_bytes())
    other.chmod(0o600)
    await rotate(path, store.sealed, NOW)
    with pytest.raises(KeyRefused, match="changed elsewhere"):
        await rotate(other, store.sealed, NOW)
    assert load(other).active == OLD


async def test_four_processes_that_rotate_at_once_lose_nothing(
    path: Path, valkey: Redis, valkey_url: str, store: Store, race: Race
) -> None:
    for _ in range(5):
        await with_factor(store)
    done = [step for steps in race(keys_rotated, path, valkey_url, 3) for step in steps]
    ring = load(path)
    assert len({becomes for _, becomes in done}) == 12
    assert ring.keys.keys() == {OLD, *(becomes for _, becomes in done)}
    followed = dict(done)
    chain = [OLD]
    while chain[-1] in followed:
        chain.append(followed[chain[-1]])
    assert (len(chain), chain[-1]) == (13, ring.active), "each one followed the one before"
    assert await store.sealed.needs() == {ring.active: 6}
    for factor in await store.factors.list("ada"):
        assert ring.open(factor.sealed_seed, bound_to=SEEDS.bound_to("ada", factor.id)) == b"seed"
    assert await starts(valkey_url, ring) == ""


# --- retire


async def test_a_key_that_nothing_needs_is_taken_out(store: Store, path: Path, valkey_url: str) -> None:
    await with_factor(store)
    done = await rotate(path, store.sealed, NOW)
    await resealed(store, path)
    await store.sealed.note_use(OLD, NOW)
    await retire(path, store.sealed, OLD, LATER)
    assert load(path).keys.keys() == load(path).times.keys() == {done.becomes}
    known = await store.sealed.known_keys()
    assert (known.used.keys(), known.retired) == ({done.becomes}, {OLD: LATER})
    assert await starts(valkey_url, load(path)) == ""


async def refused(path: Path, store: Store, name: str, now: float, valkey: Redis) -> str:
    """Why a key cannot be retired; nothing has changed."""
    before, kept = path.read_bytes(), await contents(valkey)
    with pytest.raises(KeyRefused) as raised:
        await retire(path, store.sealed, name, now)
    assert (path.read_bytes(), await contents(valkey)) == (before, kept)
    return str(raised.value)


async def test_what_is_not_retired(store: Store, path: Path, valkey: Redis) -> None:
    assert "no key 'k-none'" in await refused(path, store, "k-none", NOW, valkey)
    assert "active" in await refused(path, store, OLD, LATER, valkey)
    await with_factor(store)
    becomes = (await rotate(path, store.sealed, NOW)).becomes
    await store.sealed.note_use(OLD, NOW)
    assert "try again in 1 s." in await refused(path, store, OLD, LATER - 0.5, valkey)
    said = await refused(path, store, OLD, LATER, valkey)
    assert said == f"{OLD} is needed: 1 value is sealed with it. First: watchword keys reseal"
    await resealed(store, path)
    await store.sealed.note_use(OLD, LATER)
    assert "in use just now" in await refused(path, store, OLD, LATER + 1, valkey), "on another machine"
    assert "active" in await refused(path, store, becomes, LATER, valkey)
    path.chmod(0o640)
    with pytest.raises(Faulty, match="chmod 600"):
        await retire(path, store.sealed, OLD, LATER * 2)


async def test_a_key_that_waits_can_be_taken_out_unless_the_store_was_told(
    store: Store, path: Path, valkey: Redis
) -> None:
    name = rotation.add(path, NOW)
    await retire(path, store.sealed, name, NOW)
    assert load(path).keys.keys() == {OLD}
    name = rotation.add(path, NOW)
    await store.sealed.expect(load(path).activated(name, NOW), NOW)  # and there it was killed
    assert "keys rotate" in await refused(path, store, name, LATER, valkey)


async def test_a_key_that_is_only_remembered_can_be_forgotten(store: Store, path: Path) -> None:
    """It was taken out of the file by hand."""
    await store.sealed.note_use("k-gone", NOW)
    await retire(path, store.sealed, "k-gone", LATER)
    assert "k-gone" not in (await store.sealed.known_keys()).used


async def test_a_retirement_that_is_killed_is_gone_on_with(
    store: Store, path: Path, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rotate(path, store.sealed, NOW)
    await resealed(store, path)
    await store.sealed.note_use(OLD, NOW)

    def killed(_: object, ring: KeyRing) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(RingFile, "put", killed)
        with pytest.raises(Killed):
            await retire(path, store.sealed, OLD, LATER)
    assert OLD in load(path).keys
    assert await starts(valkey_url, load(path)) == ""
    await retire(path, store.sealed, OLD, LATER)
    assert OLD not in load(path).keys


# --- a running gateway


@asynccontextmanager
async def following(store: Store, path: Path) -> AsyncIterator[None]:
    """What a gateway does beside its requests; told to stop at the end, also of a test that fails."""
    told = asyncio.Event()
    task = asyncio.create_task(rotation.follow(LiveKeyRing(path, load(path)), store.sealed, told))
    try:
        yield
    finally:
        told.set()
        await task


async def test_a_gateway_keeps_up_by_itself(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [NOW]
    monkeypatch.setattr(rotation, "_FOLLOW_SECONDS", 0.01)
    monkeypatch.setattr(rotation.clock, "now", lambda: now[0])
    await with_factor(store)
    with capture_logs() as said:
        async with following(store, path):
            await until(store, lambda used, _: used.get(OLD) == NOW)
            becomes = (await rotate(path, store.sealed, NOW)).becomes
            for now[0] in (LATER - 2, LATER - 1):  # a whole turn lies between the two
                await until(store, lambda used, _: used.get(becomes) == now[0])
            assert (await store.sealed.needs())[OLD] == 1, "not yet: somebody may still be writing with it"
            now[0] = LATER
            await until(store, lambda _, needs: needs == {becomes: 2})
    assert {"event": "sealed anew", "resealed": 1, "broken": 0, "log_level": "info"} in said


async def test_a_gateway_goes_on_when_the_store_was_away(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "_FOLLOW_SECONDS", 0.01)
    note_use, failures = store.sealed.note_use, [1, 2, 3]

    async def away(name: str, now: float) -> None:
        if failures:
            failures.pop()
            raise StoreUnavailable("away")
        await note_use(name, now)

    monkeypatch.setattr(store.sealed, "note_use", away)
    before = (await store.sealed.known_keys()).used[OLD]
    async with following(store, path):
        await until(store, lambda used, _: used[OLD] > before)


async def test_it_ends_when_it_is_told_whatever_it_is_doing(store: Store, path: Path) -> None:
    for _ in range(5):
        async with following(store, path):
            await asyncio.sleep(0)


async def until(store: Store, condition: object) -> None:
    """Wait until the keys in use, and what needs them, are so; pytest's timeout ends what never does."""
    while not condition((await store.sealed.known_keys()).used, await store.sealed.needs()):  # type: ignore[operator]
        await asyncio.sleep(0.01)
