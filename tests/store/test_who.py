"""Who is asking, from memory and from the store, while revocations come in."""

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis
from support.nodes import SHORT, WHY, Join, remembered, until
from support.store import NOW, account_added, commands_during, every_size, signed_in

from gateway.core.ending import Scope
from gateway.store.opening import Store

# --- the near cache


@every_size
async def test_what_was_read_once_is_not_read_again(store: Store, valkey: Redis, join: Join) -> None:
    session, (node, _) = await signed_in(store), await join()
    await remembered(node, session)
    node.node._tasks[0].cancel()  # renewals would show up among the commands

    async def ask() -> None:
        for _ in range(100):
            assert node.who.remembered(node.who.place_of(session.cookie), NOW) is not None

    assert [name for name in await commands_during(valkey, ask()) if name != "XREAD"] == []


async def test_without_a_lease_nothing_is_remembered(store: Store) -> None:
    session = await signed_in(store)
    assert await store.who.ask(session.cookie, NOW) is not None
    assert store.who.remembered(store.who.place_of(session.cookie), NOW) is None


@every_size
@pytest.mark.parametrize("scope", Scope)
async def test_what_is_revoked_is_forgotten_everywhere_when_the_answer_comes(
    store: Store, join: Join, scope: Scope
) -> None:
    session = await signed_in(store)
    nodes = [await join() for _ in range(3)]
    for node, _ in nodes:
        await remembered(node, session)
    by = nodes[0][0].revocations
    match scope:
        case Scope.SESSION:
            revocation = await by.session(session.session_id, **WHY)
        case Scope.DEVICE:
            revocation = await by.device(store.devices.id_for("ada", "laptop"), **WHY)
        case Scope.ACCOUNT:
            revocation = await by.account("ada", **WHY)
        case Scope.EVERYBODY:
            revocation = await by.everybody(**WHY)
    assert [node.who.remembered(node.who.place_of(session.cookie), NOW + 1) for node, _ in nodes] == [
        None
    ] * 3
    assert revocation is not None and revocation.confirmation is not None
    assert (revocation.confirmation.nodes, revocation.confirmation.silent) == (3, 0)
    assert {ending.scope for _, heard in nodes for ending in heard.endings} == {scope}
    assert all(heard.endings for _, heard in nodes)
    promises = nodes[0][0].promises
    assert await promises.status(revocation.revocation_id) == (scope, revocation.confirmation)
    await promises.settled()
    assert await store.promises.status(revocation.revocation_id) == (scope, revocation.confirmation)


async def test_a_revocation_of_somebody_else_is_nobodys_loss(store: Store, join: Join) -> None:
    session, (node, _) = await signed_in(store), await join()
    await remembered(node, session)
    await account_added(store, "bob")
    await store.revocations.account("bob", **WHY)
    assert node.who.remembered(node.who.place_of(session.cookie), NOW + 1) is not None


async def test_what_changes_is_read_anew(store: Store, join: Join) -> None:
    session, (node, _) = await signed_in(store), await join()
    await remembered(node, session)
    assert await store.accounts.set_email("ada", "new@example.org")
    await until(lambda: node.who.remembered(node.who.place_of(session.cookie), NOW + 1) is None)
    snapshot = await node.who.ask(session.cookie, NOW + 1)
    assert snapshot is not None and snapshot.account.email == "new@example.org"


async def test_case_33_a_read_that_a_revocation_overtakes_is_not_kept(store: Store, join: Join) -> None:
    session, (node, heard) = await signed_in(store), await join()
    read = node.sessions.read

    async def read_slowly(cookie: str, now: float, **options: Any) -> object:
        found = await read(cookie, now, **options)
        await store.revocations.account("ada", **WHY)
        return found

    node.sessions.read = read_slowly  # type: ignore[method-assign,assignment]
    assert await node.who.ask(session.cookie, NOW) is not None  # it began before the revocation
    assert heard.endings
    assert node.who.remembered(node.who.place_of(session.cookie), NOW + 1) is None


async def test_however_many_ask_at_once_each_is_answered(store: Store, join: Join) -> None:
    """More than there are connections; and what a node's memory depends on does not wait behind them."""
    session, (node, _) = await signed_in(store), await join(SHORT)
    node.node.standings[0].distrust()  # so that nothing is answered from memory
    asked = [asyncio.create_task(node.who.ask(session.cookie, NOW)) for _ in range(300)]
    found = await asyncio.gather(*asked)
    assert all(snapshot is not None for snapshot in found)
    await until(lambda: node.node.leases() == (1, 1))
