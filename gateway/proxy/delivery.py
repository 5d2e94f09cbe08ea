"""Delivering an allowed request to its app, over connections that are kept for the next one."""

from aiohttp import web

from gateway.core.decision import Permit
from gateway.proxy.crossing import Crossing
from gateway.proxy.header import headers_of
from gateway.proxy.headers import Outbound, outbound
from gateway.proxy.identity_headers import IdentityHeaders
from gateway.proxy.live import LiveConnections
from gateway.proxy.passage import Passage
from gateway.proxy.relay import Relay
from gateway.proxy.upstream import Upstream, UpstreamLimits
from gateway.proxy.wire import Lines
from gateway.web.metrics import Metrics
from gateway.web.visit import Visit


class Delivery:
    """One `Upstream` for each set of addresses, made when it is first needed.

    What is allowed to a session is registered under it for as long as it runs, and ends with it.
    """

    def __init__(
        self, limits: UpstreamLimits, identities: IdentityHeaders, metrics: Metrics, live: LiveConnections
    ) -> None:
        self._limits = limits
        self.identities = identities
        self._metrics = metrics
        self._live = live
        self._upstreams: dict[tuple[str, ...], Upstream] = {}

    async def __call__(self, visit: Visit, permit: Permit) -> web.StreamResponse:
        """Send the request and relay the answer. Raises UpstreamFailed before anything was answered."""
        inbound = visit.inbound
        told = outbound(
            headers_of(inbound.headers),
            permit.target.authority,
            route=inbound.route,
            scheme=inbound.scheme,
        )
        identity = self.identities.lines(permit, visit.snapshot, inbound.origin, inbound.now)
        relay = Relay(
            inbound.connection,
            permit,
            self._upstream(visit.app.upstreams),
            told.around(identity),
            body=inbound.body,
            extra=[(b"Set-Cookie", cookie.encode("ascii")) for cookie in visit.set_cookies],
        )
        if not inbound.is_upgrade:
            return await self._run(relay, visit, permit)
        with self._metrics.tunnel():
            return await self._run(relay, visit, permit)

    async def _run(self, relay: Relay, visit: Visit, permit: Permit) -> web.StreamResponse:
        if permit.session_id is None or visit.snapshot is None:
            return await relay.run()  # nobody's: a public path
        with self._live.register(visit.snapshot.session, relay.cut, since=visit.as_of) as handle:
            return await relay.run(handle.may_pass)

    def headers_of(self, passage: Passage, told: Outbound, origin: str, now: float) -> Lines:
        """The headers for a request on the short cut; `origin` is as in `Inbound`.

        Raises ValueError for an account that no header can name.
        """
        identity = self.identities.lines(passage.forward.permit, passage.snapshot, origin, now)
        return told.around(identity)

    def cross(self, crossing: Crossing, headers: Lines) -> bool:
        """Send a request on by the short cut; False where it would have to wait for a connection."""
        app = crossing.passage.forward.permit.match.app
        return crossing.begin(self._upstream(app.upstreams), headers, self._live)

    async def close(self) -> None:
        for upstream in self._upstreams.values():
            await upstream.close()

    def _upstream(self, addresses: tuple[str, ...]) -> Upstream:
        upstream = self._upstreams.get(addresses)
        if upstream is None:
            upstream = self._upstreams[addresses] = Upstream(addresses, self._limits)
        return upstream
