"""Opening the store: connect, check that the server can be relied on, and prepare a new one."""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway import clock
from gateway.core.telling import Channel
from gateway.errors import SealBroken, StoreUnavailable, WrongKeyRing
from gateway.store.accounts import Accounts, first_epoch
from gateway.store.attempts import Attempts
from gateway.store.audit import Audit
from gateway.store.challenges import Challenges
from gateway.store.choices import Choices
from gateway.store.clients import connect
from gateway.store.connection import LONGEST_BLOCK, Connection
from gateway.store.devices import Devices
from gateway.store.doubts import Doubts, doubts_about
from gateway.store.embedded import EmbeddedServer, start_embedded
from gateway.store.factors import Factors
from gateway.store.failures import store_errors
from gateway.store.finishing import Finisher
from gateway.store.journal import Journal
from gateway.store.keyring import KeyRing, KeyState
from gateway.store.keys import MAX_SHARDS, META, Shard
from gateway.store.last_seen import LastSeen
from gateway.store.node import Node
from gateway.store.outbox import Outbox
from gateway.store.promises import Promises
from gateway.store.received_events import ReceivedEvents
from gateway.store.recovery_codes import RecoveryCodes
from gateway.store.resets import Resets
from gateway.store.revocations import Revocations
from gateway.store.sealed import CHECK, Sealed, known_keys
from gateway.store.sessions import SessionLimits, Sessions
from gateway.store.standing import NodeOptions, Surroundings
from gateway.store.who import Who

_ANOTHER_RING = "the key ring is not the one that the store was sealed with"
_MOST_FOLLOWING = 2 * MAX_SHARDS
"""In a cluster, each shard's feed has a connection of its own, and its renewals as well."""
_RECEIVER = "receiver:"


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """Where the store is. `url` is `embedded`, or an address as in `gateway.core.store_address`.

    `password` is that of the servers, `sentinel_password` that of sentinels, and `replicas` says how many
    there are of each primary. `channels` are the ones on which account holders are told what happens to
    their accounts; `receivers` the names of the programs that are told of revocations. `journal` is the
    folder where revocations are promised; without one, no promise outlives the process.
    """

    url: str
    data_dir: Path
    shards: int
    timeout: float
    password: str | None = None
    sentinel_password: str | None = None
    replicas: int = 0
    strict: bool = True
    channels: tuple[Channel, ...] = ()
    node: NodeOptions = field(default_factory=NodeOptions)
    journal: Path | None = None
    receivers: tuple[str, ...] = ()


class Store:
    """All records, by kind, and the server behind them."""

    def __init__(
        self,
        connection: Connection,
        server: EmbeddedServer | None,
        limits: SessionLimits,
        options: StoreOptions,
        receivers: Collection[str],
    ) -> None:
        """`receivers` are those of the options, and those that other settings had before."""
        self.node = Node(connection, options.node)
        self.audit = Audit(connection, options.channels, options.receivers)
        self.accounts = Accounts(connection, self.audit)
        self.sessions = Sessions(connection, self.audit, limits)
        self.devices = Devices(connection, self.audit)
        self.factors = Factors(connection, self.audit)
        self.recovery_codes = RecoveryCodes(connection, self.audit)
        self.challenges = Challenges(connection)
        self.attempts = Attempts(connection)
        self.choices = Choices(connection, self.audit)
        self._journal = Journal(options.journal, self.node.id)
        self.promises = Promises(connection, self.audit, self._journal, self.node, timeout=options.timeout)
        self.revocations = Revocations(connection, self.promises)
        self.finisher = Finisher(self.promises, self._journal)
        self.last_seen = LastSeen(self.sessions)
        self.who = Who(self.sessions, self.node, self.last_seen)
        self.outbox = Outbox(connection, receivers)
        self.received_events = ReceivedEvents(connection)
        self.resets = Resets(connection, self.audit, self.promises)
        self.sealed = Sealed(connection)
        self._connection = connection
        self._server = server

    async def ping(self) -> None:
        """Raises StoreUnavailable when the store does not answer."""
        await self._connection.ping()

    async def join(self, surroundings: Surroundings) -> None:
        """Become a node: trust memory for as long as a lease lasts, and finish what was promised."""
        await self.node.start(surroundings)
        self.last_seen.start()
        self.finisher.start()

    async def leave(self) -> None:
        """Be no node any more; what is in memory is written."""
        await self.finisher.stop()
        await self.last_seen.stop()
        await self.node.stop()

    async def close(self) -> None:
        """Close the connection, and stop the server if it is our own."""
        await self.promises.close()
        self._journal.close()
        await self._connection.close()
        if self._server is not None:
            await self._server.stop()


async def open_store(options: StoreOptions, ring: KeyRing, limits: SessionLimits) -> tuple[Store, list[str]]:
    """The store, and what is doubtful about its server (a fault in strict mode).

    Raises StoreUnavailable when it cannot be reached, or must not be used.
    """
    server = await start_embedded(options.data_dir) if options.url == "embedded" else None
    connection = _connected(options, server.url if server else options.url)
    try:
        doubts = await doubts_about(connection, options.replicas)
        if options.strict and (faults := await _faults(connection, doubts)):
            raise StoreUnavailable("the store cannot be relied on: " + "; ".join(faults))
        await _prepare(connection, ring)
        receivers = await _receivers(connection, options.receivers)
    except BaseException:
        await connection.close()
        if server is not None:
            await server.stop()
        raise
    warnings = [*doubts.faults, *doubts.shortfalls]
    return Store(connection, server, limits, options, receivers), warnings


def _connected(options: StoreOptions, url: str) -> Connection:
    how: dict[str, Any] = {"password": options.password, "sentinel_password": options.sentinel_password}
    redis = connect(url, **how, timeout=options.timeout)
    following = connect(url, **how, timeout=options.timeout + LONGEST_BLOCK, most=_MOST_FOLLOWING)
    return Connection(redis, options.shards, following)


async def _faults(connection: Connection, doubts: Doubts) -> list[str]:
    """What stops a start. Replicas that are missing do so at the first one only, where the setting is
    wrong; later, one of them has failed, and a gateway that starts again must not fail with it.
    """
    if not doubts.shortfalls or await connection.call(connection.redis.exists(META)):
        return doubts.faults
    return [*doubts.faults, *doubts.shortfalls]


async def _prepare(connection: Connection, ring: KeyRing) -> None:
    """Fix what is fixed at first start, and refuse what does not fit it afterwards.

    Epochs are made for a new store only. Where they are missing later, they stay missing: a lost
    epoch denies everybody until an operator revokes everybody, which sets a higher one.
    """
    now = clock.now()
    meta = await connection.call(connection.redis.hgetall(META))
    if not meta:
        if not 1 <= connection.shards <= MAX_SHARDS:
            raise StoreUnavailable(f"a store has 1 to {MAX_SHARDS} shards")
        epoch = first_epoch(now)
        with store_errors():
            for index in range(connection.shards):
                await connection.redis.set(Shard(index).key("epoch"), epoch, nx=True)
                await connection.run("new_list", Shard(index))
            async with connection.redis.pipeline(transaction=True) as fixing:  # nobody sees half of it
                fixing.hsetnx(META, "shards", str(connection.shards))
                fixing.hsetnx(META, "check", ring.seal(CHECK, bound_to=META).decode())
                await fixing.execute()
        meta = await connection.call(connection.redis.hgetall(META))
    if int(meta["shards"]) != connection.shards:
        raise StoreUnavailable(
            f"the store was made with {meta['shards']} shards, the settings say {connection.shards}; "
            "the number is fixed at first start"
        )
    sealed = Sealed(connection)
    await _demand_keys(sealed, ring, meta)
    known = known_keys(meta)
    for name in ring.keys.keys() - known.used.keys() - known.retired.keys():
        if ring.state(name) is not KeyState.WAITING:
            await sealed.note_use(name, now)


async def _receivers(connection: Connection, named: Collection[str]) -> frozenset[str]:
    """All receivers of events that there ever were: somebody must give up what waits for one that is gone."""
    meta = await connection.call(connection.redis.hgetall(META))
    known = {name.removeprefix(_RECEIVER) for name in meta if name.startswith(_RECEIVER)}
    for name in named:
        if name not in known:
            await connection.call(connection.redis.hset(META, f"{_RECEIVER}{name}", ""))
    return frozenset(known.union(named))


async def _demand_keys(sealed: Sealed, ring: KeyRing, meta: dict[str, str]) -> None:
    """Raises WrongKeyRing if something in the store was sealed with a key that the ring does not have."""
    known, check = known_keys(meta), meta["check"]
    names = {*known.used, check.partition(".")[0]}
    if not names & ring.keys.keys():
        raise WrongKeyRing(_ANOTHER_RING)
    if ring.active in known.retired:
        raise WrongKeyRing(f"the key ring's active key, {ring.active}, was retired")
    if missing := names - ring.keys.keys():
        needs = await sealed.needs()
        if lacking := [f"{name} (needed by {needs[name]})" for name in sorted(missing) if needs[name]]:
            raise WrongKeyRing(f"the key ring lacks keys: {', '.join(lacking)}")
    try:
        ring.open(check.encode(), bound_to=META)
    except SealBroken:
        raise WrongKeyRing(_ANOTHER_RING) from None
