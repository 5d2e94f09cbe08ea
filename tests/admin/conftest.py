"""The operators' API on a real store."""

from collections.abc import Awaitable, Callable

import pytest
from pytest_aiohttp import AiohttpClient
from support.gateway import QUICK
from support.operators import Operators
from support.resets import RESET_RULES
from support.store import RING

from gateway.admin import make_admin_app
from gateway.errors import Fault
from gateway.identity.passwords import Passwords
from gateway.identity.resets import ResetCases
from gateway.portal.texts import Texts
from gateway.store.opening import Store
from gateway.web.metrics import Metrics

WORDS = Texts.load("en").words


@pytest.fixture
def start_operators(aiohttp_client: AiohttpClient) -> Callable[[Store], Awaitable[Operators]]:
    """Starts the API on a store of one's own."""

    async def start(store: Store) -> Operators:
        metrics, faults = Metrics(), list[Fault]()
        app = make_admin_app(
            store,
            RING,
            words=WORDS,
            resets=ResetCases(store, RESET_RULES),
            passwords=Passwords(hasher=QUICK),
            metrics=metrics,
            policy_faults=lambda: faults,
        )
        return Operators(await aiohttp_client(app), metrics, faults)

    return start


@pytest.fixture
async def operators(store: Store, start_operators: Callable[[Store], Awaitable[Operators]]) -> Operators:
    return await start_operators(store)
