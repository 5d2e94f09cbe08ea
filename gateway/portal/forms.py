"""The pages under `/.watchword/`: each shows something, or does something and leads on with a 303."""

from aiohttp import web

from gateway.core import totp
from gateway.core.policy.matching import PolicySet
from gateway.core.policy.model import OWN_APP, Action
from gateway.core.reasons import Reason
from gateway.core.records import Snapshot
from gateway.errors import BadRequest
from gateway.identity.password_change import Changed
from gateway.identity.second_factor import CodeRefused
from gateway.identity.sign_in import SignInRefused
from gateway.portal.account_app import action_of, shown_words
from gateway.portal.call import Call, query_value
from gateway.portal.desk import Confirmed, Desk, fields_of, text_field
from gateway.portal.pages import Asked, Notice, Pages, Trouble
from gateway.portal.protection import find_protection, protections_of
from gateway.portal.replies import (
    SECURITY,
    codes_page,
    ended_of,
    holder_of,
    lead_to,
    lead_to_notice,
    notice_of,
    page,
    trouble_with,
    under_way,
)
from gateway.portal.static_files import StaticFiles
from gateway.store.challenges import Challenge
from gateway.store.factors import MOST_FACTORS, FactorRefused
from gateway.web.inbound import Inbound
from gateway.web.problems import problem, status_of
from gateway.web.return_to import FRONT_PAGE, checked_return

SIGN_IN = "/.watchword/sign-in"
PASSWORD = "/.watchword/password"  # noqa: S105 - an address, not a password

_SIGNED_OUT = frozenset(
    {Reason.SESSION_EXPIRED, Reason.SESSION_REVOKED, Reason.DEVICE_REVOKED, Reason.ACCOUNT_DISABLED}
)
"""Why somebody may find themselves on the sign-in page."""


class Forms:
    def __init__(self, desk: Desk, pages: Pages, static: StaticFiles) -> None:
        self._desk = desk
        self._pages = pages
        self._static = static

    async def asset(self, call: Call) -> web.Response:
        return self.asset_named(call.captured["name"], call.inbound)

    def asset_named(self, name: str, inbound: Inbound) -> web.Response:
        answer = self._static.answer(
            name,
            version=query_value(inbound.target, "v"),
            if_none_match=inbound.header(b"if-none-match"),
        )
        if answer is None:
            return problem(Reason.NOT_FOUND)
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)

    # Signing in and out

    async def sign_in_form(self, call: Call) -> web.Response:
        return_to = checked_return(call.query("return_to"), call.inbound.target.authority)
        reason = call.query("reason")
        trouble = Trouble(Reason(reason)) if reason in _SIGNED_OUT else None
        return page(self._pages.sign_in(call.visit.app.title, return_to, trouble=trouble))

    async def sign_in(self, call: Call) -> web.Response:
        fields = await fields_of(call.inbound)
        subject = text_field(fields, "subject")
        return_to = checked_return(
            text_field(fields, "return_to", default=FRONT_PAGE), call.inbound.target.authority
        )
        outcome = await self._desk.sign_in(call.inbound, subject, text_field(fields, "password"))
        if isinstance(outcome, SignInRefused):
            trouble = Trouble(outcome.reason, outcome.retry_after)
            html = self._pages.sign_in(call.visit.app.title, return_to, trouble=trouble, subject=subject)
            headers = {"Retry-After": str(outcome.retry_after)} if outcome.retry_after else {}
            return page(html, status=status_of(outcome.reason), headers=headers)
        return lead_to(return_to, *self._desk.cookies_of(outcome))

    async def sign_out(self, call: Call) -> web.Response:
        ended = await self._desk.sign_out(call.visit)
        cookie = self._desk.forget_session()
        if ended is not None and not ended.answered:
            return under_way(self._pages, ended.scope, cookie)
        return page(self._pages.signed_out(call.visit.app.title), cookies=(cookie,))

    # Step-up

    async def factor_needed(self, call: Call) -> web.Response:
        name = call.query("action") or ""
        action = call.visit.app.actions.get(name) or self._desk.policies().account.actions.get(name)
        if action is None:
            return lead_to(SECURITY)
        return page(self._pages.factor_needed(holder_of(call, call.person), action.title))

    async def step_up_form(self, call: Call) -> web.Response:
        snapshot = await self._desk.identify(call.visit)
        if snapshot is None:
            return lead_to(SIGN_IN)
        found = await self._challenge(call, snapshot)
        if found is None:
            return self._challenge_ended(call, snapshot)
        locked = await self._desk.codes_locked(snapshot)
        asked = self._asked(call, snapshot, *found)
        return page(self._pages.step_up(holder_of(call, snapshot), asked, locked=locked))

    async def step_up(self, call: Call) -> web.Response:
        snapshot = await self._desk.identify(call.visit)
        if snapshot is None:
            return lead_to(SIGN_IN)
        code = text_field(await fields_of(call.inbound), "code")
        found = await self._challenge(call, snapshot)
        if found is None:
            return self._challenge_ended(call, snapshot)
        challenge, action = found
        outcome = await self._desk.answer(call.inbound, snapshot, challenge, action, code)
        if isinstance(outcome, CodeRefused):
            trouble = trouble_with(outcome)
            if trouble is None:
                return lead_to(call.inbound.target.path)
            asked = self._asked(call, snapshot, *found)
            html = self._pages.step_up(holder_of(call, snapshot), asked, trouble=trouble)
            return page(html, status=status_of(trouble.reason))
        return lead_to(way_on(outcome.challenge), *self._desk.cookies_after(outcome))

    async def _challenge(self, call: Call, snapshot: Snapshot) -> tuple[Challenge, Action] | None:
        challenge = await self._desk.open_challenge(snapshot, call.captured["challenge"], call.inbound.now)
        action = action_of(self._desk.policies(), call.visit.app, challenge) if challenge else None
        return None if challenge is None or action is None else (challenge, action)

    def _asked(self, call: Call, snapshot: Snapshot, challenge: Challenge, action: Action) -> Asked:
        return asked_of(self._desk.policies(), call, snapshot, challenge, action)

    def _challenge_ended(self, call: Call, snapshot: Snapshot) -> web.Response:
        html = self._pages.challenge_ended(holder_of(call, snapshot))
        return page(html, status=status_of(Reason.CHALLENGE_EXPIRED))

    # Factors

    async def security(self, call: Call) -> web.Response:
        return await self._security(call)

    async def _security(self, call: Call, removing: tuple[str, Trouble] | None = None) -> web.Response:
        factors = await self._desk.factors(call.person)
        notice, about = self._just_done(call)
        html = self._pages.security(
            holder_of(call, call.person),
            factors,
            protections_of(call.person.account, self._desk.policies()),
            call.inbound.now,
            notice=notice,
            about=about,
            ended=await ended_of(call, self._desk),
            may_add=call.person.account.confirmed_factors < MOST_FACTORS,
            removing=removing,
            session_id=call.person.session.id,
            recovery_codes_left=await self._desk.recovery_codes_left(call.person),
            locked=await self._desk.codes_locked(call.person),
        )
        return page(html, status=status_of(removing[1].reason) if removing else 200)

    def _just_done(self, call: Call) -> tuple[Notice | None, str]:
        """What the address says was just done, and to which switch. Of a switch only if it stands so."""
        notice = notice_of(call)
        if notice not in (Notice.PROTECTION_ON, Notice.PROTECTION_OFF):
            return notice, ""
        app, action = call.query("app") or "", call.query("action") or ""
        found = find_protection(call.person.account, self._desk.policies(), app, action)
        if found is None or found.on != (notice is Notice.PROTECTION_ON):
            return None, ""
        return notice, found.name

    async def switch(self, call: Call) -> web.Response:
        fields = await fields_of(call.inbound)
        app, action, on = (text_field(fields, name) for name in ("app", "action", "on"))
        if on not in ("yes", "no"):
            raise BadRequest("the field 'on' must be yes or no")
        found = find_protection(call.person.account, self._desk.policies(), app, action)
        if found is None or found.locked:
            return lead_to(SECURITY)  # the policy changed since the page was shown
        cookies = await self._desk.switch(call.inbound, call.person, found, on=on == "yes")
        if cookies is None:
            return lead_to(SECURITY)
        notice = Notice.PROTECTION_ON if on == "yes" else Notice.PROTECTION_OFF
        return lead_to(f"{SECURITY}?notice={notice}&app={app}&action={action}", *cookies)

    async def password(self, call: Call) -> web.Response:
        return page(self._pages.password(holder_of(call, call.person), call.person.account.subject))

    async def change_password(self, call: Call) -> web.Response:
        fields = await fields_of(call.inbound)
        outcome = await self._desk.change_password(
            call.inbound, call.person, current=text_field(fields, "current"), new=text_field(fields, "new")
        )
        if isinstance(outcome, Changed):
            cookie = self._desk.session_cookie(outcome.session_cookie)
            ended = outcome.revocation.revocation_id
            return lead_to_notice(SECURITY, Notice.PASSWORD_CHANGED, ended, cookie)
        if outcome.reason is Reason.SESSION_REVOKED:
            return lead_to(SECURITY)
        trouble = Trouble(outcome.reason, outcome.retry_after, unfit=outcome.unfit)
        holder, subject = holder_of(call, call.person), call.person.account.subject
        html = self._pages.password(holder, subject, trouble=trouble)
        headers = {"Retry-After": str(outcome.retry_after)} if outcome.retry_after else {}
        return page(html, status=status_of(outcome.reason), headers=headers)

    async def back_to_security(self, _: Call) -> web.Response:
        """Where a reload lands after a form whose address has no page of its own."""
        return lead_to(SECURITY)

    async def add_factor(self, call: Call) -> web.Response:
        label = text_field(await fields_of(call.inbound), "label", default="")
        try:
            enrolment = await self._desk.enrol(call.inbound, call.person, label, call.proof)
        except FactorRefused:
            return lead_to(SECURITY)
        return lead_to(f"{SECURITY}/factors/{enrolment.factor.id}")

    async def factor_setup(self, call: Call) -> web.Response:
        return await self._factor_setup(call)

    async def _factor_setup(self, call: Call, trouble: Trouble | None = None) -> web.Response:
        person = call.person
        enrolment = await self._desk.second_factor.pending(person.session, call.captured["id"])
        if enrolment is None:
            return lead_to(SECURITY)
        html = self._pages.factor_setup(
            holder_of(call, person),
            enrolment.factor.id,
            enrolment.factor.label,
            enrolment.uri,
            enrolment.setup_key,
            trouble=trouble,
        )
        return page(html, status=status_of(trouble.reason) if trouble else 200)

    async def confirm_factor(self, call: Call) -> web.Response:
        code = text_field(await fields_of(call.inbound), "code")
        outcome = await self._desk.confirm(
            call.inbound, call.person, call.captured["id"], code, call.visit.app.sign_in
        )
        if isinstance(outcome, CodeRefused) and (trouble := trouble_with(outcome)):
            return await self._factor_setup(call, trouble)
        if not isinstance(outcome, Confirmed):
            return lead_to(SECURITY)
        cookies = self._desk.cookies_of_code(outcome.taken)
        if outcome.recovery_codes:
            return codes_page(call, self._pages, outcome.recovery_codes, Notice.FACTOR_ADDED, cookies)
        on_trial = outcome.factor.on_trial(call.inbound.now)
        notice = Notice.FACTOR_ON_TRIAL if on_trial else Notice.FACTOR_ADDED
        return lead_to(f"{SECURITY}?notice={notice}", *cookies)

    async def remove_factor(self, call: Call) -> web.Response:
        code = text_field(await fields_of(call.inbound), "code", default="")
        factor_id = call.captured["id"]
        removed = await self._desk.remove_with_code(call.inbound, call.person, factor_id, code)
        if isinstance(removed, CodeRefused) and (trouble := trouble_with(removed)):
            return await self._security(call, (factor_id, trouble))
        return lead_to(f"{SECURITY}?notice={Notice.FACTOR_REMOVED}" if removed is True else SECURITY)


def asked_of(
    policies: PolicySet, call: Call, snapshot: Snapshot, challenge: Challenge, action: Action
) -> Asked:
    """What the page of a challenge shows."""
    now = call.inbound.now
    return Asked(
        id=challenge.id,
        action=action.title,
        app=call.visit.app.title,
        shown=shown_words(policies, challenge),
        expires_in=max(0, int(challenge.expires_at - now)),
        next_code_in=totp.seconds_to_next_code(now),
        cancel_to=SECURITY if challenge.app == OWN_APP else FRONT_PAGE,
        recovery=not action.lowers,
        device=snapshot.device,
    )


def way_on(challenge: Challenge) -> str:
    """Where a person goes once the code was right: on with what they did, if that can be repeated."""
    if challenge.sealed_request is not None or challenge.method in ("GET", "HEAD"):
        return challenge.path
    own = challenge.path.partition("?")[0]
    return PASSWORD if own == PASSWORD else FRONT_PAGE  # which is never parked: its form is shown again
