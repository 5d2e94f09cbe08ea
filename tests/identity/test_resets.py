"""Cases on their way: judged, taken, lost to somebody who was first, and settled when they are due."""

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs
from support.race import Race, store_work
from support.resets import (
    ADA,
    GRACE,
    MARGARET,
    RESET_RULES,
    WAITING,
    approvals,
    approved,
    closed,
    opened,
)
from support.store import NOW, RING, contents, enrolled, every_size, signed_in

from gateway import clock
from gateway.core.reasons import Reason
from gateway.core.reset import Actor, Reset, ResetState, Step
from gateway.errors import StoreUnavailable
from gateway.identity.resets import (
    DueResets,
    ResetCases,
    objection,
    stop_path,
    stop_tag,
)
from gateway.store.opening import Store


@pytest.fixture
def cases(store: Store) -> ResetCases:
    return ResetCases(store, RESET_RULES)


async def begun(cases: ResetCases, store: Store) -> Reset:
    """A case that grace has opened and checked, for ada, who has a factor."""
    await enrolled(store, await signed_in(store))
    reset = await cases.open("ada", "ticket 4711", GRACE, NOW)
    assert isinstance(reset, Reset)
    for item in reset.missing:
        outcome = await cases.record(reset.id, item, "seen", GRACE, NOW + 1)
        assert isinstance(outcome, Reset)
        reset = outcome
    return reset


async def events(store: Store, subject: str = "ada") -> list[tuple[str, str, str]]:
    """What is on record of resets, oldest first."""
    entries = await store.audit.latest(subject)
    return [
        (each.event, each.actor, each.reason) for each in reversed(entries) if each.event.startswith("reset-")
    ]


# --- steps


@every_size
async def test_a_case_goes_its_way(cases: ResetCases, store: Store) -> None:
    reset = await begun(cases, store)
    assert (reset.checklist, reset.lapses_at) == (RESET_RULES.checklist, NOW + RESET_RULES.abandon_after)
    underway = await cases.approve(reset.id, MARGARET, NOW + 5)
    assert isinstance(underway, Reset)
    assert underway.due_at == NOW + 5 + WAITING
    assert await store.resets.find(reset.id) == underway


async def test_what_cannot_be_is_told_and_changes_nothing(cases: ResetCases, store: Store) -> None:
    reset = await begun(cases, store)
    assert await cases.open("ada", "again", MARGARET, NOW) is Reason.RESET_LIVE
    assert await cases.open("nobody", "x", GRACE, NOW) is Reason.NOT_FOUND
    assert await cases.approve(reset.id, GRACE, NOW) is Reason.SAME_OPERATOR
    assert await cases.record(reset.id, "smile", "yes", GRACE, NOW) is Reason.UNKNOWN_EVIDENCE
    for unknown in ("00" + "f" * 30, "", "ff" + "0" * 30):
        assert await cases.approve(unknown, MARGARET, NOW) is Reason.NOT_FOUND
    assert await store.resets.find(reset.id) == reset


async def test_statements_at_one_moment_are_all_kept(cases: ResetCases, store: Store) -> None:
    """Each loses to the others for a while, and is judged anew."""
    reset = await opened(store)
    people = [Actor(f"operator:{number}") for number in range(10)]
    await asyncio.gather(*(cases.record(reset.id, "photo", "seen", by, NOW + 1) for by in people))
    found = await store.resets.find(reset.id)
    assert found is not None
    assert {statement.by for statement in found.evidence} == set(people)


async def test_whoever_records_while_another_approves_is_not_lost(cases: ResetCases, store: Store) -> None:
    """Either the statement was there before the approval was judged, or the case was no longer open."""
    reset = await begun(cases, store)
    statement, approval = await asyncio.gather(
        cases.record(reset.id, "photo", "blurred", MARGARET, NOW + 2),
        cases.approve(reset.id, MARGARET, NOW + 2),
    )
    if isinstance(statement, Reset):
        assert approval is Reason.SAME_OPERATOR
    else:
        assert statement is Reason.RESET_NOT_OPEN and isinstance(approval, Reset)


async def test_one_approval_wins_over_processes(
    cases: ResetCases, store: Store, valkey_url: str, race: Race
) -> None:
    reset = await begun(cases, store)
    outcomes: list[list[Any]] = race(store_work, valkey_url, approvals, reset.id, MARGARET)
    told = [outcome for each in outcomes for outcome in each]
    assert sum(isinstance(outcome, Reset) for outcome in told) == 1
    assert {outcome for outcome in told if isinstance(outcome, Reason)} == {Reason.RESET_NOT_OPEN}


@pytest.mark.parametrize("reason", [Reason.SAME_OPERATOR, Reason.RESET_LIVE, Reason.NOT_RESETTABLE])
def test_an_operator_is_told_why_not(reason: Reason) -> None:
    assert objection(reason).endswith(".")


async def test_an_operator_is_told_what_is_missing(cases: ResetCases, store: Store) -> None:
    reset = await opened(store)
    assert await cases.approve(reset.id, MARGARET, NOW) is Reason.EVIDENCE_MISSING
    assert objection(Reason.EVIDENCE_MISSING, reset) == "Not checked yet: full-name, photo."


# --- settling


@every_size
async def test_what_has_waited_is_done_and_on_record(cases: ResetCases, store: Store) -> None:
    reset = await approved(store)
    assert reset.due_at is not None
    assert await cases.settle(reset.due_at - 1) == []
    (settled,) = await cases.settle(reset.due_at)
    assert settled.state is ResetState.DONE
    assert await store.resets.find(reset.id) == settled
    assert await events(store) == [("reset-done", "gateway", f"{reset.id} the waiting time was over")]
    assert await cases.settle(NOW + 1e9) == [], "once"


async def test_what_nobody_approved_lapses_and_is_on_record(cases: ResetCases, store: Store) -> None:
    reset = await opened(store)
    assert await cases.settle(reset.lapses_at - 1) == []
    (settled,) = await cases.settle(reset.lapses_at)
    assert settled.state is ResetState.ABANDONED
    assert await events(store) == [("reset-abandoned", "gateway", f"{reset.id} nobody approved it in time")]
    account = await store.accounts.find("ada")
    assert account is not None and (account.confirmed_factors, account.reset) == (1, None)
    assert await cases.settle(NOW + 1e9) == []


@pytest.mark.parametrize("step", [Step.STOP, Step.REFUSE, Step.ABANDON])
async def test_what_was_closed_meanwhile_is_not_done(
    cases: ResetCases, store: Store, monkeypatch: pytest.MonkeyPatch, step: Step
) -> None:
    """Between the moment when it was found to be due, and the step."""
    reset = await approved(store)
    found = store.resets.due

    async def found_and_then_closed(now: float, most: int) -> list[Reset]:
        due = await found(now, most)
        assert isinstance(await cases.close(reset.id, step, "just in time", ADA, now), Reset)
        return due

    monkeypatch.setattr(store.resets, "due", found_and_then_closed)
    assert reset.due_at is not None
    assert await cases.settle(reset.due_at) == []
    kept, account = await store.resets.find(reset.id), await store.accounts.find("ada")
    assert kept is not None and kept.state is closed(reset, step).state
    assert account is not None and account.confirmed_factors == 1


async def test_what_is_done_is_on_record_in_the_same_step(
    cases: ResetCases, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    reset = await approved(store)
    assert reset.due_at is not None

    async def away(*_: object) -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(store.audit, "record", away)
    (settled,) = await cases.settle(reset.due_at)
    assert settled.state is ResetState.DONE
    assert [event for event, _, _ in await events(store)] == ["reset-done"]
    assert await cases.settle(NOW + 1e9) == []


# --- the worker


async def until_settled(store: Store, reset_id: str) -> Reset:
    while True:
        found = await store.resets.find(reset_id)
        assert found is not None
        if found.live is None:
            return found
        await asyncio.sleep(0.005)


async def test_a_gateway_does_by_itself_what_is_due(
    cases: ResetCases, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    reset = await approved(store)
    ended: list[str] = []
    monkeypatch.setattr(clock, "now", lambda: reset.due_at)
    worker = DueResets(cases, lambda: ended.append("ada"), every=0.01)
    worker.start()
    try:
        assert (await until_settled(store, reset.id)).state is ResetState.DONE
    finally:
        await worker.stop()
    assert ended == ["ada"]


async def test_a_store_that_is_away_is_asked_again(
    cases: ResetCases, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    reset = await approved(store)
    monkeypatch.setattr(clock, "now", lambda: reset.due_at)
    found, failures = store.resets.due, [StoreUnavailable("away"), ValueError("a defect")]

    async def away_at_first(now: float, most: int) -> list[Reset]:
        if failures:
            raise failures.pop(0)
        return await found(now, most)

    monkeypatch.setattr(store.resets, "due", away_at_first)
    worker = DueResets(cases, lambda: None, every=0.01)
    with capture_logs() as said:
        worker.start()
        try:
            await until_settled(store, reset.id)
        finally:
            await worker.stop()
    assert [entry["log_level"] for entry in said[:2]] == ["warning", "error"]


async def test_it_stops_with_its_gateway(
    cases: ResetCases, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    reset = await approved(store)
    monkeypatch.setattr(clock, "now", lambda: reset.due_at)
    worker = DueResets(cases, lambda: None, every=0.01)
    worker.start()
    await worker.stop()
    await worker.stop()
    await asyncio.sleep(0.05)
    assert await store.resets.find(reset.id) == reset


# --- the link


def test_a_link_is_for_one_case() -> None:
    one, other = "00" + "a" * 30, "00" + "b" * 30
    assert stop_path(RING, one) == f"/.watchword/reset/{one}/stop?key={stop_tag(RING, one)}"
    assert stop_tag(RING, one) != stop_tag(RING, other)


async def test_nothing_of_a_link_is_in_the_store(store: Store, valkey: Redis) -> None:
    reset = await approved(store)
    assert stop_tag(RING, reset.id) not in repr(await contents(valkey))
