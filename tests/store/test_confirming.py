"""When an answer comes: every node has said that it trusts nothing of it, or its time is over."""

import asyncio
import shutil
from pathlib import Path

from redis.asyncio import Redis
from support.nodes import SHORT, WHY, Join, remembered, until
from support.store import LIKE_OURS, NOW, account_added, opened_store, running_server, signed_in

from gateway import clock
from gateway.store import confirming
from gateway.store.opening import Store
from gateway.store.standing import Nobody, NodeOptions

# --- nodes that do not answer


async def test_a_node_that_is_silent_is_waited_for_until_it_trusts_nothing(store: Store, join: Join) -> None:
    session, (node, heard) = await signed_in(store), await join(SHORT)
    await remembered(node, session)
    await node.node._end_tasks()  # it hears nothing any more, and renews nothing
    revocation = await store.revocations.account("ada", **WHY)
    assert node.who.remembered(node.who.place_of(session.cookie), NOW + 1) is None
    assert not node.node.lets_pass(session.session_id)
    assert heard.endings == []
    assert revocation is not None and revocation.confirmation is not None
    assert (revocation.confirmation.nodes, revocation.confirmation.silent) == (0, 1)


async def test_many_revocations_at_a_time_are_each_confirmed_by_every_node(store: Store, join: Join) -> None:
    nodes = [(await join(NodeOptions(lease=60.0)))[0] for _ in range(3)]
    sessions = [await signed_in(store, f"person-{number}") for number in range(40)]
    done = await asyncio.gather(*(nodes[0].revocations.session(each.session_id, **WHY) for each in sessions))
    told = [each.confirmation for each in done if each is not None and each.confirmation is not None]
    assert [(each.nodes, each.silent) for each in told] == [(3, 0)] * 40
    assert not nodes[0].promises._confirmer._heard, "nothing of it is kept"


async def test_an_answer_counts_that_came_before_it_was_waited_for(
    store: Store, join: Join, valkey_url: str
) -> None:
    """Replicas were missing at first: the nodes had applied it long before it could be confirmed."""
    await join(NodeOptions(lease=60.0))
    await account_added(store, "ada")
    few = NodeOptions(replicas=1, acknowledge=1)
    other = await opened_store(valkey_url, node=few, strict=False)
    pending = await other.revocations.account("ada", **WHY)
    assert pending is not None and pending.confirmation is None
    other.promises._options = NodeOptions()  # the replica was given up
    await other.finisher.finish()
    known = await other.promises.status(pending.revocation_id)
    assert known is not None and known[1] is not None
    assert (known[1].nodes, known[1].silent) == (1, 0)
    await other.close()


async def test_whoever_heard_nothing_listens_anew(store: Store, valkey: Redis, join: Join) -> None:
    await join(NodeOptions(lease=0.4, grace=0.1))
    await account_added(store, "ada")
    lost = 0
    for _ in range(2):
        for _ in range(2):
            done = await store.revocations.account("ada", **WHY)
            assert done is not None and done.confirmation is not None
            assert (done.confirmation.nodes, done.confirmation.silent) == (1, 0)
        lost += await valkey.client_kill_filter(_type="pubsub")
        ear = store.promises._confirmer._ear
        assert ear is not None
        await until(lambda ear=ear: ear.is_lost)
    assert lost == 2
    # An ear that is deaf, and does not know it:
    await store.revocations.account("ada", **WHY)
    ear = store.promises._confirmer._ear
    assert ear is not None
    ear._hear = lambda message: None
    for answer in [(0, 1), (1, 0)]:
        done = await store.revocations.account("ada", **WHY)
        assert done is not None and done.confirmation is not None
        assert (done.confirmation.nodes, done.confirmation.silent) == answer


async def test_one_that_loses_its_ear_does_not_go_on_losing_it(
    store: Store, valkey: Redis, join: Join
) -> None:
    """Whoever listens anew must not cut off what others still wait to hear."""
    for _ in range(2):
        await join(NodeOptions(lease=0.4, grace=0.1))
    for number in range(8):
        await account_added(store, f"person-{number}")
    silent, begun = 0, asyncio.Event()

    async def revoke_on(subject: str) -> None:
        nonlocal silent
        for _ in range(60):
            done = await store.revocations.account(subject, **WHY)
            begun.set()
            assert done is not None and done.confirmation is not None
            silent += done.confirmation.silent > 0

    async def kill() -> None:
        await begun.wait()
        assert await valkey.client_kill_filter(_type="pubsub") == 1

    await asyncio.gather(*(revoke_on(f"person-{number}") for number in range(8)), kill())
    assert silent <= 8


async def test_what_is_said_without_being_asked_for_takes_no_more_room_than_it_may(store: Store) -> None:
    confirmer = store.promises._confirmer
    for number in range(confirming._MOST_HEARD + 10):
        confirmer._hear(f"0 {number} node")
    assert len(confirmer._heard) == confirming._MOST_HEARD


async def test_a_backup_that_lacks_a_node_does_not_confirm_without_it(short_path: Path) -> None:
    """Put back from before a gateway was started: the store knows nothing of it, and it trusts its memory."""
    options = NodeOptions(lease=1.5, grace=0.5)
    with running_server(short_path, *LIKE_OURS) as server:
        store = await opened_store(server.url)
        session = await signed_in(store)
        await store.close()
    backup = short_path / "backup"
    shutil.copytree(short_path / "appendonlydir", backup)
    with running_server(short_path, *LIKE_OURS) as server:
        node = await opened_store(server.url, node=options)
        await node.node.start(Nobody())
        await remembered(node, session)
        other = await opened_store(server.url, node=options)
    shutil.rmtree(short_path / "appendonlydir")
    backup.rename(short_path / "appendonlydir")
    with running_server(short_path, *LIKE_OURS):
        await node.node._end_tasks()  # it is cut off, and trusts its memory for as long as its lease lasts
        revoked = await other.revocations.account("ada", **WHY)
        assert revoked is not None and revoked.confirmation is not None
        assert node.node.leases() == (0, 0)
        standing = node.node.standings[0]
        assert not standing.lease.holds(clock.boottime())
        assert not standing.lease.lets_pass(clock.boottime())
    for each in (node, other):
        await each.close()


async def test_where_nodes_have_shown_up_for_long_nobody_waits_for_more(store: Store, join: Join) -> None:
    long = NodeOptions(lease=90.0)
    other = (await join(long))[0]
    await account_added(store, "ada")
    done = await other.revocations.account("ada", **WHY)  # the test's own timeout ends it, if it waits
    assert done is not None and done.confirmation is not None
    assert (done.confirmation.nodes, done.confirmation.silent) == (1, 0)


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
