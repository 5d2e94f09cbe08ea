"""The attacks run against what runs in production: uvloop."""

import asyncio
from collections.abc import Callable

import pytest
import uvloop
from support.peers import LARGE, SMALL


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"uvloop": uvloop.new_event_loop}
    if (
        item.path.name == "test_crossing_ends.py"
    ):  # what only sockets decide is tested on the other one as well
        factories["asyncio"] = asyncio.new_event_loop
    return factories


@pytest.fixture(params=[*SMALL, *LARGE])
def name(request: pytest.FixtureRequest) -> str:
    """A proxy that asks Watchword about each request."""
    proxy: str = request.param
    if proxy in LARGE:
        request.getfixturevalue("large_peers")
    return proxy
