"""The exchange on a real socket, as `ada` and at a fixed time."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from gateway.demo import make_app

NOW = 1_760_000_000.0


@pytest.fixture
def now() -> float:
    return NOW


@pytest.fixture
def visit(aiohttp_client: Any) -> Callable[..., Awaitable[TestClient]]:
    """A client whose requests carry these identity headers: `await visit("ada")`; nobody's without."""
    app = make_app(clock=lambda: NOW)

    async def enter(user: str = "", **headers: str) -> TestClient:
        identity = {"Remote-User": user} if user else {}
        identity |= {name.replace("_", "-"): value for name, value in headers.items()}
        return await aiohttp_client(app, headers=identity)

    return enter


@pytest.fixture
async def ada(visit: Callable[..., Awaitable[TestClient]]) -> TestClient:
    return await visit("ada", Remote_Name="Ada Lovelace", Remote_Email="ada@example.test")


@pytest.fixture
async def grace(visit: Callable[..., Awaitable[TestClient]]) -> TestClient:
    """A newcomer, of whom only the name is known."""
    return await visit("grace")
