"""Who is asking, and when: what every page starts from."""

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web
from multidict import CIMultiDictProxy

from gateway.demo.ledger import Customer, Exchange

Clock = Callable[[], float]

CLOCK: web.AppKey[Clock] = web.AppKey("CLOCK")
EXCHANGE = web.AppKey("EXCHANGE", Exchange)

GUEST = "guest"
"""Who asks when nobody says so: a public path, or the exchange without a gateway."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The person, in the words of the identity headers; only `subject` is never empty."""

    subject: str
    name: str
    email: str
    groups: tuple[str, ...]

    @classmethod
    def from_headers(cls, headers: CIMultiDictProxy[str]) -> "Identity":
        """Read `Remote-User`, `Remote-Name`, `Remote-Email` and `Remote-Groups` (comma-separated).

        They are believed as they are: whoever can reach this app can be anybody.
        """
        subject = headers.get("Remote-User", "").strip() or GUEST
        groups = (group.strip() for group in headers.get("Remote-Groups", "").split(","))
        return cls(
            subject=subject,
            name=headers.get("Remote-Name", "").strip() or subject,
            email=headers.get("Remote-Email", "").strip(),
            groups=tuple(group for group in groups if group),
        )


@dataclass(frozen=True, slots=True)
class Visit:
    """One request: who asks for which path, their customer record, and the time that its answer refers to."""

    identity: Identity
    exchange: Exchange
    customer: Customer
    now: float
    path: str

    @property
    def display_name(self) -> str:
        return self.customer.profile.display_name or self.identity.name


def visit_of(request: web.Request) -> Visit:
    identity = Identity.from_headers(request.headers)
    now = request.app[CLOCK]()
    exchange = request.app[EXCHANGE]
    return Visit(identity, exchange, exchange.customer(identity.subject, now), now, request.path)
