"""Watchword as it is measured: session, device, policy, identity headers and assertion, one process."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from bench.setup import COOKIE
from bench.speed import machine
from bench.speed.proxies import Proxy
from gateway import clock
from gateway.app import open_keys_and_store
from gateway.core.records import LaterDevices
from gateway.settings import load_settings
from gateway.store.opening import Store
from gateway.store.sessions import NewDevice, Started

COMPILED = Path(sys.prefix) / "compiled"
"""The package as a server's image has it (`make .venv/compiled/.made`)."""

SOURCE = Path(__file__).parents[2]

USER = "ada"
SEEN = f"{USER} signed"
"""What the app behind Watchword sees: the person, and that a signed assertion says so."""

_CONFIG = """\
mode: demo
public-scheme: http
listen: {port: %(port)d}
admin: {port: %(admin_port)d}
limits: {connections: 20000, header-count: 200, header-size: 32KiB, keep-alive: 1h}
upstream: {connections: 5000}
sessions: {cached: 200000}
policies: %(folder)s/policies
store: {data-dir: %(folder)s/data}
"""

_QUIET = "log: {requests: off}\n"
_LOGGING = "log: {level: info}\n"
_ASKED = "forward-auth: true\ntrusted-proxies: [127.0.0.1]\n"

_POLICY = """\
app: bench
hosts: [localhost, 127.0.0.1]
upstream: http://127.0.0.1:%d
unmatched: device
rules:
"""


def check_compiled() -> None:
    """Raises NotMeasurable where nothing is compiled: Python would be measured in its place."""
    if not (COMPILED / ".made").exists():
        raise machine.NotMeasurable("the hot path is not compiled; `make bench` does that first")


@asynccontextmanager
async def running(
    folder: Path,
    upstream: int,
    *,
    name: str = "watchword",
    rules: int = 10,
    settings: str = "",
    package: Path = COMPILED,
) -> AsyncIterator[Proxy]:
    """Watchword in front of an app, with a signed-in person's cookie for its load."""
    starting = with_store(folder, upstream, name=name, rules=rules, settings=settings, package=package)
    async with starting as (proxy, _):
        yield proxy


def running_and_logging(folder: Path, upstream: int) -> AbstractAsyncContextManager[Proxy]:
    """The same with a line for each request, in a file."""
    return running(folder, upstream, name="watchword_logging", settings=_LOGGING)


def running_as_python(folder: Path, upstream: int) -> AbstractAsyncContextManager[Proxy]:
    """The same, not compiled: as `make demo` has it."""
    return running(folder, upstream, name="watchword_python", package=SOURCE)


def running_and_asked(folder: Path, upstream: int) -> AbstractAsyncContextManager[Proxy]:
    """The same, and proxies on this machine may ask it about each request."""
    return running(folder, upstream, settings=_QUIET + _ASKED)


@asynccontextmanager
async def with_store(
    folder: Path, upstream: int, *, name: str, rules: int, settings: str = "", package: Path = COMPILED
) -> AsyncIterator[tuple[Proxy, Store]]:
    """The same, with its store in hand, to put more sessions there. `settings` are more lines of them."""
    port = machine.free_port()
    config, log = folder / "gateway.yaml", folder / f"{name}.log"
    (folder / "policies").mkdir()
    (folder / "policies" / "bench.yaml").write_text(_POLICY % upstream + policy_rules(rules))
    config.write_text(
        _CONFIG % {"port": port, "admin_port": machine.free_port(), "folder": folder} + (settings or _QUIET)
    )
    command = [Path(sys.executable).with_name("watchword"), "run", "--config", config]
    environment = {"PYTHONPATH": str(package)}
    async with machine.running(
        *command, core=machine.PROXY_CORE, log=log, environment=environment
    ) as process:
        await machine.accepting(port, process, log)
        # Only now: the gateway has started the store, so the store is on the gateway's core.
        _, store = await open_keys_and_store(load_settings(config, {}))
        try:
            await add_account(store, USER)
            cookie = (await begin_session(store, USER)).cookie
            yield Proxy(name, port, process.pid, {"Cookie": f"theme=dark; {COOKIE}={cookie}"}, SEEN), store
        finally:
            await asyncio.shield(store.close())


def policy_rules(count: int) -> str:
    """So many rules, as people write them; what the load asks for meets the last one."""
    lines = [
        f"  - {{name: area-{number}, methods: [GET, POST], paths: "
        f'["/area-{number}/**", "/api/v1/things-{number}/{{id}}"], need: session}}\n'
        for number in range(count - 1)
    ]
    return "".join([*lines, '  - {name: app, paths: ["/**"], need: device}\n'])


async def add_account(store: Store, subject: str) -> None:
    await store.accounts.add(
        subject=subject,
        name="Ada Lovelace",
        email=f"{subject}@example.org",
        groups=frozenset({"staff", "traders"}),
        password_hash="$argon2id$none",
        now=clock.now(),
    )


async def begin_session(store: Store, subject: str) -> Started:
    """A session of an account, as a sign-in begins it."""
    device = NewDevice(
        store.devices.id_for(subject, "laptop"),
        "Firefox on Linux",
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "Firefox",
        "Linux",
    )
    started = await store.sessions.start(
        subject=subject, device=device, address="127.0.0.1", later=LaterDevices.ALLOW, now=clock.now()
    )
    if not isinstance(started, Started):
        raise machine.NotMeasurable(f"no session began: {started}")
    return started
