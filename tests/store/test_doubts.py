"""What is doubtful is said of each primary; whether its replicas are those of the settings as well."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from support.servers import Process, clustered, replicated
from support.store import opened_store

from gateway.errors import StoreUnavailable
from gateway.store.clients import connect
from gateway.store.connection import Connection
from gateway.store.doubts import Doubts, doubts_about


@asynccontextmanager
async def connection_to(url: str) -> AsyncIterator[Connection]:
    connection = Connection(connect(url, password=None, timeout=20), 64)
    yield connection
    await connection.close()


async def doubts(url: str, replicas: int) -> Doubts:
    async with connection_to(url) as connection:
        return await doubts_about(connection, replicas)


async def test_as_many_replicas_as_the_settings_say(redis_path: str) -> None:
    with replicated(redis_path, replicas=1, sentinels=0) as running:
        url = f"redis://{running.servers[0].place}"
        assert await doubts(url, 1) == Doubts([], [])
        missing = (
            "1 replica is connected, and the setting store.replicas is 2: "
            "connect what is missing, or set it to 1 if there are no more"
        )
        assert await doubts(url, 2) == Doubts([], [missing])
        unknown = "1 replica is connected, and the setting store.replicas is 0: set it to 1"
        assert await doubts(url, 0) == Doubts([unknown], [])


async def test_missing_replicas_stop_a_first_start_and_no_later_one(redis_path: str) -> None:
    """A gateway must be able to start again while a replica is down; a wrong setting must not go unseen."""
    with replicated(redis_path, replicas=1, sentinels=0) as running:
        url = f"redis://{running.servers[0].place}"
        with pytest.raises(StoreUnavailable, match=r"1 replica is connected, .* store\.replicas is 2"):
            await opened_store(url, replicas=2)
        assert running.servers[0].ask("DBSIZE") == 0
        await (await opened_store(url, replicas=1)).close()
        await (await opened_store(url, replicas=2)).close()
        with pytest.raises(StoreUnavailable, match=r"1 replica is connected, .* store\.replicas is 0"):
            await opened_store(url, replicas=0)


async def test_every_primary_of_a_cluster_is_looked_at() -> None:
    with clustered() as cluster:
        assert await doubts(cluster.url, 1) == Doubts([], [])
        first, second, third = cluster.servers[:3]
        first.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        second.ask("CONFIG", "SET", "appendonly", "no")
        await without(cluster.replica_of(third), third)
        assert await doubts(cluster.url, 1) == Doubts(
            sorted(
                [
                    f"{first.place}: maxmemory-policy is allkeys-lru, not noeviction",
                    f"{second.place}: appendonly is off",
                ]
            ),
            [
                f"{third.place}: 0 replicas are connected, and the setting store.replicas is 1: "
                "connect what is missing, or set it to 0 if there are no more"
            ],
        )


async def without(replica: Process, primary: Process) -> None:
    replica.kill()
    while primary.replicas_online:
        await asyncio.sleep(0.02)
