"""Reads of a node that has no lease."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from support.nodes import WHY, Heard, Join, until
from support.store import LIKE_OURS, NOW, account_added, opened_store, running_server, signed_in

from bench.faults.proxy import Proxy
from bench.faults.servers import Server
from gateway.core.ending import Scope
from gateway.errors import StoreUnavailable
from gateway.store.lease import Lease
from gateway.store.opening import Store
from gateway.store.standing import Nobody, NodeOptions

AMONG_THREE = NodeOptions(lease=0.3, grace=0.1, replicas=2, acknowledge=1)

# --- reads without a lease


async def test_a_read_that_nobody_can_prove_is_no_answer(store: Store, valkey: Redis, join: Join) -> None:
    """Case 34: of three servers this one is alone, as far as it knows."""
    session = await signed_in(store)
    node, _ = await join(NodeOptions(lease=0.2, grace=0.1, replicas=2, acknowledge=1))
    assert node.node.leases() == (0, 1)
    with pytest.raises(StoreUnavailable, match="too few replicas"):
        await node.who.ask(session.cookie, NOW)


async def test_without_its_one_replica_a_store_is_read_but_confirms_nothing(
    store: Store, valkey: Redis, join: Join
) -> None:
    session = await signed_in(store)
    node, _ = await join(NodeOptions(lease=0.2, grace=0.1, replicas=1, acknowledge=1))
    assert node.node.leases() == (0, 1)
    found = await node.who.ask(session.cookie, NOW)
    assert found is not None and found.fault(NOW) is None
    assert node.who.remembered(node.who.place_of(session.cookie), NOW) is None
    assert node.node.lets_pass(session.session_id)
    revocation = await node.revocations.account("ada", **WHY)
    assert revocation is not None and revocation.confirmation is None
    assert await node.promises.status(revocation.revocation_id) == (Scope.ACCOUNT, None)


# --- another server becomes the primary


@dataclass
class Moving:
    """A primary with two replicas, and a store whose address can be led to another of them."""

    old: Server
    heir: Server
    other: Server
    way: Proxy
    store: Store
    closing: AsyncExitStack

    async def open(self, port: int, **options: Any) -> Store:
        """Another store, straight by the port of a server, until the test ends."""
        store = await opened_store(f"redis://127.0.0.1:{port}", replicas=2, **options)
        self.closing.push_async_callback(store.close)
        return store

    async def promote(self) -> None:
        """Let the heir lead once it has all that was written, and the other one follow it; the old one does
        not hear of it.
        """
        await self.heir.has_all_of(self.old)
        await self.heir.lead()
        await self.other.follow(self.heir.port)
        await self.other.synchronised()


@asynccontextmanager
async def moving(folder: Path, **options: Any) -> AsyncIterator[Moving]:
    async with AsyncExitStack() as stack:
        servers = [Server(folder / f"{number}.log", folder=folder / str(number)) for number in range(3)]
        for server in servers:
            stack.callback(server.kill)
            await server.start()
        for replica in servers[1:]:
            await replica.follow(servers[0].port)
            await replica.synchronised()
        way = Proxy(servers[0].port)
        await way.start()
        stack.push_async_callback(way.stop)
        store = await opened_store(f"redis://127.0.0.1:{way.port}", replicas=2, **options)
        stack.push_async_callback(store.close)
        yield Moving(*servers, way, store, stack)


async def test_a_long_lease_does_not_make_a_renewal_wait_longer_than_its_connection(
    store: Store, valkey_url: str
) -> None:
    options = NodeOptions(lease=60.0, replicas=1, acknowledge=1)
    other = await opened_store(valkey_url, timeout=0.2, node=options, strict=False)
    await other.node.start(Nobody())
    assert other.node.standings[0].joined
    await other.node.stop()
    await other.close()


async def test_a_node_that_nobody_waits_for_lets_nobody_in(short_path: Path) -> None:
    """It could not join, as the store takes no writes: who is revoked meanwhile would go on here."""
    with running_server(short_path, *LIKE_OURS) as server:
        store = await opened_store(server.url)
        session = await signed_in(store)
        async with Redis.from_url(server.url) as client:
            await client.config_set("maxmemory", "1")
            other = await opened_store(server.url)
            await other.node.start(Nobody())
            with pytest.raises(StoreUnavailable):
                await other.who.ask(session.cookie, NOW)
            await client.config_set("maxmemory", "0")
        assert await other.who.ask(session.cookie, NOW) is not None
        assert other.node.lets_pass(session.session_id)
        done = await store.revocations.session(session.session_id, **WHY)
        assert done is not None and done.confirmation is not None
        assert (done.confirmation.nodes, done.confirmation.silent) == (1, 0)
        for each in (store, other):
            await each.node.stop()
            await each.close()


async def test_a_node_that_was_silent_for_too_long_shows_up_before_it_reads(store: Store, join: Join) -> None:
    session, (node, _) = await signed_in(store), await join(NodeOptions(lease=0.2, grace=0.1))
    node.node._tasks[0].cancel()  # it renews no more
    await until(lambda: not node.node.lets_pass(session.session_id))
    assert await node.who.ask(session.cookie, NOW) is not None
    assert node.node.lets_pass(session.session_id)


async def test_requests_do_not_make_a_node_show_up_again(store: Store, valkey: Redis, join: Join) -> None:
    """Where no lease can be had, that would be a renewal, and an alarm, for whoever sends any cookie."""
    session, (node, heard) = await signed_in(store), await join(NodeOptions(lease=60.0))
    await valkey.delete("ww:{s00}:epoch")
    standing = node.node.standings[0]
    async with standing.renewing:
        standing.lease = Lease(60.0, 1.0)  # as long after the last one
        await node.node._renew(standing)
    assert not node.node.lets_pass(session.session_id)
    assert heard.alarms == ["the global epoch is missing, or lower than it was"]
    begun = standing.begun
    for _ in range(10):
        await node.who.ask(session.cookie, NOW)
    assert standing.begun == begun
    assert len(heard.alarms) == 1


async def test_what_is_live_is_looked_at_when_a_node_joins(store: Store, store_place: dict[str, Any]) -> None:
    session = await signed_in(store)
    snapshot = await store.who.ask(session.cookie, NOW)
    assert snapshot is not None
    await store.revocations.session(session.session_id, **WHY)
    node, heard = await opened_store(**store_place), Heard([snapshot.session])
    await node.node.start(heard)
    assert heard.cuts == [session.session_id]
    await node.node.stop()
    await node.close()


async def test_case_34_the_new_primary_proves_nothing_of_what_the_old_one_said(tmp_path: Path) -> None:
    """A read from the old side, and then a renewal on the new one: together they say nothing."""
    async with moving(tmp_path, node=AMONG_THREE) as scene:
        store = scene.store
        session = await signed_in(store)
        await store.node.start(Nobody())
        await store.node._end_tasks()  # from here on it renews only where it has to
        await scene.promote()
        operators = await scene.open(scene.heir.port, node=AMONG_THREE, strict=False)
        done = await operators.revocations.account("ada", **WHY)
        assert done is not None and done.confirmation is not None
        standing = store.node.standings[0]
        async with standing.renewing:
            asking = asyncio.create_task(store.who.ask(session.cookie, NOW + 2))
            await until(lambda: bool(standing.renewing._waiters))  # the old one has answered
            scene.way.point_at(scene.heir.port)
            await store._connection.redis.connection_pool.disconnect()  # it has noticed
        with pytest.raises(StoreUnavailable, match="another server is the primary"):
            await asking
        found = await store.who.ask(session.cookie, NOW + 2)
        assert found is not None and found.fault(NOW + 2) is not None


async def test_a_node_that_is_led_to_a_new_primary_leaves_the_one_before(tmp_path: Path) -> None:
    """An address that was moved leads new connections elsewhere; those that are there stay where they are."""
    async with moving(tmp_path, node=AMONG_THREE) as scene:
        store = scene.store
        session = await signed_in(store)
        await store.node.start(Nobody())
        scene.closing.push_async_callback(store.node._end_tasks)
        standing = store.node.standings[0]
        await until(lambda: standing.proven > 2)  # its renewals have a connection by then
        before = standing.primary
        await scene.promote()
        scene.way.lead_new_ones_to(scene.heir.port)
        await until(lambda: standing.primary not in ("", before))
        operators = await scene.open(scene.heir.port, node=AMONG_THREE, strict=False)
        done = await operators.revocations.session(session.session_id, **WHY)
        assert done is not None and done.confirmation is not None
        await until(lambda: standing.position.seq > 0 and session.session_id in standing.known._sessions)
        async with scene.old.client() as client:
            assert not [each for each in await client.client_list() if each["cmd"] == "xread"]


async def test_what_a_server_told_as_a_replica_or_in_an_earlier_reign_is_not_of_the_primary_that_it_is(
    tmp_path: Path,
) -> None:
    """A read from before the promotion may lack what was confirmed: no renewal after it proves otherwise."""
    async with moving(tmp_path) as scene:
        store, server = scene.store, scene.old
        session = await signed_in(store)

        async def said_by() -> str:
            return (await store.who._sessions.read(session.cookie, NOW, replicated=True)).said_by

        first = await said_by()
        assert await said_by() == first
        await scene.heir.lead()
        await server.follow(scene.heir.port)
        await server.synchronised()
        as_replica = await said_by()
        await server.lead()
        again = await said_by()
        assert len({first, as_replica, again, ""}) == 4


async def test_a_store_that_became_a_replica_is_left_for_the_one_that_its_address_leads_to(
    tmp_path: Path,
) -> None:
    async with moving(tmp_path) as scene:
        await scene.heir.lead()
        await scene.old.follow(scene.heir.port)
        await scene.old.synchronised()
        scene.way.lead_new_ones_to(scene.heir.port)
        for _ in range(3):  # the first one to be refused is enough to notice
            with suppress(StoreUnavailable):
                await account_added(scene.store, "ada")
        assert await scene.store.accounts.find("ada") is not None
