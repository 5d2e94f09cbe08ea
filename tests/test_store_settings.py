"""Where the store is and how many servers must hold what counts: what may be said, and what must not."""

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.store_settings import Store

SERVER = "redis://store"
SENTINELS = "redis+sentinel://one,two:26380/watchword"


def faults(**values: Any) -> str:
    with pytest.raises(ValidationError) as raised:
        Store.model_validate(values)
    return str(raised.value.errors(include_input=False))


@pytest.mark.parametrize(("replicas", "acknowledge"), [(0, 0), (1, 1), (2, 1), (3, 2), (4, 2), (5, 3)])
def test_a_majority_of_the_servers_holds_a_write(replicas: int, acknowledge: int) -> None:
    """The primary is one of them, so that of 3 servers it takes one replica more."""
    store = Store.model_validate({"url": SERVER, "replicas": replicas})
    assert store.acknowledge == acknowledge
    assert acknowledge + 1 > (replicas + 1) / 2


def test_it_may_be_said_how_many_hold_a_write() -> None:
    assert Store.model_validate({"url": SERVER, "replicas": 2, "acknowledge": 2}).acknowledge == 2
    assert Store.model_validate({"url": SENTINELS, "sentinel-password": "x"}).url == SENTINELS


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"url": SERVER, "replicas": 2, "acknowledge": 3}, "acknowledge must not be more than replicas"),
        ({"url": SERVER, "acknowledge": 1}, "acknowledge must not be more than replicas"),
        ({"url": SERVER, "replicas": 1, "acknowledge": 0}, "else nothing is confirmed"),
        ({"url": SERVER, "replicas": -1}, "greater than or equal to 0"),
        ({"url": SERVER, "replicas": True}, "a whole number, not true or false"),
        ({"replicas": 1}, "the embedded store has no replicas"),
        ({"sentinel-password": "x"}, "is for a url that starts with redis+sentinel://"),
        ({"url": SERVER, "sentinel-password": "x"}, "is for a url that starts with redis+sentinel://"),
        ({"url": "redis+cluster://store", "sentinel-password-file": "x"}, "is for a url that starts with"),
        ({"url": SENTINELS, "sentinel-password": "x", "sentinel-password-file": "y"}, "not both"),
        ({"url": SERVER, "password": "x", "password-file": "y"}, "not both"),
        ({"url": "redis+sentinel://one,two"}, "must end in the name"),
        ({"url": "redis+cluster://one,two/3"}, "a cluster has only one"),
    ],
)
def test_what_does_not_fit_together(values: dict[str, Any], fault: str) -> None:
    assert fault in faults(**values)
