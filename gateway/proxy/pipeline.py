"""The way of a request, on one screen: read, identify, match, decide, act.

What lets a request pass is `gateway.core.decision`. Everything here carries a value from one stage to
the next, or says no.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import structlog
from aiohttp import web

from gateway import clock, entropy
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
from gateway.proxy.verdict import Verdicts, worded
from gateway.store.sessions import Sessions
from gateway.store.who import Who
from gateway.web.cookies import CookieKind
from gateway.web.inbound import Inbound
from gateway.web.metrics import NO_APP, Metrics
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


@dataclass(slots=True)
class Record:
    """What the log and the counters will say of a request; it is filled in on the way.

    `outcome` is empty for one that was forwarded: its status tells.
    """

    app: App | None = None
    outcome: str = ""
    reason: str = ""
    detail: str = ""
    reference: str = ""
    inbound: Inbound | None = None

    @property
    def app_name(self) -> str:
        return self.app.name if self.app else NO_APP

    def decided(self, decision: Decision) -> None:
        self.outcome, self.reason = _OUTCOMES[type(decision)], decision.reason

    def refused(self, cause: Reason | UpstreamFault, detail: str) -> None:
        """With a reference, which a person who is shown the refusal can tell to support."""
        self.outcome, self.reason, self.detail = "refuse", cause, detail
        self.reference = entropy.identifier()[:8]

    def said(self) -> Mapping[str, str]:
        """For the log. Queries stay out of it: people put secrets there."""
        said = {"app": self.app_name, "outcome": self.outcome or "forward", "reason": self.reason}
        said |= {name: text for name in ("detail", "reference") if (text := getattr(self, name))}
        if self.inbound is not None:
            target = self.inbound.target
            said |= {"method": target.method, "path": target.path, "address": self.inbound.address}
        return said


_OUTCOMES: Mapping[type[Decision], str] = {
    Forward: "",
    SignIn: "sign-in",
    StepUp: "step-up",
    AuthoriseDevice: "authorise-device",
    Refuse: "refuse",
}


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
    ) -> None:
        self.policies = policies
        self._reader = reader
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
        record, began = Record(), clock.stopwatch()
        response = await self._answered(request, record)
        if dialect := self._reader.asked_by(request):
            response = worded(dialect, response, record.inbound.origin if record.inbound else "")
        seconds = clock.stopwatch() - began
        self._metrics.request(record.app_name, record.outcome or f"{response.status // 100}xx", seconds)
        _log.info("request", **record.said(), status=response.status, ms=round(seconds * 1000, 2))
        return response

    async def _answered(self, request: web.BaseRequest, record: Record) -> web.StreamResponse:
        """Every failure becomes a refusal that says no more than it must."""
        try:
            record.inbound = self._reader.read(request, clock.now())
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
            self._metrics.upstream_failure(record.app_name, error.fault)
            _log.warning("upstream failed", app=record.app_name, fault=error.fault, error=str(error))
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
        """An ordinary request to an app that may pass by what memory tells of who asks: without a word to
        the store. None for all others. What needs a code is always judged by the store.
        """
        inbound = visit.inbound
        cookie = inbound.cookies.session
        if cookie is None or visit.match.app.name == OWN_APP or _may_resume(inbound):
            return None
        as_of, snapshot = self._live.mark(), self._who.remembered(cookie, inbound.now)
        if snapshot is None:
            return None
        visit = self._matched_for(replace(visit, snapshot=snapshot, as_of=as_of), snapshot)
        if visit.match.action is not None or not isinstance(visit.decide(), Forward):
            return None
        return visit

    def _matched_for(self, visit: Visit, snapshot: Snapshot) -> Visit:
        """The same, by the rules for the groups of who asks, where they matter."""
        if not visit.match.by_group:
            return visit
        match = self.policies.match(visit.inbound.target, snapshot.account.groups)
        return visit if match is None else replace(visit, match=match)

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
        if _may_resume(visit.inbound):
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
            target=replace(inbound.target, method=parked.method),
            headers=(*parked.headers, *current_cookies),
            body=parked.body,
        )
        again = self._match(resumed, visit.app)
        if isinstance(again, Unmatched):
            return visit
        return replace(again, snapshot=snapshot, as_of=visit.as_of).with_cookie(
            self._reader.jar.forget(CookieKind.RESUME)
        )

    async def _act(self, visit: Visit, decision: Decision, record: Record) -> web.StreamResponse:
        """Do what was decided. A grant that somebody else used up first leads to a new challenge."""
        while True:
            record.decided(decision)
            match decision:
                case Forward(permit, _, spends):
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
        cookie = visit.inbound.cookies.session
        if visit.snapshot is not None and cookie is not None:
            self._who.used(cookie, visit.snapshot, visit.inbound.address, visit.inbound.now)
        return await visit.deliver(visit, permit)


def _depends_on_who_asks(visit: Visit) -> bool:
    match = visit.match
    return match.by_group or match.need not in (Need.PUBLIC, Need.DENY) or _may_resume(visit.inbound)


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


def _may_resume(inbound: Inbound) -> bool:
    """Whether this may be the way back from a step-up; what a plain GET needs there does not matter."""
    return inbound.cookies.resume is not None and inbound.target.method == "GET"
