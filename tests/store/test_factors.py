from collections import Counter
from dataclasses import replace
from itertools import chain
from typing import Any

import pytest
from redis.asyncio import Redis
from support.race import Race, store_calls
from support.store import (
    NOW,
    STEP,
    account_added,
    challenge_of,
    contents,
    enrolled,
    every_size,
    new_cookie,
    new_factor,
    signed_in,
    spent,
)

from gateway.core.reasons import Reason
from gateway.core.records import FactorState, Grant
from gateway.store.attempts import CODES, GrowingDelay
from gateway.store.factors import (
    MOST_FACTORS,
    PENDING_SECONDS,
    CodeNeeded,
    FactorRefused,
    Rotation,
    Spending,
    TooManyFactors,
)
from gateway.store.opening import Store
from gateway.store.sessions import Started

ONE_ATTEMPT = GrowingDelay(free=1, first=60, longest=60)
GRANT = Grant("exchange/approve", NOW, NOW + 60, binding="b1")


async def confirmed(store: Store, subject: str = "ada") -> int:
    account = await store.accounts.find(subject)
    assert account is not None
    return account.confirmed_factors


# --- the factors of an account


@every_size
async def test_a_factor_is_pending_until_a_code_confirms_it(store: Store) -> None:
    session = await signed_in(store)
    factor = new_factor(store)
    await store.factors.add(factor, NOW, code_given=True)
    assert await store.factors.list("ada") == [factor]
    assert await confirmed(store) == 0
    assert await spent(store, session, factor.id, STEP, now=NOW + 1, confirms=True) is None
    assert await store.factors.list("ada") == [
        replace(factor, state=FactorState.CONFIRMED, last_used_at=NOW + 1, last_step=STEP)
    ]
    assert await confirmed(store) == 1


async def test_a_factor_that_nobody_confirms_is_forgotten(store: Store, valkey: Redis) -> None:
    session = await signed_in(store)
    waiting, kept = new_factor(store), await enrolled(store, session)
    await store.factors.add(waiting, NOW, code_given=True)
    ends_at = await valkey.pexpiretime(f"ww:{{s00}}:factor:{waiting.id}")
    assert ends_at == (NOW + PENDING_SECONDS) * 1000
    assert await valkey.pexpiretime(f"ww:{{s00}}:factor:{kept}") == -1, "a confirmed one stays"


async def test_confirming_one_ends_the_others_that_wait(store: Store) -> None:
    """They may have been begun by somebody else, before a code was asked for it."""
    session = await signed_in(store)
    kept = await enrolled(store, session)
    planted, wanted = new_factor(store), new_factor(store, created_at=NOW + 1)
    await store.factors.add(planted, NOW, code_given=True)
    await store.factors.add(wanted, NOW, code_given=True)
    assert await spent(store, session, wanted.id, STEP, confirms=True) is None
    assert {factor.id for factor in await store.factors.list("ada")} == {kept, wanted.id}
    assert await spent(store, session, planted.id, STEP, confirms=True) is Reason.FACTOR_MISSING
    assert await confirmed(store) == 2


@every_size
async def test_the_list_is_of_the_account_oldest_first(store: Store) -> None:
    for subject in ("ada", "bob"):
        await account_added(store, subject)
    factors = [new_factor(store, created_at=NOW + number) for number in range(3)]
    for factor in (factors[1], factors[2], factors[0], new_factor(store, "bob")):
        await store.factors.add(factor, NOW, code_given=True)
    assert await store.factors.list("ada") == factors
    assert await store.factors.list("nobody") == []


async def test_an_account_has_so_many_factors_and_no_more(store: Store, valkey: Redis) -> None:
    session = await signed_in(store)
    factors = [await enrolled(store, session) for _ in range(MOST_FACTORS)]
    before = await contents(valkey)
    with pytest.raises(TooManyFactors):
        await store.factors.add(new_factor(store), NOW, code_given=True)
    assert await contents(valkey) == before
    await store.factors.remove("ada", factors[0])
    await store.factors.add(new_factor(store), NOW, code_given=True)


async def test_those_that_wait_are_in_nobodys_way(store: Store) -> None:
    """Or whoever knows the password would begin as many as there may be, again and again."""
    await account_added(store, "ada")
    begun = [new_factor(store) for _ in range(3 * MOST_FACTORS)]
    for factor in begun:
        await store.factors.add(factor, NOW, code_given=False)
    again = replace(new_factor(store), session_id=begun[0].session_id)
    await store.factors.add(again, NOW, code_given=False)
    listed = {factor.id for factor in await store.factors.list("ada")}
    assert listed == {again.id, *(factor.id for factor in begun[1:])}, "a session has one that waits"


async def test_proof_given_elsewhere_goes_with_a_factor(store: Store) -> None:
    """It may have come from the one that is removed, because somebody else had it."""
    here, elsewhere = await signed_in(store), await signed_in(store, browser="phone")
    removed, kept = await enrolled(store, here), await enrolled(store, here)
    for number, session in enumerate((here, elsewhere)):
        grant = Grant("exchange/profile", NOW, NOW + 300)
        assert await spent(store, session, kept, STEP + number, grant=grant) is None
    await store.factors.remove("ada", removed, going_on=here.session_id)
    for session, left in ((here, 1), (elsewhere, 0)):
        snapshot = await store.who.ask(session.cookie, NOW)
        assert snapshot is not None
        assert len(snapshot.grants) == left


@every_size
async def test_a_removed_factor_is_gone(store: Store) -> None:
    session = await signed_in(store)
    removed, kept = await enrolled(store, session), await enrolled(store, session)
    waiting = new_factor(store)
    await store.factors.add(waiting, NOW, code_given=True)
    assert await store.factors.remove("ada", removed)
    assert await store.factors.remove("ada", waiting.id)
    assert [factor.id for factor in await store.factors.list("ada")] == [kept]
    assert await confirmed(store) == 1
    assert await spent(store, session, removed, STEP) is Reason.FACTOR_MISSING
    assert not await store.factors.remove("ada", removed), "and it is not counted twice"
    assert await confirmed(store) == 1


@every_size
async def test_one_that_was_confirmed_meanwhile_stays_where_only_a_pending_one_may_go(store: Store) -> None:
    session, other = await signed_in(store), await signed_in(store, browser="phone")
    kept, waiting = await enrolled(store, session), replace(new_factor(store), session_id=session.session_id)
    await store.factors.add(waiting, NOW, code_given=True)
    assert not await store.factors.give_up("ada", kept, session.session_id)
    assert not await store.factors.give_up("ada", waiting.id, other.session_id)
    assert await store.factors.give_up("ada", waiting.id, session.session_id)
    assert [factor.id for factor in await store.factors.list("ada")] == [kept]
    assert await confirmed(store) == 1


def without_feed(found: dict[str, Any]) -> dict[str, Any]:
    """What there is, but not that nodes were told of it."""
    return {key: value for key, value in found.items() if not key.endswith((":feed", ":fed"))}


async def test_nothing_is_left_of_a_factor(store: Store, valkey: Redis) -> None:
    session = await signed_in(store)
    await store.factors.remove("ada", await enrolled(store, session))  # its session has given a code
    before = without_feed(await contents(valkey))
    removed, forgotten = await enrolled(store, session), new_factor(store)
    await store.factors.add(forgotten, NOW, code_given=True)
    kept = await enrolled(store, session)  # which ends the one that waits
    for factor_id in (removed, kept):
        assert await store.factors.remove("ada", factor_id)
    assert without_feed(await contents(valkey)) == before


@every_size
async def test_only_a_factor_of_ones_own_can_be_removed(store: Store, valkey: Redis) -> None:
    factor_id = await enrolled(store, await signed_in(store, "bob"), "bob")
    await signed_in(store)
    before = await contents(valkey)
    for other in (factor_id, "0" * 32, "no identifier"):
        assert not await store.factors.remove("ada", other)
    assert await contents(valkey) == before


# --- a code is used up once


@every_size
async def test_a_step_counts_once_and_no_lower_one_ever(store: Store) -> None:
    session = await signed_in(store)
    factor_id = await enrolled(store, session, step=STEP)
    outcomes = [await spent(store, session, factor_id, STEP + away) for away in (0, 1, 1, 0, -1, 3, 2, 4)]
    used = Reason.USED_CODE
    assert outcomes == [used, None, used, used, used, None, used, None]


async def test_case_21_a_code_counts_once_whatever_it_is_for_and_whoever_asks(store: Store) -> None:
    session, elsewhere = await signed_in(store), await signed_in(store, browser="phone")
    factor = new_factor(store)
    await store.factors.add(factor, NOW, code_given=True)
    assert await spent(store, session, factor.id, STEP, confirms=True) is None
    challenge = challenge_of(store, session)
    await store.challenges.open(challenge, NOW)
    assert await spent(store, session, factor.id, STEP, challenge_id=challenge.id) is Reason.USED_CODE
    assert await spent(store, elsewhere, factor.id, STEP, grant=GRANT) is Reason.USED_CODE


async def test_each_factor_has_its_own_steps(store: Store) -> None:
    session = await signed_in(store)
    first, second = await enrolled(store, session), await enrolled(store, session)
    assert await spent(store, session, first, STEP + 1) is None
    assert await spent(store, session, second, STEP) is None


# --- where a factor's clock is


async def drifts(store: Store, *offsets: int) -> list[int]:
    """Where the clock of a new factor is known to be after each of these codes, a minute apart."""
    session = await signed_in(store)
    factor_id = await enrolled(store, session)
    known = []
    for minute, offset in enumerate(offsets, 1):
        now, step = NOW + 300 * minute, STEP + 10 * minute + offset
        assert await spent(store, session, factor_id, step, now=now) is None
        known += [factor.drift for factor in await store.factors.list("ada") if factor.id == factor_id]
    return known


@pytest.mark.parametrize(
    ("offsets", "known"),
    [
        ((0, 0, 0, 0), [0, 0, 0, 0]),
        ((-1, -1, -1, 0), [0, 0, -1, -1]),
        ((1, 1, 0, 1, 1), [0, 0, 0, 0, 0]),
        ((1, 1, 1, 2, 2, 2), [0, 0, 1, 1, 1, 1]),
        ((-1, -1, -1, -2, -2, -2), [0, 0, -1, -1, -1, -1]),
        ((1, 1, 1, 0, 0, 0), [0, 0, 1, 1, 1, 0]),
        ((1, 1, 1, -1, -1, -1), [0, 0, 1, 1, 1, -1]),
    ],
)
async def test_three_codes_in_a_row_tell_where_a_clock_is_to_one_step(
    store: Store, offsets: tuple[int, ...], known: list[int]
) -> None:
    assert await drifts(store, *offsets) == known


async def test_a_clock_is_a_factors_own(store: Store) -> None:
    await drifts(store, 1, 1, 1)
    session = await signed_in(store)
    other = await enrolled(store, session)
    assert {factor.id: factor.drift for factor in await store.factors.list("ada")}[other] == 0


async def test_a_refused_code_says_nothing_of_a_clock(store: Store) -> None:
    session = await signed_in(store)
    factor_id = await enrolled(store, session, step=STEP + 1)
    for _ in range(5):
        assert await spent(store, session, factor_id, STEP + 1) is Reason.USED_CODE
    assert [factor.drift for factor in await store.factors.list("ada")] == [0]


# --- steps to come that somebody was told of


@every_size
async def test_a_step_that_was_told_of_before_its_time_never_counts(store: Store) -> None:
    session = await signed_in(store)
    factor_id = await enrolled(store, session)
    (factor,) = await store.factors.list("ada")
    for step in (STEP + 6, STEP + 9):
        await store.factors.void(factor, step, NOW)
    outcomes = {
        step: await spent(store, session, factor_id, step, now=step * 30.0)
        for step in range(STEP + 5, STEP + 11)
    }
    assert [step for step, reason in outcomes.items() if reason is Reason.USED_CODE] == [STEP + 6, STEP + 9]
    assert list(outcomes.values()).count(None) == 4


async def test_a_voided_step_is_remembered_until_it_could_count_nowhere(store: Store, valkey: Redis) -> None:
    await enrolled(store, await signed_in(store))
    (factor,) = await store.factors.list("ada")
    await store.factors.void(factor, STEP + 20, NOW)
    ends_at = await valkey.pexpiretime(f"ww:{{s00}}:voided:{factor.id}") / 1000
    assert ends_at > (STEP + 20 + 3) * 30
    assert await store.factors.remove("ada", factor.id)
    await store.factors.void(factor, STEP + 20, NOW)
    assert await valkey.keys("*:voided:*") == [], "nor of a factor that is gone"


# --- on trial


async def test_a_factor_on_trial_takes_no_protection_away_until_that_is_over(
    store: Store, valkey: Redis
) -> None:
    session = await signed_in(store)
    factor = replace(new_factor(store), full_at=NOW + 100)
    await store.factors.add(factor, NOW, code_given=True)
    assert await store.factors.list("ada") == [factor]
    assert await spent(store, session, factor.id, STEP, confirms=True) is None
    before = await contents(valkey)
    refused = await spent(store, session, factor.id, STEP + 1, lowers=True, grant=GRANT, now=NOW + 99.9)
    assert refused is Reason.FACTOR_ON_TRIAL
    assert await contents(valkey) == before, "the code may still be used for something else"
    assert await spent(store, session, factor.id, STEP + 1, grant=GRANT, now=NOW + 99.9) is None
    assert await spent(store, session, factor.id, STEP + 2, lowers=True, now=NOW + 100) is None


async def test_a_factor_from_before_there_were_trials_is_full(store: Store, valkey: Redis) -> None:
    session = await signed_in(store)
    factor_id = await enrolled(store, session)
    assert await valkey.hdel(f"ww:{{s00}}:factor:{factor_id}", "full_at")
    (factor,) = await store.factors.list("ada")
    assert factor.full_at == 0
    assert await spent(store, session, factor_id, STEP, lowers=True) is None


# --- all or nothing


async def cast(store: Store) -> tuple[Started, dict[str, str]]:
    """Ada's session, and ids of all sorts of records, by what they are."""
    session = await signed_in(store)
    elsewhere, bob = await signed_in(store, browser="phone"), await signed_in(store, "bob")
    pending = new_factor(store)
    ids = {
        "factor": await enrolled(store, session),
        "bob's factor": await enrolled(store, bob, "bob"),
        "pending factor": pending.id,
        "nothing": store.factors.new_id("ada"),
    }
    await store.factors.add(pending, NOW, code_given=True)
    for name, owner, expires_at in (
        ("challenge", session, NOW + 300),
        ("answered challenge", session, NOW + 300),
        ("expired challenge", session, NOW + 1),
        ("challenge of another session", elsewhere, NOW + 300),
        ("bob's challenge", bob, NOW + 300),
    ):
        challenge = challenge_of(store, owner, expires_at=expires_at)
        assert await store.challenges.open(challenge, NOW)
        ids[name] = challenge.id
    answer = {"challenge_id": ids["answered challenge"]}
    assert await spent(store, session, ids["factor"], STEP - 5, **answer) is None
    await store.attempts.begin(CODES, "ada", ONE_ATTEMPT, NOW)
    return session, ids


def code_for_everything(store: Store, session: Started, ids: dict[str, str], **other: Any) -> Spending:
    """A code that brings all that one can; `other` are fields that differ, ids by their name."""
    named = {"factor_id": "factor", "challenge_id": "challenge"} | other
    return Spending(
        session_id=session.session_id,
        factor_id=ids[named["factor_id"]],
        challenge_id=ids[named["challenge_id"]],
        step=other.get("step", STEP),
        confirms=other.get("confirms", False),
        grant=GRANT,
        resume=("resume", NOW + 60),
        rotation=Rotation(session.cookie, new_cookie(store, session), NOW + 5),
    )


@every_size
async def test_a_code_brings_all_that_it_was_for(store: Store) -> None:
    session, ids = await cast(store)
    spending = code_for_everything(store, session, ids)
    assert await store.factors.spend(spending, NOW + 1) is None
    assert spending.rotation is not None
    snapshot = await store.who.ask(spending.rotation.new_cookie, NOW + 1)
    assert snapshot is not None and snapshot.grants == (GRANT,)
    used = {factor.id: factor.last_used_at for factor in await store.factors.list("ada")}
    assert used[ids["factor"]] == NOW + 1
    assert (await store.attempts.begin(CODES, "ada", ONE_ATTEMPT, NOW)).allowed, "attempts start afresh"
    parked = await store.challenges.claim(session.session_id, "resume", "/withdrawals", NOW + 1)
    assert parked is not None and parked.id == ids["challenge"]


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"step": STEP - 5}, Reason.USED_CODE),
        ({"step": STEP - 6}, Reason.USED_CODE),
        ({"factor_id": "bob's factor"}, Reason.FACTOR_MISSING),
        ({"factor_id": "nothing"}, Reason.FACTOR_MISSING),
        ({"factor_id": "pending factor"}, Reason.FACTOR_MISSING),
        ({"confirms": True}, Reason.FACTOR_MISSING),
        ({"factor_id": "bob's factor", "confirms": True}, Reason.FACTOR_MISSING),
        ({"challenge_id": "nothing"}, Reason.CHALLENGE_EXPIRED),
        ({"challenge_id": "answered challenge"}, Reason.CHALLENGE_EXPIRED),
        ({"challenge_id": "expired challenge"}, Reason.CHALLENGE_EXPIRED),
        ({"challenge_id": "challenge of another session"}, Reason.CHALLENGE_EXPIRED),
        ({"challenge_id": "bob's challenge"}, Reason.CHALLENGE_EXPIRED),
        (
            {"factor_id": "pending factor", "confirms": True, "challenge_id": "nothing"},
            Reason.CHALLENGE_EXPIRED,
        ),
    ],
)
async def test_a_refused_code_changes_nothing(
    store: Store, valkey: Redis, other: dict[str, Any], reason: Reason
) -> None:
    session, ids = await cast(store)
    before = await contents(valkey)
    assert await store.factors.spend(code_for_everything(store, session, ids, **other), NOW + 1) is reason
    assert await contents(valkey) == before


@every_size
@pytest.mark.parametrize("session_id", ["", "no identifier", "0" * 32, "ff" + "0" * 30])
async def test_without_a_session_no_code_is_used(store: Store, session_id: str) -> None:
    session, ids = await cast(store)
    spending = code_for_everything(store, session, ids)
    stranger = replace(spending, session_id=session_id)
    assert await store.factors.spend(stranger, NOW + 1) is Reason.SESSION_REVOKED
    assert await store.factors.spend(spending, NOW + 1) is None


async def test_case_19_one_code_counts_once_over_processes(store: Store, valkey_url: str, race: Race) -> None:
    session, ids = await cast(store)
    spending = Spending(session.session_id, ids["factor"], STEP, grant=GRANT)
    outcomes = race(store_calls, valkey_url, "factors.spend", 25, spending, NOW)
    assert Counter(chain(*outcomes)) == {None: 1, Reason.USED_CODE: 99}


async def test_one_factor_is_confirmed_once_over_processes(store: Store, valkey_url: str, race: Race) -> None:
    session, ids = await cast(store)
    spending = Spending(session.session_id, ids["pending factor"], STEP, confirms=True)
    outcomes = race(store_calls, valkey_url, "factors.spend", 25, spending, NOW)
    assert Counter(chain(*outcomes)) == {None: 1, Reason.FACTOR_MISSING: 99}
    assert await confirmed(store) == 2


async def test_a_second_factor_is_not_begun_without_a_code_however_late_that_is_found_out(
    store: Store,
) -> None:
    """Somebody asked to begin one while there was none, and the owner confirmed theirs meanwhile."""
    await enrolled(store, await signed_in(store))
    late = new_factor(store)
    with pytest.raises(CodeNeeded):
        await store.factors.add(late, NOW, code_given=False)
    assert len(await store.factors.list("ada")) == 1
    await store.factors.add(late, NOW, code_given=True)
    assert len(await store.factors.list("ada")) == 2


async def test_nobody_has_no_factors(store: Store) -> None:
    with pytest.raises(FactorRefused, match="no such account"):
        await store.factors.add(new_factor(store), NOW, code_given=False)
