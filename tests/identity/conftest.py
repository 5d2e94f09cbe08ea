"""Who is asking, on a real store, with passwords that cost next to nothing."""

from collections.abc import Iterator

import pytest
from support.identity import WAITING, CountingHasher
from support.store import RING

from gateway.identity.passwords import Passwords
from gateway.identity.recovery import Recovery
from gateway.identity.second_factor import SecondFactor
from gateway.store.attempts import GrowingDelay
from gateway.store.opening import Store


@pytest.fixture
def hasher() -> CountingHasher:
    return CountingHasher()


@pytest.fixture
def passwords(hasher: CountingHasher) -> Iterator[Passwords]:
    passwords = Passwords(hasher=hasher)
    yield passwords
    passwords.close()


@pytest.fixture
def recovery(store: Store, passwords: Passwords) -> Recovery:
    return Recovery(store, passwords, GrowingDelay(5, 300, 900), WAITING, observe=lambda _: None)


@pytest.fixture
def second_factor(store: Store) -> SecondFactor:
    delay = GrowingDelay(free=5, first=60, longest=900, lock=8)
    return SecondFactor(store, RING, delay, "Watchword", observe=lambda _: None)
