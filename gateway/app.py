"""The composition root: builds the parts from the settings, starts them, and stops them in order."""

import asyncio
import ssl
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from aiohttp import web
from watchfiles import awatch

from gateway.admin import make_admin_app
from gateway.assembly import (
    Basis,
    NodeSurroundings,
    backchannel_faults,
    identity_headers,
    listener_limits,
    live_by,
    make_pipeline,
    reset_cases,
    short_cut,
    transmitters_of,
    upstream_limits,
)
from gateway.core.ending import Scope
from gateway.core.policy.matching import PolicySet
from gateway.documents import load_policy_directory
from gateway.errors import Fault, Faulty, WrongKeyRing
from gateway.identity.passwords import Passwords
from gateway.identity.resets import DueResets
from gateway.notices.events import event_senders
from gateway.notices.office import Office
from gateway.portal.texts import Texts
from gateway.proxy.delivery import Delivery
from gateway.proxy.live import LiveConnections
from gateway.proxy.pipeline import Pipeline
from gateway.settings import Listen, Settings, insecure_hosts, load_settings
from gateway.store.keyring import KeyRing
from gateway.store.live_ring import LiveKeyRing
from gateway.store.opening import Store, StoreOptions, open_store
from gateway.store.ring_file import load_or_create
from gateway.store.sessions import SessionLimits
from gateway.store.standing import NodeOptions
from gateway.store_settings import EMBEDDED
from gateway.supervision.handover import Handed
from gateway.supervision.sockets import Openings, bound, naming
from gateway.version import version
from gateway.web.listener import Listener
from gateway.web.metrics import Metrics
from gateway.web.shared_metrics import count_in

STOP_SECONDS = {"production": 10.0, "demo": 1.0}
"""How long requests in flight may take when the gateway stops; streams never end by themselves."""

LINGER_SECONDS = 3.0
"""How long a gateway that retires lets idle connections bring one more request."""

RETIRE_SECONDS = 60.0
"""How long requests in flight may take when a gateway retires: another one serves meanwhile."""

_log = structlog.get_logger("gateway")


@dataclass(slots=True)
class PolicyHealth:
    """Whether the policies on disk are the ones in use; faults of a reload that was not taken."""

    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class _Front:
    """The listener for people, on sockets that it was handed, or that were opened for it alone."""

    listener: Listener
    tls: ssl.SSLContext | None
    places: Openings | Handed

    async def open(self) -> int:
        """Listen; the port."""
        await self._adopt(self.places.slot)
        return self.places.port

    async def cover(self, slots: frozenset[int]) -> None:
        for slot in self.listener.adopted - slots - {self.places.slot}:
            self.listener.leave(slot)
        for slot in slots - self.listener.adopted:
            await self._adopt(slot)

    async def _adopt(self, slot: int) -> None:
        await self.listener.adopt(slot, self.places.sockets(slot), self.tls)


@dataclass(slots=True)
class Gateway:
    """A running gateway. `port` and `admin_port` are the bound ones."""

    settings: Settings
    store: Store
    ring: LiveKeyRing
    pipeline: Pipeline
    live: LiveConnections
    port: int
    admin_port: int
    health: PolicyHealth
    _front: "_Front" = field(repr=False)
    _parts: AsyncExitStack = field(repr=False)

    def reload_policies(self) -> tuple[Fault, ...]:
        """Take the policies on disk, all of them or, with a fault anywhere, none; the faults."""
        try:
            self.pipeline.policies = load_policies(self.settings)
        except Faulty as error:
            self.health.faults = error.faults
            for fault in error.faults:
                _log.error("policy fault, the policies in use stay", fault=str(fault))
        else:
            self.health.faults = ()
            _log.info("policies loaded", apps=[app.name for app in self.pipeline.policies.apps])
        return self.health.faults

    async def watch_policies(self) -> None:
        """Reload whenever a policy file changes, until cancelled.

        The folder itself may be replaced: then the new one is watched, once it is there.
        """
        folder = self.settings.policies
        while True:
            watched = _identity(folder)
            # The parent tells when the folder is replaced; other changes in it are nobody's business.
            async for changes in awatch(
                *([folder] if watched else []),
                folder.parent,
                watch_filter=lambda _, path: Path(path) == folder or folder in Path(path).parents,
                recursive=False,
            ):
                _log.debug("policy files changed", count=len(changes))
                await asyncio.to_thread(self.reload_policies)  # a large policy takes a while to compile
                if _identity(folder) != watched:
                    break

    async def cover(self, slots: frozenset[int]) -> None:
        """Accept what comes to other workers' slots too: to these, and no longer to any else."""
        await self._front.cover(slots)

    async def retire(self) -> None:
        """Accept nothing more, and wait until what was accepted is answered; the sockets stay open."""
        _log.info("retiring")
        await self._front.listener.stop(RETIRE_SECONDS, linger=LINGER_SECONDS)

    async def stop(self) -> None:
        _log.info("stopping")
        await self._parts.aclose()


def _conflicts(settings: Settings) -> Iterator[str]:
    """What each setting allows by itself, and a start would not."""
    if settings.listen == Listen(**settings.admin.model_dump()) and settings.listen.port:
        yield f"listen and admin are both {settings.listen.host}:{settings.listen.port}"
    try:
        _tls(settings)
    except OSError as error:  # ssl.SSLError is one
        yield f"tls: {settings.tls and settings.tls.certificate} and its key cannot be used: {error}"
    yield from backchannel_faults(settings.back_channel)


def _identity(folder: Path) -> tuple[int, int] | None:
    """What tells one folder from another of the same name; None when there is none."""
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def load_policies(settings: Settings, directory: Path | None = None) -> PolicySet:
    """The policies in `directory`, or the settings' one.

    Raises Faulty, also for hosts that plain http would expose.
    """
    directory = directory or settings.policies
    policies = load_policy_directory(directory)
    exposed = insecure_hosts(host for app in policies.apps for host in app.hosts)
    if settings.public_scheme == "http" and exposed:
        message = f"public-scheme is http, which is for loopback only, not for {', '.join(exposed)}"
        raise Faulty([Fault(str(directory), 0, 0, message)])
    return policies


def load_configuration(
    config: Path | None, environ: Mapping[str, str], directory: Path | None = None
) -> tuple[Settings, PolicySet]:
    """Settings and policies, checked together. Raises Faulty with every fault of both."""
    settings = Settings()
    faults: list[Fault] = []
    try:
        settings = load_settings(config, environ)
        faults += [Fault(str(config or "environment"), 0, 0, message) for message in _conflicts(settings)]
    except Faulty as error:
        faults += error.faults
    try:
        policies = load_policies(settings, directory)
    except Faulty as error:
        raise Faulty([*faults, *error.faults]) from None
    if faults:
        raise Faulty(faults)
    return settings, policies


async def open_settings_store(settings: Settings, ring: KeyRing) -> Store:
    """The store that the settings name. Raises StoreUnavailable."""
    password, of_sentinels = settings.store.password, settings.store.sentinel_password
    store, doubts = await open_store(
        StoreOptions(
            url=settings.store.url,
            data_dir=settings.store.data_dir,
            shards=settings.store.shards,
            timeout=settings.store.timeout,
            password=password.get_secret_value() if password else None,
            sentinel_password=of_sentinels.get_secret_value() if of_sentinels else None,
            replicas=settings.store.replicas,
            strict=settings.mode == "production",
            channels=settings.notices.channels,
            node=NodeOptions(
                lease=settings.store.lease,
                grace=settings.store.live_grace,
                replicas=settings.store.replicas,
                acknowledge=settings.store.acknowledge,
                most_cached=max(1, settings.sessions.cached // settings.store.shards),
            ),
            journal=settings.store.data_dir / "journal",
            receivers=tuple(receiver.name for receiver in settings.back_channel.receivers),
        ),
        ring,
        SessionLimits(settings.sessions.idle, settings.sessions.absolute, settings.sessions.grace),
    )
    for doubt in doubts:
        _log.warning("the store cannot be relied on", doubt=doubt)
    return store


async def open_keys_and_store(settings: Settings) -> tuple[LiveKeyRing, Store]:
    """The key ring, made where there is none, and the store.

    No ring is made beside a store that was sealed with another one, and none is used that lacks a key
    which the store needs. Raises Faulty, StoreUnavailable.
    """
    made = not settings.keys.exists()
    ring = load_or_create(settings.keys)
    try:
        store = await open_settings_store(settings, ring)
    except WrongKeyRing as error:
        if made:
            settings.keys.unlink()
        what = "there is no key ring, and the store was sealed with one" if made else str(error)
        raise Faulty([Fault(str(settings.keys), 1, 1, _misfit(what, settings))]) from None
    if made:
        say = _log.info if settings.mode == "demo" else _log.warning
        say("made a new key ring; back it up, apart from the store", path=str(settings.keys))
    return LiveKeyRing(settings.keys, ring), store


def _misfit(what: str, settings: Settings) -> str:
    """Why a ring is refused, beside which store, and what to do: a wrong path is likelier than a loss."""
    store = settings.store
    place = f"embedded in {store.data_dir}" if store.url == EMBEDDED else store.url
    return (
        f"{what}; the store is {place}. If you mean another ring or another store, name it in the settings "
        "(--config, WATCHWORD_STORE__DATA_DIR, WATCHWORD_STORE__URL, WATCHWORD_KEYS); if not, copy it from "
        "where it was changed last, or restore it from a backup"
    )


async def start_gateway(
    settings: Settings, policies: PolicySet | None = None, handed: Handed | None = None
) -> Gateway:
    """Start everything; what was started is stopped again if a later part fails.

    Without `policies`, those in the settings' directory are loaded. One of several workers listens on what it
    was `handed`, and counts with the others.

    Raises Faulty for faults in policies and keys, StoreUnavailable, and CannotListen when a port is taken.
    """
    policies = policies or load_policies(settings)
    async with AsyncExitStack() as parts:
        # First of all: where a port is taken, no key ring and no store are made.
        places = handed or parts.enter_context(bound(settings, 1))
        ring, store = await open_keys_and_store(settings)
        parts.push_async_callback(store.close)
        passwords = Passwords()
        parts.callback(passwords.close)
        metrics, health = _metrics(handed), PolicyHealth()
        _open_office(settings, store, ring, metrics, parts)
        live = LiveConnections(metrics)
        identities = identity_headers(settings, ring)
        delivery = Delivery(upstream_limits(settings), identities, metrics, live)
        parts.push_async_callback(delivery.close)
        resets = reset_cases(settings, store)
        transmitters = transmitters_of(settings.back_channel, store)
        parts.push_async_callback(transmitters.close)
        basis = Basis(settings, store, ring, metrics, Texts.load("en"), resets, live, transmitters)
        pipeline = make_pipeline(basis, policies, passwords, delivery)
        live_by(live, store.node)
        await store.join(NodeSurroundings(live, metrics))
        parts.push_async_callback(store.leave)
        listener = Listener(
            pipeline.handle, listener_limits(settings), short_cut(settings, pipeline, delivery)
        )
        front = _Front(listener, _tls(settings), places)
        with naming("listen", f"{settings.listen.host}:{places.port}"):
            port = await front.open()
        parts.push_async_callback(listener.stop, STOP_SECONDS[settings.mode])
        admin_port = await _start_admin(basis, passwords, health, parts, places)
        due_resets = DueResets(basis.resets, lambda: metrics.revocation(Scope.ACCOUNT))
        due_resets.start()
        parts.push_async_callback(due_resets.stop)
        _announce(settings, policies, port, admin_port, alone=handed is None)
        return Gateway(
            settings, store, ring, pipeline, live, port, admin_port, health, front, parts.pop_all()
        )


def _announce(settings: Settings, policies: PolicySet, port: int, admin_port: int, *, alone: bool) -> None:
    _log.info(
        "listening" if alone else "worker ready",
        port=port,
        admin_port=admin_port,
        public_scheme=settings.public_scheme,
        hosts=[host for app in policies.apps for host in app.hosts],
        version=version(),
        data=str(settings.store.data_dir if settings.store.url == EMBEDDED else settings.store.url),
    )
    if settings.public_scheme == "https" and settings.tls is None:
        _log.info("browsers must come by https: a proxy in front of this gateway has to end TLS")


def _metrics(handed: Handed | None) -> Metrics:
    if handed is None:
        return Metrics()
    count_in(handed.counts_folder, handed.name)
    return Metrics(handed.counts_folder)


def _open_office(
    settings: Settings, store: Store, ring: LiveKeyRing, metrics: Metrics, parts: AsyncExitStack
) -> None:
    """From now on people, and receivers of events, are told; at the end, the last counts are taken down."""
    parts.callback(metrics.refresh)
    events = event_senders(settings.back_channel, ring)
    office = Office(store, settings.notices, settings.issuer, metrics, ring, events=events)
    parts.push_async_callback(office.stop, STOP_SECONDS[settings.mode])


async def _start_admin(
    basis: Basis,
    passwords: Passwords,
    health: PolicyHealth,
    parts: AsyncExitStack,
    places: Openings | Handed,
) -> int:
    admin = make_admin_app(
        basis.store,
        basis.ring,
        words=basis.texts.words,
        resets=basis.resets,
        passwords=passwords,
        metrics=basis.metrics,
        policy_faults=lambda: health.faults,
    )
    # The audit stream has what operators did; a second log with subjects in its paths is not kept.
    runner = web.AppRunner(
        admin,
        access_log=None,
        keepalive_timeout=basis.settings.limits.keep_alive,
        shutdown_timeout=STOP_SECONDS[basis.settings.mode],
    )
    await runner.setup()
    parts.push_async_callback(runner.cleanup)
    with naming("admin", f"{basis.settings.admin.host}:{basis.settings.admin.port}"):
        for sock in places.admin_sockets():
            await web.SockSite(runner, sock).start()
    port: int = runner.addresses[0][1]
    return port


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings.tls.certificate, settings.tls.key)
    return context
