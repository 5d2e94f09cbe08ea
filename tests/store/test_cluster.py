"""A cluster: every command finds the primary of its slot, also after that changed."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import pytest
from redis.exceptions import ClusterCrossSlotError, RedisError, ResponseError
from redis.exceptions import ConnectionError as NoConnectionError
from redis.exceptions import TimeoutError as NoAnswerError
from support.nodes import read_streams
from support.servers import Clustered, Process, clustered, until
from support.store import NOW, ClusterBehind, cluster_behind, opened_store, signed_in

from gateway.errors import StoreUnavailable
from gateway.store.attempts import AttemptLimit
from gateway.store.cluster import key_of
from gateway.store.keys import META, Shard, shard_of_subject
from gateway.store.opening import Store

SHARDS = 64
MANY = AttemptLimit(1000, 600)


@pytest.fixture
def cluster() -> Iterator[Clustered]:
    """A cluster of the test's own, to be mistreated."""
    with clustered() as running:
        yield running


@pytest.fixture
async def behind(shared_cluster: Clustered) -> AsyncIterator[ClusterBehind]:
    """A client of the cluster of all tests, which is empty."""
    client = cluster_behind(shared_cluster)
    await client.flushall()
    yield client
    await client.aclose()


async def opened(cluster: Clustered, **options: object) -> Store:
    return await opened_store(cluster.url, **{"shards": SHARDS, "replicas": 1, **options})


def subject_on(cluster: Clustered, server: Process) -> str:
    """An account that one of the primaries holds."""
    names = (f"person{number}" for number in range(1000))
    return next(name for name in names if cluster.holder(shard_of(name).prefix) is server)


def shard_of(subject: str) -> Shard:
    return shard_of_subject(subject, SHARDS)


def attempts_key(subject: str) -> str:
    return shard_of(subject).key("attempts", f"code:{subject}")


async def count(store: Store, subject: str) -> None:
    await store.attempts.count("code", subject, MANY)


# --- the way to the right server


async def test_each_shard_is_where_the_cluster_wants_it(shared_cluster: Clustered) -> None:
    store = await opened(shared_cluster)
    held = [len(server.ask("KEYS", "ww:*:epoch")) for server in shared_cluster.servers[:3]]
    assert sum(held) == SHARDS and min(held) > 0
    await store.close()


async def test_commands_in_one_go_are_answered_in_order(behind: ClusterBehind) -> None:
    async with behind.pipeline(transaction=False) as pipeline:
        for number in range(50):
            pipeline.set(f"key{number}", str(number))
        assert await pipeline.execute() == [True] * 50
    pipeline = behind.pipeline(transaction=False)
    for number in range(50):
        pipeline.get(f"key{number}")
    assert await pipeline.execute() == [str(number) for number in range(50)]
    assert await behind.pipeline(transaction=False).execute() == []
    assert await behind.pipeline(transaction=True).execute() == []


async def test_the_first_failure_of_several_is_told(behind: ClusterBehind) -> None:
    pipeline = behind.pipeline(transaction=False)
    pipeline.set("text", "x")
    pipeline.hget("text", "field")
    pipeline.set("other", "y")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await pipeline.execute()
    assert await behind.get("other") == "y"


@pytest.mark.parametrize("error", [NoConnectionError(), NoAnswerError(), ConnectionResetError()])
async def test_what_may_have_happened_is_not_done_again(behind: ClusterBehind, error: Exception) -> None:
    done = []

    async def work(server: object) -> None:
        done.append(server)
        raise error

    with pytest.raises(type(error)):
        await behind.at("key", work)
    assert len(done) == 1


async def test_a_transaction_is_for_one_slot(behind: ClusterBehind) -> None:
    async with behind.pipeline(transaction=True) as both:
        both.hset(META, "a", "1")
        both.hset(META, "b", "2")
        assert await both.execute() == [1, 1]
    with pytest.raises(RedisError, match="keeps to one slot"):
        async with behind.pipeline(transaction=True) as both:
            both.set("key1", "1")
            both.set("key2", "2")
            await both.execute()
    assert await behind.get("key1") is None


async def test_streams_of_two_slots_cannot_be_read_together(behind: ClusterBehind) -> None:
    """Not even where one server has both: that is why each shard is a group of its own."""
    with pytest.raises(ClusterCrossSlotError):
        await behind.xread({Shard(0).key("feed"): "0-0", Shard(1).key("feed"): "0-0"})


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (("GET", "a"), "a"),
        (("MEMORY USAGE", "a"), "a"),
        (("EVALSHA", "0" * 40, 1, "a", "b"), "a"),
        (("XREAD", "COUNT", 1, "STREAMS", "a", "0-0"), "a"),
        (("XREAD", b"BLOCK", 1, b"STREAMS", "a", "b", "0-0", "0-0"), "a"),
    ],
)
def test_where_the_first_key_is(command: tuple[object, ...], key: str) -> None:
    assert key_of(command) == key


@pytest.mark.parametrize("command", [("PING",), ("SCAN", "0"), ("INFO", "server"), ("EVAL", "return 1", 0)])
def test_what_names_no_key_goes_nowhere(command: tuple[object, ...]) -> None:
    with pytest.raises(RedisError, match="names no key"):
        key_of(command)


async def test_reading_and_waiting_go_to_the_key(shared_cluster: Clustered, behind: ClusterBehind) -> None:
    store = await opened(shared_cluster)
    assert store._connection.groups() == [[Shard(index)] for index in range(SHARDS)]
    for index in (0, 1, 2):
        feed, told = Shard(index).key("feed"), list[str]()
        reading = asyncio.create_task(read_streams(store, {feed: "0-0"}, block=1.0, most=9))
        ear = await store._connection.hearing(f"channel {index}", told.append)
        entry = await behind.xadd(feed, {"n": "1"})
        async with store._connection.following(feed) as wire:  # wherever that leads
            await wire.read({feed: "0-0"}, block=0.01, most=9, tells=[(f"channel {index}", "node")])
        assert await reading == {feed: [(entry, {"n": "1"})]}
        while not told:
            await asyncio.sleep(0.005)
        await ear.close()
    await store.close()


# --- what replicas hold


async def test_what_the_replica_holds_is_told_and_what_it_does_not(cluster: Clustered) -> None:
    store = await opened(cluster)
    run = store._connection.run_acknowledged
    primary = cluster.servers[1]
    name = subject_on(cluster, primary)
    arguments = {"name": f"code:{name}", "window": 60}
    assert await run("count_attempt", shard_of(name), replicas=1, within=10, **arguments) == ([1, 60], 1)
    primary.ask("SCRIPT", "FLUSH")
    assert (await run("count_attempt", shard_of(name), replicas=1, within=10, **arguments))[0][0] == 2
    cluster.replica_of(primary).kill()
    outcome, held = await run("count_attempt", shard_of(name), replicas=1, within=0.05, **arguments)
    assert (outcome[0], held) == (3, 0)
    assert primary.ask("GET", attempts_key(name)) == "3"
    await store.close()


# --- servers that take over from each other


async def test_a_killed_primary_is_followed_by_its_replica(cluster: Clustered) -> None:
    store = await opened(cluster)
    primary = cluster.servers[0]
    lost, other = subject_on(cluster, primary), subject_on(cluster, cluster.servers[1])
    session = await signed_in(store, lost)
    assert (await store._connection.run_acknowledged(
        "count_attempt", shard_of(lost), replicas=1, within=10, name="all:hold", window=60
    ))[1] == 1  # fmt: skip
    primary.kill()
    with pytest.raises(StoreUnavailable):
        await count(store, lost)
    await count(store, other)
    await asyncio.to_thread(cluster.after, primary, shard_of(lost).prefix)
    for _ in range(1000):
        with suppress(StoreUnavailable):
            await count(store, lost)
            break
        await asyncio.sleep(0.02)
    assert await store.who.ask(session.cookie, NOW) is not None
    await count(store, other)
    await store.close()


async def test_a_slot_that_has_moved_is_followed_within_the_call(cluster: Clustered) -> None:
    """MOVED says that nothing was done, so nobody has to hear of it."""
    store = await opened(cluster)
    name = subject_on(cluster, cluster.servers[2])
    await signed_in(store, name)
    await count(store, name)
    follower = await asyncio.to_thread(cluster.promote, cluster.servers[2])
    for _ in range(3):
        await count(store, name)
    assert follower.ask("GET", attempts_key(name)) == "4"
    run = store._connection.run_acknowledged
    outcome, held = await run(
        "count_attempt", shard_of(name), replicas=1, within=10, name=f"code:{name}", window=60
    )
    assert (outcome[0], held) == (5, 1)
    assert [account.subject for account in await store.accounts.list()] == [name]
    await store.close()


async def test_many_keys_are_found_after_their_server_changed(cluster: Clustered) -> None:
    store = await opened(cluster)
    for number in range(30):
        await signed_in(store, f"person{number}")
    await asyncio.to_thread(cluster.promote, cluster.servers[0])
    assert len(await store.accounts.list()) == 30
    assert await store.attempts.locked([f"person{number}" for number in range(30)]) == frozenset()
    await store.close()


async def test_what_goes_together_finds_those_keys_that_have_moved(cluster: Clustered) -> None:
    client = cluster_behind(cluster)
    names = [f"key{number}" for number in range(30)]
    for name in names:
        await client.set(name, name)
    await asyncio.to_thread(cluster.promote, cluster.servers[0])
    pipeline = client.pipeline(transaction=False)
    for name in names:
        pipeline.get(name)
    assert await pipeline.execute() == names
    await asyncio.to_thread(cluster.promote, cluster.servers[1])
    for name in names:
        async with client.pipeline(transaction=True) as both:
            both.append(name, "!")
            both.get(name)
            assert (await both.execute())[1] == f"{name}!"
    await client.aclose()


async def test_a_slot_that_is_being_moved_is_unavailable(cluster: Clustered) -> None:
    """A script there would take a record that is still elsewhere for one that never was."""
    store = await opened(cluster)
    source, target = cluster.servers[0], cluster.servers[1]
    name = subject_on(cluster, source)
    slot = source.ask("CLUSTER", "KEYSLOT", shard_of(name).prefix)
    target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.ask("CLUSTER", "MYID"))
    source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.ask("CLUSTER", "MYID"))
    with pytest.raises(StoreUnavailable, match="is being moved"):
        await count(store, name)
    with pytest.raises(StoreUnavailable, match="is being moved"):
        await store.accounts.find(name)
    for server in (source, target):
        server.ask("CLUSTER", "SETSLOT", slot, "STABLE")
    await count(store, name)
    await store.close()


async def test_a_slot_that_was_moved_as_a_whole_is_followed(cluster: Clustered) -> None:
    """Where it is now, no script is known yet."""
    store = await opened(cluster)
    source, target = cluster.servers[0], cluster.servers[1]
    name = subject_on(cluster, source)
    await count(store, name)
    slot = source.ask("CLUSTER", "KEYSLOT", shard_of(name).prefix)
    node = target.ask("CLUSTER", "MYID")
    target.ask("SCRIPT", "FLUSH")
    source.ask("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", node)
    await asyncio.to_thread(until, lambda: cluster.holder(shard_of(name).prefix) is target, "it has moved")
    run = store._connection.run_acknowledged
    outcome, held = await run(
        "count_attempt", shard_of(name), replicas=1, within=10, name=f"code:{name}", window=60
    )
    assert (outcome[0], held) == (2, 1)
    await count(store, name)
    assert target.ask("GET", attempts_key(name)) == "3"
    await store.close()


async def test_what_timed_out_is_not_sent_again(cluster: Clustered) -> None:
    store = await opened(cluster, timeout=0.2)
    primary = cluster.servers[0]
    name = subject_on(cluster, primary)
    primary.pause()
    with pytest.raises(StoreUnavailable):
        await count(store, name)
    primary.resume()
    primary.settle()
    assert primary.ask("GET", attempts_key(name)) in {None, "1"}
    await store.close()


async def test_a_cluster_that_is_not_there() -> None:
    with pytest.raises(StoreUnavailable):
        await opened_store("redis+cluster://127.0.0.1:1,127.0.0.1:2", shards=SHARDS)
