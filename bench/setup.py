"""What is measured: real gateways in processes of their own, one store, and an app behind them."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from aiohttp import WSMsgType, web

from gateway import clock
from gateway.admin.tokens import Scope as TokenScope
from gateway.admin.tokens import issue_token
from gateway.app import open_keys_and_store
from gateway.core.records import LaterDevices
from gateway.settings import Settings, load_settings
from gateway.store.opening import Store
from gateway.store.sessions import NewDevice, Started

COOKIE = "ww-session"
_START_SECONDS = 60

_CONFIG = """
mode: demo
public-scheme: http
listen: {port: 0}
admin: {port: 0}
log: {level: warning}
limits: {connections: 20000}
upstream: {connections: 5000}
"""

_POLICY = """
app: bench
hosts: [localhost, 127.0.0.1]
upstream: http://127.0.0.1:%d
unmatched: session
"""


@dataclass(frozen=True)
class Cut:
    """So many live connections were cut by this Unix time."""

    at: float
    count: int


@dataclass(frozen=True)
class Node:
    """One gateway's process, and what it has logged of connections that it cut."""

    port: int
    admin_port: int
    process: asyncio.subprocess.Process
    cuts: list[Cut] = field(default_factory=list)


@dataclass(frozen=True)
class Setup:
    nodes: list[Node]
    store: Store
    token: str

    async def account(self, subject: str) -> None:
        await self.store.accounts.add(
            subject=subject,
            name=subject,
            email=f"{subject}@example.org",
            groups=frozenset(),
            password_hash="$argon2id$none",
            now=clock.now(),
        )

    async def session(self, subject: str, browser: str = "laptop") -> Started:
        """A session of an account, as a sign-in begins it."""
        device = NewDevice(
            self.store.devices.id_for(subject, browser),
            "Firefox on Linux",
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "Firefox",
            "Linux",
        )
        started = await self.store.sessions.start(
            subject=subject, device=device, address="192.0.2.1", later=LaterDevices.ALLOW, now=clock.now()
        )
        if not isinstance(started, Started):
            raise SystemExit(f"no session began: {started}")
        return started


@asynccontextmanager
async def running(folder: Path, nodes: int) -> AsyncIterator[Setup]:
    """So many gateways on one embedded store in `folder`, until the block ends."""
    async with AsyncExitStack() as stack:
        upstream_port = await stack.enter_async_context(_upstream())
        policies = folder / "policies"
        policies.mkdir()
        (policies / "bench.yaml").write_text(_POLICY % upstream_port)
        config = folder / "gateway.yaml"
        config.write_text(f"{_CONFIG}policies: {policies}\nstore: {{data-dir: {folder / 'data'}}}\n")
        settings = load_settings(config, {})
        ring, store = await open_keys_and_store(settings)
        stack.push_async_callback(store.close)
        token = issue_token(ring.current(), "bench", frozenset({TokenScope.REVOKE}), 3600.0, clock.now())
        started = [stack.enter_async_context(_node(config, settings)) for _ in range(nodes)]
        yield Setup(list(await asyncio.gather(*started)), store, token)


@asynccontextmanager
async def _node(config: Path, settings: Settings) -> AsyncIterator[Node]:
    del settings
    environment = {**os.environ, "WATCHWORD_LOG__LEVEL": "info"}
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("watchword")),
        *("run", "--config", str(config)),
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    following = None
    try:
        async with asyncio.timeout(_START_SECONDS):
            said = await _listening(process)
        node = Node(said["port"], said["admin_port"], process)
        following = asyncio.create_task(_follow(node))
        yield node
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()
        if following is not None:
            await following


async def _listening(process: asyncio.subprocess.Process) -> dict[str, int]:
    assert process.stderr is not None
    lines = []
    async for line in process.stderr:
        lines.append(line.decode())
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if entry["event"] == "listening":
            return entry
    raise SystemExit("a gateway did not start:\n" + "".join(lines))


async def _follow(node: Node) -> None:
    assert node.process.stderr is not None
    async for line in node.process.stderr:
        if b'"connections cut"' in line:
            entry = json.loads(line)
            node.cuts.append(Cut(datetime.fromisoformat(entry["timestamp"]).timestamp(), entry["count"]))


@asynccontextmanager
async def clients_apart() -> AsyncIterator[Callable[[object], Awaitable[dict]]]:
    """`bench.sockets` as a process: gives it an order, or none, and returns the next that it says."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.sockets"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**24,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    orders, answers = process.stdin, process.stdout

    async def ask(order: object) -> dict:
        if order is not None:
            orders.write(json.dumps(order).encode() + b"\n")
        line = await answers.readline()
        if not line:
            raise SystemExit("the clients have ended")
        return json.loads(line)

    try:
        yield ask
    finally:
        orders.close()
        await process.wait()


@asynccontextmanager
async def _upstream() -> AsyncIterator[int]:
    """The app: a short answer, and WebSockets that say nothing until they are closed."""

    async def short(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def socket(request: web.Request) -> web.WebSocketResponse:
        connection = web.WebSocketResponse(autoping=True)
        await connection.prepare(request)
        await connection.send_str("open")
        async for message in connection:
            if message.type is WSMsgType.TEXT:
                await connection.send_str(message.data)
        return connection

    app = web.Application()
    app.add_routes([web.get("/ws", socket), web.get("/{any:.*}", short)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
