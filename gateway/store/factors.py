"""Factors, and the one step in which a code is used up."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.core.reasons import Reason
from gateway.core.records import Factor, FactorState, Grant
from gateway.core.totp import FAR, PERIOD, step_at
from gateway.errors import WatchwordError
from gateway.store.audit import Audit, AuditEntry
from gateway.store.connection import Connection, time_text
from gateway.store.keys import Shard, hash_of, shard_of_id, shard_of_subject
from gateway.store.sessions import grant_argument

MOST_FACTORS = 10
PENDING_SECONDS = 3600
"""How long a factor waits to be confirmed before it is forgotten."""

VOID_SECONDS = (FAR + 5) * PERIOD
"""How long a code that came before its time is remembered: until it could count nowhere any more."""


class FactorRefused(WatchwordError):
    """A factor cannot be begun."""


class TooManyFactors(FactorRefused):
    """An account has as many factors as one may have."""


class CodeNeeded(FactorRefused):
    """A factor was confirmed meanwhile, so that another one is only begun with a code."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """The change of a session's cookie at a step-up; the old value lives on until `old_until`."""

    old_cookie: str
    new_cookie: str
    old_until: float

    def arguments(self) -> dict[str, str]:
        """The same for a script, where cookies appear as hashes only."""
        return {
            "cookie": hash_of(self.new_cookie),
            "old_cookie": hash_of(self.old_cookie),
            "old_until": time_text(self.old_until),
        }


@dataclass(frozen=True, slots=True)
class Spending:
    """A code that matched, and all that using it up brings about, together or not at all.

    `lowers` is what for: taking protection away. `factor_id` and `step` mean nothing for a recovery code.
    """

    session_id: str
    factor_id: str
    step: int
    confirms: bool = False
    lowers: bool = False
    grant: Grant | None = None
    rotation: Rotation | None = None
    challenge_id: str | None = None
    resume: tuple[str, float] | None = None  # the resume cookie's value, and until when it counts
    confirms_device: bool = False
    entries: tuple[AuditEntry, ...] = ()  # what is put on record with it

    def arguments(self) -> dict[str, Any]:
        """The same for the script, where cookies appear as hashes only."""
        resume = self.resume
        return {
            "session": self.session_id,
            "factor": self.factor_id,
            "step": self.step,
            "confirm": self.confirms or None,
            "lowers": self.lowers or None,
            "challenge": self.challenge_id,
            "grant": grant_argument(self.grant) if self.grant else None,
            "confirms_device": self.confirms_device or None,
            "resume": {"hash": hash_of(resume[0]), "until": time_text(resume[1])} if resume else None,
            **(self.rotation.arguments() if self.rotation else {}),
        }


class Factors:
    def __init__(self, connection: Connection, audit: Audit) -> None:
        self._connection = connection
        self._audit = audit

    def new_id(self, subject: str) -> str:
        return self._shard(subject).new_id()

    async def add(self, factor: Factor, now: float, *, code_given: bool) -> None:
        """Keep a pending factor. Raises TooManyFactors, CodeNeeded, FactorRefused."""
        outcome = await self._connection.run(
            "add_factor",
            self._shard(factor.subject),
            subject=factor.subject,
            factor=factor.id,
            most=MOST_FACTORS,
            expires_at=now + PENDING_SECONDS,
            code_given=code_given or None,
            fields={
                "label": factor.label,
                "created_at": time_text(factor.created_at),
                "sealed_seed": factor.sealed_seed.decode("ascii"),
                "session": factor.session_id,
                "full_at": time_text(factor.full_at),
            },
        )
        if outcome == "too-many":
            raise TooManyFactors(f"an account may have {MOST_FACTORS} factors")
        if outcome == "code-needed":
            raise CodeNeeded("the account has an authenticator app by now: give a code")
        if outcome != "added":
            raise FactorRefused("there is no such account")

    async def list(self, subject: str) -> list[Factor]:
        """The factors of an account, oldest first, pending ones included."""
        shard = self._shard(subject)
        ids = await self._connection.call(self._connection.redis.smembers(shard.key("factors", subject)))
        rows = await self._connection.hashes(shard.key("factor", factor_id) for factor_id in ids)
        return sorted((_factor_from(row) for row in rows), key=lambda factor: factor.created_at)

    async def spend(self, spending: Spending, now: float) -> Reason | None:
        """Use up a code and give what it was for; a Reason when somebody was first."""
        shard = shard_of_id(spending.session_id, self._connection.shards)
        if shard is None:
            return Reason.SESSION_REVOKED
        offset = spending.step - step_at(now)
        outcome = await self._audit.run(
            "spend_code", shard, spending.entries, now=now, offset=offset, **spending.arguments()
        )
        return None if outcome == "spent" else Reason(outcome)

    async def void(self, factor: Factor, step: int, now: float) -> None:
        """Let a step that is still to come never count: somebody was told that they have its code."""
        await self._connection.run(
            "void_step",
            self._shard(factor.subject),
            factor=factor.id,
            step=step,
            expires_at=now + VOID_SECONDS,
        )

    async def remove(
        self, subject: str, factor_id: str, *, going_on: str = "", entries: Sequence[AuditEntry] = ()
    ) -> bool:
        """Remove a factor of this account; False when it has none such.

        Proof that was given in its sessions counts no more, but in the one that is `going_on`.
        """
        return await self._remove(subject, factor_id, entries, going_on=going_on)

    async def give_up(
        self, subject: str, factor_id: str, session_id: str, *, entries: Sequence[AuditEntry] = ()
    ) -> bool:
        """Remove a factor that is pending still and was begun in this session; False if it is no such one."""
        return await self._remove(subject, factor_id, entries, begun_in=session_id)

    async def _remove(self, subject: str, factor_id: str, entries: Sequence[AuditEntry], **only: str) -> bool:
        removed = await self._audit.run(
            "remove_factor", self._shard(subject), entries, subject=subject, factor=factor_id, **only
        )
        return bool(removed)

    def _shard(self, subject: str) -> Shard:
        return shard_of_subject(subject, self._connection.shards)


def _factor_from(row: dict[str, str]) -> Factor:
    last_used_at, last_step = row.get("last_used_at"), row.get("last_step")
    return Factor(
        id=row["id"],
        subject=row["subject"],
        label=row["label"],
        state=FactorState(row["state"]),
        created_at=float(row["created_at"]),
        last_used_at=None if last_used_at is None else float(last_used_at),
        sealed_seed=row["sealed_seed"].encode("ascii"),
        session_id=row["session"],
        last_step=None if last_step is None else int(last_step),
        drift=int(row.get("drift", 0)),
        full_at=float(row.get("full_at", 0)),  # one from before there were trials has none
    )
