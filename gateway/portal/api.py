"""The JSON calls under `/.watchword/api/`: the same as the pages, for apps with pages of their own."""

from dataclasses import replace
from typing import Any

from aiohttp import web

from gateway.core.reasons import Reason
from gateway.core.records import Factor, Grant, Snapshot
from gateway.errors import BadRequest
from gateway.identity.password_change import ChangeRefused
from gateway.identity.second_factor import CodeRefused
from gateway.identity.sign_in import SignInRefused
from gateway.portal.account_app import action_of
from gateway.portal.call import Call
from gateway.portal.desk import Desk, fields_of, text_field
from gateway.portal.endings import Ended
from gateway.portal.protection import Protection, find_protection, protections_of
from gateway.portal.qr import qr_svg
from gateway.portal.replies import as_json, ended_answer, moment, no_content
from gateway.store.challenges import Challenge
from gateway.store.factors import FactorRefused
from gateway.web.problems import code_problem, problem


class Api:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def sign_in(self, call: Call) -> web.Response:
        fields = await fields_of(call.inbound)
        outcome = await self._desk.sign_in(
            call.inbound, text_field(fields, "subject"), text_field(fields, "password")
        )
        if isinstance(outcome, SignInRefused):
            return refused_password(outcome)
        answer = {
            "subject": outcome.subject,
            "session": outcome.session_id,
            "device": outcome.device_id,
            "device_state": outcome.device_state,
        }
        return as_json(answer, cookies=self._desk.cookies_of(outcome))

    async def sign_out(self, call: Call) -> web.Response:
        await self._desk.sign_out(call.visit)
        return no_content(self._desk.forget_session())

    async def me(self, call: Call) -> web.Response:
        snapshot = call.person
        factors = await self._desk.factors(snapshot)
        return as_json(
            {
                "subject": snapshot.account.subject,
                "name": snapshot.account.name,
                "email": snapshot.account.email,
                "groups": sorted(snapshot.account.groups),
                "session": snapshot.session.id,
                "device": snapshot.session.device_id,
                "factors": [_factor(factor) for factor in factors],
                "recovery_codes_left": await self._desk.recovery_codes_left(snapshot),
                "grants": [_grant(g) for g in snapshot.grants if call.inbound.now < g.expires_at],
            }
        )

    async def add_factor(self, call: Call) -> web.Response:
        fields = await fields_of(call.inbound)
        label = text_field(fields, "label", default="")
        try:
            enrolment = await self._desk.enrol(call.inbound, call.person, label, call.proof)
        except FactorRefused as error:
            return problem(Reason.DENIED, str(error))
        answer = {
            "id": enrolment.factor.id,
            "label": enrolment.factor.label,
            "secret": enrolment.setup_key,
            "uri": enrolment.uri,
            "qr_svg": qr_svg(enrolment.uri),
        }
        return as_json(answer, status=201)

    async def confirm_factor(self, call: Call) -> web.Response:
        code = text_field(await fields_of(call.inbound), "code")
        outcome = await self._desk.confirm(
            call.inbound, call.person, call.captured["id"], code, call.visit.app.sign_in
        )
        if outcome is None:
            return problem(Reason.NOT_FOUND)
        if isinstance(outcome, CodeRefused):
            return code_problem(outcome.reason, outcome.wait, outcome.clock_off_by)
        answer: dict[str, Any] = {"id": outcome.taken.factor_id, "state": "confirmed"}
        if outcome.recovery_codes:
            answer["recovery_codes"] = outcome.recovery_codes
        return as_json(answer, cookies=self._desk.cookies_of_code(outcome.taken))

    async def remove_factor(self, call: Call) -> web.Response:
        # Whoever has a confirmed factor got as far as here with a code.
        code_given = call.person.account.confirmed_factors > 0
        removed = await self._desk.remove(
            call.inbound, call.person, call.captured["id"], code_given=code_given
        )
        return no_content() if removed else problem(Reason.NOT_FOUND)

    async def protections(self, call: Call) -> web.Response:
        found = protections_of(call.person.account, self._desk.policies())
        return as_json([_protection(protection) for protection in found])

    async def switch(self, call: Call) -> web.Response:
        fields = await fields_of(call.inbound)
        app, action, on = text_field(fields, "app"), text_field(fields, "action"), fields.get("on")
        if not isinstance(on, bool):
            raise BadRequest("the field 'on' must be true or false")
        found = find_protection(call.person.account, self._desk.policies(), app, action)
        if found is None:
            return problem(Reason.NOT_FOUND)
        if found.locked:
            return problem(Reason.PROTECTION_LOCKED, "The policy of the app decides about this one.")
        cookies = await self._desk.switch(call.inbound, call.person, found, on=on)
        if cookies is None:
            return problem(Reason.SESSION_REVOKED)
        return as_json(_protection(replace(found, on=on)), cookies=cookies)

    async def change_password(self, call: Call) -> web.Response:
        fields = await fields_of(call.inbound)
        outcome = await self._desk.change_password(
            call.inbound, call.person, current=text_field(fields, "current"), new=text_field(fields, "new")
        )
        if isinstance(outcome, ChangeRefused):
            return refused_password(outcome)
        cookie, done = self._desk.session_cookie(outcome.session_cookie), outcome.revocation
        if done.confirmation is None:
            return ended_answer(Ended(done.revocation_id, done.scope, None), cookies=(cookie,))
        return no_content(cookie)

    async def show_challenge(self, call: Call) -> web.Response:
        snapshot = await self._desk.identify(call.visit)
        if snapshot is None:
            return problem(Reason.NO_SESSION)
        challenge = await self._find(call, snapshot)
        if challenge is None:
            return problem(Reason.CHALLENGE_EXPIRED)
        action = action_of(self._desk.policies(), call.visit.app, challenge)
        return as_json(
            {
                "id": challenge.id,
                "action": challenge.action,
                "title": action.title if action else challenge.action,
                "method": challenge.method,
                "path": challenge.path,
                "approves": [{"label": label, "value": value} for label, value in challenge.shown],
                "expires_at": moment(challenge.expires_at),
            }
        )

    async def answer_challenge(self, call: Call) -> web.Response:
        snapshot = await self._desk.identify(call.visit)
        if snapshot is None:
            return problem(Reason.NO_SESSION)
        fields = await fields_of(call.inbound)
        by_recovery = "recovery_code" in fields
        code = text_field(fields, "recovery_code" if by_recovery else "code")
        challenge = await self._find(call, snapshot)
        action = action_of(self._desk.policies(), call.visit.app, challenge) if challenge else None
        if challenge is None or action is None:
            return problem(Reason.CHALLENGE_EXPIRED, "Repeat the request to get a new challenge.")
        answer = self._desk.answer_by_recovery if by_recovery else self._desk.answer
        outcome = await answer(call.inbound, snapshot, challenge, action, code)
        if isinstance(outcome, CodeRefused):
            return code_problem(outcome.reason, outcome.wait, outcome.clock_off_by)
        said: dict[str, Any] = {"grant": _grant(outcome.taken.grant) if outcome.taken.grant else None}
        if by_recovery:
            said["recovery_codes_left"] = outcome.taken.recovery_codes_left
        return as_json(said, cookies=self._desk.cookies_after(outcome))

    async def _find(self, call: Call, snapshot: Snapshot) -> Challenge | None:
        return await self._desk.open_challenge(snapshot, call.captured["challenge"], call.inbound.now)


def refused_password(refused: SignInRefused | ChangeRefused) -> web.Response:
    if refused.retry_after:
        return problem(
            refused.reason,
            f"Try again in {refused.retry_after} s.",
            headers={"Retry-After": str(refused.retry_after)},
        )
    unfit = refused.unfit if isinstance(refused, ChangeRefused) else None
    return problem(refused.reason, _UNFIT[unfit.why].format(unfit.what) if unfit else "")


_UNFIT = {
    "short": "It needs at least {} characters.",
    "long": "It may have at most {} characters.",
    "same": "It is the current one.",
    "name": "It is the account's name.",
}
"""What is wrong with a new password."""


def _factor(factor: Factor) -> dict[str, Any]:
    return {
        "id": factor.id,
        "label": factor.label,
        "state": factor.state,
        "created_at": moment(factor.created_at),
        "last_used_at": moment(factor.last_used_at) if factor.last_used_at else None,
        "full_at": moment(factor.full_at) if factor.full_at else None,
    }


def _grant(grant: Grant) -> dict[str, Any]:
    return {
        "action": grant.action.partition("/")[2],
        "granted_at": moment(grant.granted_at),
        "expires_at": moment(grant.expires_at),
        "single_use": grant.binding is not None,
    }


def _protection(protection: Protection) -> dict[str, Any]:
    return {
        "app": protection.app.name,
        "action": protection.action.name,
        "title": protection.action.title,
        "protect": protection.action.protect,
        "on": protection.on,
        "locked": protection.locked,
    }
