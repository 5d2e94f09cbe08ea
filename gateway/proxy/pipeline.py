"""The way of a request, on one screen: read, identify, match, decide, act.

What lets a request pass is `gateway.core.decision`. Everything here carries a value from one stage to
the next, or says no.
"""

from dataclasses import replace
from typing import Protocol

import structlog
from aiohttp import web

from gateway import clock
from gateway.core.decision import AuthoriseDevice, Decision, Forward, Permit, Refuse, SignIn, StepUp
from gateway.core.policy.matching import PolicySet
from gateway.core.policy.model import App, Match, Need
from gateway.core.reasons import Reason
from gateway.core.records import Snapshot
from gateway.core.target import Target
from gateway.errors import BadRequest, PayloadTooLarge, StoreUnavailable, UpstreamFailed
from gateway.identity.step_up import StepUps
from gateway.proxy.answers import Answers
from gateway.proxy.challenger import Challenger
from gateway.store.sessions import Sessions
from gateway.web.cookies import CookieKind
from gateway.web.inbound import Inbound
from gateway.web.origin import is_same_origin
from gateway.web.reading import Reader
from gateway.web.return_to import RESERVED
from gateway.web.visit import Deliver, Visit

RETRY_AFTER = {"Retry-After": "5"}
_TOUCH_AFTER = 60.0
"""Seconds after which the use of a session is noted again."""

_log = structlog.get_logger("gateway.request")


class OwnPages(Protocol):
    """The gateway's own pages, as the pipeline sees them: what an address needs, and who answers."""

    def find(self, app: App, target: Target) -> tuple[Match, Deliver] | frozenset[str]:
        """The match for one of our addresses; else the methods that it allows, none if unknown."""


class Pipeline:
    def __init__(
        self,
        *,
        policies: PolicySet,
        reader: Reader,
        sessions: Sessions,
        step_ups: StepUps,
        challenger: Challenger,
        answers: Answers,
        own_pages: OwnPages,
        to_app: Deliver,
    ) -> None:
        self.policies = policies
        self._reader = reader
        self._sessions = sessions
        self._step_ups = step_ups
        self._challenger = challenger
        self._answers = answers
        self._own_pages = own_pages
        self._to_app = to_app

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; every failure becomes a refusal that says no more than it must."""
        inbound: Inbound | None = None
        try:
            inbound = self._reader.read(request, clock.now())
            return await self._answer(inbound)
        except BadRequest as error:
            return self._answers.refuse(Reason.BAD_REQUEST, inbound, detail=str(error))
        except PayloadTooLarge as error:
            return self._answers.refuse(Reason.BODY_TOO_LARGE, inbound, detail=str(error))
        except StoreUnavailable as error:
            _log.error("store unavailable", error=str(error))
            return self._answers.refuse(Reason.STORE_UNAVAILABLE, inbound, headers=RETRY_AFTER)
        except UpstreamFailed as error:
            _log.warning("upstream failed", fault=error.fault, error=str(error))
            return self._answers.refuse(error.fault, inbound)

    async def _answer(self, inbound: Inbound) -> web.StreamResponse:
        app = self.policies.app_for(inbound.target.host)
        if app is None:
            return self._answers.refuse(Reason.UNKNOWN_HOST, inbound)
        visit = self._match(inbound, app)
        if isinstance(visit, web.Response):
            return visit
        if visit.match.need in (Need.PUBLIC, Need.DENY) and not visit.match.by_group:
            return await self._act(visit, visit.decide())
        visit = await self._identify(visit)
        return await self._act(visit, visit.decide())

    def _match(self, inbound: Inbound, app: App) -> Visit | web.Response:
        """What the target needs. State-changing calls to our own pages must come from our own pages."""
        if inbound.target.segments[0] != RESERVED:
            match = self.policies.match(inbound.target, None)
            if match is None:
                return self._answers.refuse(Reason.UNKNOWN_HOST, inbound)
            if inbound.is_upgrade and match.need is not Need.PUBLIC and not is_same_origin(inbound):
                return self._answers.refuse(Reason.WRONG_ORIGIN, inbound)
            return Visit(inbound, app, match, self._to_app)
        found = self._own_pages.find(app, inbound.target)
        if isinstance(found, frozenset):
            if not found:
                return self._answers.refuse(Reason.NOT_FOUND, inbound)
            return self._answers.refuse(
                Reason.METHOD_REFUSED, inbound, headers={"Allow": ", ".join(sorted(found))}
            )
        if not inbound.is_safe and not is_same_origin(inbound):
            return self._answers.refuse(Reason.WRONG_ORIGIN, inbound)
        return Visit(inbound, app, *found)

    async def _identify(self, visit: Visit) -> Visit:
        """Who is asking; and, on the way back from a step-up, the request that was parked."""
        cookies = visit.inbound.cookies
        if cookies.session is None:
            return visit
        now = visit.inbound.now
        snapshot = await self._sessions.identify(cookies.session, now)
        visit = replace(visit, snapshot=snapshot)
        if snapshot is None:
            return visit
        if cookies.resume is not None and visit.inbound.target.method == "GET":
            visit = await self._resume(visit, snapshot, cookies.resume)
        if visit.match.by_group:
            match = self.policies.match(visit.inbound.target, snapshot.account.groups)
            visit = visit if match is None else replace(visit, match=match)
        return visit

    async def _resume(self, visit: Visit, snapshot: Snapshot, resume_cookie: str) -> Visit:
        """Swap a GET for the request that was parked at its address, if there is one."""
        inbound = visit.inbound
        parked = await self._step_ups.resume(
            snapshot, resume_cookie, inbound.target.path_and_query, inbound.now
        )
        if parked is None:
            return visit
        current_cookies = tuple(pair for pair in inbound.headers if pair[0].lower() == b"cookie")
        resumed = replace(
            inbound,
            target=replace(inbound.target, method=parked.method),
            headers=(*parked.headers, *current_cookies),
            body=parked.body,
        )
        again = self._match(resumed, visit.app)
        if isinstance(again, web.Response):
            return visit
        return replace(again, snapshot=snapshot).with_cookie(self._reader.jar.forget(CookieKind.RESUME))

    async def _act(self, visit: Visit, decision: Decision) -> web.StreamResponse:
        """Do what was decided. A grant that somebody else used up first leads to a new challenge."""
        while True:
            match decision:
                case Forward(permit, _, spends):
                    if spends is None or await self._sessions.consume(
                        permit.session_id or "", spends, visit.inbound.now
                    ):
                        return await self._forward(visit, permit)
                    visit = visit.without_grant(spends)
                    decision = visit.decide()
                case StepUp():
                    visit, outcome = await self._challenger.resolve(visit, decision)
                    if isinstance(outcome, web.Response):
                        return visit.answered(outcome)
                    decision = outcome
                case SignIn(reason):
                    return visit.answered(self._answers.sign_in(visit, reason))
                case AuthoriseDevice(reason):
                    return visit.answered(self._answers.authorise_device(visit, reason))
                case Refuse(reason):
                    return visit.answered(self._answers.refuse(reason, visit.inbound, visit))

    async def _forward(self, visit: Visit, permit: Permit) -> web.StreamResponse:
        snapshot, inbound = visit.snapshot, visit.inbound
        if snapshot is not None and inbound.now - snapshot.session.last_used_at > _TOUCH_AFTER:
            await self._sessions.touch(snapshot, inbound.address, inbound.now)
        return await visit.deliver(visit, permit)
