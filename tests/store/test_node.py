"""Reads of a node that has no lease."""

import pytest
from redis.asyncio import Redis
from support.nodes import WHY, Join
from support.store import NOW, signed_in

from gateway.core.ending import Scope
from gateway.errors import StoreUnavailable
from gateway.store.opening import Store
from gateway.store.standing import NodeOptions

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
    assert node.who.remembered(session.cookie, NOW) is None
    assert node.node.lets_pass(session.session_id)
    revocation = await node.revocations.account("ada", **WHY)
    assert revocation is not None and revocation.confirmation is None
    assert await node.revocations.status(revocation.revocation_id) == (Scope.ACCOUNT, None)
