"""Opening: what a server must be like, and what is fixed at first start."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio import Redis
from support.store import (
    LIKE_OURS,
    LIMITS,
    NOW,
    RING,
    commands_during,
    contents,
    new_factor,
    opened_store,
    running_server,
    signed_in,
)

from gateway import clock
from gateway.core.reasons import Reason
from gateway.core.records import Factor
from gateway.errors import StoreUnavailable, WrongKeyRing
from gateway.store import opening
from gateway.store.keyring import KeyRing, KeyTimes, new_keyring
from gateway.store.keys import MAX_SHARDS, META, Shard
from gateway.store.opening import Store, StoreOptions, open_store
from gateway.store.sealed import SEEDS
from gateway.store.standing import Nobody


def options(url: str, **other: object) -> StoreOptions:
    return replace(StoreOptions(url=url, data_dir=Path(), shards=1, timeout=20), **other)


# --- the server


@pytest.mark.parametrize(
    ("settings", "doubts"),
    [
        (LIKE_OURS, []),
        (("--appendonly", "no"), ["appendonly is off"]),
        (
            ("--appendonly", "yes", "--maxmemory-policy", "allkeys-lru"),
            ["maxmemory-policy is allkeys-lru, not noeviction"],
        ),
        (
            ("--appendonly", "no", "--maxmemory-policy", "volatile-ttl"),
            ["maxmemory-policy is volatile-ttl, not noeviction", "appendonly is off"],
        ),
    ],
)
async def test_a_doubtful_server_is_a_fault_or_a_warning(
    short_path: Path, settings: tuple[str, ...], doubts: list[str]
) -> None:
    with running_server(short_path, *settings) as server:
        if doubts:
            with pytest.raises(StoreUnavailable, match="cannot be relied on: " + "; ".join(doubts)):
                await open_store(options(server.url), RING, LIMITS)
            async with Redis.from_url(server.url) as client:
                assert await client.dbsize() == 0, "a server that is refused is left as it was"
        store, warnings = await open_store(options(server.url, strict=False), RING, LIMITS)
        assert warnings == doubts
        await signed_in(store)
        await store.close()


async def test_a_replica_is_no_store(short_path: Path) -> None:
    with running_server(short_path, *LIKE_OURS, "--replicaof", "127.0.0.1 1") as server:
        with pytest.raises(StoreUnavailable, match="this server is a replica"):
            await open_store(options(server.url), RING, LIMITS)
        with pytest.raises(StoreUnavailable):
            await open_store(options(server.url, strict=False), RING, LIMITS)


@pytest.mark.parametrize(("ahead", "doubted"), [(0, False), (-60, True), (60, True)])
async def test_two_clocks_that_differ(
    valkey: Redis, valkey_url: str, monkeypatch: pytest.MonkeyPatch, ahead: float, doubted: bool
) -> None:
    now = clock.now()
    monkeypatch.setattr(opening.clock, "now", lambda: now + ahead)
    store, warnings = await open_store(options(valkey_url, strict=False), RING, LIMITS)
    assert warnings == (["its clock differs from ours by 60 s"] if doubted else [])
    await store.close()


@pytest.mark.parametrize(
    ("info", "old"),
    [
        ({"redis_version": "6.0.16"}, True),
        ({"redis_version": "6.2.0"}, False),
        ({"redis_version": "10.0.0"}, False),
        ({"redis_version": "7.2.4", "valkey_version": "9.1.2"}, False),
    ],
)
async def test_how_old_a_server_may_be(
    valkey: Redis, valkey_url: str, monkeypatch: pytest.MonkeyPatch, info: dict[str, str], old: bool
) -> None:
    real = await valkey.info()

    async def pretended(client: Redis) -> dict[str, object]:
        return {name: value for name, value in real.items() if not name.endswith("_version")} | info

    monkeypatch.setattr(Redis, "info", pretended)
    store, warnings = await open_store(options(valkey_url, strict=False), RING, LIMITS)
    assert warnings == (["version 6.0.16 is older than 6.2"] if old else [])
    await store.close()


@pytest.mark.parametrize("url", ["unix:///nowhere/at.all", "redis://127.0.0.1:1", "rediss://127.0.0.1:1"])
async def test_a_store_that_is_not_there(url: str) -> None:
    with pytest.raises(StoreUnavailable):
        await open_store(options(url), RING, LIMITS)


async def test_a_user_of_its_own_needs_no_more_than_what_is_ours(short_path: Path) -> None:
    with running_server(short_path, *LIKE_OURS) as server:
        async with Redis.from_url(server.url) as client:
            user = ("ACL", "SETUSER", "gate", "on", ">sesame", "~ww:*", "&ww:*", "+@all")
            await client.execute_command(*user)
        url = server.url.replace("unix://", "unix://gate@")
        store, _ = await open_store(options(url, password="sesame"), RING, LIMITS)
        await store.node.start(Nobody())
        session = await signed_in(store)
        done = await store.revocations.session(session.session_id, reason="x", actor="cli:root", now=NOW)
        assert done is not None and done.confirmation is not None
        assert (done.confirmation.nodes, done.confirmation.silent) == (1, 0)
        await store.node.stop()
        await store.close()


async def test_a_password(short_path: Path) -> None:
    with running_server(short_path, *LIKE_OURS) as server:
        async with Redis.from_url(server.url) as client:
            await client.config_set("requirepass", "sesame")
        for password in (None, "simsim"):
            with pytest.raises(StoreUnavailable):
                await open_store(options(server.url, password=password), RING, LIMITS)
        store, _ = await open_store(options(server.url, password="sesame"), RING, LIMITS)
        await store.ping()
        await store.close()


async def test_embedded(tmp_path: Path) -> None:
    embedded = options("embedded", data_dir=tmp_path)
    store, warnings = await open_store(embedded, RING, LIMITS)
    assert warnings == []
    session = await signed_in(store)
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.ping()
    store, _ = await open_store(embedded, RING, LIMITS)
    assert await store.who.ask(session.cookie, NOW) is not None
    await store.close()


async def test_an_embedded_server_that_is_refused_does_not_run_on(tmp_path: Path) -> None:
    embedded = options("embedded", data_dir=tmp_path)
    store, _ = await open_store(embedded, RING, LIMITS)
    assert len(list(tmp_path.rglob("*.sock"))) == 1
    await store.close()
    with pytest.raises(StoreUnavailable):
        await open_store(embedded, new_keyring(), LIMITS)
    assert list(tmp_path.rglob("*.sock")) == [], "a server takes its socket with it"


# --- the first start, and those after it


async def opened_and_closed(url: str, shards: int = 1) -> None:
    await (await opened_store(url, shards=shards)).close()


@pytest.mark.parametrize("shards", [1, 64, MAX_SHARDS])
async def test_the_first_start_makes_epochs_of_now(valkey: Redis, valkey_url: str, shards: int) -> None:
    before = int(clock.now() * 1000)
    await opened_and_closed(valkey_url, shards)
    made = await contents(valkey)
    assert made.pop(META)["shards"] == str(shards)
    each = [Shard(index) for index in range(shards)]
    assert set(made) == {shard.key(kind) for shard in each for kind in ("epoch", "listed")}
    (epoch,) = {made[shard.key("epoch")] for shard in each}
    assert before <= int(epoch) <= clock.now() * 1000


async def test_later_starts_change_nothing(valkey: Redis, valkey_url: str) -> None:
    store = await opened_store(valkey_url, shards=4)
    await store.revocations.everybody(reason="test", actor="cli:root", now=NOW)
    await store.close()
    made = await contents(valkey)
    await opened_and_closed(valkey_url, 4)
    assert await contents(valkey) == made


async def test_a_first_start_that_was_cut_off_is_taken_up_again(valkey: Redis, valkey_url: str) -> None:
    await valkey.set("ww:{s01}:epoch", "7")
    await opened_and_closed(valkey_url, 2)
    assert await valkey.get("ww:{s01}:epoch") == "7"
    assert int(await valkey.get("ww:{s00}:epoch")) > 7


@pytest.mark.parametrize("shards", [0, -1, MAX_SHARDS + 1])
async def test_how_many_shards_there_can_be(valkey: Redis, valkey_url: str, shards: int) -> None:
    with pytest.raises(StoreUnavailable, match="1 to 256 shards"):
        await opened_store(valkey_url, shards=shards)
    assert await contents(valkey) == {}


async def test_the_number_of_shards_is_fixed(valkey: Redis, valkey_url: str) -> None:
    await opened_and_closed(valkey_url, 4)
    made = await contents(valkey)
    for shards in (1, 5, 64):
        with pytest.raises(StoreUnavailable, match=f"made with 4 shards, the settings say {shards}"):
            await opened_store(valkey_url, shards=shards)
    assert await contents(valkey) == made


async def test_another_key_ring_is_refused(valkey: Redis, valkey_url: str) -> None:
    await opened_and_closed(valkey_url)
    made = await contents(valkey)
    for ring in (new_keyring(), replace(RING, keys={RING.active: b"x" * 32})):
        with pytest.raises(StoreUnavailable, match="key ring is not the one"):
            await open_store(options(valkey_url), ring, LIMITS)
    assert await contents(valkey) == made


async def test_a_ring_whose_keys_were_rotated_still_fits(valkey: Redis, valkey_url: str) -> None:
    await opened_and_closed(valkey_url)
    newer = new_keyring()
    rotated = replace(newer, keys={**newer.keys, **RING.keys})
    store, _ = await open_store(options(valkey_url), rotated, LIMITS)
    await store.close()


def with_key(ring: KeyRing, name: str, *, active: bool) -> KeyRing:
    """A ring with one more key: the active one, or one that waits."""
    ring = replace(
        ring, keys={**ring.keys, name: name.encode().ljust(32)}, times={name: KeyTimes(made_at=1.0)}
    )
    return ring.activated(name, 2.0) if active else ring


async def test_the_keys_in_use_are_known_and_those_that_wait_are_not(valkey: Redis, valkey_url: str) -> None:
    ring = with_key(with_key(RING, "kept", active=True), "used", active=True)
    ring = replace(
        with_key(ring, "waits", active=False), times={**ring.times, "waits": KeyTimes(made_at=1.0)}
    )
    store, _ = await open_store(options(valkey_url), ring, LIMITS)
    assert (await store.sealed.known_keys()).used.keys() == {"test", "kept", "used"}
    await store.sealed.forget("kept", NOW)
    await store.close()
    store, _ = await open_store(options(valkey_url), ring, LIMITS)
    assert (await store.sealed.known_keys()).used.keys() == {"test", "used"}, "a retired one stays so"
    await store.close()


async def refused(url: str, ring: KeyRing) -> str:
    """Why a start is refused."""
    with pytest.raises(WrongKeyRing) as raised:
        await open_store(options(url), ring, LIMITS)
    return str(raised.value)


async def test_a_ring_that_lacks_a_key_that_is_needed_is_refused(valkey: Redis, valkey_url: str) -> None:
    """A backup from before a rotation, or a copy that another machine did not get."""
    newer = with_key(RING, "newer", active=True)
    store = await opened_store(valkey_url)
    await store.sealed.expect(newer, NOW)
    await store.factors.add(await factor_of(store, RING), NOW, code_given=True)
    await store.close()
    before = await contents(valkey)
    assert "the key ring lacks keys: newer (needed by 1)" in await refused(valkey_url, RING)
    assert "lacks keys: test (needed by 1)" in await refused(valkey_url, newer.without("test"))
    assert "not the one that the store was sealed with" in await refused(valkey_url, new_keyring())
    assert await contents(valkey) == before
    await (await open_store(options(valkey_url), newer, LIMITS))[0].close()


async def factor_of(store: Store, ring: KeyRing) -> Factor:
    await signed_in(store)
    factor = new_factor(store)
    sealed = ring.seal(b"seed", bound_to=SEEDS.bound_to("ada", factor.id))
    return replace(factor, sealed_seed=sealed)


async def test_a_missing_key_that_nothing_needs_does_no_harm(valkey: Redis, valkey_url: str) -> None:
    store = await opened_store(valkey_url)
    await store.sealed.note_use("gone", NOW)
    await store.close()
    await opened_and_closed(valkey_url)


async def test_a_ring_whose_active_key_was_retired_is_refused(valkey: Redis, valkey_url: str) -> None:
    """A machine that was off during the rotation: what it would seal, no other could open."""
    newer = with_key(RING, "newer", active=True)
    store = await opened_store(valkey_url)
    await store.sealed.expect(newer, NOW)
    await store.sealed.forget("test", NOW)
    await store.close()
    stale = replace(newer, active="test")
    assert "active key, test, was retired" in await refused(valkey_url, stale)


async def test_a_store_from_before_keys_were_known_is_taken_as_it_is(valkey: Redis, valkey_url: str) -> None:
    await opened_and_closed(valkey_url)
    await valkey.hdel(META, "key:test")
    assert "not the one" in await refused(valkey_url, new_keyring())
    await opened_and_closed(valkey_url)
    assert "key:test" in await valkey.hgetall(META)


async def test_case_36_a_missing_epoch_stays_missing(valkey: Redis, valkey_url: str) -> None:
    store = await opened_store(valkey_url)
    session = await signed_in(store)
    await store.close()
    await valkey.delete("ww:{s00}:epoch")
    store = await opened_store(valkey_url)
    assert await store.revocations.global_epoch("ada") is None
    snapshot = await store.who.ask(session.cookie, NOW)
    assert snapshot is not None and snapshot.fault(NOW) is Reason.EPOCH_MISSING
    await store.close()


async def test_nodes_that_start_at_once_on_a_new_store_agree(valkey: Redis, valkey_url: str) -> None:
    stores = await asyncio.gather(*(opened_store(valkey_url, shards=3) for _ in range(20)))
    assert len({await store.revocations.global_epoch("ada") for store in stores}) == 1
    await asyncio.gather(*(store.close() for store in stores))


async def test_no_node_sees_half_of_what_the_first_one_fixed(valkey: Redis, valkey_url: str) -> None:
    commands = await commands_during(valkey, opened_and_closed(valkey_url))
    written = [name for name in commands if name in {"MULTI", "EXEC", "HSETNX"}]
    assert written == ["MULTI", "HSETNX", "HSETNX", "EXEC"]


async def test_of_nodes_that_disagree_one_fixes_what_holds(valkey: Redis, valkey_url: str) -> None:
    rings = (RING, new_keyring())
    nodes = [(shards, ring) for shards in (1, 4, 64) for ring in rings] * 3
    outcomes = await asyncio.gather(
        *(open_store(options(valkey_url, shards=shards), ring, LIMITS) for shards, ring in nodes),
        return_exceptions=True,
    )
    let_in = set()
    for (shards, ring), outcome in zip(nodes, outcomes, strict=True):
        if isinstance(outcome, tuple):
            let_in.add((shards, ring.active))
            await outcome[0].close()
        else:
            assert isinstance(outcome, StoreUnavailable)
    assert len(let_in) == 1
