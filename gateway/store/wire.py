"""Connections on which one task follows streams, or hears what is published: no more is done than that takes.

Every node hears of every revocation here, and whoever revoked something waits for the slowest of them. The
client library makes the connection (address, password, TLS, sentinels) and hands it over; its own way of
sending and reading costs about three times as much in a process that was asleep.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import hiredis
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as NoConnectionError
from redis.exceptions import InvalidResponse, ResponseError
from redis.exceptions import TimeoutError as NoAnswerError

from gateway.store.failures import store_errors

_packed: Callable[[Any], bytes] = hiredis.pack_command  # its own type says: of one part


class Wire(asyncio.Protocol):
    """A connection that was taken over; one request at a time."""

    def __init__(self, pool: Any, connection: Any) -> None:
        self.is_lost = False
        self._pool = pool
        self._connection = connection
        self._patience: float | None = connection.socket_timeout
        self._transport: asyncio.Transport = connection._writer.transport  # it has no public name
        self._before = self._transport.get_protocol()
        self._reader = hiredis.Reader(
            protocolError=InvalidResponse, replyError=ResponseError, encoding="utf-8"
        )
        self._replies: list[Any] = []
        self._wanted = 0
        self._answered: asyncio.Future[None] | None = None

    @classmethod
    async def taken_from(cls, client: Redis) -> Self:
        """Take a connection of a client over. Raises a RedisError or OSError."""
        pool: Any = client.connection_pool
        wire = cls(pool, await pool.get_connection())
        wire._transport.set_protocol(wire)
        return wire

    async def close(self) -> None:
        """Give the connection back, to be made anew."""
        self.is_lost = True
        self._transport.abort()
        await self._connection.disconnect(nowait=True)
        await self._pool.release(self._connection)

    async def _ask(self, commands: Sequence[tuple[str | int, ...]]) -> list[Any]:
        if self.is_lost:
            raise NoConnectionError("the connection is lost")
        loop = asyncio.get_running_loop()
        self._replies, self._wanted, self._answered = [], len(commands), loop.create_future()
        patience = loop.call_later(self._patience, self._lose, NoAnswerError()) if self._patience else None
        try:
            self._transport.write(b"".join(map(_packed, commands)))
            await self._answered
        except BaseException:
            self.is_lost = True  # what is still to come would be taken for the next answer
            raise
        finally:
            self._answered = None
            if patience is not None:
                patience.cancel()
        for reply in self._replies:
            if isinstance(reply, Exception):
                self.is_lost = True
                raise reply
        return self._replies

    def _lose(self, error: Exception) -> None:
        self.is_lost = True
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)

    def _came(self, reply: Any) -> None:
        self._replies.append(reply)
        if self._answered is not None and not self._answered.done() and len(self._replies) >= self._wanted:
            self._answered.set_result(None)

    # what the loop calls

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                self._came(reply)
        except (InvalidResponse, UnicodeDecodeError) as error:
            self._lose(InvalidResponse(str(error)))

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose(NoConnectionError(str(exc or "the server closed the connection")))
        self._before.connection_lost(exc)  # the client library waits for that when it closes


class Follower(Wire):
    """Reads streams as they grow."""

    async def read(
        self,
        after: Mapping[str, str],
        *,
        block: float,
        most: int,
        tells: Sequence[tuple[str, str]] = (),
    ) -> dict[str, list[tuple[str, dict[str, str]]]]:
        """What came in each of these streams after an entry's id, once there is something, or after `block`
        seconds; nothing then.

        Before it waits, each of `tells`, a message, is published on a channel. Raises StoreUnavailable,
        after which this connection is of no use.
        """
        commands: list[tuple[str | int, ...]] = [("PUBLISH", channel, message) for channel, message in tells]
        milliseconds = max(1, round(block * 1000))
        streams = (*after.keys(), *after.values())
        commands.append(("XREAD", "COUNT", most, "BLOCK", milliseconds, "STREAMS", *streams))
        with store_errors():
            replies = await self._ask(commands)
        return {key: [(entry, _fields(flat)) for entry, flat in rows] for key, rows in replies[-1] or ()}


class Ear(Wire):
    """Hears what is published on one channel."""

    _hear: Callable[[str], None]

    async def listen(self, channel: str, hear: Callable[[str], None]) -> None:
        """Call `hear` with each message from now on. Raises StoreUnavailable."""
        self._hear = hear
        with store_errors():
            await self._ask([("SUBSCRIBE", channel)])

    def _came(self, reply: Any) -> None:
        if isinstance(reply, list) and reply[0] == "message":
            self._hear(reply[2])
        else:
            super()._came(reply)


def _fields(flat: Sequence[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
