"""Recovery codes: given in place of a code, and made anew. As pages and as JSON."""

from aiohttp import web

from gateway.core.policy.model import OWN_APP, Need
from gateway.core.policy.own import RENEW_RECOVERY_CODES
from gateway.core.reasons import Reason
from gateway.identity.second_factor import CodeRefused
from gateway.portal.account_app import action_of
from gateway.portal.call import Call, Handler
from gateway.portal.desk import Desk, fields_of, text_field
from gateway.portal.forms import SIGN_IN, asked_of, way_on
from gateway.portal.pages import Notice, Pages
from gateway.portal.replies import SECURITY, as_json, codes_page, holder_of, lead_to, page, trouble_with
from gateway.web.problems import problem, status_of
from gateway.web.routes import Route

OWN = "/.watchword"


class Recovery:
    def __init__(self, desk: Desk, pages: Pages) -> None:
        self._desk = desk
        self._pages = pages

    def routes(self) -> tuple[Route[Handler], ...]:
        step_up = f"{OWN}/step-up/{{challenge}}/recovery"
        return (
            Route("GET", step_up, self.back_to_step_up, Need.PUBLIC),
            Route("POST", step_up, self.step_up, Need.PUBLIC),
            Route("GET", f"{SECURITY}/recovery-codes", self.back_to_security),
            Route("POST", f"{SECURITY}/recovery-codes", self.renew, action=RENEW_RECOVERY_CODES),
            Route("POST", f"{OWN}/api/recovery-codes", self.renew_call, action=RENEW_RECOVERY_CODES),
        )

    async def step_up(self, call: Call) -> web.Response:
        """Answer a challenge with a recovery code; what it cost is said before the person goes on.

        Not where a request is parked: it goes at the next visit of its address, so whoever was held up on
        a page between, and went elsewhere, would send it later without meaning to.
        """
        snapshot = await self._desk.identify(call.visit)
        if snapshot is None:
            return lead_to(SIGN_IN)
        code = text_field(await fields_of(call.inbound), "recovery_code")
        challenge = await self._desk.open_challenge(snapshot, call.captured["challenge"], call.inbound.now)
        policies = self._desk.policies()
        action = action_of(policies, call.visit.app, challenge) if challenge else None
        if challenge is None or action is None:
            return await self.back_to_step_up(call)
        outcome = await self._desk.answer_by_recovery(call.inbound, snapshot, challenge, action, code)
        holder = holder_of(call, snapshot)
        if isinstance(outcome, CodeRefused):
            trouble = trouble_with(outcome)
            if trouble is None:
                return await self.back_to_step_up(call)
            html = self._pages.step_up(
                holder,
                asked_of(policies, call, snapshot, challenge, action),
                recovering=trouble,
                locked=await self._desk.codes_locked(snapshot),
            )
            return page(html, status=status_of(trouble.reason))
        if outcome.resume_cookie is not None:
            return lead_to(way_on(challenge), *self._desk.cookies_after(outcome))
        html = self._pages.render(
            "recovery_used.html",
            holder=holder,
            left=outcome.taken.recovery_codes_left,
            way_on=way_on(challenge),
            advice=challenge.app != OWN_APP,
        )
        return page(html, cookies=self._desk.cookies_after(outcome))

    async def back_to_step_up(self, call: Call) -> web.Response:
        """Where a reload lands, and who is too late: that page says what became of the challenge."""
        return lead_to(call.inbound.target.path.removesuffix("/recovery"))

    async def renew(self, call: Call) -> web.Response:
        codes = await self._made_anew(call)
        if not codes:
            return lead_to(SECURITY)
        return codes_page(call, self._pages, codes, Notice.RECOVERY_CODES_MADE)

    async def _made_anew(self, call: Call) -> tuple[str, ...]:
        """None without a factor, of which a code was asked: while new ones are hashed, which takes a while,
        somebody else could set up the first one, and would be left with codes that are void.
        """
        if not call.person.account.confirmed_factors:
            return ()
        return await self._desk.make_recovery_codes(call.inbound, call.person)

    async def back_to_security(self, _: Call) -> web.Response:
        return lead_to(SECURITY)

    async def renew_call(self, call: Call) -> web.Response:
        codes = await self._made_anew(call)
        if not codes:
            return problem(Reason.FACTOR_MISSING, "Recovery codes come with an authenticator app.")
        return as_json({"recovery_codes": codes})
