"""From what the listener received to an `Inbound`: the only place that looks at the raw request."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from aiohttp import web

from gateway.core.target import Target, recent_target
from gateway.web import addresses
from gateway.web.connection import Connection
from gateway.web.cookies import CookieJar, OwnCookies
from gateway.web.forward_auth import Dialect, dialect_of, question
from gateway.web.inbound import Inbound, RawHeaders
from gateway.web.strangers import Strangers

TELLING = frozenset((b"cookie", b"host", b"x-forwarded-for"))
"""The headers that an `Envelope` is made of, in small letters."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a request's headers say to the gateway itself; `route` as in `Inbound`."""

    host: str
    cookies: OwnCookies
    route: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reader:
    """How the outside world reaches this gateway: the public scheme, and the proxies in front of it.

    `asks`: they may ask about requests, too, that they forward themselves.
    """

    scheme: str
    trusted: Sequence[addresses.Network]
    jar: CookieJar
    asks: bool = False
    strangers: Strangers = field(default_factory=Strangers, repr=False, compare=False)

    def asked_by(self, request: web.BaseRequest) -> Dialect | None:
        """In whose way the peer asks about another request; None when it makes one."""
        dialect = dialect_of(request.raw_path) if self.asks else None
        return dialect if dialect and addresses.is_trusted(_peer(request), self.trusted) else None

    def read(self, request: web.BaseRequest, now: float) -> Inbound:
        """Raises BadRequest for a target that is malformed or ambiguous."""
        if dialect := self.asked_by(request):
            asked = question(dialect, request.method, request.raw_path, request.raw_headers)
            envelope = self.envelope(asked.headers, _peer(request))
            inbound = self._inbound(request, asked.target, asked.headers, envelope, now)
            # What was parked can go nowhere from here.
            return replace(inbound, asked_about=True, cookies=replace(inbound.cookies, resume=None))
        if dialect_of(request.raw_path):
            self.strangers.asked(addresses.of_peer(_peer(request)), now, forward_auth=self.asks)
        envelope = self.envelope(request.raw_headers, _peer(request))
        target = recent_target(request.method, request.raw_path, envelope.host)
        return self._inbound(request, target, request.raw_headers, envelope, now)

    def _inbound(
        self,
        request: web.BaseRequest,
        target: Target,
        headers: RawHeaders,
        envelope: Envelope,
        now: float,
    ) -> Inbound:
        return Inbound(
            connection=request,
            target=target,
            headers=headers,
            cookies=envelope.cookies,
            route=envelope.route,
            scheme=self.scheme,
            now=now,
        )

    def envelope(self, headers: RawHeaders, peer: object) -> Envelope:
        """What the headers of a request that came from a socket's `peer` say to the gateway."""
        hosts: list[bytes] = []
        forwarded: list[str] = []
        for name, value in headers:
            key = name.lower()
            if key == b"host":
                hosts.append(value)
            elif key == b"x-forwarded-for":
                forwarded.append(value.decode("latin-1"))
        return Envelope(
            host=hosts[0].decode("latin-1") if len(hosts) == 1 else "",
            cookies=self.jar.read(headers),
            route=addresses.route(peer, forwarded, self.trusted),
        )


def _peer(request: web.BaseRequest) -> object:
    connection = request.protocol
    return connection.peer if isinstance(connection, Connection) else None
