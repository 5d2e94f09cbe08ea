"""Everything that runs while something breaks, and the means to break it."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from argon2 import PasswordHasher

from bench.faults.calling import Caller
from bench.faults.history import History, Loss
from bench.faults.people import PASSWORD, People
from bench.faults.proxy import Proxy
from bench.faults.servers import PATIENCE, DidNotStart, Gateway, Server, move_clock
from gateway import clock
from gateway.admin.tokens import Scope, issue_token
from gateway.app import open_keys_and_store
from gateway.settings import load_settings

LEASE, GRACE = 1.0, 0.5
SETTLED = 3 * LEASE
"""Seconds within which every node has noticed what became of the store, with patience."""

_CONFIG = """
mode: demo
public-scheme: http
policies: {policies}
keys: {keys}
store:
  url: redis://127.0.0.1:{port}
  data-dir: {data}
  timeout: 1s
  lease: {lease:.0f}ms
  live-grace: {grace:.0f}ms
  replicas: {replicas}
limits: {{connections: 20000}}
sign-in: {{attempts-by-account: 1000000, attempts-by-address: 1000000}}
"""

_POLICY = """
app: faults
hosts: [localhost]
upstream: http://127.0.0.1:%d
unmatched: session
"""

_FEW_ROUNDS = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""Real argon2id, as cheap as it gets: what is tried here are not passwords."""


@dataclass(frozen=True)
class Plan:
    """How many of what a fault is tried on. `pause`: seconds between two requests of one client."""

    gateways: int = 2
    replicas: int = 0
    shared_data: bool = False
    wrong_clock: bool = False
    clients: int = 5
    pause: float = 0.04
    accounts: int = 12


@dataclass
class World:
    plan: Plan
    random: random.Random
    folder: Path
    servers: list[Server] = field(default_factory=list)
    follows: list[Proxy] = field(default_factory=list)
    """How each server reaches the primary, when it is a replica."""
    ways: list[Proxy] = field(default_factory=list)
    """How each gateway reaches the store."""
    gateways: list[Gateway] = field(default_factory=list)
    primary: int = 0
    losses: list[Loss] = field(default_factory=list)
    people: People = field(init=False)

    @property
    def store(self) -> Server:
        return self.servers[self.primary]

    @property
    def replicas(self) -> list[int]:
        return [index for index in range(len(self.servers)) if index != self.primary]

    def clock_file(self) -> Path:
        return self.folder / "clock"

    async def a_while(self, least: float, most: float) -> None:
        await asyncio.sleep(self.random.uniform(least, most))

    def lost(self, since: float) -> None:
        """The store no longer has what was written since then."""
        self.losses.append(Loss(since, time.monotonic() + SETTLED))

    async def promote(self, index: int, *, but: frozenset[int] = frozenset()) -> None:
        """Make a replica the primary, for all gateways and servers but these."""
        await self.servers[index].lead()
        self.primary = index
        for number, way in enumerate(self.ways):
            if number not in but:
                way.point_at(self.store.port)
        for number in self.replicas:
            self.follows[number].point_at(self.store.port)

    async def rejoin(self, index: int) -> None:
        """Let a server that was primary, or was gone, follow the one that is now."""
        server = self.servers[index]
        if not server.runs:
            await server.start()
        self.follows[index].point_at(self.store.port)
        self.follows[index].mend()
        await server.follow(self.follows[index].port)

    async def most_advanced(self) -> int:
        """Which replica is to be promoted, as a sentinel would choose."""
        offsets = {index: await self.servers[index].offset() for index in self.replicas}
        return max(offsets, key=lambda index: offsets[index])

    async def add_accounts(self) -> None:
        """The accounts of the people, in whatever store there is now."""
        settings = load_settings(self._config(self.store.port, "harness"), {})
        ring, store = await open_keys_and_store(settings)
        try:
            hashed = _FEW_ROUNDS.hash(PASSWORD)
            for subject in self.people.subjects:
                await store.accounts.add(
                    subject=subject,
                    name=subject,
                    email=f"{subject}@example.org",
                    groups=frozenset(),
                    password_hash=hashed,
                    now=clock.now(),
                )
            allowed = frozenset({Scope.READ, Scope.REVOKE})
            earlier = clock.now() - 3600  # so that it is valid by a clock that is slow
            self.people.token = issue_token(ring.current(), "faults", allowed, 86400.0, earlier)
        finally:
            await store.close()

    async def healthy(self) -> None:
        """Wait until every gateway has its leases. Raises DidNotStart."""
        async with asyncio.timeout(PATIENCE):
            for gateway in self.gateways:
                await self._healthy(gateway)

    async def _healthy(self, gateway: Gateway) -> None:
        while True:
            async with Caller(gateway.admin_port) as caller:
                answer = await caller.call("GET", "/readyz", within=3.0)
            if answer.status == 200 and not answer.json["troubles"]:
                return
            if not gateway.runs:
                raise DidNotStart(f"a gateway ended: see {gateway.log}")
            await asyncio.sleep(0.1)

    def mend(self) -> None:
        """The network works, and every process goes on."""
        for process in (*self.servers, *self.gateways):
            process.resume()
        for proxy in (*self.ways, *self.follows):
            proxy.mend()

    def history(self, fault: str, seed: int) -> History:
        """What was asked and answered until now."""
        return History(
            fault,
            seed,
            len(self.gateways),
            list(self.people.sessions),
            self.people.requests(),
            list(self.people.revocations),
            self.losses,
        )

    def _config(self, port: int, name: str) -> Path:
        data = "shared" if self.plan.shared_data else name
        file = self.folder / f"{name}.yaml"
        file.write_text(
            _CONFIG.format(
                policies=self.folder / "policies",
                keys=self.folder / "keys.json",
                port=port,
                data=self.folder / f"data-{data}",
                lease=LEASE * 1000,
                grace=GRACE * 1000,
                replicas=self.plan.replicas,
            )
        )
        return file

    async def start(self, stack: AsyncExitStack) -> None:
        """Start it all; the stack ends it, whatever happens."""
        seen: set[int] = set()
        upstream = await stack.enter_async_context(_upstream(seen))
        (self.folder / "policies").mkdir()
        (self.folder / "policies" / "faults.yaml").write_text(_POLICY % upstream)
        for index in range(1 + self.plan.replicas):
            server = Server(self.folder / f"server-{index}.log", folder=self.folder / f"server-{index}")
            stack.callback(server.kill)
            await server.start()
            self.servers.append(server)
            self.follows.append(await _proxy(stack, self.servers[0].port))
        for index in self.replicas:
            await self.servers[index].follow(self.follows[index].port)
            await self.servers[index].synchronised()
        for index in range(self.plan.gateways):
            self.ways.append(await _proxy(stack, self.store.port))
            gateway = Gateway(
                self.folder / f"gateway-{index}.log",
                config=self._config(self.ways[index].port, f"gateway-{index}"),
                clock=self.clock_file() if self.plan.wrong_clock and index == 0 else None,
            )
            self.gateways.append(gateway)
            stack.callback(gateway.kill)
        move_clock(self.clock_file(), 0)
        self.people = People(self.gateways, self.random, seen, self.plan.accounts)
        await self.add_accounts()
        await asyncio.gather(*(gateway.start() for gateway in self.gateways))
        await self.healthy()


async def _proxy(stack: AsyncExitStack, target: int) -> Proxy:
    proxy = Proxy(target)
    await proxy.start()
    stack.push_async_callback(proxy.stop)
    return proxy


@asynccontextmanager
async def _upstream(seen: set[int]) -> AsyncIterator[int]:
    """The app: it writes down the numbers of the requests that reach it."""

    async def answer(request: web.BaseRequest) -> web.Response:
        number = request.path.rpartition("/")[2]
        if number.isdecimal():
            seen.add(int(number))
        return web.Response(text="ok")

    runner = web.ServerRunner(web.Server(answer), shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port: int = runner.addresses[0][1]
        yield port
    finally:
        await runner.cleanup()
