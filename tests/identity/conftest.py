"""Who is asking, on a real store, with passwords that cost next to nothing."""

from collections.abc import Iterator

import pytest
from support.identity import CountingHasher
from support.store import RING

from gateway.identity.passwords import Passwords
from gateway.identity.second_factor import SecondFactor
from gateway.store.attempts import AttemptLimit
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
def second_factor(store: Store) -> SecondFactor:
    return SecondFactor(store, RING, AttemptLimit(most=5, window=300), "Watchword", observe=lambda _: None)
