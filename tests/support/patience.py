"""A test that never ends fails, and says where it waits.

pytest-timeout raises in a signal's handler, and what is raised there ends in the event loop's own handler of
errors (uvloop) as often as in the test. A test of asyncio is ended from within instead.
"""

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

_SHARE = 0.9
"""Of the time after which pytest-timeout would end it."""


def limited(test: Callable[..., Awaitable[None]], seconds: float) -> Callable[..., Awaitable[None]]:
    """The same test, which gets a TimeoutError where it waits after so long."""

    @functools.wraps(test)
    async def until_then(*arguments: Any, **fixtures: Any) -> None:
        async with asyncio.timeout(seconds):
            await test(*arguments, **fixtures)

    return until_then


def limit(item: pytest.Item) -> None:
    """Limit a test, if it is one of asyncio. A property's examples have no loop of ours around them."""
    if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
        marker, told = item.get_closest_marker("timeout"), item.config.getoption("timeout")
        seconds = marker.args[0] if marker else float(told or item.config.getini("timeout"))
        item.obj = limited(item.obj, seconds * _SHARE)
