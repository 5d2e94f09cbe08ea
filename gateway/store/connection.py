"""The way to the store: one client, scripts by name, and one translation of every failure.

Nothing above this package names a Redis error. A store that cannot answer is StoreUnavailable,
which says neither yes nor no. A script is sent by its hash and loaded again when the server has
forgotten it (after a failover or SCRIPT FLUSH).
"""

import functools
import json
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

from gateway.errors import StoreUnavailable
from gateway.store.keys import Meta, Shard


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

    def __init__(self, redis: Redis, shards: int) -> None:
        self.redis = redis
        self.shards = shards
        self._scripts: dict[str, AsyncScript] = {}

    async def run(self, script: str, shard: Shard | Meta, **arguments: Any) -> Any:
        """Run `scripts/<script>.lua` on one shard; what it returns, as text and lists.

        Times given as floats travel as text. Raises StoreUnavailable.
        """
        prepared = self._scripts.get(script)
        if prepared is None:
            prepared = self._scripts[script] = self.redis.register_script(_script_text(script))
        payload = json.dumps({k: _as_argument(v) for k, v in arguments.items() if v is not None})
        with store_errors():
            return await prepared(keys=[shard.prefix], args=[payload])

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


def pairs(flat: Sequence[str]) -> dict[str, str]:
    """A hash as a script returns it: names and values by turns."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


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
