"""A listener whose short cut lets every plain request through to one upstream, without judging it."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from support.live import session
from support.metrics import samples
from support.raw_client import RawClient
from support.relaying import APP
from support.upstreams import Peer, Script, Scripted, serving, until

from gateway.core.decision import Forward, decide
from gateway.core.policy.model import Match, Need
from gateway.core.records import Account, Snapshot
from gateway.core.target import parse_target
from gateway.errors import UpstreamFailed, UpstreamFault
from gateway.proxy.crossing import Crossing
from gateway.proxy.live import LiveConnections, Mark
from gateway.proxy.passage import Passage
from gateway.proxy.record import Records
from gateway.proxy.upstream import Upstream, UpstreamLimits
from gateway.proxy.wire import header_lines
from gateway.web.connection import ListenerLimits, Request
from gateway.web.listener import Listener
from gateway.web.metrics import Metrics
from gateway.web.short_cut import QuickConnection

PATIENT = UpstreamLimits(connections=4, connect=60, first_byte=60, idle=60, keep=60, retry_after_failure=0)

WARM = b"GET /warm HTTP/1.1\r\nHost: localhost\r\n\r\n"
_WARMED = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwarm"

_ADA = Snapshot(
    session("phone"),
    Account("ada", "Ada", "", frozenset(), disabled=False, epoch=1, confirmed_factors=0),
    None,
    1,
)

_STATUS = {UpstreamFault.TIMEOUT: 504}


_TAKEN = re.compile(
    rb"(?P<method>GET|HEAD|POST) (?P<target>\S+) HTTP/1\.1\r\n"
    rb"Host: localhost\r\n(?:Content-Length: (?P<length>\d+)\r\n)?\r\n"
)


def post(length: int, path: bytes = b"/up") -> bytes:
    """The head of a request with a body."""
    return b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (path, length)


def get(path: bytes = b"/", method: bytes = b"GET") -> bytes:
    """A request for the short cut, which takes every GET and HEAD, and POST with a length."""
    return b"%b %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % (method, path)


@dataclass
class Bridge:
    """All requests belong to the session `phone` of `ada`.

    `taken` are the requests that crossed, `ordinary` those that came the ordinary way, `failures` what had
    come of these before. The ordinary way answers 200, or what it makes of a failure. `as_of` is when it was
    looked up who asks; None for just now. Only where it `waits` for a connection, one need not be free.
    """

    upstream: Upstream
    metrics: Metrics = field(default_factory=Metrics)
    taken: list[bytes] = field(default_factory=list)
    ordinary: list[str] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    crossings: list[Crossing] = field(default_factory=list)
    as_of: Mark | None = None
    waits: bool = False
    port: int = 0

    def __post_init__(self) -> None:
        self.live = LiveConnections(self.metrics)
        self.records = Records(self.metrics)

    def __call__(self, connection: QuickConnection, data: bytes) -> bool:
        """The short cut."""
        form = _TAKEN.match(data)
        if form is None:
            return False
        method, target, length = form["method"].decode(), form["target"].decode("latin-1"), form["length"]
        body = data[form.end() :]
        if len(body) > int(length or 0) or not (self.waits or self.upstream.free_connections):
            return False
        match = Match(APP, None, Need.PUBLIC, None)
        decision = decide(parse_target(method, target, "localhost"), match, None, 0.0)
        assert isinstance(decision, Forward)
        passage = Passage(match, decision, _ADA, self.as_of or self.live.mark())
        crossing = Crossing(
            connection,
            form[0],
            passage,
            "127.0.0.1",
            self.records,
            length=int(length) if length else None,
            body=body,
        )
        took = crossing.begin(self.upstream, header_lines([(b"Host", b"localhost")]), self.live)
        if took:
            self.taken.append(data)
            self.crossings.append(crossing)
        return took

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """The ordinary way."""
        self.ordinary.append(f"{request.method} {request.raw_path}")
        failure = request.earlier.failure if isinstance(request, Request) and request.earlier else None
        if failure is None:
            return web.Response(body=await request.read() or b"ordinary")
        self.failures.append(failure)
        assert isinstance(failure, UpstreamFailed)
        return web.Response(status=_STATUS.get(failure.fault, 502), text=failure.fault)


@dataclass
class Crossed:
    """An upstream with a free connection to it, the short cut in front of it, a client in front of that."""

    app: Scripted
    bridge: Bridge
    client: RawClient
    listener: Listener


def warmed(script: Script) -> Script:
    """The same, behind an answer to WARM."""

    async def followed(peer: Peer) -> None:
        assert await peer.head() == WARM
        peer.heads.clear()
        await peer.say(_WARMED)
        await script(peer)

    return followed


@asynccontextmanager
async def crossing(
    script: Script,
    *,
    upstream: UpstreamLimits = PATIENT,
    limits: ListenerLimits | None = None,
    receive_buffer: int | None = None,
) -> AsyncIterator[Crossed]:
    """Follow `script` on each connection to the upstream, behind a first answer; one is free."""
    async with serving(warmed(script)) as app:
        bridge = Bridge(Upstream([app.address], upstream))
        listener = Listener(bridge.handle, limits or ListenerLimits(), bridge)
        bridge.port = await listener.start("127.0.0.1", 0)
        try:
            await add_free(bridge)
            async with await RawClient.connect(bridge.port, receive_buffer=receive_buffer) as client:
                await settled(listener)
                yield Crossed(app, bridge, client, listener)
        finally:
            await listener.stop(grace=0)
            await bridge.upstream.close()


async def add_free(bridge: Bridge) -> None:
    """Make one more connection to the upstream, and leave it free."""
    match = Match(APP, None, Need.PUBLIC, None)
    decision = decide(parse_target("GET", "/warm", "localhost"), match, None, 0.0)
    assert isinstance(decision, Forward)
    response = await bridge.upstream.send(decision.permit, [(b"Host", b"localhost")], None)
    assert [part async for part in response.chunks()] == [b"warm"]


async def settled(listener: Listener) -> None:
    """Wait until every connection that was made waits for a request."""
    await until(lambda: bool(listener._connections) and all(each._waiter for each in listener._connections))


def saying(*answers: bytes) -> Script:
    """Answer one request after the other so, and then wait for the gateway to hang up."""

    async def script(peer: Peer) -> None:
        for answer in answers:
            await peer.head()
            await peer.say(answer)
        await peer.rest()

    return script


def counted(scene: Crossed) -> dict[str, float]:
    """How many requests that crossed are on record, by what became of them."""
    found = samples(scene.bridge.metrics)
    return {key[2]: count for key, count in found.items() if key[0] == "requests_total"}


async def over(scene: Crossed) -> None:
    """Wait until nothing is left of the client's connection, nor of the upstream's."""
    await until(lambda: not scene.listener._connections and not scene.bridge.upstream.open_connections)
    assert scene.bridge.live.count == 0


async def until_reset(client: RawClient) -> bytes:
    """What a client gets before its connection is reset; an end in good order is a failure."""
    received = bytearray()
    with pytest.raises(ConnectionResetError):
        while True:
            received += await client.reader.readexactly(1)
    return bytes(received)
