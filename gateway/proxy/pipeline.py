"""The way of a request, on one screen: read, identify, match, decide, act.

What lets a request pass is `gateway.core.decision`. Everything here carries a value from one stage to
the next, or says no.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import structlog
from aiohttp import web

from gateway import clock
from gateway.core.decision import AuthoriseDevice, Decision, Forward, Permit, Refuse, SignIn, StepUp
from gateway.core.policy.matching import PolicySet
from gateway.core.policy.model import OWN_APP, OWN_SEGMENT, App, Match, Need
from gateway.core.reasons import Reason
from gateway.core.records import Snapshot
from gateway.core.target import Target
from gateway.errors import BadRequest, PayloadTooLarge, StoreUnavailable, UpstreamFailed, UpstreamFault
from gateway.identity.step_up import StepUps
from gateway.proxy.answers import Answers
from gateway.proxy.challenger import Challenger
from gateway.proxy.live import LiveConnections
from gateway.proxy.passage import Memory, match_for, may_resume
from gateway.proxy.record import Record, Records
from gateway.proxy.relay import Relayed
from gateway.proxy.verdict import Verdicts, worded
from gateway.store.sessions import Sessions
from gateway.store.who import Who
from gateway.web.cookies import CookieKind
from gateway.web.inbound import Inbound, earlier_of
from gateway.web.metrics import Metrics
from gateway.web.origin import is_same_origin
from gateway.web.reading import Reader
from gateway.web.visit import Deliver, Visit

RETRY_AFTER = {"Retry-After": "5"}
_log = structlog.get_logger("gateway.request")


class OwnPages(Protocol):
    """The gateway's own pages, as the pipeline sees them: what an address needs, and who answers."""

    def find(self, account: App, app: App, target: Target) -> tuple[Match, Deliver] | frozenset[str]:
        """The match for one of our addresses on the host of `app`; else the methods it allows, perhaps none.

        `account` is what our own pages are by the policies of now.
        """

    def asset(self, inbound: Inbound) -> web.Response | None:
        """The style sheet, script or icon that is asked for; None if it is something else."""


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A request that no rule needs to look at: it is refused as it stands."""

    reason: Reason
    headers: Mapping[str, str] | None = None


class Pipeline:
    def __init__(
        self,
        *,
        policies: PolicySet,
        reader: Reader,
        sessions: Sessions,
        who: Who,
        step_ups: StepUps,
        challenger: Challenger,
        answers: Answers,
        own_pages: OwnPages,
        to_app: Deliver,
        verdicts: Verdicts,
        metrics: Metrics,
        live: LiveConnections,
        memory: Memory,
    ) -> None:
        self.policies = policies
        self.memory = memory
        self.records = Records(metrics)
        self.reader = reader
        self._sessions = sessions
        self._who = who
        self._step_ups = step_ups
        self._challenger = challenger
        self._answers = answers
        self._own_pages = own_pages
        self._to_app = to_app
        self._verdicts = verdicts
        self._metrics = metrics
        self._live = live

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, and keep a record of it."""
        earlier = earlier_of(request)
        record, began = Record(), earlier.began if earlier else clock.stopwatch()
        response = await self._answered(request, record)
        if isinstance(response, Relayed) and response.failure is not None:
            self.records.upstream_failed(record.app_name, response.failure)
        if dialect := self.reader.asked_by(request):
            response = worded(dialect, response, record.inbound.origin if record.inbound else "")
        self.records.keep(record, response.status, clock.stopwatch() - began)
        return response

    async def _answered(self, request: web.BaseRequest, record: Record) -> web.StreamResponse:
        """Every failure becomes a refusal that says no more than it must."""
        try:
            record.inbound = self.reader.read(request, clock.now())
            return await self._answer(record.inbound, record)
        except BadRequest as error:
            if record.inbound is None:
                record.refused(Reason.BAD_REQUEST, str(error))
                return self._answers.unreadable(request.raw_headers, str(error), record.reference)
            # Once the target was read, only the body is left to be malformed.
            return self._refuse(Reason.BODY_UNREADABLE, record, detail=str(error))
        except PayloadTooLarge as error:
            return self._refuse(Reason.BODY_TOO_LARGE, record, detail=str(error))
        except StoreUnavailable as error:
            self._metrics.store_error()
            _log.error("store unavailable", error=str(error))
            return self._refuse(Reason.STORE_UNAVAILABLE, record, headers=RETRY_AFTER)
        except UpstreamFailed as error:
            self.records.upstream_failed(record.app_name, error)
            return self._refuse(error.fault, record)
        except Exception:
            _log.exception("this should not happen")
            return self._refuse(Reason.INTERNAL_ERROR, record)

    def _refuse(
        self,
        cause: Reason | UpstreamFault,
        record: Record,
        *,
        detail: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> web.Response:
        record.refused(cause, detail)
        return self._answers.refuse(
            cause, record.inbound, record.app, reference=record.reference, detail=detail, headers=headers
        )

    async def _answer(self, inbound: Inbound, record: Record) -> web.StreamResponse:
        app = self.policies.app_for(inbound.target.host)
        if app is None:
            # The page that says so needs its style sheet, which is nobody's secret.
            return self._own_pages.asset(inbound) or self._refuse(Reason.UNKNOWN_HOST, record)
        record.app = app
        if inbound.earlier is not None:
            raise inbound.earlier.failure  # it was judged then, and the app may have it
        visit = self._match(inbound, app)
        if isinstance(visit, Unmatched):
            return self._refuse(visit.reason, record, headers=visit.headers)
        if _depends_on_who_asks(visit):
            visit = self._remembered(visit) or await self._identify(visit)
        return await self._act(visit, visit.decide(), record)

    def _match(self, inbound: Inbound, app: App) -> Visit | Unmatched:
        """What the target needs. State-changing calls to our own pages must come from our own pages."""
        if inbound.target.segments[0] != OWN_SEGMENT:
            match = self.policies.match(inbound.target, None)
            if match is None:
                return Unmatched(Reason.UNKNOWN_HOST)
            if inbound.is_upgrade and match.need is not Need.PUBLIC and not is_same_origin(inbound):
                return Unmatched(Reason.WRONG_ORIGIN)
            return Visit(inbound, app, match, self._verdicts if inbound.asked_about else self._to_app)
        found = self._own_pages.find(self.policies.account, app, inbound.target)
        if isinstance(found, frozenset):
            if not found:
                return Unmatched(Reason.NOT_FOUND)
            return Unmatched(Reason.METHOD_REFUSED, {"Allow": ", ".join(sorted(found))})
        if not inbound.is_safe and not is_same_origin(inbound):
            return Unmatched(Reason.WRONG_ORIGIN)
        return Visit(inbound, app, *found)

    def _remembered(self, visit: Visit) -> Visit | None:
        """An ordinary request to an app that may pass by what memory tells of who asks; None for others."""
        inbound = visit.inbound
        if visit.match.app.name == OWN_APP or may_resume(inbound.target, inbound.cookies):
            return None
        place = self.memory.place_of(inbound.cookies)
        passage = self.memory.passage(self.policies, inbound.target, visit.match, place, inbound.now)
        if passage is None:
            return None
        return replace(visit, match=passage.match, snapshot=passage.snapshot, as_of=passage.as_of)

    def _matched_for(self, visit: Visit, snapshot: Snapshot) -> Visit:
        """The same, by the rules for the groups of who asks, where they matter."""
        return replace(visit, match=match_for(self.policies, visit.inbound.target, visit.match, snapshot))

    async def _identify(self, visit: Visit) -> Visit:
        """Who is asking; and, on the way back from a step-up, the request that was parked."""
        session_cookie, now = visit.inbound.cookies.session, visit.inbound.now
        if session_cookie is None:
            return visit
        as_of = self._live.mark()
        snapshot = await self._who.ask(session_cookie, now)
        visit = replace(visit, snapshot=snapshot, as_of=as_of)
        if snapshot is None:
            return visit
        if may_resume(visit.inbound.target, visit.inbound.cookies):
            visit = await self._resume(visit, snapshot)
        return self._matched_for(visit, snapshot)

    async def _resume(self, visit: Visit, snapshot: Snapshot) -> Visit:
        """Swap a GET for the request that was parked at its address, if there is one."""
        inbound = visit.inbound
        parked = await self._step_ups.resume(
            snapshot, inbound.cookies.resume or "", inbound.target.path_and_query, inbound.now
        )
        if parked is None:
            return visit
        current_cookies = tuple(pair for pair in inbound.headers if pair[0].lower() == b"cookie")
        resumed = replace(
            inbound,
            target=inbound.target.with_method(parked.method),
            headers=(*parked.headers, *current_cookies),
            body=parked.body,
        )
        again = self._match(resumed, visit.app)
        if isinstance(again, Unmatched):
            return visit
        return replace(again, snapshot=snapshot, as_of=visit.as_of).with_cookie(
            self.reader.jar.forget(CookieKind.RESUME)
        )

    async def _act(self, visit: Visit, decision: Decision, record: Record) -> web.StreamResponse:
        """Do what was decided. A grant that somebody else used up first leads to a new challenge."""
        while True:
            record.decided(decision)
            match decision:
                case Forward(permit=permit, spends=spends):
                    if _must_be_told(visit):
                        record.outcome, record.reason = "told", Reason.RESET_WAITING
                        return visit.answered(self._answers.tell_of_reset(visit))
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
                    return visit.answered(self._refuse(reason, record))

    async def _forward(self, visit: Visit, permit: Permit) -> web.StreamResponse:
        if visit.snapshot is not None:
            inbound = visit.inbound
            self.memory.used(inbound.cookies, visit.snapshot, inbound.address, inbound.now)
        return await visit.deliver(visit, permit)


def _depends_on_who_asks(visit: Visit) -> bool:
    match, inbound = visit.match, visit.inbound
    needs_somebody = match.by_group or match.need not in (Need.PUBLIC, Need.DENY)
    return needs_somebody or may_resume(inbound.target, inbound.cookies)


def _must_be_told(visit: Visit) -> bool:
    """Whether this person does not know yet that their factors are about to be reset."""
    snapshot = visit.snapshot
    in_an_app = visit.match.app.name != OWN_APP  # our own pages say it themselves
    return (
        snapshot is not None
        and snapshot.untold_reset is not None
        and in_an_app
        and visit.inbound.is_page_load
    )
