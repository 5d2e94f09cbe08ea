"""What works on sockets is tested on both event loops: uvloop runs in production, asyncio elsewhere."""

import asyncio
from collections.abc import Callable

import pytest
import uvloop

_ON_BOTH_LOOPS = {
    "test_connection.py",
    "test_crossing.py",
    "test_exchange.py",
    "test_pool.py",
    "test_relay.py",
    "test_tunnel.py",
    "test_upstream.py",
}


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if item.path.name in _ON_BOTH_LOOPS:
        factories["uvloop"] = uvloop.new_event_loop
    return factories
