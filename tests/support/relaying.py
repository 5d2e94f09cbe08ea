"""A listener that lets every request through to one upstream: the proxy without its judgement."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from aiohttp import web
from support.live import session

from gateway.core.decision import Forward, Permit, decide
from gateway.core.policy.model import App, Match, Need
from gateway.core.target import parse_target
from gateway.errors import BadRequest, PayloadTooLarge, UpstreamFailed
from gateway.proxy.header import headers_of
from gateway.proxy.headers import outbound
from gateway.proxy.live import LiveConnections
from gateway.proxy.relay import Relay, Relayed
from gateway.proxy.upstream import Upstream, UpstreamLimits
from gateway.proxy.wire import NO_LINES
from gateway.web.connection import ListenerLimits
from gateway.web.listener import Listener
from gateway.web.metrics import Metrics

APP = App("app", "app.yaml", "App", ("localhost",), ("http://127.0.0.1:1",), Need.PUBLIC)


class Passage:
    """The handler. `relays` are those that began, `answers` those that ended, `failures` what was raised.

    All belong to the session `phone` of `ada`; `live` is where they are registered.

    `resumed` replaces the next request: the permit's method, and the body.
    """

    def __init__(self, address: str, body_limit: int | None, limits: UpstreamLimits) -> None:
        self.upstream = Upstream([address], limits)
        self.listener: Listener | None = None
        self.port = 0
        self.app = replace(APP, body_limit=body_limit)
        self.live = LiveConnections(Metrics())
        self.session = session("phone")
        self.extra: list[tuple[bytes, bytes]] = []
        self.resumed: tuple[str, bytes] | None = None
        self.relays: list[Relay] = []
        self.answers: list[Relayed] = []
        self.failures: list[Exception] = []

    def permit(self, method: str, request: web.BaseRequest) -> Permit:
        target = parse_target(method, request.raw_path, request.headers["Host"])
        decision = decide(target, Match(self.app, None, Need.PUBLIC, None), None, 0.0)
        assert isinstance(decision, Forward)
        return decision.permit

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        method, body = self.resumed or (request.method, None)
        permit = self.permit(method, request)
        told = outbound(
            headers_of(request.raw_headers), permit.target.authority, route=["127.0.0.1"], scheme="http"
        )
        relay = Relay(request, permit, self.upstream, told.around(NO_LINES), body=body, extra=self.extra)
        self.relays.append(relay)
        try:
            with self.live.register(self.session, relay.cut) as handle:
                answer = await relay.run(handle.may_pass)
        except (BadRequest, PayloadTooLarge, UpstreamFailed) as error:
            self.failures.append(error)
            statuses = {BadRequest: 400, PayloadTooLarge: 413, UpstreamFailed: 502}
            return web.Response(status=statuses[type(error)], text=type(error).__name__)
        self.answers.append(answer)
        return answer


@asynccontextmanager
async def relaying(
    address: str,
    *,
    body_limit: int | None = None,
    limits: ListenerLimits | None = None,
    upstream_limits: UpstreamLimits | None = None,
    kind: type[Passage] = Passage,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Passage]:
    passage = kind(address, body_limit, upstream_limits or UpstreamLimits())
    listener = Listener(passage, limits or ListenerLimits())
    passage.listener = listener
    passage.port = await listener.start("localhost", 0, tls)
    try:
        yield passage
    finally:
        await listener.stop(grace=0)
        await passage.upstream.close()
