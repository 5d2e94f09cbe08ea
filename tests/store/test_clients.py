"""Each form of an address leads to a client of its kind, which gives up in time."""

import asyncio
import signal
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError
from support.store import LIKE_OURS, running_server

from gateway.store.clients import connect
from gateway.store.cluster import Cluster
from gateway.store.sentinel import SentinelClient


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("redis://127.0.0.1:1", Redis),
        ("unix:///nowhere/at.all", Redis),
        ("redis+sentinel://127.0.0.1:1/watchword", SentinelClient),
        ("rediss+sentinel://user@127.0.0.1:1,127.0.0.1:2/watchword?ssl_cert_reqs=none", SentinelClient),
        ("redis+cluster://127.0.0.1:1", Cluster),
        ("rediss+cluster://user@127.0.0.1:1,[::1]:2", Cluster),
    ],
)
async def test_a_client_for_each_form(url: str, kind: type[Redis]) -> None:
    client = connect(url, password="x", timeout=1)
    assert type(client) is kind
    with pytest.raises((RedisError, OSError)):
        await client.get("key")
    await client.aclose()


async def test_a_client_gives_up_after_its_time(short_path: Path) -> None:
    with running_server(short_path, *LIKE_OURS) as server:
        client = connect(server.url, password=None, timeout=0.1)
        await client.set("n", "0")
        server.process.send_signal(signal.SIGSTOP)
        with pytest.raises((RedisError, TimeoutError)):
            await client.incr("n")
        server.process.send_signal(signal.SIGCONT)
        async with Redis.from_url(server.url) as behind:
            assert await behind.get("n") in {b"0", b"1"}
        await client.aclose()


async def test_only_so_many_connections_are_made(valkey: Redis, valkey_url: str) -> None:
    client = connect(valkey_url, password=None, timeout=20, most=2)
    waiting = [asyncio.create_task(client.blpop(["none"], timeout=0.3)) for _ in range(3)]
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [isinstance(answer, RedisError) for answer in answers].count(True) == 1
    await client.aclose()
