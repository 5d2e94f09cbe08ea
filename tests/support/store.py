"""A real Valkey for the tests: one server for the whole run, empty at the start of each test."""

import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import redis as blocking_redis
from redis.asyncio import Redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from gateway import clock
from gateway.core.reasons import Reason
from gateway.core.records import Factor, FactorState, LaterDevices, Snapshot
from gateway.core.telling import Channel
from gateway.core.totp import step_at
from gateway.store.challenges import Challenge
from gateway.store.embedded import server_binary
from gateway.store.factors import Spending
from gateway.store.keyring import KeyRing
from gateway.store.keys import Shard
from gateway.store.opening import Store, StoreOptions, open_store
from gateway.store.sessions import NewDevice, SessionLimits, Started, Use
from gateway.store.standing import NodeOptions

NOW = float(int(clock.now()) + 10_000)
"""When stories begin: hours ahead, so that Redis lifetimes, which only tidy up, decide nothing in them."""

STEP = step_at(NOW)
LIMITS = SessionLimits(idle=3600, absolute=86_400, grace=5)
RING = KeyRing(active="test", keys={"test": b"k" * 32}, operator_seed=b"o" * 32)

LIKE_OURS = ("--appendonly", "yes", "--appendfsync", "no", "--maxmemory-policy", "noeviction", "--save", "")
"""Settings with which nothing is doubtful about a server."""

every_size = pytest.mark.parametrize("store", [1, 64], indirect=True, ids=["1 shard", "64 shards"])
"""For tests of whatever may lie in another shard than one thinks."""


@dataclass(frozen=True, slots=True)
class Server:
    url: str
    process: subprocess.Popen[bytes]


@contextmanager
def running_server(folder: Path, *settings: str) -> Iterator[Server]:
    """A server on a Unix socket in `folder`, killed at the end (even when stopped by SIGSTOP)."""
    socket = folder / "test.sock"
    options = ["--port", "0", "--unixsocket", socket, "--dir", folder, "--logfile", folder / "test.log"]
    process = subprocess.Popen([server_binary(), *options, *settings], stdout=subprocess.DEVNULL)
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


@pytest.fixture
async def valkey(valkey_url: str) -> AsyncIterator[Redis]:
    """A plain client of an empty server, to look behind the store's back."""
    client = Redis.from_url(valkey_url, decode_responses=True)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
async def store(valkey: Redis, valkey_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """An empty store of one shard, or as many as `every_size` says."""
    opened = await opened_store(valkey_url, shards=getattr(request, "param", 1))
    yield opened
    await opened.leave()
    await opened.close()


async def opened_store(
    url: str,
    *,
    shards: int = 1,
    timeout: float = 20.0,
    channels: tuple[Channel, ...] = tuple(Channel),
    receivers: tuple[str, ...] = (),
    node: NodeOptions | None = None,
    journal: Path | None = None,
) -> Store:
    """A client of a store, as each node has one."""
    options = StoreOptions(
        url=url,
        data_dir=Path(),
        shards=shards,
        timeout=timeout,
        channels=channels,
        receivers=receivers,
        node=node or NodeOptions(),
        journal=journal,
    )
    opened, _ = await open_store(options, RING, LIMITS)
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
    """Everything there is, by key."""
    readers = {
        "string": valkey.get,
        "hash": valkey.hgetall,
        "set": valkey.smembers,
        "zset": lambda key: valkey.zrange(key, 0, -1, withscores=True),
        "stream": valkey.xrange,
    }
    return {key: await readers[await valkey.type(key)](key) for key in await valkey.keys()}


def use_of(snapshot: Snapshot, address: str, now: float) -> Use:
    """That a session is used now."""
    session = snapshot.session
    idle_until = min(now + LIMITS.idle, session.expires_at)
    return Use(session.id, session.device_id, now, idle_until, address)


async def commands_during(valkey: Redis, work: Awaitable[object]) -> list[str]:
    """The names of the commands that the server ran while `work` did; `lua:` marks a script's own."""
    async with valkey.monitor() as monitor:
        await work
        await valkey.echo("that was it")
        seen = []
        async for info in monitor.listen():
            name = info["command"].split(" ")[0].upper()
            if name == "ECHO":
                break
            seen.append(f"lua:{name}" if info["client_type"] == "lua" else name)
    return [name for name in seen if name not in {"HELLO", "CLIENT"}]  # how `valkey` itself connects
