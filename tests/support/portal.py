"""The gateway's own pages without a gateway around them, for what cannot be timed from outside."""

from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from support.gateway import QUICK
from support.identity import WAITING
from support.store import NOW, RING

from gateway.core.decision import Permit
from gateway.core.policy.matching import PolicySet
from gateway.core.policy.model import App, Need
from gateway.core.policy.own import own_app
from gateway.core.records import LaterDevices, Snapshot
from gateway.core.target import parse_target
from gateway.identity.password_change import PasswordChanges
from gateway.identity.passwords import Passwords
from gateway.identity.recovery import Recovery
from gateway.identity.second_factor import SecondFactor
from gateway.identity.sign_in import SignInLimits, SignIns
from gateway.identity.step_up import StepUps
from gateway.portal.account_app import own_match
from gateway.portal.call import Call
from gateway.portal.desk import Desk
from gateway.store.attempts import AttemptLimit, GrowingDelay
from gateway.store.opening import Store
from gateway.web.cookies import CookieJar, OwnCookies
from gateway.web.inbound import Inbound
from gateway.web.metrics import Metrics
from gateway.web.visit import Visit

APP = App("exchange", "", "Exchange", ("localhost",), ("http://127.0.0.1:1",), Need.SESSION)


def inbound(line: str = "POST /", *, body: bytes = b"", content_type: bytes | None = None) -> Inbound:
    """A request of a program, its body read already."""
    method, target = line.split(" ")
    return Inbound(
        connection=make_mocked_request("GET", "/"),
        target=parse_target(method, target, "localhost"),
        headers=() if content_type is None else ((b"Content-Type", content_type),),
        cookies=OwnCookies(None, None, None),
        route=("192.0.2.1",),
        scheme="http",
        now=NOW,
        body=body,
    )


def call_of(request: Inbound, person: Snapshot | None, **captured: str) -> Call:
    """What a handler gets once `person`, as known a moment ago, was let in."""

    async def never(visit: Visit, permit: Permit) -> web.StreamResponse:
        raise AssertionError("the handler is called directly")

    visit = Visit(request, APP, own_match(own_app(), APP, Need.SESSION, None), never, snapshot=person)
    return Call(visit, captured)


def desk_of(store: Store) -> Desk:
    metrics, passwords = Metrics(), Passwords(hasher=QUICK)
    delay = GrowingDelay(free=100, first=30, longest=900)
    recovery = Recovery(store, passwords, delay, WAITING, metrics.code)
    second_factor = SecondFactor(store, RING, delay, "Watchword", metrics.code)
    limits = SignInLimits(delay, AttemptLimit(most=100, window=300), later_devices=LaterDevices.ALLOW)
    return Desk(
        store,
        SignIns(store, passwords, limits, metrics.sign_in),
        second_factor,
        recovery,
        StepUps(store, RING, second_factor, recovery, lifetime=300),
        CookieJar(secure=False),
        metrics,
        PasswordChanges(store, passwords, delay),
        policies=lambda: PolicySet([APP]),
    )
