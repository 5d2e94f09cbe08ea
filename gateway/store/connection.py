"""The way to the store: one client, scripts by name, and one translation of every failure.

Nothing above this package names a Redis error. A store that cannot answer is StoreUnavailable,
which says neither yes nor no. A script is sent by its hash and loaded again when the server has
forgotten it (after a failover or SCRIPT FLUSH).
"""

import functools
import json
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import resources
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import NoScriptError, RedisError

from gateway.errors import StoreUnavailable
from gateway.store.keys import Meta, Shard

LONGEST_BLOCK = 1.0
"""Seconds that a command may wait in the server for something to come."""


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn whatever the client library raises into StoreUnavailable."""
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        raise StoreUnavailable(f"{type(error).__name__}: {error}") from error


@functools.cache
def _script_text(name: str) -> str:
    folder = resources.files("gateway.store") / "scripts"
    prelude, script, epilogue = (
        (folder / f"{part}.lua").read_text() for part in ("prelude", name, "epilogue")
    )
    return f"{prelude}\nlocal function step()\n{script}\nend\n\n{epilogue}"


class Connection:
    """A client of one store whose records are spread over `shards` shards."""

    def __init__(self, redis: Redis, shards: int, blocking: Redis | None = None) -> None:
        """`blocking` is for commands that wait in the server longer than `redis` waits for an answer."""
        self.redis = redis
        self._blocking = blocking or redis
        self.shards = shards
        self._scripts: dict[str, AsyncScript] = {}

    async def run(self, script: str, shard: Shard | Meta, **arguments: Any) -> Any:
        """Run `scripts/<script>.lua` on one shard; what it returns, as text and lists.

        Times given as floats travel as text. Raises StoreUnavailable.
        """
        with store_errors():
            return await self._prepared(script)(keys=[shard.prefix], args=[_payload(arguments)])

    async def run_acknowledged(
        self, script: str, shard: Shard | Meta, *, replicas: int, within: float, **arguments: Any
    ) -> tuple[Any, int]:
        """Run a script as `run` does; what it returns, and how many replicas hold it after at most
        `within` seconds. None are asked where `replicas`, the number that is waited for, is 0.

        WAIT counts only for the connection that wrote: both go there in one piece.
        """
        if replicas == 0:
            return await self.run(script, shard, **arguments), 0
        prepared = self._prepared(script)
        with store_errors():
            for _ in range(2):
                pipeline = self.redis.pipeline(transaction=False)
                pipeline.evalsha(prepared.sha, 1, shard.prefix, _payload(arguments))
                pipeline.wait(replicas, max(1, round(within * 1000)))
                outcome, held = await pipeline.execute(raise_on_error=False)
                if not isinstance(outcome, NoScriptError):
                    break
                await self.redis.script_load(prepared.script)
            for answer in (outcome, held):
                if isinstance(answer, Exception):
                    raise answer
        return outcome, held

    async def read_streams(
        self, after: Mapping[str, str], *, block: float, most: int
    ) -> dict[str, list[tuple[str, dict[str, str]]]]:
        """What came in each of these streams after an entry's id, once there is something, or after `block`
        seconds. All of them are on one server. Raises StoreUnavailable.
        """
        with store_errors():
            streams: dict[Any, Any] = dict(after)
            found: Any = await self._blocking.xread(streams, count=most, block=max(1, round(block * 1000)))
        return dict(found)

    async def pop(self, key: str, *, block: float) -> str | None:
        """The first of a list, once there is one; None after `block` seconds. Raises StoreUnavailable."""
        with store_errors():
            found: Any = await self._blocking.blpop([key], timeout=block)
        return None if found is None else str(found[1])

    def groups(self) -> list[list[Shard]]:
        """The shards, those of one server together."""
        return [[Shard(index) for index in range(self.shards)]]

    def _prepared(self, script: str) -> AsyncScript:
        prepared = self._scripts.get(script)
        if prepared is None:
            prepared = self._scripts[script] = self.redis.register_script(_script_text(script))
        return prepared

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
        await self._blocking.aclose()


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


def connect(url: str, *, password: str | None, timeout: float) -> Redis:
    """A client for `redis://`, `rediss://` or `unix://`, that gives up after `timeout` seconds.

    A dead connection in the pool is replaced before it is used. No command is sent twice: one whose
    answer did not arrive may have happened, and asked again the store would answer "used already".
    """
    return Redis.from_url(
        url,
        password=password,
        decode_responses=True,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )
