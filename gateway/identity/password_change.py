"""Changing one's own password: the current one is checked, and all other sessions end."""

from dataclasses import dataclass, field

from gateway.core.profile import Unfit
from gateway.core.reasons import Reason
from gateway.core.records import Snapshot
from gateway.identity.passwords import LONGEST, SHORTEST, Passwords
from gateway.store.attempts import GrowingDelay
from gateway.store.audit import entry_of
from gateway.store.factors import Rotation
from gateway.store.keys import Shard
from gateway.store.opening import Store
from gateway.store.orders import Revocation
from gateway.store.revocations import NewPassword

_COUNTER = "password-change"
"""Of its own, and by device, so that a stolen session can neither guess freely nor keep its owner from
signing in or from changing the password.
"""


@dataclass(frozen=True, slots=True)
class Change:
    """What somebody asks for. `cookie` is the session's current one."""

    snapshot: Snapshot
    current: str = field(repr=False)
    new: str = field(repr=False)
    cookie: str = field(repr=False)
    address: str


@dataclass(frozen=True, slots=True)
class Changed:
    """The session goes on under a new cookie; `revocation` ended all others."""

    session_cookie: str
    revocation: Revocation


@dataclass(frozen=True, slots=True)
class ChangeRefused:
    """Why not; `retry_after` in seconds when it may be tried again later.

    `unfit` says what is wrong with the new one: it is `short`, `long`, the `same` or the account's `name`.
    """

    reason: Reason
    retry_after: int = 0
    unfit: Unfit | None = None


@dataclass(frozen=True, slots=True)
class PasswordChanges:
    store: Store
    passwords: Passwords
    delay: GrowingDelay

    async def change(self, asked: Change, now: float) -> Changed | ChangeRefused:
        """Check the current password, counted before it is, and put the new one in its place."""
        account, session = asked.snapshot.account, asked.snapshot.session
        if unfit := _unfit(asked.new, asked.current, account.subject):
            return ChangeRefused(Reason.UNFIT_PASSWORD, unfit=unfit)
        counter = f"{_COUNTER}:{session.device_id}"
        attempt = await self.store.attempts.begin(counter, account.subject, self.delay, now)
        if not attempt.allowed:
            return ChangeRefused(Reason.TOO_MANY_ATTEMPTS, attempt.retry_after)
        known = await self.store.accounts.credentials(account.subject)
        if known is None or not await self.passwords.verify(known.password_hash, asked.current):
            return ChangeRefused(Reason.WRONG_PASSWORD)
        new_cookie = self.store.sessions.new_cookie(Shard(int(session.id[:2], 16)))
        change = NewPassword(
            subject=account.subject,
            session_id=session.id,
            was=known.password_hash,
            becomes=await self.passwords.hash(asked.new),
            # No seconds of grace: the old cookie may be what somebody has copied.
            rotation=Rotation(asked.cookie, new_cookie, now),
        )
        about = "other sessions ended"
        entry = entry_of(asked.snapshot, "password-changed", about, address=asked.address, now=now)
        changed = await self.store.revocations.by_new_password(
            change, actor=entry.actor, now=now, entries=[entry]
        )
        if changed is None:
            return ChangeRefused(Reason.SESSION_REVOKED)
        await self.store.attempts.succeed(counter, account.subject)
        return Changed(new_cookie, changed)


def _unfit(new: str, current: str, subject: str) -> Unfit | None:
    if len(new) < SHORTEST:
        return Unfit("short", str(SHORTEST))
    if len(new) > LONGEST:
        return Unfit("long", str(LONGEST))
    if new == current:
        return Unfit("same")
    return Unfit("name") if new.strip().lower() == subject else None
