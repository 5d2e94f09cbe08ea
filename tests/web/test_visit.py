"""A visit on its way: each step gives a new one, and the decision follows from it."""

from dataclasses import replace

import pytest
from aiohttp import web
from support.receiving import head, read
from support.store import NOW

from gateway.core.decision import AuthoriseDevice, Forward, Permit, SignIn, StepUp
from gateway.core.policy.model import Action, App, Match, Need, Protect
from gateway.core.reasons import Reason
from gateway.core.records import Account, Device, DeviceState, Grant, Session, Snapshot
from gateway.web.visit import Visit

APP = App("exchange", "", "Exchange", ("localhost",), ("http://127.0.0.1:1",), Need.SESSION)
APPROVE = Action("exchange", "approve", "Approving", Protect.ALWAYS, fresh=60, single_use=True)
GRANT = Grant(APPROVE.key, NOW, NOW + 60, "this request")
ADA = Snapshot(
    Session("s", "ada", "d", NOW, 1, 1, NOW, NOW, NOW + 60, NOW + 60, "192.0.2.1"),
    Account("ada", "Ada", "", frozenset(), disabled=False, epoch=1, confirmed_factors=1),
    Device("d", "ada", "Firefox", "", DeviceState.AUTHORISED, NOW, NOW, "192.0.2.1"),
    global_epoch=1,
)


async def never(visit: Visit, permit: Permit) -> web.StreamResponse:
    raise AssertionError("nothing is delivered here")


@pytest.fixture
async def visit() -> Visit:
    return Visit(await read(head()), APP, Match(APP, None, Need.SESSION, APPROVE), never, snapshot=ADA)


async def test_a_decision_follows_from_what_is_known(visit: Visit) -> None:
    assert isinstance(Visit(visit.inbound, APP, visit.match, never).decide(), SignIn)
    assert isinstance(visit.decide("this request"), StepUp)
    granted = visit.with_grant(GRANT)
    assert isinstance(granted.decide(), StepUp), "without a binding nothing is proven"
    assert isinstance(granted.decide("another request"), StepUp)
    decision = granted.decide("this request")
    assert isinstance(decision, Forward) and decision.spends == GRANT
    assert isinstance(granted.without_grant(GRANT).decide("this request"), StepUp)


async def test_time_is_that_of_the_request(visit: Visit) -> None:
    old = Grant(APPROVE.key, NOW - 60, NOW, "this request")
    assert isinstance(visit.with_grant(old).decide("this request"), StepUp)


async def test_only_the_grant_that_was_lost_goes(visit: Visit) -> None:
    other = Grant("exchange/other", NOW, NOW + 60)
    left = visit.with_grant(other).with_grant(GRANT).without_grant(GRANT)
    assert left.snapshot is not None and left.snapshot.grants == (other,)


async def test_without_a_session_there_are_no_grants(visit: Visit) -> None:
    nobody = Visit(visit.inbound, APP, visit.match, never)
    assert nobody.with_grant(GRANT) == nobody == nobody.without_grant(GRANT)
    assert visit.with_grant(None) == visit


async def test_a_code_may_vouch_for_the_device(visit: Visit) -> None:
    on_device = replace(visit, match=Match(APP, None, Need.DEVICE, None))
    assert on_device.decide() == AuthoriseDevice(Reason.DEVICE_UNCONFIRMED)
    confirmed = on_device.with_device_confirmed()
    assert isinstance(confirmed.decide(), Forward)
    assert confirmed.snapshot is not None and confirmed.snapshot.device is not None
    assert confirmed.snapshot.device.confirmed_at == NOW
    nobody = Visit(visit.inbound, APP, visit.match, never)
    assert nobody.with_device_confirmed() == nobody


async def test_cookies_go_out_with_whatever_the_answer_is(visit: Visit) -> None:
    with_two = visit.with_cookie("a=1; Path=/").with_cookie(None).with_cookie("b=2; Path=/")
    answer = with_two.answered(web.Response(headers={"Set-Cookie": "c=3"}))
    assert answer.headers.getall("Set-Cookie") == ["c=3", "a=1; Path=/", "b=2; Path=/"]
    assert "Set-Cookie" not in visit.answered(web.Response()).headers
