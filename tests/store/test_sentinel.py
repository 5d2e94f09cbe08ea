"""A store that sentinels watch: whoever is the primary is found, also after it changed."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest
from redis.asyncio import Redis
from support.nodes import read_streams
from support.servers import LIKE_OURS, Process, Replicated, sentinel_of, until
from support.store import NOW, enrolled, opened_store, signed_in

from gateway.errors import StoreUnavailable
from gateway.store.attempts import AttemptLimit
from gateway.store.clients import connect
from gateway.store.keys import Shard
from gateway.store.opening import Store

MANY = AttemptLimit(1000, 600)


async def opened(watched: Replicated, **options: object) -> Store:
    return await opened_store(watched.url, **{"replicas": 2, **options})


async def again_available(store: Store) -> None:
    """Ask until there is an answer: what fails meanwhile is StoreUnavailable, and nothing else."""
    for _ in range(3000):
        with suppress(StoreUnavailable):
            await store.ping()
            await store.attempts.count("probe", "somebody", MANY)
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the store did not come back")


def keys_of(server: Process, pattern: str) -> list[str]:
    return list(server.ask("KEYS", pattern))


async def held_by_all(store: Store) -> None:
    """Wait until what was written so far is on both replicas."""
    _, held = await store._connection.run_acknowledged(
        "count_attempt", Shard(0), replicas=2, within=10, name="all:hold", window=600
    )
    assert held == 2


async def test_a_killed_primary_is_followed_by_another_one(watched: Replicated) -> None:
    store = await opened(watched)
    session = await signed_in(store)
    await held_by_all(store)
    primary = watched.primary
    primary.kill()
    with pytest.raises(StoreUnavailable):
        await store.attempts.count("code", "ada", MANY)
    follower = await asyncio.to_thread(watched.after, primary)
    await again_available(store)
    assert await store.who.ask(session.cookie, NOW) is not None
    await signed_in(store, "bob")
    assert keys_of(follower, "*account:bob"), "it is written where it belongs"
    assert await read_streams(store, {"none": "0-0"}, block=0.01, most=1) == {}
    await store.close()


async def test_a_paused_primary_is_followed_and_not_gone_back_to(watched: Replicated) -> None:
    store = await opened(watched, timeout=0.5)
    await asyncio.gather(*(store.ping() for _ in range(10)))  # ten connections, all to the first one
    primary = watched.primary
    primary.pause()
    with pytest.raises(StoreUnavailable):
        await store.attempts.count("code", "ada", MANY)
    await asyncio.to_thread(watched.after, primary)
    await again_available(store)
    primary.resume()
    await asyncio.gather(*(store.attempts.count("code", "ada", MANY) for _ in range(10)))
    until(lambda: primary.info("replication")["role"] == "slave", "the old one follows")
    assert watched.primary.ask("GET", "ww:{s00}:attempts:code:ada") == "10"
    await store.close()


async def test_a_demoted_primary_is_left_at_once(watched: Replicated) -> None:
    store = await opened(watched)
    session = await signed_in(store)
    await enrolled(store, session)
    reading = asyncio.create_task(read_streams(store, {"feed": "0-0"}, block=1.0, most=1))
    follower = await asyncio.to_thread(watched.promote)
    with suppress(StoreUnavailable):
        await reading
    await again_available(store)
    entry = follower.ask("XADD", "feed", "*", "n", "1")
    found: dict[str, list[tuple[str, dict[str, str]]]] = {}
    while not found:
        with suppress(StoreUnavailable):  # a connection may still have to be closed
            found = await read_streams(store, {"feed": "0-0"}, block=1.0, most=1)
    assert found == {"feed": [(entry, {"n": "1"})]}
    assert await store.who.ask(session.cookie, NOW) is not None
    await store.close()


async def test_a_refusal_to_write_leads_to_the_sentinels(watched: Replicated) -> None:
    """READONLY from a server that nobody told to close its connections."""
    store = await opened(watched)
    primary, follower = watched.primary, watched.replicas[0]
    await hand_over(watched, primary, follower)
    primary.ask("REPLICAOF", "127.0.0.1", follower.port)
    with pytest.raises(StoreUnavailable):
        await store.attempts.count("code", "ada", MANY)
    await store.attempts.count("code", "ada", MANY)
    assert follower.ask("GET", "ww:{s00}:attempts:code:ada") == "1"
    await store.close()


async def hand_over(watched: Replicated, primary: Process, follower: Process) -> None:
    """Let the sentinels name another one, of which the one so far does not learn."""
    follower.ask("REPLICAOF", "NO", "ONE")
    for server in watched.servers:
        if server not in (primary, follower):
            server.ask("REPLICAOF", "127.0.0.1", follower.port)
    until(lambda: follower.replicas_online >= 1, "the other replica follows")
    for sentinel in watched.sentinels:
        sentinel.ask("SENTINEL REMOVE", "watchword")
    for sentinel in watched.sentinels:
        sentinel.ask("SENTINEL MONITOR", "watchword", "127.0.0.1", follower.port, 2)


async def test_a_primary_without_replicas_is_asked_about(watched: Replicated) -> None:
    """One that was cut off from all others, but not from us, goes on as if nothing had happened."""
    store = await opened(watched)
    primary, follower = watched.primary, watched.replicas[0]
    await hand_over(watched, primary, follower)
    run = store._connection.run_acknowledged
    arguments = {"replicas": 1, "name": "code:ada", "window": 60}
    assert await run("count_attempt", Shard(0), within=0.05, **arguments) == ([1, 60], 0)
    for _ in range(500):  # until the sentinels have answered
        outcome, held = await run("count_attempt", Shard(0), within=1.0, **arguments)
        if held:
            break
    assert held == 1
    assert int(follower.ask("GET", "ww:{s00}:attempts:code:ada")) == outcome[0]
    await store.close()


async def test_some_sentinels_may_be_down_but_not_all(watched: Replicated) -> None:
    watched.sentinels[0].kill()
    watched.sentinels[1].pause()
    store = await opened(watched, timeout=0.5)
    await store.ping()
    await store.close()
    watched.sentinels[2].kill()
    with pytest.raises(StoreUnavailable):
        await opened(watched, timeout=0.5)


@pytest.mark.parametrize("first", ["latest", "stale"])
async def test_the_view_with_the_latest_failover_counts(
    watched: Replicated, redis_path: str, short_path: Path, first: str
) -> None:
    """A sentinel that was cut off goes on to name whom it knew."""
    primary = await asyncio.to_thread(watched.promote)
    other = Process(redis_path, short_path / "other", LIKE_OURS).start()
    stale = sentinel_of(redis_path, short_path / "stale", other, 60_000).start()
    try:
        places = [watched.sentinels[0].place, stale.place]
        client = connect(
            f"redis+sentinel://{','.join(places if first == 'latest' else places[::-1])}/watchword",
            password=None,
            timeout=20,
        )
        assert (await client.info("server"))["tcp_port"] == primary.port
        await client.aclose()
    finally:
        stale.kill()
        other.kill()


async def test_passwords_of_servers_and_sentinels(watched: Replicated) -> None:
    for server in watched.servers:
        server.ask("CONFIG", "SET", "masterauth", "sesame", "requirepass", "sesame")
    for sentinel in watched.sentinels:
        sentinel.ask("ACL", "SETUSER", "default", ">barley", "resetpass", ">barley")
    for server, sentinel in (("sesame", None), (None, "barley"), ("barley", "sesame"), ("sesame", "x")):
        with pytest.raises(StoreUnavailable):
            await opened(watched, password=server, sentinel_password=sentinel)
    store = await opened(watched, password="sesame", sentinel_password="barley", strict=False)
    await store.ping()
    await store.close()


async def test_a_service_that_no_sentinel_knows(watched: Replicated) -> None:
    with pytest.raises(StoreUnavailable, match="No such master"):
        await opened_store(watched.url.replace("watchword", "elsewhere"))


async def test_a_database_of_the_primary(watched: Replicated) -> None:
    client: Redis = connect(f"{watched.url}/3", password=None, timeout=5)
    await client.set("here", "1")
    assert watched.primary.info("keyspace")["db3"]["keys"] == 1
    await client.aclose()
