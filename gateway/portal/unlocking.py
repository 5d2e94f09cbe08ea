"""Locked codes: what locked them, and the recovery code that lets them count again. As a page and as JSON."""

from aiohttp import web

from gateway.core.reasons import Reason
from gateway.identity.second_factor import CodeRefused
from gateway.portal.call import Call, Handler
from gateway.portal.desk import Desk, fields_of, text_field
from gateway.portal.pages import Notice, Pages, Trouble
from gateway.portal.replies import SECURITY, as_json, holder_of, lead_to, page, trouble_with
from gateway.web.problems import code_problem, problem, status_of
from gateway.web.routes import Route

UNLOCK = "/.watchword/unlock"


class Unlocking:
    """A page of its own, since much of what asks for a code takes no recovery code in place of one."""

    def __init__(self, desk: Desk, pages: Pages) -> None:
        self._desk = desk
        self._pages = pages

    def routes(self) -> tuple[Route[Handler], ...]:
        return (
            Route("GET", UNLOCK, self.show),
            Route("POST", UNLOCK, self.unlock),
            Route("POST", "/.watchword/api/unlock", self.unlock_call),
        )

    async def show(self, call: Call) -> web.Response:
        if not await self._desk.codes_locked(call.person):
            return lead_to(SECURITY)
        return self._show(call)

    def _show(self, call: Call, trouble: Trouble | None = None) -> web.Response:
        html = self._pages.render(
            "unlock.html", holder=holder_of(call, call.person), error=self._pages.said("recovery", trouble)
        )
        return page(html, status=status_of(trouble.reason) if trouble else 200)

    async def unlock(self, call: Call) -> web.Response:
        code = text_field(await fields_of(call.inbound), "recovery_code")
        outcome = await self._desk.unlock(call.inbound, call.person, code)
        if isinstance(outcome, CodeRefused) and (trouble := trouble_with(outcome)):
            return self._show(call, trouble)
        done = outcome is not None and not isinstance(outcome, CodeRefused)
        return lead_to(f"{SECURITY}?notice={Notice.CODES_UNLOCKED}" if done else SECURITY)

    async def unlock_call(self, call: Call) -> web.Response:
        code = text_field(await fields_of(call.inbound), "recovery_code")
        outcome = await self._desk.unlock(call.inbound, call.person, code)
        if outcome is None:
            return problem(Reason.NOT_FOUND, "The account's codes are not locked.")
        if isinstance(outcome, CodeRefused):
            return code_problem(outcome.reason, outcome.wait)
        return as_json({"recovery_codes_left": outcome.recovery_codes_left})
