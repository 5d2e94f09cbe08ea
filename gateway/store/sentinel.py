"""The primary of a store that sentinels watch: who it is, and when to ask them again.

Every new connection asks. Nothing else has to: a primary that died takes its connections with it, one that
was demoted closes them (sentinels see to that), and one that refuses to write is left at once. One that was
cut off from all but us would do none of this, so we also ask when its replicas do not answer to it.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import SSLConnection, parse_url
from redis.asyncio.sentinel import SentinelConnectionPool, SentinelManagedConnection
from redis.exceptions import ConnectionError as NoConnectionError
from redis.exceptions import MasterDownError

from gateway.core.store_address import Host, StoreAddress
from gateway.store.failures import FAILURES
from gateway.store.majority import most_answers


class _Sentinels:
    """Those who know the primary of a service."""

    def __init__(self, address: StoreAddress, password: str | None, options: Mapping[str, Any]) -> None:
        self._clients = [
            Redis.from_url(address.url_of(host), password=password, **options) for host in address.hosts
        ]

    async def discover_master(self, service: str) -> Host:
        """Where the primary is, in the view with the latest failover of those that most sentinels have.

        Raises a RedisError when none answers or knows the service. Whether they take it to be down is not
        asked: there is nobody else to go to before they have made another one the primary.
        """
        views = await most_answers([_view(client, service) for client in self._clients])
        return max(views)[1]

    async def aclose(self) -> None:
        await asyncio.gather(*(client.aclose() for client in self._clients))


async def _view(sentinel: Any, service: str) -> tuple[int, Host]:
    """The epoch of the latest failover that a sentinel knows of, and where the primary has been since then.

    The sentinel that leads a failover has both before it is done, but tells the address by this command only.
    """
    pipeline = sentinel.pipeline(transaction=False)
    pipeline.execute_command("SENTINEL MASTER", service)
    pipeline.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", service)
    state, address = await pipeline.execute()
    return int(state["config-epoch"]), (str(address[0]), int(address[1]))


class _Connection(SentinelManagedConnection):
    async def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*args, **options)  # READONLY ends the connection in there
        except MasterDownError as error:
            await self.disconnect()
            raise NoConnectionError("a replica that lost its primary") from error


class _TlsConnection(_Connection, SSLConnection):
    pass


class _Pool(SentinelConnectionPool):
    """Connections to whoever is the primary."""

    sentinel_manager: _Sentinels

    async def ensure_connection(self, connection: Any) -> None:
        """Connect, and use no connection any more to who was the primary before."""
        if (connection.host, connection.port) != self.master_address:
            await connection.disconnect()
        await super().ensure_connection(connection)


class SentinelClient(Redis):
    """A client of the primary that sentinels name."""

    def __init__(
        self,
        address: StoreAddress,
        password: str | None,
        sentinel_password: str | None,
        options: Mapping[str, Any],
    ) -> None:
        """`options` are those of every connection, to servers and sentinels."""
        self._sentinels = _Sentinels(address, sentinel_password, options)
        said = dict(parse_url(address.url_of(address.hosts[0], user=address.user)))
        for name in ("host", "port", "connection_class"):
            said.pop(name, None)
        self._pool = _Pool(  # type: ignore[no-untyped-call]
            address.service,
            self._sentinels,
            connection_class=_TlsConnection if address.tls else _Connection,
            **{"db": address.database, "password": password, **said, **options},
        )
        self._asking: asyncio.Task[None] | None = None
        super().__init__(connection_pool=self._pool)

    def look_again(self) -> None:
        """Ask the sentinels whether there is another primary by now; nobody waits for it."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())

    async def _ask(self) -> None:
        with suppress(*FAILURES):  # then whoever connects asks, and fails
            await self._pool.get_master_address()  # type: ignore[no-untyped-call]

    async def aclose(self, close_connection_pool: bool | None = True) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])
        await super().aclose(close_connection_pool)
        await self._sentinels.aclose()
