"""A request to one of the gateway's own addresses, once it is allowed."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs

from aiohttp import web

from gateway.core.records import Grant, Snapshot
from gateway.core.target import Target
from gateway.web.inbound import Inbound
from gateway.web.visit import Visit


@dataclass(frozen=True, slots=True)
class Call:
    """`captured` are the parts of the address that its pattern names.

    `proof` is the grant that let the request through; None where no code was asked for.
    """

    visit: Visit
    captured: Mapping[str, str]
    proof: Grant | None = None

    @property
    def inbound(self) -> Inbound:
        return self.visit.inbound

    @property
    def person(self) -> Snapshot:
        """Who asks, on an address that needs a session."""
        if self.visit.snapshot is None:
            raise TypeError("this address is open to everybody; ask desk.identify")
        return self.visit.snapshot

    def query(self, name: str) -> str | None:
        """The only value of a query parameter; None when missing or repeated."""
        return query_value(self.inbound.target, name)


Handler = Callable[[Call], Awaitable[web.StreamResponse]]


def query_value(target: Target, name: str) -> str | None:
    """The only value of a query parameter; None when missing or repeated."""
    values = parse_qs(target.query or "", keep_blank_values=True).get(name, [])
    return values[0] if len(values) == 1 else None
