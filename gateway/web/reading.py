"""From what the listener received to an `Inbound`: the only place that looks at the raw request."""

from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from gateway.core.target import parse_target
from gateway.web import addresses
from gateway.web.cookies import CookieJar
from gateway.web.inbound import Inbound


@dataclass(frozen=True, slots=True)
class Reader:
    """How the outside world reaches this gateway: the public scheme, and the proxies in front of it."""

    scheme: str
    trusted: Sequence[addresses.Network]
    jar: CookieJar

    def read(self, request: web.BaseRequest, now: float) -> Inbound:
        """Raises BadRequest for a target that is malformed or ambiguous."""
        headers = request.raw_headers
        hosts = [value for name, value in headers if name.lower() == b"host"]
        forwarded = [value.decode("latin-1") for name, value in headers if name.lower() == b"x-forwarded-for"]
        peer = request.transport.get_extra_info("peername") if request.transport else None
        return Inbound(
            connection=request,
            target=parse_target(
                request.method, request.raw_path, hosts[0].decode("latin-1") if len(hosts) == 1 else ""
            ),
            headers=headers,
            cookies=self.jar.read(headers),
            route=addresses.route(peer, forwarded, self.trusted),
            scheme=self.scheme,
            now=now,
        )
