"""How fast a revocation is confirmed by every node, and what the near cache and the sessions cost.

    python -m bench.revocation [--nodes 8] [--sessions 1000000]

Prints what it measures as it goes; the last line is one JSON object. All of it runs on loopback, and ends by
itself. Times are of one machine that also runs the load, the app and the store: they are upper bounds.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import uvloop
from aiohttp import ClientSession, DummyCookieJar, TCPConnector

from bench.setup import COOKIE, Node, Setup, clients_apart, running
from gateway.garbage import settle

PEOPLE = 200
"""Accounts that the load signs in."""

REVOCATIONS = 300
SOCKETS = 1000
ROUNDS = 5
PAUSE_SECONDS = 0.05
"""Between two requests of one client of the load, which has two for each node: a moderate one."""


@dataclass
class Person:
    subject: str
    cookie: str
    revoked_at: float | None = None


@dataclass
class Load:
    """Clients that go on asking; `accepted_late` are requests that began after a confirmation."""

    setup: Setup
    http: ClientSession
    people: list[Person]
    requests: int = 0
    accepted: int = 0
    accepted_late: int = 0
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    async def client(self, node: Node, start: int) -> None:
        """Ask as everybody in turn, each time in the session that they have by then."""
        for index in cycle(range(start, PEOPLE, 2)):
            if self.stopped.is_set():
                return
            await self.ask(node, self.people[index])
            await asyncio.sleep(PAUSE_SECONDS)

    async def ask(self, node: Node, person: Person) -> int:
        began = time.perf_counter()
        late = person.revoked_at is not None and began > person.revoked_at
        status = await get(self.http, node, person.cookie)
        self.requests += 1
        self.accepted += status == 200
        self.accepted_late += late and status == 200
        return status


async def get(http: ClientSession, node: Node, cookie: str) -> int:
    headers = {"Cookie": f"{COOKIE}={cookie}"}
    async with http.get(f"http://127.0.0.1:{node.port}/x", headers=headers) as answer:
        await answer.read()
        return answer.status


async def revoke(http: ClientSession, setup: Setup, node: Node, order: dict[str, str]) -> tuple[float, dict]:
    """Seconds that a confirmed revocation took, as its caller sees it, and its answer."""
    began = time.perf_counter()
    async with http.post(
        f"http://127.0.0.1:{node.admin_port}/v1/revocations",
        headers={"Authorization": f"Bearer {setup.token}"},
        json={"reason": "bench", **order},
    ) as answer:
        said = await answer.json()
        if answer.status != 200:
            raise SystemExit(f"not confirmed: {answer.status} {said}")
        return time.perf_counter() - began, said


async def measure_revocations(setup: Setup, http: ClientSession) -> dict:
    """Revocations of sessions, devices and accounts in turn, under load over all nodes."""
    for number in range(PEOPLE):
        await setup.account(f"person-{number}")
    people = [
        Person(f"person-{number % PEOPLE}", (await setup.session(f"person-{number % PEOPLE}")).cookie)
        for number in range(PEOPLE)
    ]
    load = Load(setup, http, people)
    clients = [asyncio.create_task(load.client(node, start)) for start in range(2) for node in setup.nodes]
    await asyncio.sleep(1.0)
    took, nodes = [], set()
    for number in range(REVOCATIONS):
        victim = people[number % PEOPLE]
        node = setup.nodes[number % len(setup.nodes)]
        seconds, said = await revoke(http, setup, node, {"scope": "account", "subject": victim.subject})
        victim.revoked_at = time.perf_counter()
        took.append(seconds * 1000)
        nodes.add((said["nodes"], said["silent"]))
        statuses = await asyncio.gather(*(load.ask(each, victim) for each in setup.nodes))
        if set(statuses) != {401}:
            print(f"  not refused after its revocation: {statuses}")
        renewed = await setup.session(victim.subject)
        people[number % PEOPLE] = Person(victim.subject, renewed.cookie)
    load.stopped.set()
    await asyncio.gather(*clients)
    print(f"  {load.requests} requests meanwhile, {load.accepted} accepted; nodes confirmed, silent: {nodes}")
    return {"revoke_ms": spread(took), "accepted_after_confirmed": load.accepted_late}


async def measure_closing(setup: Setup, http: ClientSession) -> dict:
    """So many WebSockets of one account over all nodes: from the order to the close of each.

    `close_ms` is when each client had its close frame in hand, `close_written_ms` when the last gateway had
    written all of its own, to both sides, one value for each round. What lies between is time in which the
    clients wait for a processor, or use it: `close_clients_cpu_ms`.
    """
    closed, written, cpu = [], [], []
    async with clients_apart() as ask:
        for _ in range(ROUNDS):
            subject = f"socket-{time.time_ns()}"
            await setup.account(subject)
            cookie = f"{COOKIE}={(await setup.session(subject)).cookie}"
            ports = [node.port for node in setup.nodes]
            await ask({"ports": ports, "count": SOCKETS, "cookie": cookie})
            settle()  # the app is in this process: its search for garbage is not what is measured
            await asyncio.sleep(0.5)
            for node in setup.nodes:
                node.cuts.clear()
            began = time.time()
            order = {"scope": "account", "subject": subject}
            (seconds, _), said = await asyncio.gather(revoke(http, setup, setup.nodes[0], order), ask(None))
            while sum(cut.count for node in setup.nodes for cut in node.cuts) < SOCKETS:
                await asyncio.sleep(0.01)
            if codes := {code for _, code in said["closed"]} - {1008}:
                print(f"  not closed with 1008: {codes}")
            took = [(moment - began) * 1000 for moment, _ in said["closed"]]
            closed += took
            written.append((max(cut.at for node in setup.nodes for cut in node.cuts) - began) * 1000)
            cpu.append(said["cpu"] * 1000)
            print(
                f"  {SOCKETS} WebSockets: close frames all written after {written[-1]:.1f} ms, "
                f"all received after {max(took):.1f} ms, answered after {seconds * 1000:.1f} ms"
            )
            await asyncio.sleep(2)
    return {
        "close_ms": spread(closed),
        "close_written_ms": spread(written),
        "close_clients_cpu_ms": round(statistics.median(cpu)),
    }


async def measure_everybody(setup: Setup, http: ClientSession) -> float:
    """The median of ending everybody's sessions, in milliseconds."""
    took = [(await revoke(http, setup, setup.nodes[0], {"scope": "everybody"}))[0] for _ in range(15)]
    return round(statistics.median(took) * 1000, 2)


async def measure_store_operations(setup: Setup, http: ClientSession) -> float:
    """Store commands of one ordinary request of a session that its node has in memory."""
    await setup.account("ordinary")
    cookie = (await setup.session("ordinary")).cookie
    for node in setup.nodes:
        for _ in range(3):
            assert await get(http, node, cookie) == 200
    await asyncio.sleep(2.5)  # the last uses are written by then

    async def commands() -> int:
        stats = await setup.store._connection.redis.info("commandstats")
        return sum(stat["calls"] for name, stat in stats.items() if not name.startswith("cmdstat_info"))

    async def during(seconds: float, count: int) -> float:
        before, began, asked = await commands(), time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            if asked < count:
                await asyncio.gather(*(get(http, node, cookie) for node in setup.nodes))
                asked += len(setup.nodes)
            else:
                await asyncio.sleep(0.01)
        return (await commands() - before) / (time.perf_counter() - began)

    idle, busy, seconds = await during(4.0, 0), 0.0, 4.0
    began, before, asked = time.perf_counter(), await commands(), 0
    while time.perf_counter() - began < seconds:
        await asyncio.gather(*(get(http, node, cookie) for node in setup.nodes))
        asked += len(setup.nodes)
    busy = await commands() - before - idle * (time.perf_counter() - began)
    print(f"  {asked} requests; {idle:.0f} commands a second without any, {busy:+.0f} with them")
    return round(max(0.0, busy) / asked, 4)


async def fill(setup: Setup, sessions: int) -> float:
    """Have so many sessions in the store; bytes that each takes there.

    The first of each account begins like any other, the other 49 are copies of its records.
    """
    redis = setup.store._connection.redis
    before = (await redis.info("memory"))["used_memory"]
    for number in range(0, sessions // 50, 100):
        some = [f"many-{each}" for each in range(number, min(number + 100, sessions // 50))]
        await asyncio.gather(*(setup.account(subject) for subject in some))
        begun = await asyncio.gather(*(setup.session(subject) for subject in some))
        pipeline = redis.pipeline(transaction=False)
        for subject, started in zip(some, begun, strict=True):
            pipeline.eval(_COPIES, 1, "ww:{s00}:", subject, started.session_id, 49)
        await pipeline.execute()
    after = (await redis.info("memory"))["used_memory"]
    return (after - before) / sessions


_COPIES = """
local function key(kind, name) return KEYS[1] .. kind .. ':' .. name end
local subject, id = ARGV[1], ARGV[2]
local cookie = redis.call('HGET', key('session', id), 'newest_cookie')
local score = redis.call('ZSCORE', key('sessions', subject), id)
for number = 1, tonumber(ARGV[3]) do
  local other = redis.sha1hex(id .. number):sub(1, 32)
  local hash = redis.sha1hex(cookie .. number) .. redis.sha1hex(cookie):sub(1, 24)
  redis.call('COPY', key('session', id), key('session', other))
  redis.call('HSET', key('session', other), 'id', other, 'newest_cookie', hash)
  redis.call('COPY', key('cookie', cookie), key('cookie', hash))
  redis.call('HSET', key('cookie', hash), 'session', other)
  redis.call('ZADD', key('sessions', subject), score, other)
end
"""


def spread(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "p50": round(ordered[len(ordered) // 2], 2),
        "p99": round(ordered[int(len(ordered) * 0.99)], 2),
        "max": round(ordered[-1], 2),
    }


async def measure(nodes: int, sessions: int) -> dict:
    with tempfile.TemporaryDirectory(prefix="ww-bench-") as folder:
        async with (
            running(Path(folder), nodes) as setup,
            ClientSession(connector=TCPConnector(limit=0), cookie_jar=DummyCookieJar()) as http,
        ):
            figures: dict = {"nodes": nodes, "sessions": sessions}
            print("Revocations of accounts, under load:", flush=True)
            figures |= await measure_revocations(setup, http)
            print("Live connections:", flush=True)
            figures |= await measure_closing(setup, http)
            print("Store commands of an ordinary request:", flush=True)
            figures["store_ops_per_request"] = await measure_store_operations(setup, http)
            print("Everybody:", flush=True)
            few = await fill(setup, 1000)
            figures["everybody_ms"] = {"1000": await measure_everybody(setup, http)}
            print(f"  {figures['everybody_ms']['1000']} ms with 1,000 more sessions ({few:.0f} bytes each)")
            figures["store_bytes_per_session"] = round(await fill(setup, sessions))
            figures["everybody_ms"][str(sessions)] = await measure_everybody(setup, http)
            print(f"  {figures['everybody_ms'][str(sessions)]} ms with {sessions:,}")
            return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--sessions", type=int, default=1_000_000)
    options = parser.parse_args()
    print(json.dumps(uvloop.run(measure(options.nodes, options.sessions))))


if __name__ == "__main__":
    main()
