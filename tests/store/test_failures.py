"""Whatever a client of the store fails with says neither yes nor no."""

import asyncio

import pytest
from redis import exceptions

from gateway.errors import StoreUnavailable
from gateway.store.failures import store_errors


@pytest.mark.parametrize(
    "kind",
    [
        exceptions.RedisError,
        exceptions.ConnectionError,
        exceptions.TimeoutError,
        exceptions.BusyLoadingError,
        exceptions.AuthenticationError,
        exceptions.ReadOnlyError,
        exceptions.ResponseError,
        exceptions.OutOfMemoryError,
        ConnectionResetError,
        FileNotFoundError,
        TimeoutError,
    ],
)
def test_whatever_the_client_library_raises_is_store_unavailable(kind: type[Exception]) -> None:
    with pytest.raises(StoreUnavailable) as raised, store_errors():
        raise kind("no")
    assert isinstance(raised.value.__cause__, kind)


@pytest.mark.parametrize("error", [ValueError(), KeyError(), asyncio.CancelledError(), StoreUnavailable()])
def test_what_is_ours_to_mend_is_left_as_it_is(error: BaseException) -> None:
    with pytest.raises(type(error)) as raised, store_errors():
        raise error
    assert raised.value is error
