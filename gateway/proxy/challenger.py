"""What happens when a decision says StepUp: is there a code with the request, and if not, ask for one."""

from dataclasses import dataclass, replace

from aiohttp import web

from gateway.core.decision import Decision, Refuse, StepUp, binding_of
from gateway.core.fields import pick, read_fields
from gateway.core.policy.model import Action
from gateway.core.policy.own import CHANGE_PASSWORD
from gateway.core.reasons import Reason
from gateway.core.records import Snapshot
from gateway.errors import BadRequest, PayloadTooLarge
from gateway.identity.second_factor import CodeRefused, GivenCode
from gateway.identity.step_up import ParkedRequest, StepUps
from gateway.proxy.answers import Answers
from gateway.web.cookies import CookieJar, CookieKind
from gateway.web.inbound import Inbound
from gateway.web.problems import code_problem
from gateway.web.visit import Visit

CODE_HEADER = b"watchword-code"

_READ_AS = frozenset({b"content-encoding", b"content-type"})

_NOT_PARKED = frozenset({b"cookie", b"content-length", b"transfer-encoding", b"expect", b"connection"})


@dataclass(frozen=True, slots=True)
class Challenger:
    step_ups: StepUps
    answers: Answers
    jar: CookieJar
    parked_limit: int
    session_seconds: float

    async def resolve(self, visit: Visit, wanted: StepUp) -> tuple[Visit, Decision | web.Response]:
        """The decision once a code that came along was taken; else the answer that asks for one.

        The visit comes back with what was read and learned meanwhile. Raises PayloadTooLarge when a
        body must be read and is larger than what may be parked, and BadRequest when what is to be
        shown to the person cannot be read from it.
        """
        snapshot = visit.snapshot
        if visit.inbound.asked_about and _needs_body(visit):
            return visit, Refuse(Reason.BODY_UNSEEN)
        if wanted.reason is Reason.FACTOR_MISSING or snapshot is None:
            return visit, self.answers.factor_missing(visit, wanted.action)
        visit = await self._with_body(visit)
        binding = binding_of(visit.inbound.target, visit.inbound.body or b"", _read_as(visit.inbound))
        decision = visit.decide(binding)
        code = visit.inbound.header(CODE_HEADER)
        if isinstance(decision, StepUp) and code is not None:
            taken = await self._take(visit, snapshot, decision.action, code, binding)
            if isinstance(taken, web.Response):
                return visit, taken
            visit, decision = taken, taken.decide(binding)
        if isinstance(decision, StepUp):
            return visit, await self._ask(visit, snapshot, decision.action, binding)
        return visit, decision

    async def _with_body(self, visit: Visit) -> Visit:
        """Read the body where it is approved or shown, or where it has to be parked."""
        inbound, needed = visit.inbound, _needs_body(visit)
        if inbound.asked_about:
            return visit
        if not needed and (inbound.is_safe or not inbound.is_navigation):
            return visit
        most = visit.app.body_limit
        try:
            body = await inbound.read_body(
                self.parked_limit if most is None else min(self.parked_limit, most)
            )
        except PayloadTooLarge:
            if needed:
                raise
            return visit  # too large to be kept: after the code, the person sends it again
        return replace(visit, inbound=replace(inbound, body=body))

    async def _take(
        self, visit: Visit, snapshot: Snapshot, action: Action, code: str, binding: str
    ) -> Visit | web.Response:
        inbound = visit.inbound
        given = GivenCode(snapshot, code, inbound.address, action.key)
        taken = await self.step_ups.answer_at_once(
            action, given, binding=binding, cookie=inbound.cookies.session or "", now=inbound.now
        )
        if isinstance(taken, CodeRefused):
            return code_problem(taken.reason, taken.wait, taken.clock_off_by)
        # The code is used up: should the request come by here again, it must not be tried again.
        headers = tuple((name, value) for name, value in inbound.headers if name.lower() != CODE_HEADER)
        visit = replace(visit, inbound=replace(inbound, headers=headers)).with_grant(taken.grant)
        if taken.confirms_device:
            visit = visit.with_device_confirmed()
        if taken.session_cookie is None:
            return visit
        return visit.with_cookie(
            self.jar.write(CookieKind.SESSION, taken.session_cookie, self.session_seconds)
        )

    async def _ask(self, visit: Visit, snapshot: Snapshot, action: Action, binding: str) -> web.Response:
        inbound = visit.inbound
        parked = None
        # No password is ever parked; its form is shown again once a code was given.
        parkable = action.key != CHANGE_PASSWORD.key
        if parkable and inbound.is_navigation and not inbound.is_safe and inbound.body is not None:
            kept = tuple(pair for pair in inbound.headers if pair[0].lower() not in _NOT_PARKED)
            parked = ParkedRequest(inbound.target.method, kept, inbound.body)
        challenge = await self.step_ups.challenge(
            action,
            inbound.target,
            snapshot,
            inbound.now,
            shown=shown_fields(action, inbound),
            binding=binding,
            parked=parked,
        )
        if challenge is None:
            return self.answers.sign_in(visit, Reason.SESSION_REVOKED)
        return self.answers.step_up(visit, action, challenge)


def _needs_body(visit: Visit) -> bool:
    """Whether what is approved is this very body, or is shown from it."""
    action = visit.match.action
    return action is not None and (action.single_use or bool(action.show))


def shown_fields(action: Action, inbound: Inbound) -> tuple[tuple[str, str], ...]:
    """What the person approves, as (label, value). Raises BadRequest when the body cannot tell.

    A request without a body has nothing to show, but can be approved.
    """
    if not action.show:
        return ()
    if any(name.lower() == b"content-encoding" for name, _ in inbound.headers):
        raise BadRequest("what is to be approved must not be compressed")
    fields = read_fields(inbound.body, inbound.header(b"content-type")) if inbound.body else {}
    return tuple((label, pick(fields, path) or "—") for label, path in action.show)


def _read_as(inbound: Inbound) -> str:
    """The headers by which the app reads a body, and with which it is approved."""
    values = [value for name, value in inbound.headers if name.lower() in _READ_AS]
    return b", ".join(values).decode("latin-1")
