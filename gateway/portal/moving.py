"""Moving to a new phone, step by step: nothing is switched off before the new one has given a valid code."""

from aiohttp import web

from gateway.core.policy.own import ADD_FACTOR
from gateway.core.records import Factor, FactorState
from gateway.identity.second_factor import CodeRefused, Enrolment
from gateway.portal.call import Call, Handler
from gateway.portal.desk import Confirmed, Desk, fields_of, text_field
from gateway.portal.pages import Notice, Pages, Trouble
from gateway.portal.replies import SECURITY, codes_page, holder_of, lead_to, page, trouble_with
from gateway.store.factors import MOST_FACTORS, FactorRefused
from gateway.web.problems import status_of
from gateway.web.routes import Route

MOVE = f"{SECURITY}/move"


class Moving:
    def __init__(self, desk: Desk, pages: Pages) -> None:
        self._desk = desk
        self._pages = pages

    def routes(self) -> tuple[Route[Handler], ...]:
        return (
            Route("GET", MOVE, self.start),
            Route("POST", MOVE, self.begin, action=ADD_FACTOR),
            Route("GET", f"{MOVE}/{{id}}", self.go_on),
            Route("POST", f"{MOVE}/{{id}}", self.confirm),
        )

    async def start(self, call: Call) -> web.Response:
        if not call.person.account.confirmed_factors:
            return lead_to(SECURITY)  # there is nothing to move from
        may_add = call.person.account.confirmed_factors < MOST_FACTORS
        return page(self._pages.render("move.html", holder=holder_of(call, call.person), may_add=may_add))

    async def begin(self, call: Call) -> web.Response:
        label = text_field(await fields_of(call.inbound), "label", default="")
        try:
            enrolment = await self._desk.enrol(call.inbound, call.person, label, call.proof)
        except FactorRefused:
            return lead_to(MOVE)
        return lead_to(f"{MOVE}/{enrolment.factor.id}")

    async def go_on(self, call: Call) -> web.Response:
        """The set-up of the new phone; once that is confirmed, what to remove."""
        enrolment = await self._desk.second_factor.pending(call.person.session, call.captured["id"])
        if enrolment is not None:
            return self._set_up(call, enrolment)
        confirmed = [f for f in await self._desk.factors(call.person) if f.state is FactorState.CONFIRMED]
        new = next((f for f in confirmed if f.id == call.captured["id"]), None)
        return lead_to(MOVE) if new is None else self._moved(call, new, confirmed)

    async def confirm(self, call: Call) -> web.Response:
        code = text_field(await fields_of(call.inbound), "code")
        here = call.inbound.target.path
        enrolment = await self._desk.second_factor.pending(call.person.session, call.captured["id"])
        if enrolment is None:
            return lead_to(here)
        outcome = await self._desk.confirm(
            call.inbound, call.person, enrolment.factor.id, code, call.visit.app.sign_in
        )
        if isinstance(outcome, CodeRefused) and (trouble := trouble_with(outcome)):
            return self._set_up(call, enrolment, trouble)
        if not isinstance(outcome, Confirmed):
            return lead_to(here)
        cookies = self._desk.cookies_of_code(outcome.taken)
        if outcome.recovery_codes:  # the old one was removed meanwhile, elsewhere
            return codes_page(call, self._pages, outcome.recovery_codes, Notice.FACTOR_ADDED, cookies)
        return lead_to(here, *cookies)

    def _set_up(self, call: Call, enrolment: Enrolment, trouble: Trouble | None = None) -> web.Response:
        html = self._pages.factor_setup(
            holder_of(call, call.person),
            enrolment.factor.id,
            enrolment.factor.label,
            enrolment.uri,
            enrolment.setup_key,
            trouble=trouble,
            moving=True,
        )
        return page(html, status=status_of(trouble.reason) if trouble else 200)

    def _moved(self, call: Call, new: Factor, confirmed: list[Factor]) -> web.Response:
        html = self._pages.render(
            "moved.html",
            holder=holder_of(call, call.person),
            new=new,
            others=[factor for factor in confirmed if factor.id != new.id],
            now=call.inbound.now,
        )
        return page(html)
