"""From what the listener received to an `Inbound`: the only place that looks at the raw request."""

from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from gateway.core.target import recent_target
from gateway.web import addresses
from gateway.web.cookies import CookieJar, OwnCookies
from gateway.web.inbound import Inbound, RawHeaders


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a request's headers say to the gateway itself; `route` as in `Inbound`."""

    host: str
    cookies: OwnCookies
    route: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reader:
    """How the outside world reaches this gateway: the public scheme, and the proxies in front of it."""

    scheme: str
    trusted: Sequence[addresses.Network]
    jar: CookieJar

    def read(self, request: web.BaseRequest, now: float) -> Inbound:
        """Raises BadRequest for a target that is malformed or ambiguous."""
        peer = request.transport.get_extra_info("peername") if request.transport else None
        envelope = self.envelope(request.raw_headers, peer)
        return Inbound(
            connection=request,
            target=recent_target(request.method, request.raw_path, envelope.host),
            headers=request.raw_headers,
            cookies=envelope.cookies,
            route=envelope.route,
            scheme=self.scheme,
            now=now,
        )

    def envelope(self, headers: RawHeaders, peer: object) -> Envelope:
        """What the headers of a request that came from a socket's `peer` say to the gateway."""
        hosts = [value for name, value in headers if name.lower() == b"host"]
        forwarded = [value.decode("latin-1") for name, value in headers if name.lower() == b"x-forwarded-for"]
        return Envelope(
            host=hosts[0].decode("latin-1") if len(hosts) == 1 else "",
            cookies=self.jar.read(headers),
            route=addresses.route(peer, forwarded, self.trusted),
        )
