"""Cases in the store: one for an account, taken on step by step, each by one alone, and done as a whole."""

from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis
from support.race import Race, store_work
from support.resets import (
    FORGET_AT,
    approved,
    checked,
    closed,
    completed,
    completions,
    done,
    moves,
    new_reset,
    opened,
    stops_and_completions,
    waiting,
)
from support.store import (
    NOW,
    STEP,
    account_added,
    contents,
    device_of,
    enrolled,
    every_size,
    new_factor,
    signed_in,
    spent,
)

from gateway.core.ending import Scope
from gateway.core.reasons import Reason
from gateway.core.records import DeviceState
from gateway.core.reset import LIVE, LiveReset, Reset, ResetState, Step
from gateway.store.attempts import GrowingDelay
from gateway.store.opening import Store
from gateway.store.resets import HELD_SECONDS

EVERY_STATE = frozenset(ResetState)


async def live_of(store: Store, subject: str = "ada") -> LiveReset | None:
    account = await store.accounts.find(subject)
    assert account is not None
    return account.reset


# --- opening


@every_size
async def test_a_case_is_kept_as_it_is(store: Store) -> None:
    reset = await opened(store)
    assert await store.resets.find(reset.id) == reset
    assert await live_of(store) == LiveReset(reset.id)
    assert await store.resets.list(EVERY_STATE, 10) == [reset]


async def test_an_account_has_one_live_case(store: Store) -> None:
    reset = await opened(store)
    assert await store.resets.open(new_reset(store.resets.new_id("ada"))) is Reason.RESET_LIVE
    assert await store.resets.move(reset, closed(reset, Step.ABANDON), forget_at=FORGET_AT)
    assert await store.resets.open(new_reset(store.resets.new_id("ada"))) is None


async def test_where_there_is_nothing_to_reset_no_case_is_opened(store: Store, valkey: Redis) -> None:
    await account_added(store, "ada")  # never had a factor
    await enrolled(store, await signed_in(store, "bob"), "bob")
    await store.revocations.account("bob", reason="left", actor="cli:root", now=NOW, disable=True)
    before = await contents(valkey)
    for subject, reason in (
        ("ada", Reason.NOT_RESETTABLE),
        ("bob", Reason.NOT_RESETTABLE),
        ("nobody", Reason.NOT_FOUND),
    ):
        assert await store.resets.open(new_reset(store.resets.new_id(subject), subject=subject)) is reason
    assert await contents(valkey) == before


async def test_a_factor_that_waits_to_be_confirmed_is_nothing_to_reset(store: Store) -> None:
    await account_added(store, "ada")
    await store.factors.add(new_factor(store), NOW, code_given=True)
    assert await store.resets.open(new_reset(store.resets.new_id("ada"))) is Reason.NOT_RESETTABLE


@pytest.mark.parametrize("reset_id", ["", "x", "0" * 32, "ff" + "0" * 30])
async def test_what_is_no_case_is_not_found(store: Store, reset_id: str) -> None:
    await opened(store)
    assert await store.resets.find(reset_id) is None


# --- steps


@every_size
async def test_each_step_is_kept(store: Store) -> None:
    reset = await approved(store)
    assert reset.state is ResetState.WAITING
    assert await store.resets.find(reset.id) == reset
    assert await live_of(store) == LiveReset(reset.id, reset.due_at)
    stopped = closed(reset, Step.STOP)
    assert await store.resets.move(reset, stopped, forget_at=FORGET_AT)
    assert await store.resets.find(reset.id) == stopped
    assert await live_of(store) is None


async def test_a_step_is_taken_only_from_the_case_that_was_judged(store: Store, valkey: Redis) -> None:
    reset = await opened(store)
    ready = checked(reset)
    one = replace(reset, evidence=ready.evidence[:1])
    assert await store.resets.move(reset, one, forget_at=FORGET_AT)
    before = await contents(valkey)
    for was, after in (
        (reset, ready),  # somebody has recorded something meanwhile
        (ready, waiting(ready)),  # and this is not on record
        (waiting(ready), closed(waiting(ready), Step.STOP)),
    ):
        assert not await store.resets.move(was, after, forget_at=FORGET_AT)
    assert await contents(valkey) == before
    assert not await store.resets.move(new_reset("00" + "b" * 30), ready, forget_at=FORGET_AT)


@pytest.mark.parametrize("step", [Step.REFUSE, Step.ABANDON, Step.STOP])
async def test_a_closed_case_never_moves_again(store: Store, valkey: Redis, step: Step) -> None:
    reset = await approved(store)
    assert await store.resets.move(reset, closed(reset, step), forget_at=FORGET_AT)
    before = await contents(valkey)
    for after in (closed(reset, Step.STOP), closed(reset, Step.REFUSE), reset):
        assert not await store.resets.move(reset, after, forget_at=FORGET_AT)
    assert not await completed(store, reset)
    assert await contents(valkey) == before


async def test_a_closed_case_is_forgotten_in_time(store: Store, valkey: Redis) -> None:
    reset = await opened(store)
    key = f"ww:{{s00}}:reset:{reset.id}"
    assert await valkey.pexpiretime(key) == -1
    await store.resets.move(reset, closed(reset, Step.REFUSE), forget_at=FORGET_AT)
    assert await valkey.pexpiretime(key) == FORGET_AT * 1000


async def test_the_index_forgets_as_well(store: Store, valkey: Redis) -> None:
    reset = await opened(store)
    await store.resets.move(reset, closed(reset, Step.REFUSE), forget_at=FORGET_AT)
    await valkey.delete(f"ww:{{s00}}:reset:{reset.id}")
    assert await store.resets.list(EVERY_STATE, 10) == []
    another = await opened(store)
    assert await valkey.zrange("ww:{s00}:resets", 0, -1) == [another.id]


# --- done


async def everything_there_is(store: Store) -> list[str]:
    """Ada has all that a reset takes away; the cookies of her sessions."""
    sessions = [await signed_in(store, browser=browser) for browser in ("laptop", "phone")]
    for session in sessions:
        await enrolled(store, session, step=STEP)
    await store.factors.add(new_factor(store), NOW, code_given=True)
    for kind in ("code", "recovery", "password"):
        await store.attempts.begin(kind, "ada", GrowingDelay(5, 30, 900), NOW)
    return [session.cookie for session in sessions]


@every_size
async def test_a_reset_takes_all_factors_and_ends_everything(store: Store, valkey: Redis) -> None:
    cookies = await everything_there_is(store)
    bob = await signed_in(store, "bob")
    await enrolled(store, bob, "bob")
    reset = await approved(store)
    prefix = f"ww:{{s{reset.id[:2]}}}:"
    await valkey.sadd(f"{prefix}recovery:ada", "a hash")
    before = await store.accounts.find("ada")
    assert await completed(store, reset)

    account = await store.accounts.find("ada")
    assert account is not None and before is not None
    assert (account.confirmed_factors, account.must_enrol, account.reset) == (0, True, None)
    assert account.epoch is not None and before.epoch is not None and account.epoch > before.epoch
    assert await store.factors.list("ada") == []
    assert {device.state for device in await store.devices.list("ada")} == {DeviceState.REVOKED}
    for cookie in cookies:
        snapshot = await store.who.ask(cookie, NOW)
        assert snapshot is not None
        assert snapshot.fault(NOW) is Reason.SESSION_REVOKED
    assert await store.resets.find(reset.id) == done(reset)
    (revocation,) = await store.revocations.list()
    assert (revocation.scope, revocation.subject, revocation.actor) == (Scope.ACCOUNT, "ada", "gateway")
    assert revocation.reason == f"reset {reset.id}"

    left = await contents(valkey)
    for kind in ("factors:ada", "recovery:ada", "failures:code:ada", "failures:recovery:ada"):
        assert prefix + kind not in left
    assert prefix + "failures:password:ada" in left, "guessing at the password is not forgotten"
    assert len([key for key in left if ":factor:" in key]) == 1, "bob's"
    assert (await store.who.ask(bob.cookie, NOW)).fault(NOW) is None  # type: ignore[union-attr]


async def test_what_is_over_is_not_brought_back_by_a_device_that_was_forgotten(
    store: Store, valkey: Redis
) -> None:
    await everything_there_is(store)
    reset = await approved(store)
    gone = f"ww:{{s00}}:device:{device_of(store, 'ada', 'phone').id}"
    await valkey.delete(gone)
    assert await completed(store, reset)
    assert not await valkey.exists(gone)


async def test_before_its_time_nothing_happens(store: Store, valkey: Redis) -> None:
    reset = await approved(store)
    assert reset.due_at is not None
    before = await contents(valkey)
    assert not await completed(store, reset, now=reset.due_at - 0.001)
    assert await contents(valkey) == before


async def test_what_nobody_approved_is_never_done(store: Store, valkey: Redis) -> None:
    reset = await opened(store)
    ready = checked(reset)
    assert await store.resets.move(reset, ready, forget_at=FORGET_AT)
    before = await contents(valkey)
    assert not await completed(store, waiting(ready), now=NOW + 1e9)
    assert not await completed(store, waiting(new_reset("00" + "b" * 30)))
    assert await contents(valkey) == before


async def test_a_revocation_meanwhile_does_not_stop_it(store: Store) -> None:
    reset = await approved(store)
    await store.revocations.account("ada", reason="phished", actor="cli:root", now=NOW + 5)
    assert await live_of(store) == reset.live
    assert await completed(store, reset)


async def test_a_reset_puts_every_switch_back_to_its_default(store: Store) -> None:
    """What is off may be so by whoever had the phone."""
    reset = await approved(store)
    session = await signed_in(store, browser="another")
    assert await store.choices.choose(session.session_id, "exchange/approve", NOW, on=False)
    assert await completed(store, reset)
    account = await store.accounts.find("ada")
    assert account is not None
    assert account.choices == {}


async def test_a_case_is_held_while_the_account_is_disabled(store: Store) -> None:
    """Its holder could neither see nor stop it."""
    reset = await approved(store)
    assert reset.due_at is not None
    await store.revocations.account("ada", reason="odd", actor="cli:root", now=NOW + 5, disable=True)
    assert not await completed(store, reset)
    assert await due(store, reset.due_at) == [], "and it is in nobody's way meanwhile"
    account = await store.accounts.find("ada")
    assert account is not None
    assert (account.must_enrol, account.confirmed_factors) == (False, 1)
    assert await store.accounts.enable("ada")
    assert await due(store, reset.due_at + HELD_SECONDS) == [reset]
    assert await completed(store, reset)


async def test_a_new_factor_is_what_the_account_must_have(store: Store) -> None:
    """It is cleared in the step that confirms it, and by nothing before."""
    reset = await approved(store)
    assert await completed(store, reset)
    session = await signed_in(store, browser="a new one")
    factor = new_factor(store)

    async def must_enrol() -> bool:
        snapshot = await store.who.ask(session.cookie, NOW)
        assert snapshot is not None and snapshot.fault(NOW) is None
        return snapshot.account.must_enrol

    assert await must_enrol()
    await store.factors.add(factor, NOW, code_given=False)
    assert await must_enrol()
    assert await spent(store, session, factor.id, STEP, confirms=True) is None
    assert not await must_enrol()


async def test_a_set_up_of_before_cannot_be_seen_through_afterwards(store: Store) -> None:
    """Nor can somebody who was asked in just before it happened begin one for later."""
    session = await signed_in(store)
    reset = await approved(store)
    assert await completed(store, reset)
    late = replace(new_factor(store), session_id=session.session_id)
    await store.factors.add(late, NOW, code_given=True)
    assert await spent(store, session, late.id, STEP, confirms=True) is Reason.SESSION_REVOKED
    account = await store.accounts.find("ada")
    assert account is not None and account.must_enrol


# --- what is due


async def due(store: Store, now: float, most: int = 10) -> list[Reset]:
    return await store.resets.due(now, most)


@every_size
async def test_cases_are_found_when_something_is_to_be_done(store: Store) -> None:
    ada, bob = await opened(store), await approved(store, "bob")
    assert bob.due_at is not None
    assert await due(store, bob.due_at - 1) == []
    assert await due(store, bob.due_at) == [bob]
    assert {reset.id for reset in await due(store, ada.lapses_at)} == {ada.id, bob.id}
    assert len(await due(store, ada.lapses_at, most=2)) == 2


async def test_so_many_at_once_and_no_more(store: Store) -> None:
    resets = [await opened(store, subject) for subject in ("ada", "bob", "eve")]
    assert len(await due(store, resets[0].lapses_at, most=2)) == 2


@pytest.mark.parametrize("step", [Step.STOP, Step.REFUSE, Step.ABANDON])
async def test_what_is_closed_is_not_due(store: Store, step: Step) -> None:
    reset = await approved(store)
    await store.resets.move(reset, closed(reset, step), forget_at=FORGET_AT)
    assert await due(store, NOW + 1e9) == []


async def test_what_was_done_is_not_looked_at_again(store: Store) -> None:
    assert await completed(store, await approved(store))
    assert await due(store, NOW + 1e9) == []


async def test_what_was_forgotten_is_in_nobodys_way(store: Store, valkey: Redis) -> None:
    reset = await approved(store)
    await valkey.delete(f"ww:{{s00}}:reset:{reset.id}")
    assert await due(store, NOW + 1e9) == []
    assert not await valkey.exists("ww:{s00}:due")


# --- the list


@every_size
async def test_the_latest_come_first_by_state(store: Store) -> None:
    resets = []
    for number, subject in enumerate(("ada", "bob", "eve")):
        await enrolled(store, await signed_in(store, subject), subject)
        reset = new_reset(store.resets.new_id(subject), now=NOW + number, subject=subject)
        assert await store.resets.open(reset) is None
        resets.append(reset)
    refused = closed(resets[1], Step.REFUSE)
    await store.resets.move(resets[1], refused, forget_at=FORGET_AT)
    assert await store.resets.list(EVERY_STATE, 10) == [resets[2], refused, resets[0]]
    assert await store.resets.list(LIVE, 10) == [resets[2], resets[0]]
    assert await store.resets.list({ResetState.REFUSED}, 10) == [refused]
    assert await store.resets.list(EVERY_STATE, 2) == [resets[2], refused]
    assert await store.resets.list({ResetState.DONE}, 10) == []


async def test_an_old_case_is_found_behind_many_others(store: Store) -> None:
    first = await opened(store)
    for number in range(1, 205):
        before = new_reset(store.resets.new_id("ada"), now=NOW + number) if number > 1 else first
        if number > 1:
            assert await store.resets.open(before) is None
        after = closed(before, Step.STOP if number == 1 else Step.REFUSE)
        assert await store.resets.move(before, after, forget_at=FORGET_AT)
    (found,) = await store.resets.list({ResetState.STOPPED}, 10)
    assert found.id == first.id


# --- being told


async def test_a_session_remembers_what_it_was_told_of(store: Store) -> None:
    session, other = await signed_in(store), await signed_in(store, browser="phone")
    reset = await approved(store)
    await store.resets.tell(session.session_id, reset.id, NOW)
    untold = {}
    for each in (session, other):
        snapshot = await store.who.ask(each.cookie, NOW)
        assert snapshot is not None
        untold[each] = snapshot.untold_reset
    assert untold == {session: None, other: reset.live}


@pytest.mark.parametrize("session_id", ["", "0" * 32, "ff" + "0" * 30])
async def test_nothing_is_remembered_for_a_session_that_is_none(
    store: Store, valkey: Redis, session_id: str
) -> None:
    reset = await approved(store)
    before = await contents(valkey)
    await store.resets.tell(session_id, reset.id, NOW)
    assert await contents(valkey) == before


# --- races


def wins(outcomes: list[list[Any]]) -> int:
    return sum(outcome is True for each in outcomes for outcome in each)


async def test_one_approval_wins_over_processes(store: Store, valkey_url: str, race: Race) -> None:
    reset = await opened(store)
    ready = checked(reset)
    assert await store.resets.move(reset, ready, forget_at=FORGET_AT)
    approval = waiting(ready)
    assert wins(race(store_work, valkey_url, moves, ready, approval)) == 1
    assert await store.resets.find(reset.id) == approval


async def test_one_completion_wins_over_processes(store: Store, valkey_url: str, race: Race) -> None:
    reset = await approved(store)
    assert wins(race(store_work, valkey_url, completions, reset)) == 1
    assert len(await store.revocations.list()) == 1


async def test_it_is_done_or_stopped_and_never_both(store: Store, valkey_url: str, race: Race) -> None:
    for _ in range(5):
        reset = await approved(store)
        assert wins(race(store_work, valkey_url, stops_and_completions, reset)) == 1
        found, account = await store.resets.find(reset.id), await store.accounts.find("ada")
        assert found is not None and account is not None
        left = {ResetState.DONE: (0, True), ResetState.STOPPED: (1, False)}[found.state]
        assert (account.confirmed_factors, account.must_enrol, account.reset) == (*left, None)
        if account.must_enrol:
            await enrolled(store, await signed_in(store, browser=f"after {reset.id}"))
