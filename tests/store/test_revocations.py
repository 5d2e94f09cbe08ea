"""What ends a session, and that nothing can be done with it from then on."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import pytest
from redis.asyncio import Redis
from support.store import (
    LIMITS,
    NOW,
    STEP,
    account_added,
    challenge_of,
    commands_during,
    contents,
    enrolled,
    every_size,
    new_cookie,
    signed_in,
    spent,
    use_of,
)

from gateway.core.ending import Scope
from gateway.core.reasons import Reason
from gateway.core.records import Grant, Snapshot
from gateway.store.factors import Rotation
from gateway.store.opening import Store
from gateway.store.orders import Revocation
from gateway.store.revocations import NewPassword
from gateway.store.sessions import Started

ONCE = Grant("exchange/approve", NOW, NOW + 9e4, binding="b1")
WHY = {"reason": "test", "actor": "cli:root", "now": NOW + 1}


@dataclass(frozen=True)
class Scene:
    """Ada's session, with all that can be used up: a grant, a parked request, the next code."""

    store: Store
    valkey: Redis
    session: Started
    snapshot: Snapshot
    factor_id: str


@pytest.fixture
async def scene(store: Store, valkey: Redis) -> Scene:
    session = await signed_in(store)
    factor_id = await enrolled(store, session)
    challenge = challenge_of(store, session, expires_at=NOW + 9e4)
    assert await store.challenges.open(challenge, NOW)
    brings = {"grant": ONCE, "challenge_id": challenge.id, "resume": ("resume", NOW + 9e4)}
    assert await spent(store, session, factor_id, STEP, **brings) is None
    snapshot = await store.who.ask(session.cookie, NOW)
    assert snapshot is not None
    return Scene(store, valkey, session, snapshot, factor_id)


Ending = Callable[[Scene], Awaitable[object]]

ENDINGS: dict[str, Ending] = {
    "session revoked": lambda s: s.store.revocations.session(s.session.session_id, **WHY),
    "device revoked": lambda s: s.store.revocations.device(s.snapshot.session.device_id, **WHY),
    "account revoked": lambda s: s.store.revocations.account("ada", **WHY),
    "account disabled": lambda s: s.store.revocations.account("ada", disable=True, **WHY),
    "everybody revoked": lambda s: s.store.revocations.everybody(**WHY),
    "account gone": lambda s: s.valkey.delete("ww:{s00}:account:ada"),
    "account marked as disabled": lambda s: s.valkey.hset("ww:{s00}:account:ada", "disabled", "1"),
    "account epoch missing": lambda s: s.valkey.hdel("ww:{s00}:account:ada", "epoch"),
    "account epoch lower than before": lambda s: s.valkey.hincrby("ww:{s00}:account:ada", "epoch", -1),
    "global epoch missing": lambda s: s.valkey.delete("ww:{s00}:epoch"),
    "global epoch lower than before": lambda s: s.valkey.decr("ww:{s00}:epoch"),
    "device forgotten, and back as another one": lambda s: s.valkey.hset(
        f"ww:{{s00}}:device:{s.snapshot.session.device_id}", "first_used_at", f"{NOW + 1:.6f}"
    ),
    "device gone": lambda s: s.valkey.delete(f"ww:{{s00}}:device:{s.snapshot.session.device_id}"),
}


async def assert_nothing_can_be_done(scene: Scene, now: float) -> None:
    """Nobody is recognised, nothing is given, and nothing is written."""
    store, session = scene.store, scene.session
    before = await contents(scene.valkey)
    snapshot = await store.who.ask(session.cookie, now)
    assert snapshot is None or snapshot.fault(now) is not None
    assert not await store.sessions.consume(session.session_id, ONCE, now)
    await store.sessions.touch([use_of(scene.snapshot, "203.0.113.9", now)])
    assert not await store.challenges.open(challenge_of(store, session, expires_at=now + 9), now)
    assert await store.challenges.claim(session.session_id, "resume", "/withdrawals", now) is None
    assert await spent(store, session, scene.factor_id, STEP + 1, now=now) is Reason.SESSION_REVOKED
    assert await contents(scene.valkey) == before


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS.keys())
async def test_with_what_is_over_nothing_can_be_done(scene: Scene, ending: Ending) -> None:
    await ending(scene)
    await assert_nothing_can_be_done(scene, NOW + 1)


@pytest.mark.parametrize("later", [LIMITS.idle, LIMITS.absolute])
async def test_with_what_is_too_old_nothing_can_be_done(scene: Scene, later: float) -> None:
    await assert_nothing_can_be_done(scene, NOW + later)


async def test_no_idle_deadline_outlives_the_end(scene: Scene) -> None:
    await scene.valkey.hset(f"ww:{{s00}}:session:{scene.session.session_id}", "idle_until", str(NOW + 1e6))
    await assert_nothing_can_be_done(scene, NOW + LIMITS.absolute)


async def test_what_was_given_to_a_revoked_session_goes_with_it(scene: Scene) -> None:
    await ENDINGS["session revoked"](scene)
    dump = await contents(scene.valkey)
    assert not {"session", "grants"} & {key.split(":")[2] for key in dump if key.startswith("ww:{")}
    assert "ww:{s00}:sessions:ada" not in dump


async def test_all_of_it_can_be_done_before(scene: Scene) -> None:
    """The tests above refuse for the reason that they name."""
    store, session, now = scene.store, scene.session, NOW + 1
    assert scene.snapshot.fault(now) is None
    assert await store.sessions.consume(session.session_id, ONCE, now)
    await store.sessions.touch([use_of(scene.snapshot, "203.0.113.9", now)])
    touched = await store.sessions.find(session.session_id)
    assert touched is not None and touched.address == "203.0.113.9"
    assert await store.challenges.open(challenge_of(store, session), now)
    assert await store.challenges.claim(session.session_id, "resume", "/withdrawals", now)
    assert await spent(store, session, scene.factor_id, STEP + 1, now=now) is None


# --- how far each scope reaches


async def live(store: Store, *sessions: Started) -> list[bool]:
    snapshots = [await store.who.ask(session.cookie, NOW + 2) for session in sessions]
    return [snapshot is not None and snapshot.fault(NOW + 2) is None for snapshot in snapshots]


@pytest.mark.parametrize(
    ("scope", "left"),
    [
        (Scope.SESSION, [False, True, True, True]),
        (Scope.DEVICE, [False, False, True, True]),
        (Scope.ACCOUNT, [False, False, False, True]),
        (Scope.EVERYBODY, [False, False, False, False]),
    ],
)
@every_size
async def test_who_is_out(store: Store, scope: Scope, left: list[bool]) -> None:
    laptop, again = await signed_in(store), await signed_in(store)
    phone, bob = await signed_in(store, browser="phone"), await signed_in(store, "bob")
    everyone = (laptop, again, phone, bob)
    assert await live(store, *everyone) == [True] * 4
    revocation: Revocation | None
    match scope:
        case Scope.SESSION:
            revocation = await store.revocations.session(laptop.session_id, **WHY)
        case Scope.DEVICE:
            revocation = await store.revocations.device(store.devices.id_for("ada", "laptop"), **WHY)
        case Scope.ACCOUNT:
            revocation = await store.revocations.account("ada", **WHY)
        case Scope.EVERYBODY:
            revocation = await store.revocations.everybody(**WHY)
    assert await live(store, *everyone) == left
    assert revocation is not None and revocation.scope is scope
    assert revocation.subject == (None if scope is Scope.EVERYBODY else "ada")
    assert await store.revocations.list() == [replace(revocation, confirmation=None)]


@every_size
async def test_after_a_revocation_one_may_sign_in_again(store: Store) -> None:
    await signed_in(store)
    await store.revocations.account("ada", **WHY)
    await store.revocations.everybody(**WHY)
    assert await live(store, await signed_in(store)) == [True]


@every_size
async def test_what_is_not_there_cannot_be_revoked(store: Store, valkey: Redis) -> None:
    session = await signed_in(store)
    before = await contents(valkey)
    device_id = store.devices.id_for("ada", "laptop")
    assert await store.revocations.session(device_id, **WHY) is None
    assert await store.revocations.device(session.session_id, **WHY) is None
    assert await store.revocations.session("no identifier", **WHY) is None
    assert await store.revocations.account("nobody", **WHY) is None
    assert await store.revocations.session(session.session_id, owner="bob", **WHY) is None
    assert await store.revocations.device(device_id, owner="bob", **WHY) is None
    assert await contents(valkey) == before
    assert await store.revocations.session(session.session_id, owner="ada", **WHY) is not None
    assert await store.revocations.device(device_id, owner="ada", **WHY) is not None


async def test_a_session_is_revoked_once(store: Store) -> None:
    session = await signed_in(store)
    assert await store.revocations.session(session.session_id, **WHY) is not None
    assert await store.revocations.session(session.session_id, **WHY) is None


# --- epochs


EPOCH_NOW = int((NOW + 1) * 1000)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, EPOCH_NOW),
        (1, EPOCH_NOW),
        (EPOCH_NOW - 1, EPOCH_NOW),
        (EPOCH_NOW, EPOCH_NOW + 1),
        (EPOCH_NOW + 10**6, EPOCH_NOW + 10**6 + 1),  # a clock that went back
        (2**53 - 2, 2**53 - 1),
    ],
    ids=["none", "far below", "just below", "the same", "ahead", "at the limit"],  # the same in every worker
)
async def test_an_epoch_only_rises(store: Store, valkey: Redis, before: int | None, after: int) -> None:
    await account_added(store, "ada")
    if before is None:
        await valkey.hdel("ww:{s00}:account:ada", "epoch")
        await valkey.delete("ww:{s00}:epoch")
    else:
        await valkey.hset("ww:{s00}:account:ada", "epoch", str(before))
        await valkey.set("ww:{s00}:epoch", str(before))
    await store.revocations.account("ada", **WHY)
    await store.revocations.everybody(**WHY)
    account = await store.accounts.find("ada")
    assert account is not None
    assert (account.epoch, await store.revocations.global_epoch("ada")) == (after, after)


@every_size
async def test_a_lost_epoch_is_mended_and_brings_nobody_back(store: Store, valkey: Redis) -> None:
    session = await signed_in(store)
    for key in await valkey.keys("*:epoch"):
        await valkey.delete(key)
    assert await store.revocations.global_epoch("ada") is None
    assert await live(store, session) == [False]
    await store.revocations.everybody(**WHY)
    assert await live(store, session, await signed_in(store)) == [False, True]


# --- cost


async def settled(store: Store, revoking: Awaitable[object]) -> None:
    await revoking
    await store.promises.settled()


ONCE_MORE = ["EVALSHA", "lua:HMGET"]  # whether it is carried out again
NODES = ["lua:HGETALL", "lua:TIME", "lua:INFO", "lua:GET"]
TELLS = ["lua:XADD", "lua:XREVRANGE", "lua:INCR", "lua:XADD", "lua:HSET", "lua:EXPIRE", *NODES]
SETTLES = ["EVALSHA", "lua:EXISTS", "lua:HSET", "lua:EXPIRE"]


@pytest.mark.parametrize("sessions", [1, 200])
@pytest.mark.parametrize(("store", "shards"), [(1, 1), (64, 64)], indirect=["store"])
async def test_case_30_everybody_costs_the_same_however_many(
    store: Store, valkey: Redis, shards: int, sessions: int
) -> None:
    begun = [await signed_in(store, f"account-{number % 20}") for number in range(sessions)]
    await settled(store, store.revocations.everybody(**WHY))  # from now on the server knows the scripts
    commands = await commands_during(valkey, settled(store, store.revocations.everybody(**WHY)))
    ends, once = [*ONCE_MORE, "lua:GET", "lua:SET", *TELLS], [*SETTLES]
    assert sorted(commands) == sorted(ends * shards + once)
    assert not any(await live(store, *begun))


async def test_an_account_costs_the_same_however_many_sessions(store: Store, valkey: Redis) -> None:
    begun = [await signed_in(store) for _ in range(200)]
    await store.revocations.account("nobody", **WHY)
    commands = await commands_during(valkey, settled(store, store.revocations.account("ada", **WHY)))
    assert commands == [*ONCE_MORE, "lua:EXISTS", "lua:HGET", "lua:HSET", *TELLS, *SETTLES]
    assert not any(await live(store, *begun))


# --- the list


@every_size
async def test_the_latest_revocations_newest_first(store: Store) -> None:
    await account_added(store, "ada")
    made = []
    for number in range(5):
        why = {"reason": f"reason {number}", "actor": "operator:eve", "now": NOW + number}
        made.append(await store.revocations.account("ada", **why))
        made.append(await store.revocations.everybody(**{**why, "now": NOW + number + 0.5}))
    listed = [replace(revocation, confirmation=None) for revocation in made if revocation][::-1]
    assert await store.revocations.list() == listed
    assert await store.revocations.list(most=3) == listed[:3]


@every_size
async def test_without_revocations_the_list_is_empty(store: Store) -> None:
    assert await store.revocations.list() == []


# --- a new password


def change_of(store: Store, session: Started, **other: str) -> NewPassword:
    """A new password for ada; `other` are fields that differ."""
    fields = {"subject": "ada", "session_id": session.session_id, "was": "$argon2id$", "becomes": "new"}
    rotation = Rotation(session.cookie, new_cookie(store, session), NOW)
    return NewPassword(**{**fields, **other}, rotation=rotation)


@every_size
async def test_a_new_password_spares_one_session(store: Store) -> None:
    session, other = await signed_in(store), await signed_in(store, browser="phone")
    change = change_of(store, session)
    revocation = await store.revocations.by_new_password(change, actor="account:ada", now=NOW)
    assert revocation is not None
    assert await store.revocations.list() == [replace(revocation, confirmation=None)]
    known = await store.accounts.credentials("ada")
    assert known is not None and known.password_hash == "new"
    kept = await store.who.ask(change.rotation.new_cookie, NOW)
    assert kept is not None and kept.fault(NOW) is None
    assert await store.who.ask(session.cookie, NOW) is None
    ended = await store.who.ask(other.cookie, NOW)
    assert ended is not None and ended.fault(NOW) is not None


@pytest.mark.parametrize("wrong", [{"was": "another"}, {"subject": "bob"}, {"session_id": "0" * 32}])
async def test_a_new_password_is_for_what_was_checked(
    store: Store, valkey: Redis, wrong: dict[str, str]
) -> None:
    session, _ = await signed_in(store), await signed_in(store, "bob")
    before = await contents(valkey)
    change = change_of(store, session, **wrong)
    assert await store.revocations.by_new_password(change, actor="account:ada", now=NOW) is None
    assert await contents(valkey) == before


# --- a password that an operator sets


@every_size
async def test_a_password_that_is_set_spares_no_session(store: Store) -> None:
    mine = [await signed_in(store), await signed_in(store, browser="phone")]
    bob = await signed_in(store, "bob")
    why = {"reason": "ticket 4711", "actor": "operator:grace", "now": NOW + 1}
    revocation = await store.revocations.by_set_password("ada", "new", **why)
    assert revocation is not None
    assert (revocation.scope, revocation.subject, revocation.actor) == (
        Scope.ACCOUNT,
        "ada",
        "operator:grace",
    )
    assert await store.revocations.list() == [replace(revocation, confirmation=None)]
    assert await live(store, *mine, bob) == [False, False, True]
    for subject, password in (("ada", "new"), ("bob", "$argon2id$")):
        known = await store.accounts.credentials(subject)
        assert known is not None and known.password_hash == password
    assert await live(store, await signed_in(store)) == [True]


@every_size
async def test_nobody_s_password_is_not_set(store: Store, valkey: Redis) -> None:
    await signed_in(store)
    before = await contents(valkey)
    assert await store.revocations.by_set_password("nobody", "new", **WHY) is None
    assert await contents(valkey) == before


async def test_whoever_changes_the_password_meanwhile_does_not_undo_it(store: Store, valkey: Redis) -> None:
    """What was checked against the old one counts no more, in a session that has ended besides."""
    session = await signed_in(store)
    change = change_of(store, session)
    await store.revocations.by_set_password("ada", "set", **WHY)
    before = await contents(valkey)
    assert await store.revocations.by_new_password(change, actor="account:ada", now=NOW) is None
    assert await contents(valkey) == before
