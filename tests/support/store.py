"""A real Valkey for the tests: one server for the whole run, empty at the start of each test."""

import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import redis as blocking_redis
from redis.asyncio import Redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry
from support.servers import LIKE_OURS, Clustered, clustered, valkey_path

from gateway import clock
from gateway.core.reasons import Reason
from gateway.core.records import Factor, FactorState, LaterDevices, Snapshot
from gateway.core.telling import Channel
from gateway.core.totp import step_at
from gateway.store.challenges import Challenge
from gateway.store.cluster import Cluster
from gateway.store.factors import Spending
from gateway.store.keyring import KeyRing
from gateway.store.keys import Shard
from gateway.store.opening import Store, StoreOptions, open_store
from gateway.store.sessions import NewDevice, SessionLimits, Started, Use

NOW = float(int(clock.now()) + 10_000)
"""When stories begin: hours ahead, so that Redis lifetimes, which only tidy up, decide nothing in them."""

STEP = step_at(NOW)
LIMITS = SessionLimits(idle=3600, absolute=86_400, grace=5)
RING = KeyRing(active="test", keys={"test": b"k" * 32}, operator_seed=b"o" * 32)

CLUSTER = "cluster"
every_size = pytest.mark.parametrize(
    "store", [1, 64, CLUSTER], indirect=True, ids=["1 shard", "64 shards", "cluster"]
)
"""For tests of whatever may lie in another shard than one thinks, or on another server."""


@dataclass(frozen=True, slots=True)
class Server:
    url: str
    process: subprocess.Popen[bytes]


@contextmanager
def running_server(folder: Path, *settings: str) -> Iterator[Server]:
    """A server on a Unix socket in `folder`, killed at the end (even when stopped by SIGSTOP)."""
    socket = folder / "test.sock"
    options = ["--port", "0", "--unixsocket", socket, "--dir", folder, "--logfile", folder / "test.log"]
    process = subprocess.Popen([valkey_path(), *options, *settings], stdout=subprocess.DEVNULL)
    try:
        patient = Retry(ConstantBackoff(0.02), 500)
        with blocking_redis.Redis(unix_socket_path=str(socket), retry=patient) as client:
            client.ping()
        yield Server(f"unix://{socket}", process)
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder for a socket; the names of pytest's own are too long for one."""
    with tempfile.TemporaryDirectory(prefix="ww-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    """Where the server of the whole run listens."""
    with (
        tempfile.TemporaryDirectory(prefix="ww-") as folder,
        running_server(Path(folder), *LIKE_OURS) as server,
    ):
        yield server.url


class ClusterBehind(Cluster):
    """A plain client of a cluster, with what one asks of a single server for all of them together."""

    async def keys(self, pattern: str = "*") -> list[str]:
        return [key for server in await self.servers() for key in await server.keys(pattern)]

    async def flushall(self) -> None:
        for server in await self.servers():
            await server.flushall()

    async def servers(self) -> list[Redis]:
        return [self.server(host) for host in await self.primaries()]


def cluster_behind(cluster: Clustered) -> ClusterBehind:
    return ClusterBehind(
        lambda host: Redis(host=host[0], port=host[1], decode_responses=True),
        [("127.0.0.1", server.port) for server in cluster.servers],
    )


def _is_on_cluster(request: pytest.FixtureRequest) -> bool:
    called = getattr(request.node, "callspec", None)
    return called is not None and called.params.get("store") == CLUSTER


@pytest.fixture(scope="session")
def shared_cluster() -> Iterator[Clustered]:
    """The cluster of the whole run, in which all stays well."""
    with clustered() as running:
        yield running


@pytest.fixture
async def valkey(request: pytest.FixtureRequest) -> AsyncIterator[Redis]:
    """A plain client of an empty server (or cluster, for `every_size`), to look behind the store's back."""
    if _is_on_cluster(request):
        client: Redis = cluster_behind(request.getfixturevalue("shared_cluster"))
    else:
        client = Redis.from_url(request.getfixturevalue("valkey_url"), decode_responses=True)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
def store_place(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Where the store of the test is, as `StoreOptions` say it; as `every_size` wants it."""
    if _is_on_cluster(request):
        return {"url": request.getfixturevalue("shared_cluster").url, "shards": 64, "replicas": 1}
    called = getattr(request.node, "callspec", None)
    shards = called.params.get("store", 1) if called is not None else 1
    return {"url": request.getfixturevalue("valkey_url"), "shards": shards}


@pytest.fixture
async def store(valkey: Redis, store_place: dict[str, Any]) -> AsyncIterator[Store]:
    """An empty store of one shard, or as `every_size` says."""
    opened = await opened_store(**store_place)
    yield opened
    await opened.leave()
    await opened.close()


async def opened_store(url: str, **options: Any) -> Store:
    """A client of a store, as each node has one; `options` are those of `StoreOptions` that differ."""
    usual = {"data_dir": Path(), "shards": 1, "timeout": 20.0, "channels": tuple(Channel)}
    opened, _ = await open_store(StoreOptions(url=url, **{**usual, **options}), RING, LIMITS)
    return opened


async def account_added(store: Store, subject: str) -> None:
    """An account, if it was not there yet."""
    await store.accounts.add(
        subject=subject,
        name=subject.title(),
        email=f"{subject}@example.org",
        groups=frozenset({"traders"}),
        password_hash="$argon2id$",
        now=NOW - 100,
    )


def device_of(store: Store, subject: str, browser: str) -> NewDevice:
    """How a browser that holds the device cookie `browser` appears."""
    return NewDevice(
        store.devices.id_for(subject, browser), "Firefox on Linux", "Mozilla/5.0", "Firefox", "Linux"
    )


async def signed_in(
    store: Store,
    subject: str = "ada",
    *,
    browser: str = "laptop",
    later: LaterDevices = LaterDevices.ALLOW,
    now: float = NOW,
) -> Started:
    """A session of an account, made if need be."""
    await account_added(store, subject)
    started = await store.sessions.start(
        subject=subject,
        device=device_of(store, subject, browser),
        address="192.0.2.1",
        later=later,
        now=now,
    )
    assert isinstance(started, Started)
    return started


def new_cookie(store: Store, session: Started) -> str:
    return store.sessions.new_cookie(Shard(int(session.session_id[:2], 16)))


def new_factor(store: Store, subject: str = "ada", *, created_at: float = NOW) -> Factor:
    factor_id = store.factors.new_id(subject)
    return Factor(
        id=factor_id,
        subject=subject,
        label="Phone",
        state=FactorState.PENDING,
        created_at=created_at,
        last_used_at=None,
        sealed_seed=RING.seal(b"seed", bound_to="a factor"),
        session_id=f"that of {factor_id}",
    )


async def enrolled(store: Store, session: Started, subject: str = "ada", *, step: int = STEP - 10) -> str:
    """The id of a factor of the session's account, confirmed by the code of `step`."""
    factor = new_factor(store, subject)
    await store.factors.add(factor, NOW, code_given=True)
    assert await spent(store, session, factor.id, step, confirms=True) is None
    return factor.id


async def spent(
    store: Store, session: Started, factor_id: str, step: int, *, now: float = NOW, **brings: Any
) -> Reason | None:
    """Use up the code of `step`; `brings` are further fields of `Spending`."""
    return await store.factors.spend(Spending(session.session_id, factor_id, step, **brings), now)


def challenge_of(store: Store, session: Started, **other: Any) -> Challenge:
    """A challenge with a parked request; `other` are fields that differ."""
    challenge = Challenge(
        id=store.challenges.new_id(session.session_id),
        session_id=session.session_id,
        app="exchange",
        action="approve",
        method="POST",
        authority="exchange.localhost",
        path="/withdrawals",
        expires_at=NOW + 300,
        sealed_request=RING.seal(b"a request", bound_to="a challenge"),
    )
    return replace(challenge, **other)


async def contents(valkey: Redis) -> dict[str, Any]:
    """Everything there is, by key, but for what ends while this looks."""
    readers = {
        "string": valkey.get,
        "hash": valkey.hgetall,
        "set": valkey.smembers,
        "zset": lambda key: valkey.zrange(key, 0, -1, withscores=True),
        "stream": valkey.xrange,
    }
    kinds = {key: await valkey.type(key) for key in await valkey.keys()}
    return {key: await readers[kind](key) for key, kind in kinds.items() if kind != "none"}


def use_of(snapshot: Snapshot, address: str, now: float) -> Use:
    """That a session is used now."""
    session = snapshot.session
    idle_until = min(now + LIMITS.idle, session.expires_at)
    return Use(session.id, session.device_id, now, idle_until, address)


async def commands_during(valkey: Redis, work: Awaitable[object]) -> list[str]:
    """The names of the commands that the server ran while `work` did; `lua:` marks a script's own."""
    servers = await valkey.servers() if isinstance(valkey, ClusterBehind) else [valkey]
    async with AsyncExitStack() as stack:
        monitors = [await stack.enter_async_context(server.monitor()) for server in servers]
        await work
        seen = []
        for server, monitor in zip(servers, monitors, strict=True):
            await server.echo("that was it")
            async for info in monitor.listen():
                name = info["command"].split(" ")[0].upper()
                if name == "ECHO":
                    break
                seen.append(f"lua:{name}" if info["client_type"] == "lua" else name)
    return [name for name in seen if name not in {"HELLO", "CLIENT", "CLUSTER"}]  # how clients find their way


async def put_back(valkey: Redis, before: dict[str, object]) -> None:
    """The store as it was, in one step."""
    async with valkey.pipeline(transaction=True) as pipeline:
        pipeline.flushall()
        for key, value in before.items():
            pipeline.restore(key, 0, value)  # type: ignore[arg-type]
        await pipeline.execute()
