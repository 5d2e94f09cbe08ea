"""Authenticators: set up by a code, asked for a code, and no code twice."""

import asyncio
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given as with_any
from hypothesis import settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from structlog.testing import capture_logs
from support.identity import code_of, enrolled_key, given, snapshot_of, wrong_code
from support.store import NOW, RING, contents, enrolled, every_size, opened_store, signed_in

from gateway import entropy
from gateway.core.reasons import Reason
from gateway.core.records import Device, FactorState, Grant, LaterDevices, Session
from gateway.core.totp import Judgement, step_at
from gateway.identity.second_factor import LONGEST_LABEL, CodeRefused, CodeTaken, Enrolment, SecondFactor
from gateway.store.attempts import GrowingDelay
from gateway.store.factors import MOST_FACTORS, Spending, TooManyFactors
from gateway.store.opening import Store
from gateway.store.sessions import Started

MOST, LOCK = 5, 8
"""Attempts in a row that the fixture `second_factor` allows at once, and at all."""

GRANT = Grant("exchange/approve", NOW, NOW + 60)
NEXT_CODE = 30 - int(NOW) % 30


async def begun(
    second_factor: SecondFactor, store: Store, session: Started, label: str = "Phone"
) -> Enrolment:
    return await second_factor.enrol(await session_of(store, session), label, NOW, code_given=True)


async def session_of(store: Store, started: Started) -> Session:
    return (await snapshot_of(store, started.cookie)).session


async def confirm(
    second_factor: SecondFactor,
    store: Store,
    session: Started,
    enrolment: Enrolment,
    code: str | None = None,
    *,
    now: float = NOW,
) -> CodeTaken | CodeRefused:
    snapshot = await snapshot_of(store, session.cookie, now)
    code = code or code_of(enrolment.setup_key, now)
    return await second_factor.confirm(
        given(snapshot, code), enrolment.factor.id, cookie=session.cookie, grant=None, now=now
    )


async def take(
    second_factor: SecondFactor, store: Store, session: Started, code: str, *, now: float = NOW
) -> CodeTaken | CodeRefused:
    snapshot = await snapshot_of(store, session.cookie, now)
    spending = Spending(session.session_id, "", 0, grant=GRANT)
    return await second_factor.take(given(snapshot, code), spending, cookie=None, now=now)


def reason_of(outcome: CodeTaken | CodeRefused) -> Reason | None:
    return outcome.reason if isinstance(outcome, CodeRefused) else None


# --- set-up


@every_size
async def test_a_new_factor_waits_for_its_first_code(store: Store, second_factor: SecondFactor) -> None:
    session = await signed_in(store)
    enrolment = await begun(second_factor, store, session, "  My phone ")
    (factor,) = await store.factors.list("ada")
    assert factor == enrolment.factor
    assert (factor.label, factor.state) == ("My phone", FactorState.PENDING)
    assert (await snapshot_of(store, session.cookie)).account.confirmed_factors == 0
    assert await second_factor.pending(await session_of(store, session), factor.id) == enrolment
    assert reason_of(await take(second_factor, store, session, code_of(enrolment.setup_key, NOW))) is (
        Reason.WRONG_CODE
    )


async def test_the_key_uri_is_what_every_app_reads(store: Store, second_factor: SecondFactor) -> None:
    enrolment = await begun(second_factor, store, await signed_in(store))
    uri = urlsplit(enrolment.uri)
    assert (uri.scheme, uri.netloc, uri.path) == ("otpauth", "totp", "/Watchword:ada")
    assert parse_qs(uri.query) == {"secret": [enrolment.setup_key], "issuer": ["Watchword"]}


@pytest.mark.parametrize(
    ("label", "kept"), [("", "Authenticator"), (" \t", "Authenticator"), ("x" * 500, "x" * LONGEST_LABEL)]
)
async def test_a_label_is_short_and_never_empty(
    store: Store, second_factor: SecondFactor, label: str, kept: str
) -> None:
    session = await signed_in(store)
    assert (await begun(second_factor, store, session, label)).factor.label == kept


async def test_there_is_an_end_to_factors(store: Store, second_factor: SecondFactor) -> None:
    session = await signed_in(store)
    for _ in range(MOST_FACTORS + 1):
        last = await begun(second_factor, store, session)
    (pending,) = await store.factors.list("ada")
    assert pending.id == last.factor.id, "of a session, the last one that it began"
    for _ in range(MOST_FACTORS):
        await enrolled(store, session)
    with pytest.raises(TooManyFactors):
        await begun(second_factor, store, session)


@every_size
async def test_the_first_code_confirms(store: Store, second_factor: SecondFactor) -> None:
    session = await signed_in(store)
    enrolment = await begun(second_factor, store, session)
    snapshot = await snapshot_of(store, session.cookie)
    taken = await second_factor.confirm(
        given(snapshot, code_of(enrolment.setup_key, NOW)),
        enrolment.factor.id,
        cookie=session.cookie,
        grant=GRANT,
        now=NOW,
    )
    assert isinstance(taken, CodeTaken)
    assert (taken.factor_id, taken.grant) == (enrolment.factor.id, GRANT)
    assert taken.session_cookie is not None
    after = await snapshot_of(store, taken.session_cookie)
    assert (after.account.confirmed_factors, after.grants) == (1, (GRANT,))
    assert after.session.id == session.session_id
    (factor,) = await store.factors.list("ada")
    assert (factor.state, factor.last_used_at) == (FactorState.CONFIRMED, NOW)


async def test_the_session_has_a_new_cookie_and_the_old_one_fades_without_the_grant(
    store: Store, second_factor: SecondFactor
) -> None:
    session = await signed_in(store)
    enrolment = await begun(second_factor, store, session)
    snapshot = await snapshot_of(store, session.cookie)
    await second_factor.confirm(
        given(snapshot, code_of(enrolment.setup_key, NOW)),
        enrolment.factor.id,
        cookie=session.cookie,
        grant=GRANT,
        now=NOW,
    )
    grace = store.sessions.limits.grace
    assert (await snapshot_of(store, session.cookie, NOW + grace - 1)).grants == ()
    assert await store.who.ask(session.cookie, NOW + grace) is None


async def test_a_wrong_first_code_confirms_nothing(store: Store, second_factor: SecondFactor) -> None:
    session = await signed_in(store)
    enrolment = await begun(second_factor, store, session)
    wrong = wrong_code(enrolment.setup_key, NOW)
    assert await confirm(second_factor, store, session, enrolment, wrong) == CodeRefused(
        Reason.WRONG_CODE, NEXT_CODE
    )
    assert [factor.state for factor in await store.factors.list("ada")] == [FactorState.PENDING]
    assert await store.who.ask(session.cookie, NOW + 60) is not None


async def test_the_code_of_the_set_up_counts_no_second_time(
    store: Store, second_factor: SecondFactor
) -> None:
    session = await signed_in(store)
    enrolment = await begun(second_factor, store, session)
    code = code_of(enrolment.setup_key, NOW)
    assert isinstance(await confirm(second_factor, store, session, enrolment, code), CodeTaken)
    assert await take(second_factor, store, session, code) == CodeRefused(Reason.USED_CODE, NEXT_CODE)


async def test_a_confirmed_seed_is_never_shown_or_confirmed_again(
    store: Store, second_factor: SecondFactor
) -> None:
    session = await signed_in(store)
    enrolment = await begun(second_factor, store, session)
    await confirm(second_factor, store, session, enrolment)
    assert await second_factor.pending(await session_of(store, session), enrolment.factor.id) is None
    later = code_of(enrolment.setup_key, NOW, 1)
    assert reason_of(await confirm(second_factor, store, session, enrolment, later)) is Reason.WRONG_CODE


async def test_a_pending_factor_is_its_own_sessions_only(store: Store, second_factor: SecondFactor) -> None:
    enrolment = await begun(second_factor, store, await signed_in(store))
    for other in (await signed_in(store, "grace"), await signed_in(store, browser="phone")):
        assert await second_factor.pending(await session_of(store, other), enrolment.factor.id) is None
        assert reason_of(await confirm(second_factor, store, other, enrolment)) is Reason.WRONG_CODE


async def test_what_others_began_vanishes_with_the_confirmation(
    store: Store, second_factor: SecondFactor
) -> None:
    """Somebody with a stolen password may have begun one before a code was asked for that."""
    session, stranger = await signed_in(store), await signed_in(store, browser="phone")
    theirs = await begun(second_factor, store, stranger, "Theirs")
    ours = await begun(second_factor, store, session, "Ours")
    await confirm(second_factor, store, session, ours)
    assert [factor.label for factor in await store.factors.list("ada")] == ["Ours"]
    assert reason_of(await confirm(second_factor, store, stranger, theirs)) is Reason.WRONG_CODE


# --- codes


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        (-4, Reason.WRONG_CLOCK),
        (-3, Reason.EXPIRED_CODE),
        (-2, Reason.EXPIRED_CODE),
        (-1, None),
        (0, None),
        (1, None),
        (2, Reason.WRONG_CLOCK),
        (21, Reason.WRONG_CODE),
    ],
)
async def test_one_step_of_drift_either_way(
    store: Store, second_factor: SecondFactor, steps: int, reason: Reason | None
) -> None:
    session = await signed_in(store)
    key = await enrolled_key(second_factor, store, session.cookie)
    assert reason_of(await take(second_factor, store, session, code_of(key, NOW, steps))) is reason


async def test_no_code_counts_after_a_later_one(store: Store, second_factor: SecondFactor) -> None:
    session = await signed_in(store)
    key = await enrolled_key(second_factor, store, session.cookie)
    reasons = [
        reason_of(await take(second_factor, store, session, code_of(key, NOW, n))) for n in (0, -1, 0, 1)
    ]
    assert reasons == [None, Reason.USED_CODE, Reason.USED_CODE, None]


async def test_of_many_at_once_one_is_first(store: Store, second_factor: SecondFactor) -> None:
    generous = SecondFactor(store, RING, GrowingDelay(100, 30, 900), "Watchword", observe=lambda _: None)
    session = await signed_in(store)
    code = code_of(await enrolled_key(second_factor, store, session.cookie), NOW)
    outcomes = await asyncio.gather(*(take(generous, store, session, code) for _ in range(30)))
    reasons = [reason_of(outcome) for outcome in outcomes]
    assert (reasons.count(None), reasons.count(Reason.USED_CODE)) == (1, 29)


async def test_codes_of_every_confirmed_factor_count(store: Store, second_factor: SecondFactor) -> None:
    session = await signed_in(store)
    keys = [await enrolled_key(second_factor, store, session.cookie, label) for label in ("One", "Two")]
    labels = {factor.id: factor.label for factor in await store.factors.list("ada")}
    for key, label in zip(keys, ("One", "Two"), strict=True):
        taken = await take(second_factor, store, session, code_of(key, NOW))
        assert isinstance(taken, CodeTaken)
        assert labels[taken.factor_id] == label


async def test_a_code_of_somebody_else_is_wrong(store: Store, second_factor: SecondFactor) -> None:
    ada, grace = await signed_in(store), await signed_in(store, "grace")
    key = await enrolled_key(second_factor, store, grace.cookie)
    await enrolled_key(second_factor, store, ada.cookie)
    assert reason_of(await take(second_factor, store, ada, code_of(key, NOW))) is Reason.WRONG_CODE


async def test_a_removed_factor_counts_no_more(store: Store, second_factor: SecondFactor) -> None:
    session = await signed_in(store)
    key = await enrolled_key(second_factor, store, session.cookie)
    (factor,) = await store.factors.list("ada")
    assert await store.factors.remove("ada", factor.id)
    assert reason_of(await take(second_factor, store, session, code_of(key, NOW))) is Reason.WRONG_CODE


async def test_a_session_that_ended_meanwhile_gets_nothing(store: Store, second_factor: SecondFactor) -> None:
    session = await signed_in(store)
    key = await enrolled_key(second_factor, store, session.cookie)
    snapshot = await snapshot_of(store, session.cookie)
    await store.revocations.account("ada", reason="test", actor="test", now=NOW)
    spending = Spending(session.session_id, "", 0, grant=GRANT)
    code = code_of(key, NOW)
    outcome = await second_factor.take(given(snapshot, code), spending, cookie=session.cookie, now=NOW)
    assert reason_of(outcome) is Reason.SESSION_REVOKED
    again = await signed_in(store, browser="phone", now=NOW + 1)
    assert isinstance(await take(second_factor, store, again, code, now=NOW + 1), CodeTaken)


# --- told honestly


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        (-20, CodeRefused(Reason.WRONG_CLOCK, NEXT_CODE, -600)),
        (-6, CodeRefused(Reason.WRONG_CLOCK, NEXT_CODE, -180)),
        (-3, CodeRefused(Reason.EXPIRED_CODE, NEXT_CODE)),
        (6, CodeRefused(Reason.WRONG_CLOCK, NEXT_CODE, 180)),
        (20, CodeRefused(Reason.WRONG_CLOCK, NEXT_CODE, 600)),
        (-21, CodeRefused(Reason.WRONG_CODE, NEXT_CODE)),
        (21, CodeRefused(Reason.WRONG_CODE, NEXT_CODE)),
    ],
)
async def test_a_code_of_another_time_is_told_from_a_wrong_one_and_counts_as_one(
    store: Store, second_factor: SecondFactor, steps: int, told: CodeRefused
) -> None:
    session = await signed_in(store)
    key = await enrolled_key(second_factor, store, session.cookie, at=NOW - 3600)
    for _ in range(MOST):
        assert await take(second_factor, store, session, code_of(key, NOW, steps)) == told
    refused = await take(second_factor, store, session, code_of(key, NOW, steps))
    assert reason_of(refused) is Reason.TOO_MANY_ATTEMPTS


@pytest.mark.parametrize("steps", [-20, -6, -2, 2, 6, 20])
async def test_a_factor_that_was_never_used_is_not_diagnosed(
    store: Store, second_factor: SecondFactor, steps: int
) -> None:
    session = await signed_in(store)
    enrolment = await begun(second_factor, store, session)
    refused = await confirm(
        second_factor, store, session, enrolment, code_of(enrolment.setup_key, NOW, steps)
    )
    assert refused == CodeRefused(Reason.WRONG_CODE, NEXT_CODE)


async def test_the_code_of_one_phone_counts_although_it_looks_old_on_another(
    store: Store, second_factor: SecondFactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is found for the others, a right code is right; else the best news is told."""
    session = await signed_in(store)
    for label in ("One", "Two", "Three", "Four"):
        await enrolled_key(second_factor, store, session.cookie, label)
    now_step = step_at(NOW)
    answers = {
        "One": Judgement(Reason.WRONG_CLOCK, now_step - 6, -180),
        "Two": Judgement(Reason.EXPIRED_CODE, now_step - 2),
        "Three": Judgement(Reason.USED_CODE, now_step - 1),
        "Four": Judgement(None, now_step),
    }
    monkeypatch.setattr(second_factor, "_judge_for", lambda factor, *_: answers[factor.label])
    taken = await take(second_factor, store, session, "123456")
    assert isinstance(taken, CodeTaken)
    told = []
    for label in ("Four", "Three", "Two", "One"):
        answers[label] = replace(answers[label], reason=answers[label].reason or Reason.USED_CODE)
        told.append(reason_of(await take(second_factor, store, session, "123456")))
        answers[label] = Judgement(Reason.WRONG_CODE)
    assert told == [Reason.USED_CODE, Reason.USED_CODE, Reason.EXPIRED_CODE, Reason.WRONG_CLOCK]


async def test_who_was_told_that_a_guess_comes_too_early_cannot_come_back_with_it(
    store: Store, second_factor: SecondFactor
) -> None:
    """A diagnosis must not turn three chances for each guess into twenty."""
    session = await signed_in(store)
    key = await enrolled_key(second_factor, store, session.cookie)
    guess, its_time = code_of(key, NOW, 9), NOW + 9 * 30
    assert reason_of(await take(second_factor, store, session, guess)) is Reason.WRONG_CLOCK
    for early in (-30, 0, 30):
        later = await take(second_factor, store, session, guess, now=its_time + early)
        assert reason_of(later) is Reason.USED_CODE
    next_one = code_of(key, its_time + 30)
    assert isinstance(await take(second_factor, store, session, next_one, now=its_time + 30), CodeTaken)


async def test_a_clock_that_is_one_step_off_may_be_one_more(
    store: Store, second_factor: SecondFactor
) -> None:
    session = await signed_in(store)
    key = await enrolled_key(second_factor, store, session.cookie)
    for minute in range(3):
        now = NOW + 60 * minute
        assert isinstance(await take(second_factor, store, session, code_of(key, now, 1), now=now), CodeTaken)
    now = NOW + 600
    for steps, reason in ((-1, Reason.EXPIRED_CODE), (3, Reason.WRONG_CLOCK), (2, None)):
        outcome = await take(second_factor, store, session, code_of(key, now, steps), now=now)
        assert reason_of(outcome) is reason


TRIALS = st.lists(
    st.tuples(
        st.sampled_from((0, 0, 1, 29, 30, 31, 60, 300)),  # seconds that pass
        st.sampled_from((0, 1)),  # which factor
        st.one_of(st.integers(-3, 3), st.integers(-22, 22)),  # which of its codes
    ),
    min_size=5,
    max_size=30,
)


@pytest.mark.usefixtures("valkey")
@settings(max_examples=25)
@with_any(trials=TRIALS)
def test_no_sequence_of_codes_accepts_a_step_twice_or_a_lower_one(
    valkey_url: str, trials: list[tuple[int, int, int]]
) -> None:
    asyncio.run(_play(valkey_url, trials))


async def _play(valkey_url: str, trials: list[tuple[int, int, int]]) -> None:
    store = await opened_store(valkey_url)
    generous = SecondFactor(store, RING, GrowingDelay(1000, 30, 900), "Watchword", observe=lambda _: None)
    try:
        subject = f"ada-{entropy.identifier()}"
        session, now = await signed_in(store, subject), NOW
        keys = [await enrolled_key(generous, store, session.cookie, label) for label in ("0", "1")]
        accepted: list[list[int]] = [[step_at(NOW - 600)] for _ in keys]
        too_early: list[set[int]] = [set() for _ in keys]
        for seconds, index, off in trials:
            now += seconds
            step = step_at(now) + off
            factors = {factor.label: factor for factor in await store.factors.list(subject)}
            drift = factors[str(index)].drift
            outcome = await take(generous, store, session, code_of(keys[index], now, off), now=now)
            may_count = abs(off - drift) <= 1 and step > accepted[index][-1]
            assert isinstance(outcome, CodeTaken) == (may_count and step not in too_early[index])
            assert drift in (-1, 0, 1)
            if isinstance(outcome, CodeTaken):
                accepted[index].append(step)
            elif outcome.clock_off_by > 0:
                too_early[index].add(step)
    finally:
        await store.close()


# --- on trial


async def on_trial(second_factor: SecondFactor, store: Store, session: Started, full_at: float) -> str:
    """The setup key of a confirmed factor that is on trial."""
    begun = await second_factor.enrol(
        await session_of(store, session), "New phone", NOW - 60, code_given=True, full_at=full_at
    )
    step = step_at(NOW - 60)
    assert (
        await store.factors.spend(
            Spending(session.session_id, begun.factor.id, step, confirms=True), NOW - 60
        )
        is None
    )
    return begun.setup_key


async def lower(
    second_factor: SecondFactor, store: Store, session: Started, code: str, *, now: float = NOW
) -> CodeTaken | CodeRefused:
    snapshot = await snapshot_of(store, session.cookie, now)
    spending = Spending(session.session_id, "", 0, lowers=True, grant=GRANT)
    return await second_factor.take(given(snapshot, code), spending, cookie=None, now=now)


async def test_codes_of_a_factor_on_trial_serve_but_lower_nothing(
    store: Store, second_factor: SecondFactor
) -> None:
    session = await signed_in(store)
    key = await on_trial(second_factor, store, session, NOW + 100.5)
    code = code_of(key, NOW)
    assert await lower(second_factor, store, session, code) == CodeRefused(Reason.FACTOR_ON_TRIAL, 101)
    taken = await take(second_factor, store, session, code)
    assert isinstance(taken, CodeTaken), "it was not used up in vain"
    assert taken.grant == replace(GRANT, full_at=NOW + 100.5), "and its proof is no fuller"
    later = NOW + 120
    assert isinstance(await lower(second_factor, store, session, code_of(key, later), now=later), CodeTaken)


async def test_a_full_factor_beside_one_on_trial_lowers(store: Store, second_factor: SecondFactor) -> None:
    session = await signed_in(store)
    full = await enrolled_key(second_factor, store, session.cookie)
    await on_trial(second_factor, store, session, NOW + 1000)
    taken = await lower(second_factor, store, session, code_of(full, NOW))
    assert isinstance(taken, CodeTaken)
    assert taken.grant == GRANT


# --- how often


@pytest.mark.parametrize(
    "code",
    [
        "",
        "12345",
        "1234567",
        "12 345",
        " 123456",
        "\uff11\uff12\uff13\uff14\uff15\uff16",  # full-width
        "\u00b2" * 6,  # superscript
        "\u0661" * 6,  # Arabic-Indic
        "12345a",
        "-12345",
        "123456\n",
    ],
)
async def test_what_is_not_six_ascii_digits_is_refused_and_counted(
    store: Store, second_factor: SecondFactor, code: str
) -> None:
    session = await signed_in(store)
    await enrolled_key(second_factor, store, session.cookie)
    for _ in range(MOST):
        assert await take(second_factor, store, session, code) == CodeRefused(
            Reason.MALFORMED_CODE, NEXT_CODE
        )
    assert reason_of(await take(second_factor, store, session, code)) is Reason.TOO_MANY_ATTEMPTS


async def test_attempts_are_shared_by_all_sessions_and_doors(
    store: Store, second_factor: SecondFactor
) -> None:
    laptop = await signed_in(store)
    key = await enrolled_key(second_factor, store, laptop.cookie)
    phone, tablet = await signed_in(store, browser="phone"), await signed_in(store, browser="tablet")
    enrolment = await begun(second_factor, store, phone)
    wrong = wrong_code(key, NOW)
    for session in (laptop, phone):
        assert reason_of(await take(second_factor, store, session, wrong)) is Reason.WRONG_CODE
    wrong_first = wrong_code(enrolment.setup_key, NOW)
    assert reason_of(await confirm(second_factor, store, phone, enrolment, wrong_first)) is Reason.WRONG_CODE
    for session in (laptop, tablet):
        assert reason_of(await take(second_factor, store, session, "x")) is Reason.MALFORMED_CODE

    refused = await take(second_factor, store, await signed_in(store, browser="tv"), code_of(key, NOW))
    assert isinstance(refused, CodeRefused)
    assert refused.reason is Reason.TOO_MANY_ATTEMPTS
    assert refused.wait == 60
    assert reason_of(await confirm(second_factor, store, phone, enrolment)) is Reason.TOO_MANY_ATTEMPTS

    grace = await signed_in(store, "grace")
    await enrolled_key(second_factor, store, grace.cookie)


async def test_a_burst_of_guesses_counts_before_it_is_checked(
    store: Store, second_factor: SecondFactor
) -> None:
    session = await signed_in(store)
    wrong = wrong_code(await enrolled_key(second_factor, store, session.cookie), NOW)
    outcomes = await asyncio.gather(*(take(second_factor, store, session, wrong) for _ in range(40)))
    assert [reason_of(outcome) for outcome in outcomes].count(Reason.WRONG_CODE) == MOST


async def test_a_right_code_forgives_the_wrong_ones(store: Store, second_factor: SecondFactor) -> None:
    session = await signed_in(store)
    key = await enrolled_key(second_factor, store, session.cookie)
    for turn in range(3):
        now = NOW + 30 * turn
        for _ in range(MOST - 1):
            await take(second_factor, store, session, wrong_code(key, now), now=now)
        assert isinstance(await take(second_factor, store, session, code_of(key, now), now=now), CodeTaken)


async def locked_out(second_factor: SecondFactor, store: Store, session: Started) -> float:
    """Guess, with all the patience that it takes, until nothing counts any more; when that was."""
    now, reasons = NOW, []
    for _ in range(LOCK):
        reasons.append(reason_of(await take(second_factor, store, session, "x", now=now)))
        now += 900
    assert reasons == [*[Reason.MALFORMED_CODE] * (LOCK - 1), Reason.CODES_LOCKED], "the last one is told"
    return now


async def test_after_so_many_in_a_row_no_code_counts(store: Store, second_factor: SecondFactor) -> None:
    session = await signed_in(store)
    key = await enrolled_key(second_factor, store, session.cookie)
    now = await locked_out(second_factor, store, session)
    for later in (now, now + 3000):
        code = code_of(key, later)
        for browser in ("laptop", "phone"):
            again = await signed_in(store, browser=browser, now=now)
            refused = await take(second_factor, store, again, code, now=later)
            assert refused == CodeRefused(Reason.CODES_LOCKED, 0)
    assert (await snapshot_of(store, session.cookie)).fault(NOW) is None, "the session goes on"


async def test_a_lock_is_on_record_once(store: Store, second_factor: SecondFactor) -> None:
    session = await signed_in(store)
    key = await enrolled_key(second_factor, store, session.cookie)
    now = await locked_out(second_factor, store, session)
    await take(second_factor, store, await signed_in(store, now=now), code_of(key, now), now=now)
    entries = [entry for entry in await store.audit.latest("ada") if entry.event == "codes-locked"]
    assert [(entry.actor, entry.at, entry.session_id) for entry in entries] == [
        ("account:ada", now - 900, session.session_id)
    ]


async def test_a_right_code_at_the_last_moment_locks_nothing(
    store: Store, second_factor: SecondFactor
) -> None:
    session = await signed_in(store)
    key = await enrolled_key(second_factor, store, session.cookie)
    for attempt in range(LOCK):
        now = NOW + 900 * attempt
        code = code_of(key, now) if attempt == LOCK - 1 else "x"
        again = await signed_in(store, now=now)
        outcome = await take(second_factor, store, again, code, now=now)
    assert isinstance(outcome, CodeTaken)
    assert await store.attempts.locked(["ada"]) == frozenset()
    assert "codes-locked" not in [entry.event for entry in await store.audit.latest("ada")]


async def test_once_it_is_lifted_codes_count_again(store: Store, second_factor: SecondFactor) -> None:
    session = await signed_in(store)
    key = await enrolled_key(second_factor, store, session.cookie)
    now = await locked_out(second_factor, store, session)
    await store.attempts.unlock("ada")
    again = await signed_in(store, now=now)
    assert isinstance(await take(second_factor, store, again, code_of(key, now), now=now), CodeTaken)


async def test_every_code_is_observed_and_on_record(store: Store) -> None:
    observed: list[Reason | None] = []
    second_factor = SecondFactor(store, RING, GrowingDelay(2, 30, 900), "Watchword", observed.append)
    session = await signed_in(store)
    key = await enrolled_key(second_factor, store, session.cookie)
    for code in (code_of(key, NOW), code_of(key, NOW), "x", "x"):
        await take(second_factor, store, session, code)
    reasons = [None, Reason.USED_CODE, Reason.MALFORMED_CODE, Reason.TOO_MANY_ATTEMPTS]
    assert observed == reasons
    entries = (await store.audit.latest("ada"))[::-1]
    assert [entry.event for entry in entries] == ["code-taken"] + ["code-refused"] * 2
    told = ["test", *(f"{reason}: test" for reason in reasons[1:-1])]
    assert [entry.reason for entry in entries] == told, "what was looked at"
    assert {(entry.actor, entry.session_id) for entry in entries} == {("account:ada", session.session_id)}


# --- seeds


async def test_seeds_and_codes_are_not_readable_in_the_store(
    store: Store, second_factor: SecondFactor, valkey: Redis
) -> None:
    session = await signed_in(store)
    key = await enrolled_key(second_factor, store, session.cookie)
    enrolment = await begun(second_factor, store, session)
    code = code_of(key, NOW)
    await take(second_factor, store, session, code)
    (sealed, _) = [factor.sealed_seed for factor in await store.factors.list("ada")]
    kept = str(await contents(valkey))
    assert sealed.decode() in kept
    for secret in (key, enrolment.setup_key, f"'{code}'"):
        assert secret not in kept


@pytest.mark.parametrize("target", ["another factor", "another account"])
async def test_a_seed_opens_only_where_it_belongs(
    store: Store, second_factor: SecondFactor, valkey: Redis, target: str
) -> None:
    """Whoever can write to Redis cannot give themselves a factor whose key they know."""
    ada, eve = await signed_in(store), await signed_in(store, "eve")
    known = await begun(second_factor, store, eve if target == "another account" else ada)
    await enrolled_key(second_factor, store, ada.cookie)
    (factor,) = [f for f in await store.factors.list("ada") if f.state is FactorState.CONFIRMED]
    (record,) = await valkey.keys(f"*:factor:{factor.id}")
    await valkey.hset(record, "sealed_seed", known.factor.sealed_seed.decode())
    taken = await take(second_factor, store, ada, code_of(known.setup_key, NOW))
    assert isinstance(taken, CodeRefused)
    assert taken.reason is Reason.WRONG_CODE


# --- the device that a code is given on


async def device_on(store: Store, session: Started) -> Device:
    device = (await snapshot_of(store, session.cookie)).device
    assert device is not None
    return device


@pytest.mark.parametrize("confirms", [True, False])
async def test_a_code_vouches_for_the_device_where_codes_do(store: Store, confirms: bool) -> None:
    ruled = SecondFactor(
        store,
        RING,
        GrowingDelay(5, 30, 900),
        "Watchword",
        observe=lambda _: None,
        confirms_devices=confirms,
    )
    key = await enrolled_key(ruled, store, (await signed_in(store)).cookie)
    session = await signed_in(store, browser="phone", later=LaterDevices.STEP_UP)
    taken = await take(ruled, store, session, code_of(key, NOW))
    assert isinstance(taken, CodeTaken) and taken.confirms_device is confirms
    device = await device_on(store, session)
    assert (device.is_confirmed, device.is_authorised) == (confirms, confirms)
    events = [entry.event for entry in await store.audit.latest("ada")]
    assert events.count("device-authorised") == confirms
    again = await take(ruled, store, session, code_of(key, NOW, 1), now=NOW + 30)
    assert isinstance(again, CodeTaken)
    events = [entry.event for entry in await store.audit.latest("ada")]
    assert events.count("device-authorised") == confirms, "it was said once"


async def test_a_code_that_is_refused_vouches_for_nothing(store: Store, second_factor: SecondFactor) -> None:
    key = await enrolled_key(second_factor, store, (await signed_in(store)).cookie)
    session = await signed_in(store, browser="phone", later=LaterDevices.STEP_UP)
    before = await device_on(store, session)
    assert reason_of(await take(second_factor, store, session, wrong_code(key, NOW))) is Reason.WRONG_CODE
    assert await device_on(store, session) == before
    assert "device-authorised" not in [entry.event for entry in await store.audit.latest("ada")]


async def test_the_first_code_of_a_factor_vouches_for_no_device_that_waits(
    store: Store, second_factor: SecondFactor
) -> None:
    """Whoever began the factor has its seed, so that code says nothing about who they are."""
    await signed_in(store)
    for later, confirmed in ((LaterDevices.ALLOW, True), (LaterDevices.APPROVE, False)):
        session = await signed_in(store, browser=later, later=later)
        taken = await confirm(second_factor, store, session, await begun(second_factor, store, session))
        assert isinstance(taken, CodeTaken) and taken.confirms_device is confirmed
        assert (await device_on(store, session)).is_confirmed is confirmed


async def test_a_factor_whose_key_is_gone_is_as_good_as_none_and_the_log_tells(
    store: Store, second_factor: SecondFactor, valkey: Redis
) -> None:
    """A key ring was exchanged under a running gateway: no error page, and the other factors still count."""
    session = await signed_in(store)
    key = await enrolled_key(second_factor, store, session.cookie)
    waiting = await begun(second_factor, store, session)
    (record,) = await valkey.keys(f"*:factor:{waiting.factor.id}")
    await valkey.hset(record, "sealed_seed", "k-lost.AAAA")
    with capture_logs() as said:
        assert await second_factor.pending(await session_of(store, session), waiting.factor.id) is None
        assert reason_of(await confirm(second_factor, store, session, waiting)) is Reason.WRONG_CODE
    assert {entry["factor"] for entry in said} == {waiting.factor.id}
    assert isinstance(await take(second_factor, store, session, code_of(key, NOW)), CodeTaken)
