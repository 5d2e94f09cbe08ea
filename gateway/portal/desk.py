"""What an account holder can do, once: the pages and the JSON calls are two ways to ask for it.

Everything here acts for the person of a snapshot, on that person's own records only, and leaves an
entry in the audit stream.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.core import recovery_codes
from gateway.core.ending import Scope
from gateway.core.fields import read_fields
from gateway.core.policy.matching import PolicySet
from gateway.core.policy.model import SIGN_IN, Action
from gateway.core.reasons import Reason
from gateway.core.records import Device, DeviceState, Factor, FactorState, Grant, Session, Snapshot
from gateway.errors import BadRequest
from gateway.identity.device_names import chosen_name
from gateway.identity.password_change import Change, Changed, ChangeRefused, PasswordChanges
from gateway.identity.recovery import Recovery
from gateway.identity.second_factor import CodeRefused, CodeTaken, Enrolment, GivenCode, SecondFactor
from gateway.identity.sign_in import Attempted, SignedIn, SignInRefused, SignIns
from gateway.identity.step_up import RESUME_SECONDS, Approved, StepUps, grant_for
from gateway.portal.endings import Ended, seen_through
from gateway.portal.protection import Protection
from gateway.store.audit import AuditEntry, entry_of
from gateway.store.challenges import Challenge
from gateway.store.choices import Lasting
from gateway.store.factors import Spending
from gateway.store.opening import Store
from gateway.web.cookies import DEVICE_SECONDS, CookieJar, CookieKind
from gateway.web.inbound import Inbound
from gateway.web.metrics import Metrics
from gateway.web.visit import Visit

LARGEST_FORM = 64 * 1024
"""Bytes that our own forms and calls may have."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A factor that counts from now on. `recovery_codes` come with an account's first one."""

    factor: Factor
    taken: CodeTaken
    recovery_codes: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Desk:
    """`policies` gives those that are in use now."""

    store: Store
    sign_ins: SignIns
    second_factor: SecondFactor
    recovery: Recovery
    step_ups: StepUps
    jar: CookieJar
    metrics: Metrics
    passwords: PasswordChanges
    policies: Callable[[], PolicySet]

    async def identify(self, visit: Visit) -> Snapshot | None:
        """Who asks, on a page that is open to everybody; None unless the session is live."""
        cookie = visit.inbound.cookies.session
        snapshot = await self.store.who.ask(cookie, visit.inbound.now) if cookie else None
        return None if snapshot is None or snapshot.fault(visit.inbound.now) else snapshot

    async def sign_in(self, inbound: Inbound, subject: str, password: str) -> SignedIn | SignInRefused:
        attempted = Attempted(
            subject=subject.strip().lower(),
            password=password,
            address=inbound.address,
            user_agent=inbound.header(b"user-agent") or "",
            device_cookie=inbound.cookies.device,
            session_cookie=inbound.cookies.session,
        )
        return await self.sign_ins.sign_in(attempted, inbound.now)

    def cookies_of(self, signed_in: SignedIn) -> tuple[str, ...]:
        """The Set-Cookie values of a new session."""
        return (
            self.session_cookie(signed_in.session_cookie),
            self.jar.write(CookieKind.DEVICE, signed_in.device_cookie, DEVICE_SECONDS),
        )

    def session_cookie(self, value: str) -> str:
        return self.jar.write(CookieKind.SESSION, value, self.store.sessions.limits.absolute)

    def cookies_of_code(self, taken: CodeTaken) -> tuple[str, ...]:
        """The Set-Cookie value of a code that gave the session a new cookie."""
        return (self.session_cookie(taken.session_cookie),) if taken.session_cookie else ()

    async def sign_out(self, visit: Visit) -> Ended | None:
        """End the session that asks, if it is one."""
        snapshot = await self.identify(visit)
        if snapshot is None:
            return None
        return await self.end_session(visit.inbound, snapshot, snapshot.session.id, "signed out")

    def forget_session(self) -> str:
        """The Set-Cookie value that forgets a session's cookie."""
        return self.jar.forget(CookieKind.SESSION)

    async def open_challenge(self, snapshot: Snapshot, challenge_id: str, now: float) -> Challenge | None:
        """A challenge of this session that can still be answered."""
        challenge = await self.store.challenges.find(challenge_id, snapshot.session.id, now)
        return None if challenge is None or challenge.answered else challenge

    async def answer(
        self, inbound: Inbound, snapshot: Snapshot, challenge: Challenge, action: Action, code: str
    ) -> Approved | CodeRefused:
        """Answer a challenge with a code."""
        given = GivenCode(snapshot, code, inbound.address, action.key)
        return await self.step_ups.answer(
            challenge, action, given, cookie=inbound.cookies.session or "", now=inbound.now
        )

    async def answer_by_recovery(
        self, inbound: Inbound, snapshot: Snapshot, challenge: Challenge, action: Action, code: str
    ) -> Approved | CodeRefused:
        """Answer a challenge with a recovery code."""
        given = GivenCode(snapshot, code, inbound.address, action.key)
        return await self.step_ups.answer_by_recovery(
            challenge, action, given, cookie=inbound.cookies.session or "", now=inbound.now
        )

    def cookies_after(self, approved: Approved) -> tuple[str, ...]:
        """The Set-Cookie values of a step-up: the session's new id, and the way back if one is parked."""
        cookies = self.cookies_of_code(approved.taken)
        if not approved.resume_cookie:
            return cookies
        return (*cookies, self.jar.write(CookieKind.RESUME, approved.resume_cookie, RESUME_SECONDS))

    async def factors(self, snapshot: Snapshot) -> list[Factor]:
        """The person's factors, oldest first; those that wait only if this session began them."""
        return [
            factor
            for factor in await self.store.factors.list(snapshot.account.subject)
            if factor.state is FactorState.CONFIRMED or factor.session_id == snapshot.session.id
        ]

    async def enrol(self, inbound: Inbound, snapshot: Snapshot, label: str, proof: Grant | None) -> Enrolment:
        """Begin a new factor. Raises FactorRefused.

        It is no fuller than the proof that it was begun with; beside another one, without any proof
        (whoever switched ADD_FACTOR off needs none) it is as if by a recovery code.
        """
        code_given = snapshot.account.confirmed_factors > 0
        full_at = proof.full_at if proof else inbound.now + self.recovery.waiting if code_given else 0.0
        enrolment = await self.second_factor.enrol(
            snapshot.session, label, inbound.now, code_given=code_given, full_at=full_at
        )
        await self.note(inbound, snapshot, "factor-begun", enrolment.factor.id)
        return enrolment

    async def confirm(
        self, inbound: Inbound, snapshot: Snapshot, factor_id: str, code: str, sign_in: Action | None
    ) -> Confirmed | CodeRefused | None:
        """Confirm a factor by its first code, which also counts as the code of this sign-in.

        An account's first one brings recovery codes. None when this session has no such factor to confirm.
        """
        enrolment = await self.second_factor.pending(snapshot.session, factor_id)
        if enrolment is None:
            return None
        given = GivenCode(snapshot, code, inbound.address, "factor-confirmed")
        taken = await self.second_factor.confirm(
            given,
            factor_id,
            cookie=inbound.cookies.session or "",
            grant=grant_for(sign_in, snapshot, None, inbound.now) if sign_in else None,
            now=inbound.now,
        )
        if isinstance(taken, CodeRefused):
            return taken
        first = snapshot.account.confirmed_factors == 0
        codes = await self.make_recovery_codes(inbound, snapshot) if first else ()
        return Confirmed(enrolment.factor, taken, codes)

    async def codes_locked(self, snapshot: Snapshot) -> bool:
        """Whether no code of the account counts at present, right or wrong."""
        subject = snapshot.account.subject
        return subject in await self.store.attempts.locked([subject])

    async def unlock(
        self, inbound: Inbound, snapshot: Snapshot, recovery_code: str
    ) -> CodeTaken | CodeRefused | None:
        """Let codes count again by a recovery code; None where they do."""
        if not await self.codes_locked(snapshot):
            return None
        entry = self.entry(inbound, snapshot, "codes-unlocked", "by a recovery code")
        spending = Spending(session_id=snapshot.session.id, factor_id="", step=0, entries=(entry,))
        given = GivenCode(snapshot, recovery_code, inbound.address, "codes-unlocked")
        return await self.recovery.take(given, spending, inbound.now)

    async def recovery_codes_left(self, snapshot: Snapshot) -> int:
        return await self.store.recovery_codes.left(snapshot.account.subject)

    async def make_recovery_codes(self, inbound: Inbound, snapshot: Snapshot) -> tuple[str, ...]:
        """New recovery codes, told this once; those before are void.

        Empty when the session or the account's last factor is gone meanwhile.
        """
        entry = self.entry(inbound, snapshot, "recovery-codes-made", str(recovery_codes.COUNT))
        return await self.recovery.make(snapshot.session, inbound.now, entries=[entry])

    async def remove_with_code(
        self, inbound: Inbound, snapshot: Snapshot, factor_id: str, code: str
    ) -> bool | CodeRefused:
        """Remove a factor after taking a code; False when the account has none such."""
        factor = next((f for f in await self.factors(snapshot) if f.id == factor_id), None)
        if factor is None:
            return False
        confirmed = factor.state is FactorState.CONFIRMED
        if confirmed:
            spending = Spending(session_id=snapshot.session.id, factor_id="", step=0, lowers=True)
            given = GivenCode(snapshot, code, inbound.address, "factor-removed")
            taken = await self.second_factor.take(given, spending, cookie=None, now=inbound.now)
            if isinstance(taken, CodeRefused):
                return taken
        return await self.remove(inbound, snapshot, factor_id, code_given=confirmed)

    async def remove(self, inbound: Inbound, snapshot: Snapshot, factor_id: str, *, code_given: bool) -> bool:
        """Remove a factor; without a code only one that this session began and that is pending still."""
        factors, subject = self.store.factors, snapshot.account.subject
        if code_given:
            entry = self.entry(inbound, snapshot, "factor-removed", factor_id)
            return await factors.remove(subject, factor_id, going_on=snapshot.session.id, entries=[entry])
        entry = self.entry(inbound, snapshot, "factor-given-up", factor_id)
        return await factors.give_up(subject, factor_id, snapshot.session.id, entries=[entry])

    async def switch(
        self, inbound: Inbound, snapshot: Snapshot, protection: Protection, *, on: bool
    ) -> tuple[str, ...] | None:
        """Keep a person's choice, for which a code was given; the Set-Cookie values that it brings.

        None when the session ended meanwhile.

        Signing in, once it asks for a code, would ask for the next one at once, here as well: so the
        code that switched it on counts as the code of this sign-in.
        """
        action, lasting = protection.action, None
        if on and action.name == SIGN_IN:
            lasting = Lasting(
                grant_for(action, snapshot, None, inbound.now),
                self.second_factor.rotation(snapshot.session.id, inbound.cookies.session or "", inbound.now),
            )
        entry = self.entry(inbound, snapshot, f"protection-{'on' if on else 'off'}", action.key)
        chosen = await self.store.choices.choose(
            snapshot.session.id, action.key, inbound.now, on=on, lasting=lasting, entries=[entry]
        )
        if not chosen:
            return None
        return (self.session_cookie(lasting.rotation.new_cookie),) if lasting else ()

    async def change_password(
        self, inbound: Inbound, snapshot: Snapshot, *, current: str, new: str
    ) -> Changed | ChangeRefused:
        """Change the person's password, which ends all their other sessions."""
        asked = Change(snapshot, current, new, inbound.cookies.session or "", inbound.address)
        outcome = await self.passwords.change(asked, inbound.now)
        if isinstance(outcome, ChangeRefused) and outcome.reason is not Reason.TOO_MANY_ATTEMPTS:
            await self.note(inbound, snapshot, "password-refused", outcome.reason)
        if isinstance(outcome, Changed):
            self.metrics.revocation(Scope.ACCOUNT)
        return outcome

    async def sessions(self, snapshot: Snapshot, now: float) -> list[Session]:
        """The person's live sessions, newest use first."""
        devices = {device.id: device for device in await self.devices(snapshot)}
        return [
            session
            for session in await self.store.sessions.list(snapshot.account.subject)
            if _is_live(session, devices.get(session.device_id), snapshot, now)
        ]

    async def devices(self, snapshot: Snapshot) -> list[Device]:
        """The person's devices, newest use first, the revoked ones left out."""
        devices = await self.store.devices.list(snapshot.account.subject)
        return [device for device in devices if device.state is not DeviceState.REVOKED]

    async def authorise(self, inbound: Inbound, snapshot: Snapshot, device_id: str) -> Device | None:
        """Let another device in, and confirm it if this one is confirmed; None when there is none such."""
        entry = self.entry(inbound, snapshot, "device-authorised", device_id)
        return await self.store.devices.authorise(
            snapshot.session.id, device_id, inbound.now, entries=[entry]
        )

    async def confirm_device(
        self, inbound: Inbound, snapshot: Snapshot, code: str, sign_in: Action | None, *, recovery: bool
    ) -> CodeTaken | CodeRefused:
        """Confirm the device that asks by a code, which also counts as the code of this sign-in.

        With `recovery` it is a recovery code.
        """
        now, session_id = inbound.now, snapshot.session.id
        spending = Spending(
            session_id=session_id,
            factor_id="",
            step=0,
            grant=grant_for(sign_in, snapshot, None, now) if sign_in else None,
            rotation=self.second_factor.rotation(session_id, inbound.cookies.session or "", now),
        )
        given = GivenCode(snapshot, code, inbound.address, "device-confirmed")
        if recovery:
            return await self.recovery.take(given, spending, now)
        return await self.second_factor.take(given, spending, cookie=None, now=now)

    async def rename(
        self, inbound: Inbound, snapshot: Snapshot, device_id: str, text: str
    ) -> Device | Reason:
        """Give one of the person's devices another name; a Reason when there is no such device or name."""
        name = chosen_name(text)
        if name is None:
            return Reason.UNFIT_NAME
        entry = self.entry(inbound, snapshot, "device-renamed", f"{device_id}: {name}")
        owner = snapshot.account.subject
        return await self.store.devices.rename(device_id, name, owner, entries=[entry]) or Reason.NOT_FOUND

    async def end_device(self, inbound: Inbound, snapshot: Snapshot, device_id: str) -> Ended | None:
        """Revoke a device, and with it every session on it; None when there is none such."""
        revoking = self.store.revocations.device(
            device_id,
            reason="revoked by its owner",
            actor=f"account:{snapshot.account.subject}",
            now=inbound.now,
            owner=snapshot.account.subject,
            entries=[self.entry(inbound, snapshot, "device-revoked", device_id)],
        )
        return await seen_through(revoking, self.metrics)

    async def end_session(
        self, inbound: Inbound, snapshot: Snapshot, session_id: str, reason: str
    ) -> Ended | None:
        revoking = self.store.revocations.session(
            session_id,
            reason=reason,
            actor=f"account:{snapshot.account.subject}",
            now=inbound.now,
            owner=snapshot.account.subject,
            entries=[self.entry(inbound, snapshot, "session-revoked", f"{session_id}: {reason}")],
        )
        return await seen_through(revoking, self.metrics)

    async def end_all(self, inbound: Inbound, snapshot: Snapshot) -> Ended | None:
        """Force logout: every session of the person ends, this one included. None for no such account."""
        revoking = self.store.revocations.account(
            snapshot.account.subject,
            reason="force logout by the account holder",
            actor=f"account:{snapshot.account.subject}",
            now=inbound.now,
            entries=[self.entry(inbound, snapshot, "account-revoked", "force logout")],
        )
        return await seen_through(revoking, self.metrics)

    async def became_of(self, snapshot: Snapshot | None, revocation_id: str) -> Ended | None:
        """What became of something that was ended in the last day; None unless it was the person's own.

        Who is signed out by it is nobody any more: then the id, which nobody can guess, is all there is.
        """
        owner = None if snapshot is None else snapshot.account.subject
        found = await self.store.promises.status(revocation_id, owner=owner)
        return None if found is None else Ended(revocation_id, *found)

    def entry(self, inbound: Inbound, snapshot: Snapshot, event: str, about: str) -> AuditEntry:
        """What the person did, for the audit stream; `about` says to what, or why."""
        return entry_of(snapshot, event, about, address=inbound.address, now=inbound.now)

    async def note(self, inbound: Inbound, snapshot: Snapshot, event: str, about: str) -> None:
        """Put on record what changed nothing else."""
        await self.store.audit.record(self.entry(inbound, snapshot, event, about))


def _is_live(session: Session, device: Device | None, of: Snapshot, now: float) -> bool:
    return Snapshot(session, of.account, device, of.global_epoch).fault(now) is None


async def fields_of(inbound: Inbound) -> Mapping[str, Any]:
    """The fields of a form or a JSON object. Raises BadRequest, PayloadTooLarge."""
    body = await inbound.read_body(LARGEST_FORM)
    return read_fields(body, inbound.header(b"content-type"))


def text_field(fields: Mapping[str, Any], name: str, *, default: str | None = None) -> str:
    """A field that must be text. Raises BadRequest."""
    value = fields.get(name, default)
    if not isinstance(value, str):
        raise BadRequest(f"the field {name!r} must be text")
    return value
