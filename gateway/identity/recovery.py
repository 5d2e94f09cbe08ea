"""Recovery codes: ten ways past a lost phone, each of them once.

None of them takes protection away, or one code and the password would be enough to add a factor of one's
own and to remove the owner's with it. So what a recovery code begins is on trial for a while, in which
the owner is told and can stop it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from gateway import entropy
from gateway.core import recovery_codes
from gateway.core.reasons import Reason
from gateway.core.records import Session
from gateway.identity.passwords import Passwords
from gateway.identity.second_factor import CodeRefused, CodeTaken, GivenCode
from gateway.store.attempts import RECOVERY, GrowingDelay
from gateway.store.audit import AuditEntry
from gateway.store.factors import Spending
from gateway.store.opening import Store

_SALT_OCTETS = 16


class Recovery:
    """`waiting` is in seconds: how long what a recovery code begins is on trial."""

    def __init__(
        self,
        store: Store,
        passwords: Passwords,
        attempts: GrowingDelay,
        waiting: float,
        observe: Callable[[Reason | None], None],
        *,
        confirms_devices: bool = False,
    ) -> None:
        """`observe` is told of every code: None for one that was taken, else why it was not.

        With `confirms_devices` a code also vouches for the device that it is given on.
        """
        self._store = store
        self._passwords = passwords
        self._attempts = attempts
        self._observe = observe
        self._confirms_devices = confirms_devices
        self.waiting = waiting

    async def make(
        self, session: Session, now: float, *, entries: Sequence[AuditEntry] = ()
    ) -> tuple[str, ...]:
        """New codes for the session's account, as they are written; those before are void.

        They are told here and nowhere else. Empty when the session ended meanwhile, or the account has
        no factor.
        """
        codes = [
            recovery_codes.code_of(entropy.octets(recovery_codes.OCTETS)) for _ in range(recovery_codes.COUNT)
        ]
        salt = entropy.octets(_SALT_OCTETS)
        # One after the other, so that people who sign in meanwhile need not wait for all of them.
        hashes = [await self._passwords.digest(code, salt=salt) for code in codes]
        refused = await self._store.recovery_codes.keep(session.id, hashes, now, entries=entries)
        return () if refused else tuple(recovery_codes.written(code) for code in codes)

    async def take(self, given: GivenCode, spending: Spending, now: float) -> CodeTaken | CodeRefused:
        """Take a recovery code for what `spending` names, unless that takes protection away."""
        outcome = await self._judge(given, spending, now)
        refused = outcome.reason if isinstance(outcome, CodeRefused) else None
        self._observe(refused)
        # What was not even looked at could wash all else out of the stream.
        if refused and refused is not Reason.TOO_MANY_ATTEMPTS:
            await self._store.audit.record(given.entry("recovery-code-refused", refused, now))
        return outcome

    async def _judge(self, given: GivenCode, spending: Spending, now: float) -> CodeTaken | CodeRefused:
        if spending.lowers:
            return CodeRefused(Reason.RECOVERY_NOT_ENOUGH, 0)
        subject = given.snapshot.account.subject
        device = given.snapshot.device
        attempt = await self._store.attempts.begin(RECOVERY, subject, self._attempts, now, device=device)
        if not attempt.allowed:
            return CodeRefused(Reason.TOO_MANY_ATTEMPTS, attempt.retry_after)
        code = recovery_codes.read(given.code)
        like = await self._store.recovery_codes.any_hash(subject)
        if code is None or like is None:
            return CodeRefused(Reason.WRONG_RECOVERY_CODE, 0)
        grant = replace(spending.grant, full_at=now + self.waiting) if spending.grant else None
        hashed = await self._passwords.digest_like(code, like)
        used = given.entry("recovery-code-used", given.purpose, now)
        vouching = given.vouching(now) if self._confirms_devices else ()
        spent = replace(
            spending,
            grant=grant,
            confirms_device=self._confirms_devices,
            entries=(used, *vouching, *spending.entries),
        )
        left = await self._store.recovery_codes.spend(spent, hashed, now)
        if isinstance(left, Reason):
            return CodeRefused(left, 0)
        cookie = spending.rotation.new_cookie if spending.rotation else None
        return CodeTaken("", cookie, grant, recovery_codes_left=left)
