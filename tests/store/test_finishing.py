"""What was promised is seen through: by the process that promised it, or by the next one."""

import os
import signal
from pathlib import Path

import pytest
from redis.asyncio import Redis
from support.nodes import WHY, Join
from support.store import LIKE_OURS, NOW, account_added, opened_store, running_server, signed_in

from gateway.core.ending import Scope
from gateway.errors import RevocationPending, StoreUnavailable
from gateway.store.journal import Journal
from gateway.store.opening import Store
from gateway.store.orders import Order
from gateway.store.standing import NodeOptions

FEED = "ww:{s00}:feed"


async def lives(store: Store, cookie: str) -> bool:
    found = await store.who.ask(cookie, NOW + 2)
    return found is not None and found.fault(NOW + 2) is None


async def test_what_the_store_did_not_answer_to_takes_place_later(short_path: Path, tmp_path: Path) -> None:
    with running_server(short_path, *LIKE_OURS) as server:
        store = await opened_store(server.url, timeout=0.2, journal=tmp_path)
        await account_added(store, "ada")
        session = await signed_in(store)
        os.kill(server.process.pid, signal.SIGSTOP)
        with pytest.raises(RevocationPending) as pending:
            await store.revocations.account("ada", **WHY)
        known = await store.promises.status(pending.value.revocation_id)
        assert known == (Scope.ACCOUNT, None)
        assert await store.promises.status(pending.value.revocation_id, owner="ada") == known
        assert await store.promises.status(pending.value.revocation_id, owner="bob") is None
        os.kill(server.process.pid, signal.SIGCONT)
        await store.finisher.finish()
        assert not await lives(store, session.cookie)
        known = await store.promises.status(pending.value.revocation_id)
        assert known is not None and known[1] is not None
        assert len(await store.revocations.list()) == 1  # though it may have taken place before, unheard
        await store.close()
        assert list(tmp_path.iterdir()) == []


async def test_a_gateway_finishes_what_another_one_promised_before_it_was_killed(
    store: Store, valkey_url: str, tmp_path: Path
) -> None:
    session = await signed_in(store)
    journal = Journal(tmp_path, "killed")
    order = Order("00" + "7" * 30, Scope.ACCOUNT, None, "ada", "lost", "operator:eve", NOW + 1)
    journal.begin(order)
    journal.close()  # unlocked, as by a process that is gone
    other = await opened_store(valkey_url, journal=tmp_path)
    await other.finisher.finish()
    assert not await lives(store, session.cookie)
    (revocation,) = await store.revocations.list()
    assert (revocation.revocation_id, revocation.actor) == (order.revocation_id, "operator:eve")
    await other.finisher.finish()
    assert len(await store.revocations.list()) == 1
    await other.close()


async def test_what_is_confirmed_is_not_done_again(store: Store, valkey_url: str, tmp_path: Path) -> None:
    other = await opened_store(valkey_url, journal=tmp_path)
    await account_added(store, "ada")
    await other.revocations.account("ada", **WHY)
    session = await signed_in(store)
    await other.finisher.finish()
    assert await lives(store, session.cookie)
    await other.close()


async def test_what_cannot_be_finished_keeps_nothing_else_waiting(
    store: Store, valkey_url: str, valkey: Redis, tmp_path: Path
) -> None:
    session = await signed_in(store)
    journal = Journal(tmp_path, "killed")
    stuck, order = (
        Order(f"00{number * 30}", Scope.ACCOUNT, None, "ada", "lost", "operator:eve", NOW + 1)
        for number in "12"
    )
    for each in (stuck, order):
        journal.begin(each)
    journal.close()
    await valkey.set(f"ww:{{s00}}:revocation:{stuck.revocation_id}", "not a record")
    other = await opened_store(valkey_url, journal=tmp_path)
    with pytest.raises(StoreUnavailable):
        await other.finisher.finish()
    assert not await lives(store, session.cookie)
    assert [each.revocation_id for each in await store.revocations.list()] == [order.revocation_id]
    await valkey.delete(f"ww:{{s00}}:revocation:{stuck.revocation_id}")
    await other.finisher.finish()
    await other.close()
    assert list(tmp_path.iterdir()) == []


async def test_nodes_answer_to_the_process_that_finishes(
    store: Store, valkey_url: str, valkey: Redis, tmp_path: Path, join: Join
) -> None:
    """Those that answered to the one before, which is gone, do so again: none of them is silent."""
    await account_added(store, "ada")
    for _ in range(2):
        await join(NodeOptions(lease=60.0))
    few = NodeOptions(replicas=1, acknowledge=1)
    gone = await opened_store(valkey_url, journal=tmp_path, node=few, strict=False)
    pending = await gone.revocations.account("ada", **WHY)
    assert pending is not None and pending.confirmation is None
    await gone.close()
    other = await opened_store(valkey_url, journal=tmp_path, node=few, strict=False)
    told = await valkey.xlen(FEED)
    for _ in range(3):
        await other.finisher.finish()
    assert await valkey.xlen(FEED) == told + 1  # not each time that it is tried again
    other.promises._options = NodeOptions()  # the replica was given up
    await other.finisher.finish()
    known = await other.promises.status(pending.revocation_id)
    assert known is not None and known[1] is not None
    assert (known[1].nodes, known[1].silent) == (2, 0)
    await other.close()
