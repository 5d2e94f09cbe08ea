"""What tests of resets share: the rules, the people at work, and cases on their way."""

import asyncio
from dataclasses import replace

from support.store import NOW, enrolled, signed_in

from gateway.core.reasons import Reason
from gateway.core.reset import GATEWAY, Actor, Reset, Step, approve, close, record
from gateway.identity.resets import ResetCases, ResetRules
from gateway.store.opening import Store

WAITING = 3 * 86400.0
RESET_RULES = ResetRules(("full-name", "photo"), WAITING, abandon_after=7 * 86400.0, keep=90 * 86400.0)

GRACE = Actor("operator:grace", "token-1")
MARGARET = Actor("operator:margaret", "token-2")
KATHERINE = Actor("operator:katherine", "token-3")
ADA = Actor("account:ada")

FORGET_AT = NOW + RESET_RULES.keep


def new_reset(reset_id: str = "00" + "a" * 30, *, now: float = NOW, **other: object) -> Reset:
    """A case of ada that grace has just opened; `other` are fields that differ."""
    reset = Reset(
        id=reset_id,
        subject="ada",
        opened_at=now,
        opened_by=GRACE,
        why="phone and key lost, ticket 4711",
        checklist=RESET_RULES.checklist,
        lapses_at=now + RESET_RULES.abandon_after,
    )
    return replace(reset, **other)  # type: ignore[arg-type]


def checked(reset: Reset, by: Actor = GRACE) -> Reset:
    """The case with all that has to be checked, by `by`."""
    for item in reset.missing:
        outcome = record(reset, item, "seen", by, reset.opened_at + 1)
        assert isinstance(outcome, Reset)
        reset = outcome
    return reset


def waiting(reset: Reset, by: Actor = MARGARET) -> Reset:
    """The case once it is approved."""
    outcome = approve(checked(reset), by, reset.opened_at + 2, WAITING)
    assert isinstance(outcome, Reset)
    return outcome


async def opened(store: Store, subject: str = "ada") -> Reset:
    """An open case in the store, of an account with a factor, made if need be."""
    account = await store.accounts.find(subject)
    if account is None or account.confirmed_factors == 0:
        await enrolled(store, await signed_in(store, subject), subject)
    reset = new_reset(store.resets.new_id(subject), subject=subject)
    assert await store.resets.open(reset) is None
    return reset


async def approved(store: Store, subject: str = "ada") -> Reset:
    """A case in the store that waits."""
    reset = await opened(store, subject)
    ready = checked(reset)
    assert await store.resets.move(reset, ready, forget_at=FORGET_AT)
    after = waiting(ready)
    assert await store.resets.move(ready, after, forget_at=FORGET_AT)
    return after


def closed(reset: Reset, step: Step, by: Actor = ADA, at: float = NOW + 10) -> Reset:
    """The case once it is closed by `step`."""
    outcome = close(reset, step, "a test", by, at)
    assert isinstance(outcome, Reset)
    return outcome


def done(reset: Reset) -> Reset:
    """The case once it waited long enough."""
    assert reset.due_at is not None
    return closed(reset, Step.COMPLETE, GATEWAY, reset.due_at)


async def completed(store: Store, reset: Reset, now: float | None = None) -> bool:
    """Whether the store did it, when its time had come or at `now`."""
    after = done(reset)
    at = after.closed_at if now is None else now
    assert at is not None
    return await store.resets.complete(after, at, forget_at=FORGET_AT)


# What each of several processes does at one moment (`support.race.store_work`), many times at once.


async def approvals(store: Store, reset_id: str, by: Actor) -> list[Reset | Reason]:
    cases = ResetCases(store, RESET_RULES)
    return await asyncio.gather(*(cases.approve(reset_id, by, NOW + 5) for _ in range(25)))


async def moves(store: Store, before: Reset, after: Reset) -> list[bool]:
    return await asyncio.gather(*(store.resets.move(before, after, forget_at=FORGET_AT) for _ in range(25)))


async def completions(store: Store, reset: Reset) -> list[bool]:
    return await asyncio.gather(*(completed(store, reset) for _ in range(25)))


async def stops_and_completions(store: Store, reset: Reset) -> list[bool]:
    stop = closed(reset, Step.STOP)
    return await asyncio.gather(
        completed(store, reset), store.resets.move(reset, stop, forget_at=FORGET_AT), completed(store, reset)
    )
