"""The second factor: setting up authenticators, and using codes up.

A code is counted as an attempt before anything about it is checked, whatever door it came through;
then it is judged for each of the account's factors, and then its step is spent in the store, which
alone knows whether somebody was first.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import structlog

from gateway import entropy
from gateway.core import totp
from gateway.core.reasons import Reason
from gateway.core.records import Factor, FactorState, Grant, Session, Snapshot
from gateway.core.totp import Judgement
from gateway.errors import SealBroken
from gateway.store.attempts import CODES, Attempt, GrowingDelay
from gateway.store.audit import AuditEntry, entry_of
from gateway.store.factors import Rotation, Spending
from gateway.store.keyring import Seals
from gateway.store.keys import Shard
from gateway.store.opening import Store
from gateway.store.sealed import SEEDS

LONGEST_LABEL = 64

_log = structlog.get_logger("gateway.second_factor")


@dataclass(frozen=True, slots=True)
class GivenCode:
    """What somebody typed, who, from where, and what for (an action, for the audit stream)."""

    snapshot: Snapshot
    code: str
    address: str
    purpose: str

    def entry(self, event: str, about: str, now: float) -> AuditEntry:
        """How it is put on record what came of it."""
        return entry_of(self.snapshot, event, about, address=self.address, now=now)

    def vouching(self, now: float) -> Iterator[AuditEntry]:
        """How it is put on record that a code vouched for the device; nothing where that was known."""
        device = self.snapshot.device
        if device is not None and not device.is_confirmed:
            yield self.entry("device-authorised", device.id, now)


@dataclass(frozen=True, slots=True)
class CodeRefused:
    """Why a code was not taken.

    `wait` is in seconds: until the next attempt is allowed, until the next code comes, or until the
    trial of its factor is over. `clock_off_by` is what a `Judgement` has.
    """

    reason: Reason
    wait: int
    clock_off_by: int = 0


@dataclass(frozen=True, slots=True)
class CodeTaken:
    """A code that was used up. `session_cookie` is the session's new cookie, if it changed.

    `factor_id` is empty for a recovery code, of which `recovery_codes_left` remain.
    `confirms_device`: it also vouched for the device that it was given on.
    """

    factor_id: str
    session_cookie: str | None
    grant: Grant | None
    recovery_codes_left: int | None = None
    confirms_device: bool = False


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A factor that waits for its first code, and what goes into the authenticator app."""

    factor: Factor
    setup_key: str
    uri: str


class SecondFactor:
    def __init__(
        self,
        store: Store,
        ring: Seals,
        attempts: GrowingDelay,
        issuer: str,
        observe: Callable[[Reason | None], None],
        *,
        confirms_devices: bool = True,
    ) -> None:
        """`observe` is told of every code: None for one that was taken, else why it was not.

        With `confirms_devices`, a code vouches for the device that it is given on.
        """
        self._store = store
        self._ring = ring
        self._attempts = attempts
        self._issuer = issuer
        self._observe = observe
        self.confirms_devices = confirms_devices

    async def enrol(
        self, session: Session, label: str, now: float, *, code_given: bool, full_at: float = 0.0
    ) -> Enrolment:
        """Begin a new factor; without a code only the first one. Raises FactorRefused.

        Until `full_at` it is on trial (see `Factor`).
        """
        subject = session.subject
        seed = entropy.octets(totp.SEED_BYTES)
        factor_id = self._store.factors.new_id(subject)
        factor = Factor(
            id=factor_id,
            subject=subject,
            label=label.strip()[:LONGEST_LABEL] or "Authenticator",
            state=FactorState.PENDING,
            created_at=now,
            last_used_at=None,
            sealed_seed=self._ring.seal(seed, bound_to=SEEDS.bound_to(subject, factor_id)),
            session_id=session.id,
            full_at=full_at,
        )
        await self._store.factors.add(factor, now, code_given=code_given)
        return self._enrolment(factor, seed)

    async def pending(self, session: Session, factor_id: str) -> Enrolment | None:
        """A factor that this session began and that still waits for its first code.

        To other sessions of the account its seed is not shown, or whoever knows only the password
        could wait for the owner to add a factor, and copy it. A confirmed one's is never shown again.
        """
        for factor in _pending(await self._store.factors.list(session.subject), session.id):
            if factor.id == factor_id and (seed := self._seed(factor)) is not None:
                return self._enrolment(factor, seed)
        return None

    async def confirm(
        self, given: GivenCode, factor_id: str, *, cookie: str, grant: Grant | None, now: float
    ) -> CodeTaken | CodeRefused:
        """Take the first code of a pending factor, which makes it count from now on."""
        spending = Spending(
            session_id=given.snapshot.session.id,
            factor_id=factor_id,
            step=0,
            confirms=True,
            grant=grant,
            entries=(given.entry("factor-confirmed", factor_id, now),),
        )
        return await self.take(given, spending, cookie=cookie, now=now)

    async def take(
        self, given: GivenCode, spending: Spending, *, cookie: str | None, now: float
    ) -> CodeTaken | CodeRefused:
        """Take a code of any confirmed factor, for what `spending` names.

        With `cookie` (the session's current one) the session gets a new one in the same step.
        """
        if cookie is not None:
            spending = replace(spending, rotation=self.rotation(spending.session_id, cookie, now))
        return await self._take(given, spending, now)

    def rotation(self, session_id: str, cookie: str, now: float) -> Rotation:
        """A new cookie for a session, to be changed in the step that brings it proof."""
        sessions = self._store.sessions
        shard = Shard(int(session_id[:2], 16))
        return Rotation(cookie, sessions.new_cookie(shard), now + sessions.limits.grace)

    async def _take(self, given: GivenCode, spending: Spending, now: float) -> CodeTaken | CodeRefused:
        subject = given.snapshot.account.subject
        device = given.snapshot.device
        attempt = await self._store.attempts.begin(CODES, subject, self._attempts, now, device=device)
        outcome = _not_now(attempt) or await self._judge(given, spending, now)
        refused = outcome.reason if isinstance(outcome, CodeRefused) else None
        self._observe(refused)
        if refused is None or not attempt.allowed:
            return outcome  # what was not even looked at could wash all else out of the stream
        await self._store.audit.record(given.entry("code-refused", f"{refused}: {given.purpose}", now))
        if not attempt.locked:
            return outcome
        await self._store.audit.record(given.entry("codes-locked", refused, now))
        return CodeRefused(Reason.CODES_LOCKED, 0)  # which is what matters from now on

    async def _judge(self, given: GivenCode, spending: Spending, now: float) -> CodeTaken | CodeRefused:
        next_code = totp.seconds_to_next_code(now)
        if not totp.is_code(given.code):
            return CodeRefused(Reason.MALFORMED_CODE, next_code)
        refusals, trial = [], 0
        factors = await self._store.factors.list(given.snapshot.account.subject)
        for factor in self._candidates(factors, spending):
            judged = self._judge_for(factor, given.code, now)
            if judged.reason is None:
                grant = replace(spending.grant, full_at=factor.full_at) if spending.grant else None
                confirms = self._confirms_device(given, spending)
                spent = replace(
                    spending,
                    factor_id=factor.id,
                    step=judged.step,
                    grant=grant,
                    confirms_device=confirms,
                    entries=(*self._taken(given, now, confirms_device=confirms), *spending.entries),
                )
                reason = await self._store.factors.spend(spent, now)
                if reason is None:
                    cookie = spending.rotation.new_cookie if spending.rotation else None
                    return CodeTaken(factor.id, cookie, grant, confirms_device=confirms)
                judged, trial = Judgement(reason), math.ceil(factor.full_at - now)
            elif judged.clock_off_by > 0:
                # Who guesses is told so, and must not come back with the code when its time has come.
                await self._store.factors.void(factor, judged.step, now)
            refusals.append(judged)
        told = totp.most_telling(refusals)
        wait = trial if told.reason is Reason.FACTOR_ON_TRIAL else next_code
        return CodeRefused(told.reason or Reason.WRONG_CODE, wait, told.clock_off_by)

    def _taken(self, given: GivenCode, now: float, *, confirms_device: bool) -> Iterator[AuditEntry]:
        """What is put on record with a code that is used up."""
        yield given.entry("code-taken", given.purpose, now)
        if confirms_device:
            yield from given.vouching(now)

    def _confirms_device(self, given: GivenCode, spending: Spending) -> bool:
        """Whether a code vouches for the device that it is given on.

        One that confirms a factor comes from the session that began it, so for a device that nobody has
        let in yet it proves nothing.
        """
        device = given.snapshot.device
        let_in = device is not None and device.is_authorised
        return self.confirms_devices and (let_in or not spending.confirms)

    def _judge_for(self, factor: Factor, code: str, now: float) -> Judgement:
        """What a code is to a factor; wrong also for one whose seed no key opens: the others still count."""
        seed = self._seed(factor)
        if seed is None:
            return totp.WRONG
        return totp.judge(seed, code, now, drift=factor.drift, last_step=factor.last_step)

    def _candidates(self, factors: Iterable[Factor], spending: Spending) -> list[Factor]:
        if spending.confirms:
            return [f for f in _pending(factors, spending.session_id) if f.id == spending.factor_id]
        return [f for f in factors if f.state is FactorState.CONFIRMED]

    def _seed(self, factor: Factor) -> bytes | None:
        """What codes come from; None for a factor that no key opens, which is as good as none."""
        try:
            return self._ring.open(factor.sealed_seed, bound_to=SEEDS.bound_to(factor.subject, factor.id))
        except SealBroken:
            _log.error("a seed cannot be opened: is its key missing from the key ring?", factor=factor.id)
            return None

    def _enrolment(self, factor: Factor, seed: bytes) -> Enrolment:
        uri = totp.otpauth_uri(seed, issuer=self._issuer, account=factor.subject)
        return Enrolment(factor, totp.setup_key(seed), uri)


def _not_now(attempt: Attempt) -> CodeRefused | None:
    """The refusal of an attempt that may not be checked, right or wrong."""
    if attempt.allowed:
        return None
    if attempt.locked:
        return CodeRefused(Reason.CODES_LOCKED, 0)
    return CodeRefused(Reason.TOO_MANY_ATTEMPTS, attempt.retry_after)


def _pending(factors: Iterable[Factor], session_id: str) -> list[Factor]:
    return [f for f in factors if f.state is FactorState.PENDING and f.session_id == session_id]
