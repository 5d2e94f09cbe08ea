"""Authenticators: set up by a code, asked for a code, and no code twice."""

import asyncio
from urllib.parse import parse_qs, urlsplit

import pytest
from redis.asyncio import Redis
from support.identity import code_of, enrolled_key, given, snapshot_of, wrong_code
from support.store import NOW, RING, contents, every_size, signed_in

from gateway.core.reasons import Reason
from gateway.core.records import FactorState, Grant, Session
from gateway.identity.second_factor import LONGEST_LABEL, CodeRefused, CodeTaken, Enrolment, SecondFactor
from gateway.store.attempts import AttemptLimit
from gateway.store.factors import MOST_FACTORS, Spending, TooManyFactors
from gateway.store.opening import Store
from gateway.store.sessions import Started

MOST = 5
"""Attempts that the fixture `second_factor` allows."""

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
    for _ in range(MOST_FACTORS):
        await begun(second_factor, store, session)
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
    assert await store.sessions.identify(session.cookie, NOW + grace) is None


async def test_a_wrong_first_code_confirms_nothing(store: Store, second_factor: SecondFactor) -> None:
    session = await signed_in(store)
    enrolment = await begun(second_factor, store, session)
    wrong = wrong_code(enrolment.setup_key, NOW)
    assert await confirm(second_factor, store, session, enrolment, wrong) == CodeRefused(
        Reason.WRONG_CODE, NEXT_CODE
    )
    assert [factor.state for factor in await store.factors.list("ada")] == [FactorState.PENDING]
    assert await store.sessions.identify(session.cookie, NOW + 60) is not None


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
        (-2, Reason.WRONG_CODE),
        (-1, None),
        (0, None),
        (1, None),
        (2, Reason.WRONG_CODE),
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
    generous = SecondFactor(store, RING, AttemptLimit(100, 300), "Watchword", observe=lambda _: None)
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
    assert NEXT_CODE < refused.wait <= 300
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


async def test_every_code_is_observed_and_on_record(store: Store) -> None:
    observed: list[Reason | None] = []
    second_factor = SecondFactor(store, RING, AttemptLimit(2, 300), "Watchword", observed.append)
    session = await signed_in(store)
    key = await enrolled_key(second_factor, store, session.cookie)
    for code in (code_of(key, NOW), code_of(key, NOW), "x", "x"):
        await take(second_factor, store, session, code)
    reasons = [None, Reason.USED_CODE, Reason.MALFORMED_CODE, Reason.TOO_MANY_ATTEMPTS]
    assert observed == reasons
    entries = (await store.audit.latest("ada"))[::-1]
    assert [entry.event for entry in entries] == ["code-taken"] + ["code-refused"] * 3
    assert [entry.reason for entry in entries] == ["test", *map(str, reasons[1:])]
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
