"""Clients of the store, for each way in which its servers may be set up."""

from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from gateway.core.store_address import Kind, read_address
from gateway.store.cluster import Cluster
from gateway.store.sentinel import SentinelClient

MOST_CONNECTIONS = 100
"""To one server, of one client."""


def connect(
    url: str,
    *,
    password: str | None,
    timeout: float,
    sentinel_password: str | None = None,
    most: int = MOST_CONNECTIONS,
) -> Redis:
    """A client for an address as in `gateway.core.store_address`, that gives up after `timeout` seconds.

    A dead connection in the pool is replaced before it is used. No command is sent twice: one whose
    answer did not arrive may have happened, and asked again the store would answer "used already".
    """
    options: dict[str, Any] = {
        "decode_responses": True,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "max_connections": most,
    }
    address = read_address(url)
    if address.kind is Kind.SENTINEL:
        return SentinelClient(
            address, password=password, sentinel_password=sentinel_password, options=options
        )
    if address.kind is Kind.CLUSTER:
        return Cluster(
            lambda host: Redis.from_url(
                address.url_of(host, user=address.user), password=password, **options
            ),
            address.hosts,
        )
    return Redis.from_url(url, password=password, **options)
