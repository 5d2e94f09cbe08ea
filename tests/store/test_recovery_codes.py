"""Recovery codes in the store: hashes, each used up once, together with what it was for."""

from collections import Counter
from itertools import chain
from typing import Any

import pytest
from redis.asyncio import Redis
from support.race import Race, store_calls
from support.store import (
    NOW,
    challenge_of,
    contents,
    enrolled,
    every_size,
    new_cookie,
    signed_in,
)

from gateway.core.reasons import Reason
from gateway.core.records import Grant
from gateway.store.attempts import GrowingDelay
from gateway.store.factors import Rotation, Spending
from gateway.store.opening import Store
from gateway.store.sessions import Started

HASHES = [f"hash {number}" for number in range(10)]
GRANT = Grant("exchange/approve", NOW, NOW + 60, binding="b1", full_at=NOW + 1000)
ONE_ATTEMPT = GrowingDelay(1, 60, 60)


async def kept(store: Store, subject: str = "ada") -> Started:
    """A session of an account with a factor and ten recovery codes."""
    session = await signed_in(store, subject)
    await enrolled(store, session, subject)
    assert await store.recovery_codes.keep(session.session_id, HASHES, NOW) is None
    return session


async def spend(store: Store, session: Started, hashed: str, **brings: Any) -> int | Reason:
    return await store.recovery_codes.spend(Spending(session.session_id, "", 0, **brings), hashed, NOW)


# --- kept


@every_size
async def test_codes_are_kept_and_counted(store: Store) -> None:
    await kept(store)
    assert await store.recovery_codes.left("ada") == 10
    assert await store.recovery_codes.any_hash("ada") in HASHES
    assert await store.recovery_codes.left("nobody") == 0
    assert await store.recovery_codes.any_hash("nobody") is None


async def test_new_codes_take_the_proof_of_other_sessions_along(store: Store) -> None:
    """It may have been given with one of those before, which somebody else had."""
    here, elsewhere = await kept(store), await signed_in(store, browser="phone")
    for number, session in enumerate((here, elsewhere)):
        assert await spend(store, session, HASHES[number], grant=GRANT) == 9 - number
    assert await store.recovery_codes.keep(here.session_id, HASHES, NOW) is None
    for session, grants in ((here, (GRANT,)), (elsewhere, ())):
        snapshot = await store.who.ask(session.cookie, NOW)
        assert snapshot is not None
        assert snapshot.grants == grants


async def test_new_codes_void_those_before(store: Store) -> None:
    session = await kept(store)
    assert await store.recovery_codes.keep(session.session_id, ["new"], NOW) is None
    assert await store.recovery_codes.left("ada") == 1
    assert await spend(store, session, HASHES[0]) is Reason.WRONG_RECOVERY_CODE
    assert await spend(store, session, "new") == 0


@every_size
@pytest.mark.parametrize("session_id", ["", "no identifier", "0" * 32, "ff" + "0" * 30])
async def test_without_a_session_nothing_is_kept(store: Store, valkey: Redis, session_id: str) -> None:
    await kept(store)
    before = await contents(valkey)
    assert await store.recovery_codes.keep(session_id, ["new"], NOW) is Reason.SESSION_REVOKED
    assert await contents(valkey) == before


async def test_a_session_that_ended_gets_no_new_codes(store: Store) -> None:
    session = await kept(store)
    await store.revocations.account("ada", reason="test", actor="test", now=NOW)
    assert await store.recovery_codes.keep(session.session_id, ["new"], NOW) is Reason.SESSION_REVOKED
    assert await spend(store, session, HASHES[0]) is Reason.SESSION_REVOKED
    assert await store.recovery_codes.left("ada") == 10


async def test_who_has_no_factor_gets_no_codes(store: Store) -> None:
    session = await signed_in(store)
    assert await store.recovery_codes.keep(session.session_id, HASHES, NOW) is Reason.FACTOR_MISSING
    assert await store.recovery_codes.left("ada") == 0


async def test_they_go_with_the_last_factor(store: Store) -> None:
    session = await kept(store)
    await enrolled(store, session)
    first, last = await store.factors.list("ada")
    assert await store.factors.remove("ada", first.id)
    assert await store.recovery_codes.left("ada") == 10
    assert await store.factors.remove("ada", last.id)
    assert await store.recovery_codes.left("ada") == 0


# --- spent


@every_size
async def test_case_44_a_code_counts_once(store: Store) -> None:
    session = await kept(store)
    assert await spend(store, session, HASHES[3]) == 9
    assert await spend(store, session, HASHES[3]) is Reason.WRONG_RECOVERY_CODE
    assert await spend(store, session, HASHES[4]) == 8
    assert await store.recovery_codes.left("ada") == 8


async def test_a_code_counts_for_its_own_account_only(store: Store) -> None:
    await kept(store)
    bob = await signed_in(store, "bob")
    await enrolled(store, bob, "bob")
    assert await spend(store, bob, HASHES[0]) is Reason.WRONG_RECOVERY_CODE
    assert await store.recovery_codes.left("ada") == 10


def brought(store: Store, session: Started, challenge_id: str) -> dict[str, Any]:
    """All that a code can bring."""
    return {
        "grant": GRANT,
        "challenge_id": challenge_id,
        "resume": ("resume", NOW + 60),
        "rotation": Rotation(session.cookie, new_cookie(store, session), NOW + 5),
    }


@every_size
async def test_a_code_brings_all_that_it_was_for(store: Store) -> None:
    session = await kept(store)
    challenge = challenge_of(store, session)
    assert await store.challenges.open(challenge, NOW)
    for kind in ("code", "recovery"):
        await store.attempts.begin(kind, "ada", ONE_ATTEMPT, NOW)
    brings = brought(store, session, challenge.id)
    assert await spend(store, session, HASHES[0], **brings) == 9
    snapshot = await store.who.ask(brings["rotation"].new_cookie, NOW)
    assert snapshot is not None and snapshot.grants == (GRANT,)
    for kind in ("code", "recovery"):
        assert (await store.attempts.begin(kind, "ada", ONE_ATTEMPT, NOW)).allowed, "attempts start afresh"
    parked = await store.challenges.claim(session.session_id, "resume", "/withdrawals", NOW)
    assert parked is not None and parked.id == challenge.id


@pytest.mark.parametrize(
    ("hashed", "challenge", "reason"),
    [
        ("never made", "open", Reason.WRONG_RECOVERY_CODE),
        ("", "open", Reason.WRONG_RECOVERY_CODE),
        (HASHES[0], "answered", Reason.CHALLENGE_EXPIRED),
        (HASHES[0], "expired", Reason.CHALLENGE_EXPIRED),
        (HASHES[0], "another session's", Reason.CHALLENGE_EXPIRED),
        (HASHES[0], "unknown", Reason.CHALLENGE_EXPIRED),
    ],
)
async def test_a_refused_code_changes_nothing(
    store: Store, valkey: Redis, hashed: str, challenge: str, reason: Reason
) -> None:
    session, elsewhere = await kept(store), await signed_in(store, browser="phone")
    challenges = {
        "open": challenge_of(store, session),
        "answered": challenge_of(store, session),
        "expired": challenge_of(store, session, expires_at=NOW),
        "another session's": challenge_of(store, elsewhere),
    }
    for asked in challenges.values():
        await store.challenges.open(asked, NOW - 1)
    assert await spend(store, session, HASHES[9], challenge_id=challenges["answered"].id) == 9
    for kind in ("code", "recovery"):
        await store.attempts.begin(kind, "ada", ONE_ATTEMPT, NOW)
    before = await contents(valkey)
    challenge_id = (
        challenges[challenge].id if challenge in challenges else store.challenges.new_id(session.session_id)
    )
    assert await spend(store, session, hashed, **brought(store, session, challenge_id)) is reason
    assert await contents(valkey) == before


@every_size
@pytest.mark.parametrize("session_id", ["", "no identifier", "0" * 32, "ff" + "0" * 30])
async def test_without_a_session_no_code_is_used(store: Store, session_id: str) -> None:
    await kept(store)
    spending = Spending(session_id, "", 0)
    assert await store.recovery_codes.spend(spending, HASHES[0], NOW) is Reason.SESSION_REVOKED
    assert await store.recovery_codes.left("ada") == 10


async def test_case_44_one_code_counts_once_over_processes(store: Store, valkey_url: str, race: Race) -> None:
    session = await kept(store)
    spending = Spending(session.session_id, "", 0, grant=GRANT)
    outcomes = race(store_calls, valkey_url, "recovery_codes.spend", 25, spending, HASHES[0], NOW)
    assert Counter(chain(*outcomes)) == {9: 1, Reason.WRONG_RECOVERY_CODE: 99}
