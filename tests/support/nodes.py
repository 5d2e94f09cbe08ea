"""Further nodes of the test's store, and what they hear."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from support.store import NOW, opened_store

from gateway.core.ending import Ending
from gateway.core.records import Session
from gateway.store.opening import Store
from gateway.store.sessions import Started
from gateway.store.standing import NodeOptions

WHY = {"reason": "test", "actor": "cli:root", "now": NOW + 1}
A_LEASE = NodeOptions(lease=2.0, grace=1.0)
SHORT = NodeOptions(lease=0.4, grace=0.1)


@dataclass
class Heard:
    """What else of a gateway hears of what its node learns."""

    live: list[Session] = field(default_factory=list)
    endings: list[Ending] = field(default_factory=list)
    cuts: list[str] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)

    def ended(self, ending: Ending) -> None:
        self.endings.append(ending)

    def sessions(self) -> Sequence[Session]:
        return self.live

    def cut(self, session_id: str) -> None:
        self.cuts.append(session_id)

    def leases(self, held: int, of: int) -> None: ...

    def alarm(self, what: str) -> None:
        self.alarms.append(what)


Join = Callable[..., Awaitable[tuple[Store, Heard]]]


@pytest.fixture
async def join(store: Store, store_place: dict[str, Any]) -> AsyncIterator[Join]:
    """Further nodes of the test's store, with what they hear."""
    joined: list[Store] = []

    async def another(options: NodeOptions = A_LEASE) -> tuple[Store, Heard]:
        node, heard = await opened_store(**store_place, node=options), Heard()
        joined.append(node)
        await node.join(heard)
        return node, heard

    yield another
    for node in joined:
        await node.leave()
        await node.close()


async def until(condition: Callable[[], bool]) -> None:
    """The test's own timeout ends it if that never comes true."""
    while not condition():
        await asyncio.sleep(0.005)


async def remembered(node: Store, session: Started) -> None:
    """Let a node have a session in its memory."""
    await until(lambda: node.node.leases()[0] == node.node.leases()[1])
    assert await node.who.ask(session.cookie, NOW) is not None
    assert node.who.remembered(node.who.place_of(session.cookie), NOW) is not None


async def read_streams(
    store: Store, after: Mapping[str, str], *, block: float, most: int
) -> dict[str, list[tuple[str, dict[str, str]]]]:
    """Read once what came in streams, as a node does."""
    async with store._connection.following(next(iter(after))) as wire:
        return await wire.read(after, block=block, most=most)
