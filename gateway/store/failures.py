"""What a client of the store fails with, and the one translation of it."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import RedisError

from gateway.errors import StoreUnavailable

FAILURES = (RedisError, OSError, TimeoutError, RuntimeError)
"""RuntimeError is uvloop's, for what is written to a connection that was lost just then."""


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn whatever the client library raises into StoreUnavailable."""
    try:
        yield
    except FAILURES as error:
        raise StoreUnavailable(f"{type(error).__name__}: {error}") from error
