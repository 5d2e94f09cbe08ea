"""Uses of sessions are written together, later, and none is lost while the store does not answer."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio import Redis
from support.nodes import Join, remembered
from support.store import (
    LIKE_OURS,
    LIMITS,
    NOW,
    account_added,
    commands_during,
    every_size,
    opened_store,
    running_server,
    signed_in,
)

from gateway.core.records import Snapshot
from gateway.errors import StoreUnavailable
from gateway.store.opening import Store
from gateway.store.sessions import Started, Use

LATER = NOW + 61


async def read(store: Store, session: Started, now: float = NOW) -> Snapshot:
    found = await store.who.ask(session.cookie, now)
    assert found is not None
    return found


@every_size
async def test_uses_are_written_together(store: Store, valkey: Redis) -> None:
    sessions = [await signed_in(store, subject) for subject in ("ada", "bob", "ada")]
    for session in sessions:
        store.who.used(session.cookie, await read(store, session), "198.51.100.7", LATER)
    assert (await read(store, sessions[0])).session.last_used_at == NOW
    commands = await commands_during(valkey, store.last_seen.write())
    assert commands.count("EVALSHA") <= 2  # ada's shard, and bob's
    for session in sessions:
        after = (await read(store, session)).session
        assert (after.last_used_at, after.idle_until) == (LATER, LATER + LIMITS.idle)
        assert after.address == "198.51.100.7"
    assert await commands_during(valkey, store.last_seen.write()) == []


async def test_a_use_is_noted_once_a_minute(store: Store, valkey: Redis, join: Join) -> None:
    session, (node, _) = await signed_in(store), await join()
    await remembered(node, session)
    snapshot = node.who.remembered(node.who.place_of(session.cookie), NOW)
    assert snapshot is not None
    node.who.used(session.cookie, snapshot, "::1", NOW + 60)
    assert node.who.remembered(node.who.place_of(session.cookie), NOW + 60) == snapshot
    node.who.used(session.cookie, snapshot, "::1", LATER)
    moved = node.who.remembered(node.who.place_of(session.cookie), LATER)
    assert moved is not None
    assert moved.session == replace(snapshot.session, last_used_at=LATER, idle_until=LATER + LIMITS.idle)
    assert not node.last_seen.is_due(moved, LATER + 60)


async def test_what_was_noted_is_written_when_the_node_leaves(store: Store, join: Join) -> None:
    session, (node, _) = await signed_in(store), await join()
    node.who.used(session.cookie, await read(node, session), "::1", LATER)
    await node.leave()
    assert (await read(store, session)).session.last_used_at == LATER


async def test_no_use_is_lost_while_the_store_does_not_answer(short_path: Path) -> None:
    with running_server(short_path, *LIKE_OURS) as server:
        store = await opened_store(server.url, timeout=0.2)
        await account_added(store, "ada")
        session = await signed_in(store)
        store.who.used(session.cookie, await read(store, session), "::1", LATER)
        os.kill(server.process.pid, signal.SIGSTOP)
        with pytest.raises(StoreUnavailable):
            await store.last_seen.write()
        os.kill(server.process.pid, signal.SIGCONT)
        await store.last_seen.write()
        assert (await read(store, session)).session.last_used_at == LATER
        await store.close()


async def test_a_session_that_ended_meanwhile_stays_ended(store: Store) -> None:
    session = await signed_in(store)
    store.who.used(session.cookie, await read(store, session), "::1", LATER)
    await store.revocations.session(session.session_id, reason="left", actor="account:ada", now=NOW)
    await store.last_seen.write()
    assert await store.sessions.find(session.session_id) is None


async def test_a_use_counts_from_when_it_was_however_late_it_is_written(store: Store) -> None:
    session = await signed_in(store)
    snapshot = await read(store, session)
    last = snapshot.session.idle_until - 20
    later = Use(session.session_id, snapshot.session.device_id, last, last + LIMITS.idle, "::1")
    await store.sessions.touch([later])
    earlier = Use(session.session_id, snapshot.session.device_id, NOW + 61, NOW + 61 + LIMITS.idle, "::2")
    await store.sessions.touch([earlier])  # of another node, which was slower
    after = (await read(store, session, last)).session
    assert (after.last_used_at, after.idle_until, after.address) == (last, last + LIMITS.idle, "::1")
