"""When an answer comes: every node has said that it trusts nothing of it, or its time is over."""

import asyncio

from redis.asyncio import Redis
from support.nodes import SHORT, WHY, Join, remembered
from support.store import NOW, signed_in

from gateway.store.opening import Store
from gateway.store.standing import NodeOptions

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
