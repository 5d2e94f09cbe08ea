from dataclasses import replace
from itertools import chain

import pytest
from redis.asyncio import Redis
from support.race import Race, store_calls
from support.store import NOW, STEP, challenge_of, contents, enrolled, every_size, signed_in, spent

from gateway.core.reasons import Reason
from gateway.store.challenges import MOST_OPEN, Challenge
from gateway.store.keys import shard_of_id
from gateway.store.opening import Store
from gateway.store.sessions import Started

RESUME = "the value of a resume cookie"


async def opened(store: Store, session: Started, **other: object) -> Challenge:
    challenge = challenge_of(store, session, **other)
    assert await store.challenges.open(challenge, NOW)
    return challenge


async def answered(store: Store, session: Started, **other: object) -> Challenge:
    """A challenge whose parked request may be claimed with RESUME, for a minute."""
    challenge = await opened(store, session, **other)
    factor_id = await enrolled(store, session)
    resume = (RESUME, NOW + 60)
    assert await spent(store, session, factor_id, STEP, challenge_id=challenge.id, resume=resume) is None
    return challenge


# --- open challenges


@pytest.mark.parametrize(
    "other",
    [
        {},
        {"sealed_request": None},
        {"binding": "b1"},
        {"shown": (("Amount", "1 €"), ("To", 'say "hi"\n\\')), "path": "/a?b=%20"},
        {"expires_at": NOW + 0.123456},
    ],
)
@every_size
async def test_a_challenge_is_found_as_it_was_opened(store: Store, other: dict[str, object]) -> None:
    session = await signed_in(store)
    challenge = await opened(store, session, **other)
    assert await store.challenges.find(challenge.id, session.session_id, NOW) == challenge


@every_size
async def test_a_challenge_lies_beside_its_session(store: Store) -> None:
    session = await signed_in(store)
    challenge_id = store.challenges.new_id(session.session_id)
    assert shard_of_id(challenge_id, 64) == shard_of_id(session.session_id, 64)
    with pytest.raises(ValueError, match="not a session id"):
        store.challenges.new_id("no identifier")


@every_size
async def test_nobody_elses_challenge_is_found(store: Store) -> None:
    session = await signed_in(store)
    challenge = await opened(store, session)
    others = [await signed_in(store, browser="phone"), await signed_in(store, "bob")]
    for other in (*others, replace(session, session_id="")):
        assert await store.challenges.find(challenge.id, other.session_id, NOW) is None
    for challenge_id in ("", "no identifier", "0" * 32, session.session_id):
        assert await store.challenges.find(challenge_id, session.session_id, NOW) is None


async def test_a_challenge_ends_when_it_says_so(store: Store) -> None:
    session = await signed_in(store)
    challenge = await opened(store, session)
    found = [
        await store.challenges.find(challenge.id, session.session_id, challenge.expires_at - left)
        for left in (0.001, 0, -1)
    ]
    assert found == [challenge, None, None]


async def test_no_challenge_opens_for_what_is_no_session(store: Store, valkey: Redis) -> None:
    session = await signed_in(store)
    before = await contents(valkey)
    for session_id in ("0" * 32, "no identifier"):
        assert not await store.challenges.open(challenge_of(store, session, session_id=session_id), NOW)
    assert await contents(valkey) == before


@every_size
async def test_the_oldest_challenge_gives_way_with_its_parked_request(store: Store, valkey: Redis) -> None:
    session, other = await signed_in(store), await signed_in(store, browser="phone")
    untouched = await opened(store, other)
    challenges = [challenge_of(store, session) for _ in range(MOST_OPEN + 2)]
    for number, challenge in enumerate(challenges):
        assert await store.challenges.open(challenge, NOW + number)
    found = [await store.challenges.find(c.id, session.session_id, NOW + 99) for c in challenges]
    assert found == [None, None, *challenges[2:]]
    assert await store.challenges.find(untouched.id, other.session_id, NOW) == untouched
    assert len(await valkey.keys("*:challenge:*")) == MOST_OPEN + 1


async def test_an_answered_challenge_says_so(store: Store) -> None:
    session = await signed_in(store)
    challenge = await answered(store, session)
    found = await store.challenges.find(challenge.id, session.session_id, NOW)
    assert found == replace(challenge, answered=True, expires_at=NOW + 60)


# --- parked requests


@every_size
async def test_a_parked_request_is_claimed_once(store: Store, valkey: Redis) -> None:
    session = await signed_in(store)
    challenge = await answered(store, session, path="/withdrawals?now", binding="b1")
    claim = (session.session_id, RESUME, "/withdrawals?now", NOW + 59)
    assert await store.challenges.claim(*claim) == replace(challenge, answered=True, expires_at=NOW + 60)
    assert await store.challenges.claim(*claim) is None
    assert await store.challenges.find(challenge.id, session.session_id, NOW) is None
    kinds_left = {key.split(":")[2] for key in await valkey.keys("*{*")}
    assert not kinds_left & {"resume", "challenge", "challenges"}


@every_size
async def test_a_parked_request_waits_for_its_own_return(store: Store) -> None:
    """A claim by the wrong session, with the wrong cookie, address or time takes nothing away."""
    session = await signed_in(store)
    await answered(store, session)
    elsewhere, bob = await signed_in(store, browser="phone"), await signed_in(store, "bob")
    right = (session.session_id, RESUME, "/withdrawals", NOW)
    for wrong in (
        (elsewhere.session_id, *right[1:]),
        (bob.session_id, *right[1:]),
        ("no identifier", *right[1:]),
        (right[0], "another cookie", *right[2:]),
        (right[0], "", *right[2:]),
        (*right[:2], "/withdrawals/", NOW),
        (*right[:2], "/", NOW),
        (*right[:3], NOW + 60),
    ):
        assert await store.challenges.claim(*wrong) is None
    assert await store.challenges.claim(*right) is not None


async def test_a_parked_request_without_an_answer_stays_where_it_is(store: Store) -> None:
    session = await signed_in(store)
    await opened(store, session)
    assert await store.challenges.claim(session.session_id, RESUME, "/withdrawals", NOW) is None


async def test_a_challenge_without_a_parked_request_gives_none(store: Store) -> None:
    session = await signed_in(store)
    await answered(store, session, sealed_request=None)
    assert await store.challenges.claim(session.session_id, RESUME, "/withdrawals", NOW) is None


async def test_no_code_answers_a_claimed_challenge_again(store: Store) -> None:
    session = await signed_in(store)
    challenge = await answered(store, session)
    await store.challenges.claim(session.session_id, RESUME, "/withdrawals", NOW)
    (factor,) = await store.factors.list("ada")
    again = await spent(
        store, session, factor.id, STEP + 1, challenge_id=challenge.id, resume=("x", NOW + 60)
    )
    assert again is Reason.CHALLENGE_EXPIRED


async def test_one_parked_request_goes_once(store: Store, valkey_url: str, race: Race) -> None:
    session = await signed_in(store)
    await answered(store, session)
    arguments = (session.session_id, RESUME, "/withdrawals", NOW)
    claimed = race(store_calls, valkey_url, "challenges.claim", 25, *arguments)
    assert sum(challenge is not None for challenge in chain(*claimed)) == 1
