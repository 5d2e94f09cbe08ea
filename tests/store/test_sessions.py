"""Sessions: who is asking, in one read; cookies around a step-up; grants and their use.

What ends a session, and that nothing can be done with it afterwards, is in test_revocations.py.
"""

import math
from dataclasses import replace
from itertools import chain

import pytest
from redis.asyncio import Redis
from support.race import Race, store_calls
from support.store import (
    LIMITS,
    NOW,
    STEP,
    commands_during,
    contents,
    device_of,
    enrolled,
    every_size,
    new_cookie,
    signed_in,
    spent,
    use_of,
)

from gateway.core.reasons import Reason
from gateway.core.records import Account, Device, DeviceState, Grant, LaterDevices, Session, Snapshot
from gateway.store.factors import Rotation
from gateway.store.opening import Store
from gateway.store.sessions import MOST_SESSIONS, Started

LASTING = Grant("exchange/manage-profile", NOW, NOW + 300)
ONCE = Grant("exchange/approve", NOW, NOW + 60, binding="b1")


async def session_with(store: Store, *grants: Grant) -> tuple[Started, str]:
    """A session with these grants, and a factor whose steps from STEP on were spent for them."""
    session = await signed_in(store)
    factor_id = await enrolled(store, session)
    for number, grant in enumerate(grants):
        assert await spent(store, session, factor_id, STEP + number, grant=grant) is None
    return session, factor_id


async def identified(store: Store, session: Started) -> Snapshot:
    snapshot = await store.who.ask(session.cookie, NOW)
    assert snapshot is not None
    return snapshot


# --- who is asking


@every_size
async def test_a_cookie_leads_to_everything_that_decides(store: Store) -> None:
    session, _ = await session_with(store, LASTING, ONCE)
    snapshot = await identified(store, session)
    assert snapshot.fault(NOW) is None
    assert snapshot.account == Account(
        subject="ada",
        name="Ada",
        email="ada@example.org",
        groups=frozenset({"traders"}),
        disabled=False,
        epoch=int((NOW - 100) * 1000),
        confirmed_factors=1,
    )
    assert snapshot.device == Device(
        id=store.devices.id_for("ada", "laptop"),
        subject="ada",
        name="Firefox on Linux",
        user_agent="Mozilla/5.0",
        state=DeviceState.AUTHORISED,
        first_used_at=NOW,
        last_used_at=NOW,
        address="192.0.2.1",
        browser="Firefox",
        system="Linux",
        confirmed_at=NOW,
        proved_at=NOW,
    )
    assert snapshot.session == Session(
        id=session.session_id,
        subject="ada",
        device_id=snapshot.device.id,
        device_since=NOW,
        account_epoch=snapshot.account.epoch or 0,
        global_epoch=snapshot.global_epoch or 0,
        created_at=NOW,
        last_used_at=NOW,
        idle_until=NOW + LIMITS.idle,
        expires_at=NOW + LIMITS.absolute,
        address="192.0.2.1",
    )
    assert set(snapshot.grants) == {ONCE, LASTING}


async def test_identifying_is_one_round_trip(store: Store, valkey: Redis) -> None:
    session, _ = await session_with(store, LASTING, ONCE)
    await identified(store, session)  # from now on the server knows the script
    commands = await commands_during(valkey, identified(store, session))
    assert [name for name in commands if not name.startswith("lua:")] == ["EVALSHA"]
    assert set(commands) <= {"EVALSHA", "lua:GET", "lua:HMGET", "lua:HGETALL"}, "it only reads"


@every_size
async def test_no_other_cookie_leads_anywhere(store: Store) -> None:
    session = await signed_in(store)
    shard, _, secret = session.cookie.partition(".")
    others = ["", ".", secret, shard + ".", "." + secret, shard + secret, session.session_id, "laptop"]
    others += [f"{other}.{secret}" for other in (f"0{shard}", "zz", "ff", "-1", f"+{shard[1]}", "\udc80a")]
    others += [f"{shard}.{other}" for other in (secret + "x", secret[:-1], secret[:-1] + "\udc80", "A" * 43)]
    others += [new_cookie(store, session)]
    assert [await store.who.ask(cookie, NOW) for cookie in others] == [None] * len(others)


async def test_a_cookie_never_leads_to_another_account(store: Store) -> None:
    for subject in ("ada", "bob", "ada:x", "{s00}", "ä\n"):
        snapshot = await identified(store, await signed_in(store, subject))
        assert snapshot.device is not None
        assert {snapshot.account.subject, snapshot.session.subject, snapshot.device.subject} == {subject}


# --- beginning, being used


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("account missing", Reason.EPOCH_MISSING),
        ("account epoch missing", Reason.EPOCH_MISSING),
        ("global epoch missing", Reason.EPOCH_MISSING),
        ("account disabled", Reason.ACCOUNT_DISABLED),
        ("device revoked", Reason.DEVICE_REVOKED),
    ],
)
async def test_a_session_that_may_not_begin_leaves_no_trace(
    store: Store, valkey: Redis, what: str, reason: Reason
) -> None:
    await signed_in(store)
    device = device_of(store, "ada", "laptop")
    match what:
        case "account missing":
            await valkey.delete("ww:{s00}:account:ada")
        case "account epoch missing":
            await valkey.hdel("ww:{s00}:account:ada", "epoch")
        case "global epoch missing":
            await valkey.delete("ww:{s00}:epoch")
        case "account disabled":
            await store.revocations.account("ada", reason="left", actor="cli:root", now=NOW, disable=True)
        case "device revoked":
            await store.revocations.device(device.id, reason="stolen", actor="account:ada", now=NOW)
    before = await contents(valkey)
    started = await store.sessions.start(
        subject="ada", device=device, address="192.0.2.1", later=LaterDevices.ALLOW, now=NOW
    )
    assert started is reason
    assert await contents(valkey) == before


@every_size
async def test_using_a_session_moves_its_idle_deadline(store: Store) -> None:
    session = await signed_in(store)
    before = await identified(store, session)
    assert before.device is not None
    await store.sessions.touch([use_of(before, "198.51.100.7", NOW + 60)])
    used = {"last_used_at": NOW + 60, "address": "198.51.100.7"}
    assert await identified(store, session) == replace(
        before,
        session=replace(before.session, idle_until=NOW + 60 + LIMITS.idle, **used),
        device=replace(before.device, **used),
    )


async def test_no_use_moves_the_deadline_beyond_the_end(store: Store) -> None:
    session = await signed_in(store)
    end = NOW + LIMITS.absolute
    while (snapshot := await identified(store, session)).session.idle_until < end:
        last = snapshot.session.idle_until - 1
        await store.sessions.touch([use_of(snapshot, "192.0.2.1", last)])
    assert snapshot.session.idle_until == snapshot.session.expires_at == end
    assert snapshot.fault(end) is Reason.SESSION_EXPIRED


@every_size
async def test_the_sessions_of_an_account(store: Store) -> None:
    first = await signed_in(store)
    second = await signed_in(store, browser="phone", now=NOW + 1)
    await signed_in(store, "bob")
    listed = await store.sessions.list("ada")
    assert [session.id for session in listed] == [second.session_id, first.session_id]
    assert await store.sessions.find(first.session_id) == listed[1]
    assert await store.sessions.list("nobody") == []
    assert await store.sessions.find("0" * 32) is None
    assert await store.sessions.find("no identifier") is None


async def test_a_session_that_is_over_leaves_the_list_with_the_next_one(store: Store) -> None:
    await signed_in(store)
    later = await signed_in(store, now=NOW + LIMITS.absolute)
    assert [session.id for session in await store.sessions.list("ada")] == [later.session_id]


# --- the cookie from before a step-up (case 25)


async def stepped_up(
    store: Store, session: Started, factor_id: str, cookie: str, step: int, now: float = NOW
) -> str:
    """The new cookie, after a code was given for LASTING by who holds `cookie`."""
    rotation = Rotation(cookie, new_cookie(store, session), now + LIMITS.grace)
    assert await spent(store, session, factor_id, step, now=now, grant=LASTING, rotation=rotation) is None
    return rotation.new_cookie


async def grants_seen(store: Store, cookie: str, now: float) -> set[Grant] | None:
    """The grants that this cookie brings; None when it leads nowhere."""
    snapshot = await store.who.ask(cookie, now)
    return None if snapshot is None else set(snapshot.grants)


@every_size
async def test_case_25_the_cookie_from_before_a_step_up(store: Store) -> None:
    session, factor_id = await session_with(store, ONCE)
    newer = await stepped_up(store, session, factor_id, session.cookie, STEP + 1)
    end = NOW + LIMITS.grace
    for now in (NOW, end - 0.001):
        assert await grants_seen(store, session.cookie, now) == {ONCE}, "what it had, and no more"
    for now in (end, end + 60):
        assert await grants_seen(store, session.cookie, now) is None
    for now in (NOW, end + 60):
        assert await grants_seen(store, newer, now) == {ONCE, LASTING}


async def test_a_second_step_up_does_not_prolong_the_first_cookie(store: Store) -> None:
    """Two tabs answer their challenges with the cookie that both of them began with."""
    session, factor_id = await session_with(store)
    await stepped_up(store, session, factor_id, session.cookie, STEP)
    await stepped_up(store, session, factor_id, session.cookie, STEP + 1, NOW + 4)
    assert await grants_seen(store, session.cookie, NOW + LIMITS.grace) is None


async def test_of_two_step_ups_with_one_cookie_only_the_later_ones_lives_on(store: Store) -> None:
    session, factor_id = await session_with(store)
    first = await stepped_up(store, session, factor_id, session.cookie, STEP)
    second = await stepped_up(store, session, factor_id, session.cookie, STEP + 1, NOW + 1)
    after = NOW + 1 + LIMITS.grace
    assert await grants_seen(store, first, after - 0.001) is not None, "a page's parallel calls go on"
    assert [await grants_seen(store, cookie, after) for cookie in (first, second)] == [None, {LASTING}]


async def test_an_account_has_so_many_sessions_and_no_more(store: Store) -> None:
    first = await signed_in(store)
    for number in range(MOST_SESSIONS):
        newest = await signed_in(store, now=NOW + 1 + number)
    assert len(await store.sessions.list("ada")) == MOST_SESSIONS
    now = NOW + 1 + MOST_SESSIONS
    assert await store.who.ask(first.cookie, now) is None
    assert await store.who.ask(newest.cookie, now) is not None


async def test_each_step_up_ends_the_cookie_before_it(store: Store) -> None:
    session, factor_id = await session_with(store)
    cookies = [session.cookie]
    for number in range(3):
        now = NOW + 60 * number
        cookies.append(await stepped_up(store, session, factor_id, cookies[-1], STEP + number, now))
    seen = [await grants_seen(store, cookie, NOW + 180) for cookie in cookies]
    assert seen == [None, None, None, {LASTING}]


async def test_a_revoked_session_has_no_cookie(store: Store) -> None:
    session, factor_id = await session_with(store)
    newer = await stepped_up(store, session, factor_id, session.cookie, STEP)
    await store.revocations.session(session.session_id, reason="lost", actor="account:ada", now=NOW)
    assert await store.who.ask(session.cookie, NOW) is None
    assert await store.who.ask(newer, NOW) is None


# --- grants


@pytest.mark.parametrize(
    "grant",
    [
        LASTING,
        ONCE,
        replace(LASTING, granted_at=NOW + 0.123456, expires_at=NOW + 300.654321),
        replace(LASTING, expires_at=math.inf),
        replace(LASTING, full_at=NOW + 1000.25),
    ],
)
async def test_a_grant_is_kept_as_it_was_given(store: Store, grant: Grant) -> None:
    session, _ = await session_with(store, grant)
    assert (await identified(store, session)).grants == (grant,)


async def test_a_newer_grant_takes_the_place_of_the_older(store: Store) -> None:
    newer, other_request = replace(LASTING, expires_at=NOW + 301), replace(ONCE, binding="b2")
    session, _ = await session_with(store, LASTING, ONCE, newer, other_request)
    assert set((await identified(store, session)).grants) == {newer, ONCE, other_request}


async def test_grants_that_are_over_are_swept_out_with_the_next_one(store: Store) -> None:
    endless = replace(LASTING, expires_at=math.inf)
    next_one = replace(ONCE, binding="b2", expires_at=NOW + 99)
    session, factor_id = await session_with(store, ONCE, endless)
    assert await spent(store, session, factor_id, STEP + 2, now=ONCE.expires_at, grant=next_one) is None
    assert set((await identified(store, session)).grants) == {endless, next_one}


@every_size
async def test_a_single_use_grant_is_used_once(store: Store) -> None:
    session, _ = await session_with(store, ONCE)
    used = [await store.sessions.consume(session.session_id, ONCE, NOW) for _ in range(3)]
    assert used == [True, False, False]


@pytest.mark.parametrize("other", [{"binding": "b2"}, {"binding": None}, {"action": "exchange/other"}])
async def test_case_23_a_grant_for_something_else_is_not_used(store: Store, other: dict[str, str]) -> None:
    session, _ = await session_with(store, ONCE)
    assert not await store.sessions.consume(session.session_id, replace(ONCE, **other), NOW)
    assert await store.sessions.consume(session.session_id, ONCE, NOW)


async def test_case_23_a_grant_of_another_session_is_not_used(store: Store) -> None:
    await session_with(store, ONCE)
    elsewhere = await signed_in(store, browser="phone")
    assert not await store.sessions.consume(elsewhere.session_id, ONCE, NOW)
    assert (await identified(store, elsewhere)).grants == ()


async def test_case_23_a_grant_past_its_age_is_not_used(store: Store) -> None:
    session, _ = await session_with(store, ONCE)
    assert not await store.sessions.consume(session.session_id, ONCE, ONCE.expires_at)
    assert await store.sessions.consume(session.session_id, ONCE, ONCE.expires_at - 0.001)


async def test_one_grant_lets_one_request_go(store: Store, valkey_url: str, race: Race) -> None:
    session, _ = await session_with(store, ONCE)
    used = race(store_calls, valkey_url, "sessions.consume", 25, session.session_id, ONCE, NOW)
    assert sorted(chain(*used)) == [False] * 99 + [True]
