"""What a gateway's short cut takes."""

import pytest
from support.raw_client import RawClient

from gateway.proxy.short_cut import ShortCut
from gateway.web.short_cut import QuickConnection


def note_taken(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """From now on, every request that a short cut takes is added to this list."""
    taken: list[bytes] = []
    ordinary = ShortCut.__call__

    def noted(self: ShortCut, connection: QuickConnection, data: bytes) -> bool:
        if took := ordinary(self, connection, data):
            taken.append(data)
        return took

    monkeypatch.setattr(ShortCut, "__call__", noted)
    return taken


async def make_hot(client: RawClient, taken: list[bytes], request: bytes) -> None:
    """Ask until the short cut has answered on this connection; nobody else asks for just that meanwhile."""
    before = taken.count(request)
    while taken.count(request) == before:
        await client.send(request)
        assert (await client.answer()).status == 200
