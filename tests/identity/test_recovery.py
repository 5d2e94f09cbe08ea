"""Recovery codes: ten of them, each once, guessed at in vain, and no way to lower protection."""

import re
from dataclasses import replace

import pytest
from redis.asyncio import Redis
from support.identity import WAITING, code_of, enrolled_key, given, snapshot_of
from support.store import NOW, contents, every_size, signed_in

from gateway.core.reasons import Reason
from gateway.core.records import Grant
from gateway.identity.passwords import Passwords
from gateway.identity.recovery import Recovery
from gateway.identity.second_factor import CodeRefused, CodeTaken, SecondFactor
from gateway.store.attempts import GrowingDelay
from gateway.store.factors import Spending
from gateway.store.opening import Store
from gateway.store.sessions import Started

GRANT = Grant("exchange/approve", NOW, NOW + 60)


@pytest.fixture
async def ada(store: Store, second_factor: SecondFactor) -> Started:
    """A session of an account with a factor."""
    session = await signed_in(store)
    await enrolled_key(second_factor, store, session.cookie)
    return session


async def made(recovery: Recovery, store: Store, session: Started) -> tuple[str, ...]:
    return await recovery.make((await snapshot_of(store, session.cookie)).session, NOW)


async def take(
    recovery: Recovery, store: Store, session: Started, code: str, *, lowers: bool = False
) -> CodeTaken | CodeRefused:
    snapshot = await snapshot_of(store, session.cookie)
    spending = Spending(session.session_id, "", 0, lowers=lowers, grant=GRANT)
    return await recovery.take(given(snapshot, code), spending, NOW)


def reason_of(outcome: CodeTaken | CodeRefused) -> Reason | None:
    return outcome.reason if isinstance(outcome, CodeRefused) else None


# --- making them


async def test_ten_different_codes_are_made(store: Store, recovery: Recovery, ada: Started) -> None:
    codes = await made(recovery, store, ada)
    assert len(set(codes)) == 10
    assert all(re.fullmatch("[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){3}", code) for code in codes)
    assert await store.recovery_codes.left("ada") == 10
    assert not set(codes) & set(await made(recovery, store, ada))


async def test_who_has_no_factor_or_no_session_gets_none(store: Store, recovery: Recovery) -> None:
    session = await signed_in(store)
    assert await made(recovery, store, session) == ()
    before = (await snapshot_of(store, session.cookie)).session
    await store.revocations.account("ada", reason="test", actor="test", now=NOW)
    assert await recovery.make(before, NOW) == ()


async def test_case_41_the_store_holds_slow_salted_hashes_only(
    store: Store, valkey: Redis, recovery: Recovery, ada: Started
) -> None:
    codes = await made(recovery, store, ada)
    assert reason_of(await take(recovery, store, ada, codes[0])) is None
    assert reason_of(await take(recovery, store, ada, "0000-0000-0000-0000")) is Reason.WRONG_RECOVERY_CODE
    kept = str(await contents(valkey))
    for code in (*codes, "0000-0000-0000-0000"):
        assert code not in kept
        assert code.replace("-", "") not in kept
    hashes = await valkey.smembers("ww:{s00}:recovery:ada")
    assert all(hashed.startswith("$argon2id$v=19$") for hashed in hashes)
    (salt,) = {hashed.split("$")[4] for hashed in hashes}
    assert len(salt) == 22, "128 bits in base64"
    await made(recovery, store, ada)
    assert salt not in str(await valkey.smembers("ww:{s00}:recovery:ada")), "each set has its own"


# --- using them


@every_size
async def test_a_code_counts_once(store: Store, recovery: Recovery, second_factor: SecondFactor) -> None:
    session = await signed_in(store)
    await enrolled_key(second_factor, store, session.cookie)
    codes = await made(recovery, store, session)
    for used, code in enumerate(codes, 1):
        taken = await take(recovery, store, session, code)
        assert isinstance(taken, CodeTaken)
        assert taken.recovery_codes_left == 10 - used
    for code in codes[:3]:
        assert await take(recovery, store, session, code) == CodeRefused(Reason.WRONG_RECOVERY_CODE, 0)


async def test_it_is_read_forgivingly(store: Store, recovery: Recovery, ada: Started) -> None:
    code = (await made(recovery, store, ada))[0]
    typed = f" {code.lower().replace('-', ' ').replace('0', 'o').replace('1', 'l')}\n"
    assert reason_of(await take(recovery, store, ada, typed)) is None


async def test_proof_by_a_recovery_code_is_not_full_before_the_waiting_period_is_over(
    store: Store, recovery: Recovery, ada: Started
) -> None:
    code = (await made(recovery, store, ada))[0]
    taken = await take(recovery, store, ada, code)
    assert isinstance(taken, CodeTaken)
    assert taken.grant == replace(GRANT, full_at=NOW + WAITING)
    assert (await snapshot_of(store, ada.cookie)).grants == (taken.grant,)


async def test_it_takes_no_protection_away_and_is_not_spent_for_that(
    store: Store, recovery: Recovery, ada: Started
) -> None:
    code = (await made(recovery, store, ada))[0]
    for _ in range(10):  # nothing was looked at, so these are no attempts
        refused = await take(recovery, store, ada, code, lowers=True)
        assert refused == CodeRefused(Reason.RECOVERY_NOT_ENOUGH, 0)
    assert reason_of(await take(recovery, store, ada, code)) is None


async def test_a_code_of_somebody_else_is_wrong(
    store: Store, recovery: Recovery, second_factor: SecondFactor, ada: Started
) -> None:
    grace = await signed_in(store, "grace")
    await enrolled_key(second_factor, store, grace.cookie)
    codes = await made(recovery, store, grace)
    assert reason_of(await take(recovery, store, ada, codes[0])) is Reason.WRONG_RECOVERY_CODE
    await made(recovery, store, ada)
    assert reason_of(await take(recovery, store, ada, codes[0])) is Reason.WRONG_RECOVERY_CODE
    assert reason_of(await take(recovery, store, grace, codes[0])) is None


async def test_codes_hashed_with_other_parameters_still_count(
    store: Store, recovery: Recovery, ada: Started
) -> None:
    """The parameters of passwords may be raised; nobody's paper becomes worthless by that."""
    code = (await made(recovery, store, ada))[0]
    slower = Passwords()
    try:
        later = Recovery(store, slower, GrowingDelay(5, 300, 900), WAITING, observe=lambda _: None)
        assert reason_of(await take(later, store, ada, code)) is None
    finally:
        slower.close()


# --- guessing


@pytest.mark.parametrize("guess", ["0000-0000-0000-0000", "", "123456", "x" * 10_000])
async def test_guesses_are_counted_before_they_are_checked(
    store: Store, recovery: Recovery, ada: Started, guess: str
) -> None:
    codes = await made(recovery, store, ada)
    for _ in range(5):
        assert reason_of(await take(recovery, store, ada, guess)) is Reason.WRONG_RECOVERY_CODE
    late = await take(recovery, store, ada, codes[0])
    assert isinstance(late, CodeRefused)
    assert (late.reason, 0 < late.wait <= 300) == (Reason.TOO_MANY_ATTEMPTS, True)
    assert await store.recovery_codes.left("ada") == 10


async def test_guesses_at_codes_do_not_lock_recovery_out_and_it_forgives_them(
    store: Store, recovery: Recovery, second_factor: SecondFactor
) -> None:
    session = await signed_in(store)
    key = await enrolled_key(second_factor, store, session.cookie)
    code = (await made(recovery, store, session))[0]
    snapshot = await snapshot_of(store, session.cookie)
    spending = Spending(session.session_id, "", 0)
    for _ in range(6):
        refused = await second_factor.take(given(snapshot, "x"), spending, cookie=None, now=NOW)
    assert reason_of(refused) is Reason.TOO_MANY_ATTEMPTS
    assert reason_of(await take(recovery, store, session, code)) is None
    right = given(snapshot, code_of(key, NOW))
    assert isinstance(await second_factor.take(right, spending, cookie=None, now=NOW), CodeTaken)


async def test_every_use_is_on_record_and_none_with_the_code(
    store: Store, recovery: Recovery, ada: Started
) -> None:
    code = (await made(recovery, store, ada))[0]
    await take(recovery, store, ada, code, lowers=True)
    await take(recovery, store, ada, code)
    await take(recovery, store, ada, code)
    entries = await store.audit.latest("ada")
    assert [(entry.event, entry.reason) for entry in entries] == [
        ("recovery-code-refused", "wrong-recovery-code"),
        ("recovery-code-used", "test"),
        ("recovery-code-refused", "recovery-not-enough"),
    ]
    assert {(e.actor, e.session_id, e.address) for e in entries} == {
        ("account:ada", ada.session_id, "192.0.2.1")
    }
    assert code not in str(entries)
