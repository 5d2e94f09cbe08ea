"""What a gateway's short cut takes."""

import pytest
from support.raw_client import RawClient

from gateway.proxy.crossing import Crossing
from gateway.web.short_cut import QuickConnection


def note_taken(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """From now on, every request that a short cut takes is added to this list."""
    taken: list[bytes] = []
    ordinary = QuickConnection.cross

    def noted(self: QuickConnection, crossing: Crossing, body_left: int = 0) -> None:
        taken.append(crossing._request_head + crossing._body)
        ordinary(self, crossing, body_left)

    monkeypatch.setattr(QuickConnection, "cross", noted)
    return taken


async def make_hot(client: RawClient, taken: list[bytes], request: bytes) -> None:
    """Ask until the short cut has answered on this connection; nobody else asks for just that meanwhile."""
    before = taken.count(request)
    while taken.count(request) == before:
        await client.send(request)
        assert (await client.answer()).status == 200
