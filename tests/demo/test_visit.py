from collections.abc import Awaitable, Callable

import pytest
from aiohttp.test_utils import TestClient
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.demo.visit import Identity


@pytest.mark.parametrize(
    ("headers", "identity"),
    [
        ({}, Identity("guest", "guest", "", ())),
        ({"Remote-User": " "}, Identity("guest", "guest", "", ())),
        ({"remote-user": "ada"}, Identity("ada", "ada", "", ())),
        (
            {
                "Remote-User": "ada",
                "Remote-Name": "Ada Lovelace",
                "Remote-Email": "ada@example.test",
                "Remote-Groups": "customers, beta,,",
            },
            Identity("ada", "Ada Lovelace", "ada@example.test", ("customers", "beta")),
        ),
    ],
)
def test_the_identity_headers_are_believed(headers: dict[str, str], identity: Identity) -> None:
    assert Identity.from_headers(CIMultiDictProxy(CIMultiDict(headers))) == identity


async def test_a_name_beyond_ascii_arrives(visit: Callable[..., Awaitable[TestClient]]) -> None:
    zoe = await visit("zoe", Remote_Name="Zoë Ångström")
    assert "Hello, Zoë Ångström" in await (await zoe.get("/")).text()
