"""Resets for support: the case is judged purely, then the store takes the step if nobody was first."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from gateway import clock
from gateway.core.reasons import Reason
from gateway.core.reset import GATEWAY, Actor, Reset, ResetState, Step, approve, close, record
from gateway.errors import StoreUnavailable
from gateway.store.audit import AuditEntry
from gateway.store.keyring import Seals
from gateway.store.opening import Store

LOOK_SECONDS = 3.0
"""How often a gateway looks whether something is to be done about a case."""

_MOST_AT_ONCE = 100

_log = structlog.get_logger("gateway.resets")


_OBJECTIONS = {
    Reason.NOT_RESETTABLE: (
        "The account has no authenticator app to reset, or it is disabled: enable it first, so that its "
        "holder can be told and can stop it."
    ),
    Reason.RESET_LIVE: "Go on with the account's case, or close it first.",
    Reason.RESET_NOT_OPEN: "It was approved, and waits.",
    Reason.RESET_CLOSED: "A closed case stays closed; a new one can be opened.",
    Reason.EVIDENCE_FULL: "Approve it, or close it.",
    Reason.SAME_OPERATOR: "Whoever opened the case or recorded evidence cannot approve it.",
}


def objection(reason: Reason, reset: Reset | None = None) -> str:
    """What an operator is told of a step that could not be taken."""
    if reason is Reason.EVIDENCE_MISSING and reset is not None:
        return f"Not checked yet: {', '.join(reset.missing)}."
    return _OBJECTIONS.get(reason, "")


@dataclass(frozen=True, slots=True)
class ResetRules:
    """What has to be checked, and for how many seconds a case waits, is left open, and is kept."""

    checklist: tuple[str, ...]
    waiting: float
    abandon_after: float
    keep: float


Described = Callable[[Reset], Sequence[AuditEntry]]
"""How a step is put on record, by the case as it is after it; in the same step of the store."""


def unsaid(_: Reset) -> Sequence[AuditEntry]:
    """Nothing is put on record."""
    return ()


class ResetCases:
    """Each step gives the case as it is now, or the Reason why it could not be taken."""

    def __init__(self, store: Store, rules: ResetRules) -> None:
        self._store = store
        self._rules = rules

    async def open(
        self, subject: str, why: str, by: Actor, now: float, *, described: Described = unsaid
    ) -> Reset | Reason:
        """Open a case; NOT_FOUND, NOT_RESETTABLE or RESET_LIVE where the account has none to get."""
        reset = Reset(
            id=self._store.resets.new_id(subject),
            subject=subject,
            opened_at=now,
            opened_by=by,
            why=why,
            checklist=self._rules.checklist,
            lapses_at=now + self._rules.abandon_after,
        )
        return await self._store.resets.open(reset, entries=described(reset)) or reset

    async def record(
        self,
        reset_id: str,
        item: str,
        text: str,
        by: Actor,
        now: float,
        *,
        described: Described = unsaid,
    ) -> Reset | Reason:
        return await self._advance(reset_id, lambda reset: record(reset, item, text, by, now), now, described)

    async def approve(
        self, reset_id: str, by: Actor, now: float, *, described: Described = unsaid
    ) -> Reset | Reason:
        waiting = self._rules.waiting
        return await self._advance(reset_id, lambda reset: approve(reset, by, now, waiting), now, described)

    async def close(
        self,
        reset_id: str,
        step: Step,
        why: str,
        by: Actor,
        now: float,
        *,
        described: Described = unsaid,
    ) -> Reset | Reason:
        """Refuse, abandon or stop a case."""
        return await self._advance(reset_id, lambda reset: close(reset, step, why, by, now), now, described)

    async def settle(self, now: float) -> list[Reset]:
        """Do what is due: complete what has waited, let lapse what nobody approved, and put it on record.

        Gives what this call did itself; what it lost to another gateway or to somebody who stopped it is
        not part of it.
        """
        settled = []
        for reset in await self._store.resets.due(now, _MOST_AT_ONCE):
            closed = await self._settle(reset, now)
            if closed is not None:
                settled.append(closed)
        return settled

    async def _settle(self, reset: Reset, now: float) -> Reset | None:
        """The case once it is closed; None if somebody was first, or it is held."""
        forget_at, resets = now + self._rules.keep, self._store.resets
        if reset.state is ResetState.WAITING:
            closed = close(reset, Step.COMPLETE, "the waiting time was over", GATEWAY, now)
        else:
            closed = close(reset, Step.LAPSE, "nobody approved it in time", GATEWAY, now)
        if not isinstance(closed, Reset):
            return None
        entries = [_entry_of(closed, now)]
        if closed.state is ResetState.DONE:
            settled = await resets.complete(closed, now, forget_at=forget_at, entries=entries)
        else:
            settled = await resets.move(reset, closed, forget_at=forget_at, entries=entries)
        return closed if settled else None

    async def _advance(
        self, reset_id: str, step: Callable[[Reset], Reset | Reason], now: float, described: Described
    ) -> Reset | Reason:
        """Judge and take a step, anew for as long as others are first: each of theirs is progress."""
        while True:
            before = await self._store.resets.find(reset_id)
            if before is None:
                return Reason.NOT_FOUND
            after = step(before)
            if isinstance(after, Reason):
                return after
            forget_at, entries = now + self._rules.keep, described(after)
            if await self._store.resets.move(before, after, forget_at=forget_at, entries=entries):
                return after


class DueResets:
    """Looks, for as long as the gateway runs, whether something is to be done about a case."""

    def __init__(self, cases: ResetCases, observe: Callable[[], None], every: float = LOOK_SECONDS) -> None:
        """`observe` is told of every account whose sessions ended by this."""
        self._cases = cases
        self._observe = observe
        self._every = every
        self._told_to_stop = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._looking = asyncio.create_task(self._look())

    async def stop(self) -> None:
        """Let what is being settled come to its end: done, it should be on record as well."""
        self._told_to_stop.set()
        if self._looking is not None:
            await self._looking

    async def _look(self) -> None:
        while not await self._stopped():
            try:
                settled = await self._cases.settle(clock.now())
            except StoreUnavailable as error:
                _log.warning("resets that are due have to wait for the store", error=str(error))
                continue
            except Exception:
                _log.exception("this should not happen")
                continue
            for reset in settled:
                _log.info("reset closed", id=reset.id, state=reset.state)
                if reset.state is ResetState.DONE:
                    self._observe()

    async def _stopped(self) -> bool:
        """Wait until it is time to look again; whether to stop instead."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._told_to_stop.wait(), self._every)
        return self._told_to_stop.is_set()


def _entry_of(closed: Reset, now: float) -> AuditEntry:
    return AuditEntry(
        at=closed.closed_at or now,
        event=f"reset-{closed.state}",
        actor=GATEWAY.name,
        subject=closed.subject,
        reason=f"{closed.id} {closed.closed_because}",
    )


def stop_tag(ring: Seals, reset_id: str) -> str:
    """What shows that somebody was sent the link which stops this case."""
    return ring.tag(f"reset-stop:{reset_id}")


def stop_path(ring: Seals, reset_id: str) -> str:
    """The path of a page, on the host of any app, where the account holder stops a case without a session.

    For messages to the account holder. Whoever has it can stop this one case, and nothing else.
    """
    return f"/.watchword/reset/{reset_id}/stop?key={stop_tag(ring, reset_id)}"
