"""What breaks, and in which ways: each fault is a function that is over when all of it works again.

`world.random` decides order and timing, so a seed repeats a run as far as processes can be repeated.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from bench.faults.history import CONFIRMED
from bench.faults.proxy import Moment, Trap, Way
from bench.faults.servers import move_clock
from bench.faults.world import Plan, World

_STEPS = (b'"order-', b'"revocations"', b'"elapsed_ms"', b'"beat"')
"""What the bytes of each step of the protocol have: a revocation, a node's word that it was applied, the
note that it is confirmed, and the renewal of a lease.
"""

_FEED, _EPOCH = "ww:{s00}:feed", "ww:{s00}:epoch"


async def kill_primary(world: World) -> None:
    """At a step of the protocol: before it, once it is sent, or before its answer is here."""
    store = world.store
    for _ in range(2):
        await _killed_at_a_step(world)
        await world.a_while(0.1, 1.5)
        await store.start()
        await world.a_while(0.5, 1.5)


async def _killed_at_a_step(world: World) -> None:
    marker = world.random.choice(_STEPS)
    moment = world.random.choice(list(Moment))

    async def kill() -> None:
        world.store.kill()

    traps = [Trap(marker, moment, kill) for _ in world.ways]
    for way, trap in zip(world.ways, traps, strict=True):
        way.trap(trap)
    waiting = [asyncio.create_task(trap.sprung.wait()) for trap in traps]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED, timeout=5)
    for each in waiting:
        each.cancel()
    for way in world.ways:
        way.mend()
    world.store.kill()


async def fail_over(world: World) -> None:
    """The primary is killed at a step, and a replica takes its place; later it comes back as a replica."""
    for _ in range(2):
        old = world.primary
        began = time.monotonic()
        await _killed_at_a_step(world)
        # What one replica has not acknowledged may be lost. With one of one, none that was confirmed is.
        await world.a_while(0.0, 1.0)
        await world.promote(await world.most_advanced())
        world.lost(began)
        await world.a_while(0.5, 2.0)
        await world.rejoin(old)
        await world.servers[old].synchronised()
        await world.a_while(0.5, 1.0)


async def lagging_replica(world: World) -> None:
    """A replica that lacks the last writes takes over."""
    old, since = world.primary, time.monotonic()
    heir = world.random.choice(world.replicas)
    for index in world.replicas:
        world.follows[index].cut()
    await world.a_while(0.5, 2.5)
    for index in world.replicas:
        world.follows[index].mend()
    if world.random.random() < 0.5:
        world.servers[old].kill()
    await world.promote(heir)
    await world.a_while(0.2, 1.5)
    world.lost(since)
    await world.rejoin(old)
    await world.servers[old].synchronised()


async def abreast_replica(world: World) -> None:
    """The store is cut off from everybody, and a replica that has all of it takes over."""
    old = world.primary
    heir = world.random.choice(world.replicas)
    for way in world.ways:
        way.cut()
    await world.servers[heir].has_all_of(world.servers[old])
    world.follows[heir].cut()
    await world.a_while(0.0, 1.0)
    for proxy in (*world.ways, world.follows[heir]):
        proxy.mend()
    await world.promote(heir)
    await world.a_while(0.5, 1.5)
    await world.rejoin(old)
    await world.servers[old].synchronised()


async def split_brain(world: World) -> None:
    """The old primary and a gateway are alone together; the others go on with a promoted replica."""
    old, since = world.primary, time.monotonic()
    lonely = world.random.randrange(len(world.ways))
    for index in world.replicas:
        world.follows[index].cut()
    await world.a_while(0.0, 2.0)
    heir = await world.most_advanced()
    for index in world.replicas:
        world.follows[index].mend()
    await world.promote(heir, but=frozenset({lonely}))
    world.follows[old].cut()
    await world.a_while(3.0, 6.0)
    await world.rejoin(old)
    if world.random.random() < 0.5:
        world.ways[lonely].point_at(world.store.port)
    else:
        world.ways[lonely].lead_new_ones_to(world.store.port)
    world.lost(since)
    await world.servers[old].synchronised()


async def one_way_loss(world: World) -> None:
    """Between a gateway and the store, in one direction, then in the other; bytes come late or never."""
    ways = list(Way)
    world.random.shuffle(ways)
    for way in ways:
        proxy = world.random.choice(world.ways)
        proxy.deafen(way)
        await world.a_while(1.0, 3.5)
        if world.random.random() < 0.5:
            proxy.hear()
        proxy.mend()
        await world.a_while(0.2, 1.0)


async def one_way_replica(world: World) -> None:
    """Between the primary and its replica: writes do not arrive there, or its word does not come back."""
    ways = list(Way)
    world.random.shuffle(ways)
    for way in ways:
        proxy = world.follows[world.random.choice(world.replicas)]
        proxy.deafen(way)
        await world.a_while(1.0, 3.0)
        if world.random.random() < 0.5:
            proxy.hear()
        proxy.mend()
        await world.a_while(0.2, 1.0)


async def stop_gateway(world: World) -> None:
    """SIGSTOP in the middle of requests, for longer than its lease."""
    gateway = world.random.choice(world.gateways)
    gateway.pause()
    await asyncio.sleep(5.0)
    gateway.resume()
    await world.a_while(0.2, 1.0)


async def stop_store(world: World) -> None:
    world.store.pause()
    await world.a_while(1.0, 4.0)
    world.store.resume()


async def kill_clients(world: World) -> None:
    """The server drops connections, again and again."""
    async with world.store.client() as client:
        for _ in range(8):
            kinds = ["normal", "replica"] if world.replicas else ["normal"]
            await client.execute_command(
                "CLIENT", "KILL", "TYPE", world.random.choice(kinds), "SKIPME", "yes"
            )
            await world.a_while(0.02, 0.5)


async def flush_all(world: World) -> None:
    async with world.store.client() as client:
        await client.flushall()
    world.lost(0.0)
    await world.a_while(0.5, 2.0)
    await _begin_anew(world)


async def delete_epoch(world: World) -> None:
    async with world.store.client() as client:
        await client.delete(_EPOCH)
    await world.a_while(0.5, 2.0)
    await _everybody_out(world)
    world.lost(0.0)


async def _begin_anew(world: World) -> None:
    """What operators do with a store that lost everything."""
    await world.add_accounts()
    await _everybody_out(world)
    world.lost(0.0)


async def _everybody_out(world: World) -> None:
    for gateway in range(30):
        done = await world.people.revoke(gateway % len(world.gateways), "everybody")
        if done is not None and done.status == CONFIRMED:
            return
        await asyncio.sleep(0.2)
    raise AssertionError("everybody could not be revoked")


async def old_snapshot(world: World) -> None:
    """The store comes back as it was some seconds before."""
    store, kept = world.store, world.folder / "kept"
    since = time.monotonic()
    await store.stop()
    store.keep(kept)
    await store.start()
    await world.a_while(1.0, 3.0)
    store.kill()
    store.put_back(kept)
    await store.start()
    world.lost(since)
    await world.a_while(0.5, 1.0)


async def out_of_memory(world: World) -> None:
    async with world.store.client() as client:
        await client.config_set("maxmemory", "1")
        await world.a_while(1.0, 4.0)
        await client.config_set("maxmemory", "0")


async def move_wall_clock(world: World) -> None:
    """A gateway's wall clock jumps, and back."""
    steps = [90, -90]
    world.random.shuffle(steps)
    for seconds in steps:
        move_clock(world.clock_file(), seconds)
        await world.a_while(2.0, 3.0)
    move_clock(world.clock_file(), 0)
    await asyncio.sleep(1.5)


async def trim_feed(world: World) -> None:
    """Entries are gone before a slow gateway has read them."""
    index = world.random.randrange(len(world.ways))
    slow = world.random.random() < 0.5
    if slow:
        world.ways[index].delay(0.4)
    else:
        world.gateways[index].pause()
    async with world.store.client() as client:
        for _ in range(10):
            await world.a_while(0.05, 0.3)
            # Not all of it: an empty feed is one that was lost, and everybody has to sign in again.
            await client.xtrim(_FEED, maxlen=1, approximate=False)
    world.gateways[index].resume()
    await world.a_while(0.2, 0.6)
    world.ways[index].mend()


async def flush_scripts(world: World) -> None:
    async with world.store.client() as client:
        for _ in range(10):
            await client.script_flush()
            await world.a_while(0.02, 0.4)


async def rolling_restart(world: World) -> None:
    for gateway in world.random.sample(world.gateways, len(world.gateways)):
        await gateway.stop()
        await world.a_while(0.0, 0.5)
        await gateway.restart()
        await world.a_while(0.2, 0.8)


async def kill_gateway(world: World) -> None:
    """The one that took a revocation dies before it is confirmed: it or a neighbour sees it through."""
    taken = world.random.randrange(len(world.gateways))
    gateway, other = world.gateways[taken], world.gateways[taken - 1]
    # Either the store does not hear of it, or a node that has to confirm it says nothing.
    world.random.choice([world.store, other]).pause()
    asking = asyncio.create_task(world.people.revoke(taken, "account", order="left behind"))
    known_as = await _on_disk(world, "left behind", asking)
    await world.a_while(0.0, 0.3)
    gateway.kill()
    await asking
    world.people.know("left behind", known_as)
    world.store.resume()
    other.resume()
    if world.plan.shared_data:
        await world.a_while(3.0, 5.0)  # the neighbour has it meanwhile
    await gateway.restart()


async def _on_disk(world: World, reason: str, asking: "asyncio.Task[object]") -> str:
    """The id of an order, once it is in a journal."""
    for _ in range(500):
        for path in world.folder.glob("data-*/journal/*.journal"):
            for line in path.read_text().splitlines():
                if f'"{reason}"' in line:
                    return line.partition('"revocation_id": "')[2].partition('"')[0]
        if asking.done():
            raise AssertionError(f"nothing was promised: {asking.result()}")
        await asyncio.sleep(0.01)
    raise AssertionError("an order is in no journal")


async def no_fault(world: World) -> None:
    """To see what is without a fault."""
    await world.a_while(2.0, 3.0)


@dataclass(frozen=True)
class Fault:
    """`plans`: on what it is tried, by seeds in turn; the first one is the smallest."""

    strike: Callable[[World], Awaitable[None]]
    what: str
    plans: tuple[Plan, ...]

    def plan(self, seed: int) -> Plan:
        return self.plans[seed % len(self.plans)]


_ALONE = Plan()
_THREE = Plan(gateways=3)
_COPY = Plan(replicas=1)
_COPIES = Plan(gateways=3, replicas=2)
_ANY = (_ALONE, _COPIES, _COPY, replace(_THREE, gateways=4))

FAULTS: dict[str, Fault] = {
    "no-fault": Fault(no_fault, "nothing breaks", _ANY),
    "kill-primary": Fault(kill_primary, "primary killed at a step, back on its file", _ANY),
    "fail-over": Fault(fail_over, "primary killed at a step, a replica promoted", (_COPY, _COPIES)),
    "lagging-replica": Fault(lagging_replica, "a replica without the last writes promoted", (_COPY, _COPIES)),
    "abreast-replica": Fault(abreast_replica, "a replica with the last writes promoted", (_COPY, _COPIES)),
    "split-brain": Fault(split_brain, "old primary and one gateway alone together", (_COPIES,)),
    "one-way-loss": Fault(one_way_loss, "bytes lost in one direction, gateway and store", _ANY),
    "one-way-replica": Fault(
        one_way_replica, "bytes lost in one direction, primary and replica", (_COPY, _COPIES)
    ),
    "stop-gateway": Fault(stop_gateway, "SIGSTOP of a gateway for 5 s", _ANY),
    "stop-store": Fault(stop_store, "SIGSTOP of the primary", _ANY),
    "kill-clients": Fault(kill_clients, "CLIENT KILL of all connections", _ANY),
    "flush-all": Fault(flush_all, "FLUSHALL", _ANY),
    "delete-epoch": Fault(delete_epoch, "the global epoch deleted", _ANY),
    "old-snapshot": Fault(old_snapshot, "the store set back by some seconds", (_ALONE, _THREE)),
    "out-of-memory": Fault(out_of_memory, "the store refuses writes", _ANY),
    "wall-clock": Fault(
        move_wall_clock,
        "a gateway's wall clock moved by 90 s",
        tuple(replace(plan, wrong_clock=True) for plan in _ANY),
    ),
    "trim-feed": Fault(trim_feed, "the feed trimmed past a slow gateway", _ANY),
    "flush-scripts": Fault(flush_scripts, "SCRIPT FLUSH", _ANY),
    "rolling-restart": Fault(rolling_restart, "every gateway restarted under load", _ANY),
    "kill-gateway": Fault(
        kill_gateway,
        "a gateway killed between promise and confirmation",
        (_ALONE, replace(_ALONE, shared_data=True), _COPY, replace(_COPIES, shared_data=True)),
    ),
}


@dataclass(frozen=True)
class Group:
    """Faults that follow each other in one small world, so that all of them take little time."""

    plan: Plan
    faults: tuple[str, ...]


_SMALL = Plan(clients=3, pause=0.08, accounts=8)

SHORT: dict[str, Group] = {
    "server": Group(_SMALL, ("kill-primary", "stop-store", "kill-clients", "out-of-memory", "flush-scripts")),
    "network": Group(_SMALL, ("one-way-loss", "trim-feed", "stop-gateway")),
    "clock": Group(replace(_SMALL, wrong_clock=True), ("wall-clock",)),
    "gateways": Group(replace(_SMALL, shared_data=True), ("rolling-restart", "kill-gateway")),
    "loss": Group(_SMALL, ("old-snapshot", "delete-epoch", "flush-all")),
    "replicas": Group(
        replace(_SMALL, replicas=2),
        ("one-way-replica", "abreast-replica", "fail-over", "lagging-replica", "split-brain"),
    ),
}
"""Each fault once."""
