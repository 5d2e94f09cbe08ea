"""What is promised takes place and is confirmed, whatever fails; its status tells what came of it."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from support.nodes import WHY
from support.resets import approved, completed
from support.store import (
    LIKE_OURS,
    NOW,
    account_added,
    commands_during,
    every_size,
    opened_store,
    put_back,
    running_server,
    signed_in,
)

from gateway.core.ending import Scope
from gateway.core.reset import ResetState
from gateway.errors import RevocationPending, StoreUnavailable
from gateway.store.audit import AuditEntry
from gateway.store.journal import Journal
from gateway.store.opening import Store
from gateway.store.orders import Order
from gateway.store.standing import NodeOptions

NODES = "ww:{s00}:nodes"


async def lives(store: Store, cookie: str) -> bool:
    found = await store.who.ask(cookie, NOW + 2)
    return found is not None and found.fault(NOW + 2) is None


@every_size
async def test_what_became_of_a_revocation_is_told_by_owner(store: Store) -> None:
    laptop = await signed_in(store)
    await account_added(store, "bob")
    ended = await store.revocations.session(laptop.session_id, **WHY)
    assert ended is not None
    known = (Scope.SESSION, ended.confirmation)
    status = store.promises.status
    assert [await status(ended.revocation_id, owner=owner) for owner in (None, "ada")] == [known, known]
    assert await status(ended.revocation_id, owner="bob") is None
    everybody = await store.revocations.everybody(**WHY)
    assert await status(everybody.revocation_id) == (Scope.EVERYBODY, everybody.confirmation)
    assert await status(everybody.revocation_id, owner="ada") is None


@every_size
async def test_of_many_it_is_told_whether_they_are_confirmed(store: Store, valkey: Redis) -> None:
    laptop = await signed_in(store)
    await account_added(store, "bob")
    confirmed = [
        await store.revocations.session(laptop.session_id, **WHY),
        await store.revocations.everybody(**WHY),
    ]
    ids = [each.revocation_id for each in confirmed if each is not None]
    asked = [*ids, "00" + "f" * 30, "ff" + "f" * 30, "everybody"]
    told = [True, True, None, None, None]
    assert await store.promises.are_confirmed(asked) == told
    await store.promises.settled()
    assert await store.promises.are_confirmed(asked) == told
    commands = await commands_during(valkey, store.promises.are_confirmed(asked))
    assert commands == ["HMGET"] * 3
    assert await store.promises.are_confirmed([]) == []


async def test_of_many_those_that_are_pending_are_told_apart(
    store: Store, valkey_url: str, tmp_path: Path
) -> None:
    """By whoever asks: who sees to them, and others."""
    await account_added(store, "bob")
    node = NodeOptions(replicas=1, acknowledge=1)
    other = await opened_store(valkey_url, journal=tmp_path, node=node, strict=False)
    pending = await other.revocations.account("bob", **WHY)
    confirmed = await store.revocations.account("bob", **WHY)
    assert pending is not None and confirmed is not None
    await store.promises.settled()
    asked = [pending.revocation_id, confirmed.revocation_id]
    for promises in (other.promises, store.promises):
        assert await promises.are_confirmed(asked) == [False, True]
    await other.close()


@every_size
async def test_everybodys_end_is_on_record_once(store: Store) -> None:
    """Though it takes a step in each shard."""
    entry = AuditEntry(NOW, "everybody-revoked", "cli:root")
    await store.revocations.everybody(**WHY, entries=[entry])
    assert await store.audit.latest("") == [entry]


async def test_what_could_not_be_noted_as_confirmed_is_noted_later(short_path: Path, tmp_path: Path) -> None:
    with running_server(short_path, *LIKE_OURS) as server:
        store = await opened_store(server.url, journal=tmp_path)
        session = await signed_in(store)
        # A server that is full still deletes: the session ends, and there is no room to note it.
        async with Redis.from_url(server.url) as client:
            await client.config_set("maxmemory", "1")
            done = await store.revocations.session(session.session_id, **WHY)
            await store.promises.settled()
            assert done is not None and done.confirmation is not None
            said = (Scope.SESSION, done.confirmation)
            other = await opened_store(server.url, journal=tmp_path, strict=False)
            for each in (store, other):  # what was said once is not taken back by anybody
                assert await each.promises.status(done.revocation_id, owner="ada") == said
            assert await store.promises.are_confirmed([done.revocation_id]) == [True]
            with pytest.raises(StoreUnavailable):
                await store.finisher.finish()
            await store.close()  # as a command does that ends
            with pytest.raises(StoreUnavailable):
                await other.finisher.finish()
            assert await other.promises.status(done.revocation_id) == said
            await client.config_set("maxmemory", "0")
        await other.finisher.finish()
        assert await other.promises.status(done.revocation_id) == said
        await other.close()
        assert list(tmp_path.iterdir()) == []


async def test_a_password_that_the_store_has_lost_again_is_not_half_changed(
    store: Store, valkey_url: str, valkey: Redis, tmp_path: Path
) -> None:
    """Too few replicas held it, and the one that took over did not: the sessions go on as well."""
    session = await signed_in(store)
    node = NodeOptions(replicas=2, acknowledge=2)
    other = await opened_store(valkey_url, journal=tmp_path, node=node, strict=False)
    before = {key: await valkey.dump(key) for key in await valkey.keys()}
    done = await other.revocations.by_set_password("ada", "hash", **WHY)
    assert done is not None and done.confirmation is None
    assert not await lives(store, session.cookie)
    await put_back(valkey, before)
    await other.finisher.finish()
    assert await lives(store, session.cookie)
    assert await other.promises.status(done.revocation_id) is None
    await other.close()
    assert list(tmp_path.iterdir()) == []


async def test_a_disk_that_fails_is_in_no_revocations_way(
    store: Store, valkey_url: str, tmp_path: Path
) -> None:
    session = await signed_in(store)
    folder = tmp_path / "a file"
    folder.touch()
    other = await opened_store(valkey_url, journal=folder)
    done = await other.revocations.account("ada", **WHY)
    assert done is not None and done.confirmation is not None
    assert not await lives(store, session.cookie)
    await other.close()


async def test_where_neither_disk_nor_replicas_hold_it_this_process_sees_it_through(
    store: Store, valkey_url: str, tmp_path: Path
) -> None:
    await account_added(store, "ada")
    folder = tmp_path / "a file"
    folder.touch()
    node = NodeOptions(replicas=1, acknowledge=1)
    other = await opened_store(valkey_url, journal=folder, node=node, strict=False)
    done = await other.revocations.by_set_password("ada", "hash", **WHY)
    assert done is not None and done.confirmation is None
    assert await other.promises.status(done.revocation_id) == (Scope.ACCOUNT, None)
    other.promises._options = NodeOptions()  # the replica was given up
    await other.finisher.finish()
    await other.promises.settled()
    known = await other.promises.status(done.revocation_id)
    assert known is not None and known[1] is not None
    await other.close()


async def test_what_one_process_has_promised_every_other_on_the_machine_knows_as_pending(
    short_path: Path, tmp_path: Path
) -> None:
    with running_server(short_path, *LIKE_OURS) as server:
        store, other = [
            await opened_store(server.url, timeout=0.2, journal=tmp_path, strict=False) for _ in range(2)
        ]
        await account_added(store, "ada")
        os.kill(server.process.pid, signal.SIGSTOP)
        with pytest.raises(RevocationPending) as pending:
            await store.revocations.account("ada", **WHY)
        revocation_id = pending.value.revocation_id
        assert await other.promises.status(revocation_id) == (Scope.ACCOUNT, None)
        assert await other.promises.status(revocation_id, owner="bob") is None
        os.kill(server.process.pid, signal.SIGCONT)
        await store.finisher.finish()
        known = await other.promises.status(revocation_id)
        assert known is not None and known[1] is not None
        await store.close()
        await other.close()


async def password_set(store: Store) -> object:
    return await store.revocations.by_set_password("ada", "new", **WHY)


async def reset_completed(store: Store) -> object:
    (reset,) = await store.resets.list(frozenset(ResetState), 1)
    return await completed(store, reset)


@pytest.mark.parametrize("step", [password_set, reset_completed])
async def test_a_step_that_cannot_be_repeated_is_seen_through_by_the_next_process(
    store: Store,
    valkey_url: str,
    valkey: Redis,
    tmp_path: Path,
    step: Callable[[Store], Coroutine[Any, Any, object]],
) -> None:
    """Where the one that took it is gone, or waits no more, before a silent node's time is over."""
    await approved(store)
    await valkey.hset(NODES, "silent", f"{NOW} 3600")
    other = await opened_store(valkey_url, journal=tmp_path)
    taken = asyncio.create_task(step(other))
    while not (revocations := await store.revocations.list()):
        await asyncio.sleep(0.01)
    taken.cancel()
    await asyncio.wait([taken])
    await other.close()
    await valkey.hdel(NODES, "silent")
    (revocation,) = revocations
    assert await store.promises.are_confirmed([revocation.revocation_id]) == [False]
    following = await opened_store(valkey_url, journal=tmp_path)
    await following.finisher.finish()
    assert await store.promises.are_confirmed([revocation.revocation_id]) == [True]
    assert len(await store.revocations.list()) == 1
    await following.close()
    assert list(tmp_path.iterdir()) == []


async def test_a_new_password_that_the_store_did_not_answer_to_is_confirmed_later(
    short_path: Path, tmp_path: Path
) -> None:
    with running_server(short_path, *LIKE_OURS) as server:
        store = await opened_store(server.url, timeout=0.2, journal=tmp_path)
        await account_added(store, "ada")
        await store.revocations.account("ada", **WHY)
        await store.promises.settled()  # so that its connection is free, and what is sent next arrives
        os.kill(server.process.pid, signal.SIGSTOP)
        with pytest.raises(StoreUnavailable):
            await password_set(store)
        os.kill(server.process.pid, signal.SIGCONT)
        while len(revocations := await store.revocations.list()) < 2:
            await asyncio.sleep(0.01)
        await store.finisher.finish()
        ids = [each.revocation_id for each in revocations]
        assert await store.promises.are_confirmed(ids) == [True, True]
        await store.close()
        assert list(tmp_path.iterdir()) == []


async def test_replicas_that_are_missing_are_no_store_that_does_not_answer(
    store: Store, valkey_url: str, tmp_path: Path
) -> None:
    """However short an answer is waited for."""
    await account_added(store, "ada")
    node = NodeOptions(replicas=1, acknowledge=1)
    other = await opened_store(valkey_url, timeout=0.5, journal=tmp_path, node=node, strict=False)
    done = await other.revocations.by_set_password("ada", "new", **WHY)
    assert done is not None and done.confirmation is None
    pending = await other.revocations.account("ada", **WHY)
    assert pending is not None and pending.confirmation is None
    await other.close()


async def test_a_step_that_comes_late_is_seen_through(
    store: Store, valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be on its way when nobody waits for it any more; once that is impossible it is given up."""
    await account_added(store, "ada")
    journal = Journal(tmp_path, "killed")
    late, lost = (
        Order(f"00{number * 30}", Scope.ACCOUNT, None, "ada", "new", "account:ada", NOW, took_place=True)
        for number in "12"
    )
    for order in (late, lost):
        journal.begin(order)
    journal.close()
    other = await opened_store(valkey_url, journal=tmp_path)
    await other.finisher.finish()
    assert await store.promises._carried_out(late, password="new") is not None
    await other.finisher.finish()
    ids = [late.revocation_id, lost.revocation_id]
    assert await store.promises.are_confirmed(ids) == [True, None]
    assert await other.promises.status(lost.revocation_id) == (Scope.ACCOUNT, None)
    monkeypatch.setattr("gateway.store.promises._LATE_SECONDS", 0.0)
    await other.close()
    following = await opened_store(valkey_url, journal=tmp_path)
    await following.finisher.finish()
    assert await following.promises.status(lost.revocation_id) is None
    await following.close()
    assert list(tmp_path.iterdir()) == []
