"""The way to the store: one client, scripts by name, and one translation of every failure.

Nothing above this package names a Redis error. A store that cannot answer is StoreUnavailable,
which says neither yes nor no. A script is sent by its hash and loaded again when the server has
forgotten it (after a failover or SCRIPT FLUSH).
"""

import asyncio
import functools
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from importlib import resources
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, ReadOnlyError

from gateway.errors import StoreUnavailable
from gateway.store.cluster import Cluster
from gateway.store.failures import store_errors
from gateway.store.keys import Meta, Shard
from gateway.store.sentinel import SentinelClient
from gateway.store.wire import Ear, Follower

T = TypeVar("T")

_MOST_SCRIPTS = 80
"""Scripts that run at a time, so that some of a client's connections are left for everything else."""

_LONGEST_TURN = 5.0
"""Seconds that a script waits to be sent, at most: whoever asked has gone by then, or asks again."""

LONGEST_BLOCK = 1.0
"""Seconds that a command may wait in the server for something to come."""


@functools.cache
def _script(name: str) -> tuple[str, str]:
    """A script's text, and the hash that a server knows it by."""
    folder = resources.files("gateway.store") / "scripts"
    prelude, script, epilogue = (
        (folder / f"{part}.lua").read_text() for part in ("prelude", name, "epilogue")
    )
    text = f"{prelude}\nlocal function step()\n{script}\nend\n\n{epilogue}"
    return text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


async def _on_server(redis: Redis, key: str, work: Callable[[Redis], Awaitable[T]]) -> T:
    """Do what is to be done on the one server that holds a key."""
    return await redis.at(key, work) if isinstance(redis, Cluster) else await work(redis)


async def _drop_idle(client: Redis) -> None:
    """Keep no connection for later."""
    if not isinstance(client, Cluster):  # where connections are by server
        await client.connection_pool.disconnect(inuse_connections=False)


async def _ear_on(server: Redis, channel: str, hear: Callable[[str], None]) -> Ear:
    with store_errors():
        ear = await Ear.taken_from(server)
    try:
        await ear.listen(channel, hear)
    except BaseException:
        await ear.close()
        raise
    return ear


@dataclass(frozen=True, slots=True)
class Server:
    """A primary of the store. `name` is where it is, or "" where there is only one."""

    name: str
    redis: Redis


class Connection:
    """A client of one store whose records are spread over `shards` shards, on one server or several."""

    def __init__(self, redis: Redis, shards: int, following: Redis | None = None) -> None:
        """`following` is for what a node's memory depends on, which no number of requests may keep waiting,
        and waits longer for an answer, as commands do that wait in the server for something to come.
        """
        self.redis = redis
        self._following = following or redis
        self._turns = asyncio.Semaphore(_MOST_SCRIPTS)
        self.shards = shards

    async def run(self, script: str, shard: Shard | Meta, **arguments: Any) -> Any:
        """Run `scripts/<script>.lua` on one shard; what it returns, as text and lists.

        Times given as floats travel as text. Raises StoreUnavailable.
        """
        text, digest = _script(script)
        payload = _payload(arguments)

        async def evaluate(server: Any) -> Any:
            try:
                return await server.evalsha(digest, 1, shard.prefix, payload)
            except NoScriptError:  # it did not run; sent as a whole it does, and is known from then on
                return await server.eval(text, 1, shard.prefix, payload)

        with store_errors():
            async with self._turn():
                return await self._written(self.redis, shard, evaluate)

    async def run_acknowledged(
        self,
        script: str,
        shard: Shard | Meta,
        *,
        replicas: int,
        within: float,
        apart: bool = False,
        **arguments: Any,
    ) -> tuple[Any, int]:
        """Run a script as `run` does; what it returns, and how many replicas hold it after at most
        `within` seconds. None are asked where `replicas`, the number that is waited for, is 0. `apart`: not
        on the connections of requests.

        WAIT counts only for the connection that wrote: both go there in one piece. Where too few hold it,
        the server may be the primary no longer, so we look who is; where the store has one address, that may
        lead to another one by now.
        """
        if replicas == 0 and not apart:
            return await self.run(script, shard, **arguments), 0
        text, digest = _script(script)
        payload = _payload(arguments)

        async def evaluate(server: Redis) -> tuple[Any, int]:
            for way in (("EVALSHA", digest), ("EVAL", text)):
                pipeline = server.pipeline(transaction=False)
                pipeline.execute_command(*way, 1, shard.prefix, payload)
                if replicas:
                    pipeline.wait(replicas, max(1, round(within * 1000)))
                outcome, held = [*await pipeline.execute(raise_on_error=False), 0][:2]
                if not isinstance(outcome, NoScriptError):
                    break
            for answer in (outcome, held):
                if isinstance(answer, Exception):
                    raise answer
            return outcome, held

        client, turn = (self._following, nullcontext()) if apart else (self.redis, self._turn())
        with store_errors():
            async with turn:
                outcome, held = await self._written(client, shard, evaluate)
        if held < replicas:
            self._look_again()
            if apart:
                await _drop_idle(client)
        return outcome, held

    @asynccontextmanager
    async def following(self, key: str) -> AsyncIterator[Follower]:
        """A connection of its own to the server that holds a key. Raises StoreUnavailable.

        Where it fails, the next one may lead to another server.
        """
        with store_errors():
            wire = await _on_server(self._following, key, Follower.taken_from)
        try:
            yield wire
        finally:
            if wire.is_lost:
                self._look_again()
            with store_errors():
                await wire.close()

    async def hearing(self, channel: str, hear: Callable[[str], None]) -> Ear:
        """A connection that calls `hear` with what is published on a channel, from now on; to be closed.

        In a cluster any server serves, as each passes on to the others what is published. Raises
        StoreUnavailable when none answers.
        """
        servers = self._following.servers() if isinstance(self._following, Cluster) else [self._following]
        failure: StoreUnavailable | None = None
        for server in servers:
            try:
                return await _ear_on(server, channel, hear)
            except StoreUnavailable as error:
                failure = error
        raise failure or StoreUnavailable("no server of the store is known")

    def groups(self) -> list[list[Shard]]:
        """The shards, those together whose streams can be read together.

        In a cluster that is each by itself: a command must keep to one slot, even where its server holds
        the other one as well.
        """
        shards = [Shard(index) for index in range(self.shards)]
        return [[shard] for shard in shards] if isinstance(self.redis, Cluster) else [shards]

    async def servers(self) -> list[Server]:
        """The primaries, for what has to be asked of each. Raises StoreUnavailable."""
        if not isinstance(self.redis, Cluster):
            return [Server("", self.redis)]
        with store_errors():
            primaries = await self.redis.primaries()
        return [Server(f"{host[0]}:{host[1]}", self.redis.server(host)) for host in sorted(primaries)]

    async def layout(self) -> object:
        """What tells that all primaries are still the same processes, and hold the same parts of the store.

        Raises StoreUnavailable.
        """
        with store_errors():
            parts = await self.redis.primaries() if isinstance(self.redis, Cluster) else None
            runs = [(await server.redis.info("server"))["run_id"] for server in await self.servers()]
        return runs, parts

    async def ping(self) -> None:
        """Raises StoreUnavailable when a part of the store does not answer."""
        for server in await self.servers():
            await self.call(server.redis.ping())

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Wait until a connection is free: a pool that has none left would refuse at once."""
        async with asyncio.timeout(_LONGEST_TURN):
            await self._turns.acquire()
        try:
            yield
        finally:
            self._turns.release()

    async def _written(
        self, client: Redis, shard: Shard | Meta, evaluate: Callable[[Any], Awaitable[T]]
    ) -> T:
        """What a script gives. Where its server is a replica by now, the next one goes to the primary."""
        try:
            return await _on_server(client, shard.prefix, evaluate)
        except ReadOnlyError:
            await self.reconnect()
            raise

    async def reconnect(self) -> None:
        """Another server is the primary now: keep no connection for later that may be to the one before it.

        Behind an address that was moved these would go on, and tell what that one knows.
        """
        self._look_again()
        for client in (self.redis, self._following):
            await _drop_idle(client)

    def _look_again(self) -> None:
        for client in (self.redis, self._following):
            if isinstance(client, Cluster | SentinelClient):
                client.look_again()

    async def call(self, command: Awaitable[Any]) -> Any:
        """One plain command of `redis`. Raises StoreUnavailable."""
        with store_errors():
            return await command

    async def hashes(self, keys: Iterable[str]) -> list[dict[str, str]]:
        """The hashes under `keys` that exist, in one round trip. Raises StoreUnavailable."""
        with store_errors():
            pipeline = self.redis.pipeline(transaction=False)
            for key in keys:
                pipeline.hgetall(key)
            return [found for found in await pipeline.execute() if found]

    async def fields(self, keys: Iterable[str], field: str) -> list[str | None]:
        """One field of each of these hashes, in one round trip. Raises StoreUnavailable."""
        with store_errors():
            pipeline = self.redis.pipeline(transaction=False)
            for key in keys:
                pipeline.hget(key, field)
            return list(await pipeline.execute())

    async def close(self) -> None:
        await self.redis.aclose()
        await self._following.aclose()


def pairs(flat: Sequence[str]) -> dict[str, str]:
    """A hash as a script returns it: names and values by turns."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _payload(arguments: Mapping[str, Any]) -> str:
    return json.dumps({k: _as_argument(v) for k, v in arguments.items() if v is not None})


def _as_argument(value: Any) -> Any:
    return time_text(value) if isinstance(value, float) else value


def time_text(seconds: float) -> str:
    """A time as the store keeps it: Unix seconds with six decimals."""
    return f"{seconds:.6f}"
