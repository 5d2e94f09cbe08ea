"""When an answer comes: every node has said that it trusts nothing of it, or its time is over."""

import asyncio

from redis.asyncio import Redis
from support.nodes import SHORT, WHY, Join, remembered, until
from support.servers import replicated
from support.store import NOW, account_added, opened_store, signed_in

from gateway import clock
from gateway.store.embedded import server_binary
from gateway.store.keys import Shard
from gateway.store.opening import Store
from gateway.store.standing import Nobody, NodeOptions

# --- nodes that do not answer


async def test_a_node_that_is_silent_is_waited_for_until_it_trusts_nothing(store: Store, join: Join) -> None:
    session, (node, heard) = await signed_in(store), await join(SHORT)
    await remembered(node, session)
    await node.node._end_tasks()  # it hears nothing any more, and renews nothing
    revocation = await store.revocations.account("ada", **WHY)
    assert node.who.remembered(session.cookie, NOW + 1) is None
    assert not node.node.lets_pass(session.session_id)
    assert heard.endings == []
    assert revocation is not None and revocation.confirmation is not None
    assert (revocation.confirmation.nodes, revocation.confirmation.silent) == (0, 1)


async def test_a_node_that_left_is_not_waited_for(store: Store, valkey: Redis, join: Join) -> None:
    (node, _) = await join()
    assert await valkey.hlen("ww:{s00}:nodes") == 1
    await node.leave()
    assert await valkey.hlen("ww:{s00}:nodes") == 0


async def test_a_node_that_was_killed_is_forgotten_by_the_others(
    store: Store, valkey: Redis, join: Join
) -> None:
    await valkey.hset("ww:{s00}:nodes", "gone", "7 0.1")
    await join(NodeOptions(lease=0.2, grace=0.1))
    while await valkey.hexists("ww:{s00}:nodes", "gone"):
        await asyncio.sleep(0.01)


# --- after a failover


async def test_a_primary_that_is_not_known_for_long_may_not_know_every_node() -> None:
    """A node whose last renewal reached the primary before, and a replica of it, is in no registry here."""
    with replicated(str(server_binary()), replicas=1, sentinels=0) as servers:
        options = NodeOptions(lease=0.4, grace=0.1, replicas=1, acknowledge=1)
        store = await opened_store(f"redis://127.0.0.1:{servers.servers[0].port}", replicas=1, node=options)
        await account_added(store, "ada")
        stranger = await store.revocations.account("ada", **WHY)  # a command, which knows no primary
        assert stranger is not None and stranger.confirmation is not None
        assert stranger.confirmation.elapsed_ms >= options.waits * 1000
        await store.join(Nobody())
        standing = store.node.standings[0]
        await until(lambda: standing.primary != "")
        assert store.node.known_since(Shard(0), "another") is None
        since = store.node.known_since(Shard(0), standing.primary)
        assert since is not None
        await until(lambda: clock.boottime() > since + options.waits)
        known = await store.revocations.account("ada", **WHY)
        assert known is not None and known.confirmation is not None
        assert (known.confirmation.nodes, known.confirmation.silent) == (1, 0)
        assert store.node.known_since(Shard(0), standing.primary) == since
        await store.leave()
        await store.close()
