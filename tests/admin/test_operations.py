"""What operators see, what they end, and that nothing of it is secret."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis
from support.gateway import QUICK
from support.operators import Operators, token_of
from support.store import (
    LIKE_OURS,
    NOW,
    contents,
    device_of,
    enrolled,
    every_size,
    new_factor,
    opened_store,
    running_server,
    signed_in,
)

from gateway.admin.operations import MOST_LISTED
from gateway.admin.tokens import Scope
from gateway.core.reasons import Reason
from gateway.core.telling import Channel
from gateway.errors import StoreUnavailable
from gateway.store.attempts import CODES, GrowingDelay
from gateway.store.audit import AuditEntry
from gateway.store.opening import Store
from gateway.store.standing import NodeOptions

NOBODYS_ID = "00" + "f" * 30


async def live(operators: Operators, subject: str = "ada") -> dict[str, bool]:
    """Whether each session of an account is accepted, as operators see it."""
    answer = await operators.read(f"/v1/accounts/{subject}/sessions")
    assert answer.status == 200
    return {session["id"]: session["live"] for session in answer.body}


async def faults(operators: Operators, subject: str = "ada") -> set[str]:
    answer = await operators.read(f"/v1/accounts/{subject}/sessions")
    return {session["fault"] for session in answer.body}


# --- looking


@every_size
async def test_an_account_is_shown(operators: Operators, store: Store) -> None:
    await enrolled(store, await signed_in(store))
    answer = await operators.read("/v1/accounts/ada")
    account = await store.accounts.find("ada")
    assert account is not None
    assert (answer.status, answer.body) == (
        200,
        {
            "subject": "ada",
            "name": "Ada",
            "email": "ada@example.org",
            "groups": ["traders"],
            "disabled": False,
            "epoch": account.epoch,
            "confirmed_factors": 1,
            "codes_locked": False,
            "must_enrol": False,
        },
    )


async def test_sessions_are_shown_newest_use_first(operators: Operators, store: Store) -> None:
    first = await signed_in(store, now=NOW)
    second = await signed_in(store, browser="phone", now=NOW + 60)
    answer = await operators.read("/v1/accounts/ada/sessions")
    assert [session["id"] for session in answer.body] == [second.session_id, first.session_id]
    shown = answer.body[1]
    assert shown["device"] == device_of(store, "ada", "laptop").id
    assert (shown["address"], shown["live"], shown["fault"]) == ("192.0.2.1", True, None)
    assert shown.keys() == {
        *("id", "device", "address", "created_at", "last_used_at"),
        *("idle_until", "expires_at", "live", "fault"),
    }


async def test_devices_and_factors_are_shown(operators: Operators, store: Store) -> None:
    session = await signed_in(store)
    factor = await enrolled(store, session)
    pending = new_factor(store, created_at=NOW + 1)
    await store.factors.add(pending, NOW + 1, code_given=True)
    devices = (await operators.read("/v1/accounts/ada/devices")).body
    assert [(device["id"], device["name"], device["state"]) for device in devices] == [
        (device_of(store, "ada", "laptop").id, "Firefox on Linux", "authorised")
    ]
    factors = (await operators.read("/v1/accounts/ada/factors")).body
    assert [(shown["id"], shown["label"], shown["state"]) for shown in factors] == [
        (factor, "Phone", "confirmed"),
        (pending.id, "Phone", "pending"),
    ]


async def test_nothing_secret_is_shown(operators: Operators, store: Store, valkey: Redis) -> None:
    session = await signed_in(store)
    await enrolled(store, session)
    stored = await contents(valkey)
    password = next(row["password"] for key, row in stored.items() if ":account:" in key)
    seed = next(row["sealed_seed"] for key, row in stored.items() if ":factor:" in key)
    cookie_hash = next(key.rpartition(":")[2] for key in stored if ":cookie:" in key)
    for part in ("", "/sessions", "/devices", "/factors"):
        text = (await operators.read(f"/v1/accounts/ada{part}")).text
        assert not [secret for secret in (password, seed, session.cookie, cookie_hash) if secret in text]


@every_size
async def test_what_happened_to_an_account_is_shown_newest_first(operators: Operators, store: Store) -> None:
    session = await signed_in(store)
    device = device_of(store, "ada", "laptop").id
    await store.audit.record(
        AuditEntry(NOW, "device-new", "account:ada", "ada", session.session_id, device, "192.0.2.1", "why")
    )
    await store.audit.record(AuditEntry(NOW + 1, "account-disabled", "cli:root", "ada"))
    latest, first = (await operators.read("/v1/accounts/ada/activity")).body
    assert (latest["event"], latest["actor"], latest["device"]) == ("account-disabled", "cli:root", None)
    assert first == {
        "at": first["at"],
        "event": "device-new",
        "actor": "account:ada",
        "session": session.session_id,
        "device": device,
        "device_name": "Firefox on Linux",
        "address": "192.0.2.1",
        "reason": "why",
    }
    limited = (await operators.read("/v1/accounts/ada/activity?limit=2")).body
    assert [entry["event"] for entry in limited] == ["activity-read", "account-disabled"]


@pytest.mark.parametrize("part", ["", "/sessions", "/devices", "/factors", "/activity"])
@pytest.mark.parametrize(
    "subject", ["nobody", "ADA", "a%0Ab", "%00", "%ed%a0%80", "%ff", "a" * 129, "ada%2f"]
)
async def test_an_account_that_is_not_there(
    operators: Operators, store: Store, subject: str, part: str
) -> None:
    await signed_in(store)
    answer = await operators.read(f"/v1/accounts/{subject}{part}")
    assert (answer.status, answer.body["reason"]) == (404, "not-found")


@pytest.mark.parametrize("subject", ["a%0Aoperator:ada", "a" * 129, "Ada", "00.Aa" + "b" * 38])
async def test_what_no_account_is_called_is_not_recorded(
    operators: Operators, valkey: Redis, subject: str
) -> None:
    await operators.read(f"/v1/accounts/{subject}")
    ((_, entry),) = (await contents(valkey))["ww:{s00}:audit"]
    assert entry["subject"] in ("", "(not shown)")


async def test_a_subject_that_an_address_must_escape(operators: Operators, store: Store) -> None:
    subject = "ada+b@example.org"
    await signed_in(store, subject)
    assert (await operators.read("/v1/accounts/ada%2Bb%40example.org")).body["subject"] == subject


# --- revoking


@every_size
async def test_a_session_ends(operators: Operators, store: Store) -> None:
    ended, other = await signed_in(store), await signed_in(store, browser="phone")
    answer = await operators.revoke(scope="session", id=ended.session_id, reason="stolen laptop")
    assert answer.status == 200
    assert await live(operators) == {other.session_id: True}
    assert await store.who.ask(ended.cookie, NOW) is None


@every_size
async def test_a_device_ends_with_its_sessions(operators: Operators, store: Store) -> None:
    ended, other = await signed_in(store), await signed_in(store, browser="phone")
    device = device_of(store, "ada", "laptop").id
    answer = await operators.revoke(scope="device", id=device, reason="stolen laptop")
    assert answer.status == 200
    assert await live(operators) == {ended.session_id: False, other.session_id: True}
    assert await faults(operators) == {Reason.DEVICE_REVOKED, None}


@every_size
async def test_an_accounts_sessions_end(operators: Operators, store: Store) -> None:
    first, second = await signed_in(store), await signed_in(store, browser="phone")
    other = await signed_in(store, "bob")
    answer = await operators.revoke(scope="account", subject="ada", reason="phished")
    assert answer.status == 200
    assert await live(operators) == {first.session_id: False, second.session_id: False}
    assert await live(operators, "bob") == {other.session_id: True}
    assert await faults(operators) == {Reason.SESSION_REVOKED}


@every_size
async def test_everybodys_sessions_end(operators: Operators, store: Store) -> None:
    subjects = [f"person-{number}" for number in range(20)]
    for subject in subjects:
        await signed_in(store, subject)
    answer = await operators.revoke(scope="everybody", reason="a drill")
    assert answer.status == 200
    for subject in subjects:
        assert await faults(operators, subject) == {Reason.SESSION_REVOKED}


async def test_a_revocation_is_confirmed_with_its_number_and_its_time(
    operators: Operators, store: Store
) -> None:
    await signed_in(store)
    answer = await operators.revoke(scope="account", subject="ada", reason="phished")
    listed = (await operators.read("/v1/revocations")).body[0]
    elapsed = answer.body.pop("elapsed_ms")
    assert answer.body == {"id": listed["id"], "scope": "account", "confirmed": True, "nodes": 0, "silent": 0}
    assert isinstance(elapsed, float) and elapsed >= 0


async def test_a_session_that_idled_too_long_is_not_live(operators: Operators, store: Store) -> None:
    await signed_in(store, now=NOW - 80_000)
    assert await faults(operators) == {Reason.SESSION_EXPIRED}


@pytest.mark.parametrize("missing", ["account", "epoch"])
async def test_without_an_epoch_no_session_is_live(
    operators: Operators, store: Store, valkey: Redis, missing: str
) -> None:
    await signed_in(store)
    if missing == "account":
        await valkey.hdel("ww:{s00}:account:ada", "epoch")
    else:
        await valkey.delete("ww:{s00}:epoch")
    assert await faults(operators) == {Reason.EPOCH_MISSING}


async def test_a_disabled_account_has_no_live_session(operators: Operators, store: Store) -> None:
    await signed_in(store)
    await store.revocations.account("ada", reason="left", actor="cli:ops", now=NOW, disable=True)
    assert await faults(operators) == {Reason.ACCOUNT_DISABLED}
    assert (await operators.read("/v1/accounts/ada")).body["disabled"] is True


@every_size
@pytest.mark.parametrize(
    "order",
    [
        {"scope": "session", "id": NOBODYS_ID},
        {"scope": "session", "id": "ff" + "f" * 30},  # of a shard that there is not
        {"scope": "device", "id": NOBODYS_ID},
        {"scope": "account", "subject": "nobody"},
    ],
)
async def test_what_does_not_exist_is_not_revoked(
    operators: Operators, store: Store, valkey: Redis, order: dict[str, str]
) -> None:
    session = await signed_in(store)

    async def all_but_the_audit() -> dict[str, object]:
        kept = (await contents(valkey)).items()
        return {key: value for key, value in kept if ":audit" not in key and ":activity:" not in key}

    before = await all_but_the_audit()
    answer = await operators.revoke(**order, reason="a mistake")
    assert (answer.status, answer.body["reason"]) == (404, "not-found")
    assert await all_but_the_audit() == before
    assert await live(operators) == {session.session_id: True}


async def test_a_session_is_no_device(operators: Operators, store: Store) -> None:
    session = await signed_in(store)
    answer = await operators.revoke(scope="device", id=session.session_id, reason="a mistake")
    assert answer.status == 404
    assert await live(operators) == {session.session_id: True}


async def test_revocations_are_counted(operators: Operators, store: Store) -> None:
    await signed_in(store)
    await operators.revoke(scope="everybody", reason="a drill")
    await operators.revoke(scope="account", subject="nobody", reason="a mistake")
    text = operators.metrics.exposition().decode()
    assert 'watchword_revocations_total{scope="everybody"} 1.0' in text
    assert 'watchword_revocations_total{scope="account"} 0.0' in text


async def test_without_the_store_orders_are_taken_that_need_no_look_at_it(
    start_operators: Callable[[Store], Awaitable[Operators]], short_path: Path
) -> None:
    with running_server(short_path, *LIKE_OURS) as server:
        store = await opened_store(server.url)
        operators = await start_operators(store)
        session = await signed_in(store)
        device = device_of(store, "ada", "laptop").id
    for order in ({"scope": "session", "id": session.session_id}, {"scope": "device", "id": device}):
        refused = await operators.revoke(**order, reason="stolen")
        assert (refused.status, refused.body["reason"]) == (503, "store-unavailable")
    statuses = {}
    for order in ({"scope": "account", "subject": "nobody"}, {"scope": "everybody"}):
        taken = await operators.revoke(**order, reason="stolen")
        assert (taken.status, taken.body["confirmed"]) == (202, False)
        statuses[order["scope"]] = taken.headers["Location"]
        counted = f'watchword_revocations_total{{scope="{order["scope"]}"}} 1.0'
        assert counted in operators.metrics.exposition().decode()
    token = token_of("grace", Scope.REVOKE)
    with running_server(short_path, *LIKE_OURS):
        assert await live(operators) == {session.session_id: True}
        for status in statuses.values():
            assert (await operators.call("GET", status, token)).status == 202
        await store.finisher.finish()
        assert (await operators.call("GET", statuses["everybody"], token)).body["confirmed"] is True
        missed = await operators.call("GET", statuses["account"], token)
        assert (missed.status, missed.body["reason"]) == (404, "not-found")
        assert "there was nothing to end" in missed.body["detail"]
        assert [each.scope for each in await store.revocations.list()] == ["everybody"]
        entries = [(each.event, each.actor, each.reason) for each in await store.audit.latest("")]
        assert entries.count(("everybody-revoked", "operator:grace", "stolen")) == 1
    await store.close()


# --- the list of revocations


@every_size
async def test_revocations_are_listed_newest_first(operators: Operators, store: Store) -> None:
    session = await signed_in(store)
    device = device_of(store, "ada", "laptop").id
    await operators.revoke(scope="session", id=session.session_id, reason="first")
    await operators.revoke(scope="device", id=device, reason="second")
    await operators.revoke(scope="account", subject="ada", reason="third")
    await operators.revoke(scope="everybody", reason="fourth")
    listed = (await operators.read("/v1/revocations")).body
    shown = [tuple(each[name] for name in ("reason", "subject", "session", "device")) for each in listed]
    assert shown == [
        ("fourth", None, None, None),
        ("third", "ada", None, None),
        ("second", "ada", None, device),
        ("first", "ada", session.session_id, None),
    ]
    assert [each["scope"] for each in listed] == ["everybody", "account", "device", "session"]
    assert {each["actor"] for each in listed} == {"operator:grace"}
    assert {each["confirmed"] for each in listed} == {True}


async def test_the_list_tells_what_is_pending_and_what_is_not_known_any_more(
    operators: Operators, store: Store, valkey: Redis
) -> None:
    for subject in ("ada", "bob", "eve"):
        await signed_in(store, subject)
        await operators.revoke(scope="account", subject=subject, reason=f"of {subject}")
    await store.promises.settled()
    ids = {each["reason"]: each["id"] for each in (await operators.read("/v1/revocations")).body}
    await valkey.hdel(f"ww:{{s00}}:revocation:{ids['of ada']}", "nodes")
    await valkey.delete(f"ww:{{s00}}:revocation:{ids['of bob']}")
    listed = (await operators.read("/v1/revocations")).body
    assert {each["reason"]: each["confirmed"] for each in listed} == {
        "of ada": False,
        "of bob": None,
        "of eve": True,
    }
    for each in listed:
        told = await operators.call("GET", f"/v1/revocations/{each['id']}", token_of("grace", Scope.REVOKE))
        assert told.status == {False: 202, None: 404, True: 200}[each["confirmed"]]


async def test_a_list_has_its_limit(operators: Operators, store: Store) -> None:
    for number in range(102):
        await store.revocations.everybody(reason=str(number), actor="cli:ops", now=NOW + number)
    for query, expected in (("", 100), ("?limit=2", 2), (f"?limit={MOST_LISTED}", 102)):
        listed = (await operators.read(f"/v1/revocations{query}")).body
        assert len(listed) == expected
        assert listed[0]["reason"] == "101"


@pytest.mark.parametrize(
    "limit", ["0", "-1", "1001", "99999", "ten", "", "1.0", "1e2", " 1", "%D9%A1", "%C2%B9", "1&limit=1"]
)
async def test_a_limit_that_is_none(operators: Operators, limit: str) -> None:
    answer = await operators.read(f"/v1/revocations?limit={limit}")
    assert (answer.status, answer.body["reason"]) == (400, "bad-request")


# --- the audit stream


@every_size
async def test_each_look_leaves_an_entry(operators: Operators, store: Store) -> None:
    await signed_in(store)
    for part in ("", "/sessions", "/devices", "/factors", "/activity"):
        await operators.read(f"/v1/accounts/ada{part}")
    await operators.read("/v1/revocations")
    about_ada, about_nobody = await store.audit.latest("ada"), await store.audit.latest("")
    events = [entry.event for entry in about_ada]
    assert events == ["activity-read", "factors-read", "devices-read", "sessions-read", "account-read"]
    assert [entry.event for entry in about_nobody] == ["revocations-read"]
    assert {entry.actor for entry in about_ada + about_nobody} == {"operator:grace"}


@every_size
async def test_each_revocation_leaves_an_entry(operators: Operators, store: Store) -> None:
    session = await signed_in(store)
    device = device_of(store, "ada", "laptop").id
    orders = [
        {"scope": "session", "id": session.session_id},
        {"scope": "device", "id": device},
        {"scope": "account", "subject": "ada"},
    ]
    for order in orders:
        await operators.revoke(**order, reason=f"the {order['scope']} was stolen")
    await operators.revoke(scope="everybody", reason="a drill")
    entries = [*await store.audit.latest(""), *await store.audit.latest("ada")]
    assert [(each.event, each.session_id, each.device_id, each.reason) for each in entries] == [
        ("everybody-revoked", "", "", "a drill"),
        ("account-revoked", "", "", "the account was stolen"),
        ("device-revoked", "", device, "the device was stolen"),
        ("session-revoked", session.session_id, "", "the session was stolen"),
    ]


async def test_what_was_not_found_is_in_the_audit_stream(operators: Operators, store: Store) -> None:
    await operators.read("/v1/accounts/nobody/factors")
    await operators.revoke(scope="device", id=NOBODYS_ID, reason="a mistake")
    (looked,), (revoked,) = await store.audit.latest("nobody"), await store.audit.latest("")
    assert (looked.event, looked.reason) == (
        "operator-refused",
        "GET /v1/accounts/{subject}/factors: not-found",
    )
    assert (revoked.event, revoked.reason) == (
        "operator-refused",
        f"POST /v1/revocations: not-found (device {NOBODYS_ID})",
    )


# --- codes


async def codes_locked(store: Store, subject: str = "ada") -> None:
    delay = GrowingDelay(free=9, first=30, longest=900, lock=2)
    for _ in range(2):
        attempt = await store.attempts.begin(CODES, subject, delay, NOW)
    assert attempt.locked


UNLOCK = "/v1/accounts/ada/unlock-codes"


@every_size
async def test_locked_codes_are_seen_and_unlocked(operators: Operators, store: Store) -> None:
    for subject in ("ada", "bob"):
        await signed_in(store, subject)
        await codes_locked(store, subject)
    assert (await operators.read("/v1/accounts/ada")).body["codes_locked"]
    token = token_of("grace", Scope.RESET)
    answer = await operators.call("POST", UNLOCK, token, json={"reason": "called back, ticket 4711"})
    assert (answer.status, answer.body["subject"], answer.body["codes_locked"]) == (200, "ada", False)
    assert not (await operators.read("/v1/accounts/ada")).body["codes_locked"]
    assert (await operators.read("/v1/accounts/bob")).body["codes_locked"]
    entry = next(entry for entry in await store.audit.latest("ada") if entry.event == "codes-unlocked")
    assert (entry.actor, entry.reason) == ("operator:grace", "called back, ticket 4711")
    assert entry.token_id


async def test_who_may_revoke_may_not_unlock(operators: Operators, store: Store) -> None:
    await signed_in(store)
    await codes_locked(store)
    token = token_of("grace", Scope.READ, Scope.REVOKE)
    answer = await operators.call("POST", UNLOCK, token, json={"reason": "x"})
    assert (answer.status, answer.body["reason"]) == (403, "insufficient-scope")
    assert await store.attempts.locked(["ada"]) == {"ada"}


@pytest.mark.parametrize(
    "body", [{}, {"reason": ""}, {"reason": "x", "scope": "account"}, {"reason": "a\nb"}]
)
async def test_without_a_reason_nothing_is_unlocked(
    operators: Operators, store: Store, body: dict[str, str]
) -> None:
    await signed_in(store)
    await codes_locked(store)
    answer = await operators.call("POST", UNLOCK, token_of("grace", Scope.RESET), json=body)
    assert (answer.status, answer.body["reason"]) == (422, "invalid-body")
    assert await store.attempts.locked(["ada"]) == {"ada"}


# --- a new password

SET_PASSWORD = "/v1/accounts/ada/password"
NEW_PASSWORD = "troubador and 4 staples"
TO_SET = {"password": NEW_PASSWORD, "reason": "forgotten, ticket 4711"}


async def password_hash(store: Store, subject: str = "ada") -> str:
    known = await store.accounts.credentials(subject)
    assert known is not None
    return known.password_hash


@every_size
async def test_a_password_is_set_and_every_session_ends(
    operators: Operators, store: Store, valkey: Redis
) -> None:
    await signed_in(store)
    await signed_in(store, browser="phone")
    before = (await operators.read("/v1/accounts/ada")).body
    answer = await operators.call("POST", SET_PASSWORD, token_of("grace", Scope.RESET), json=TO_SET)
    assert answer.status == 200
    epoch = answer.body["epoch"]
    assert answer.body == {**before, "epoch": epoch} and epoch > before["epoch"]
    assert QUICK.verify(await password_hash(store), NEW_PASSWORD)
    assert set((await live(operators)).values()) == {False}
    (revocation,) = (await operators.read("/v1/revocations")).body
    assert (revocation["scope"], revocation["subject"]) == ("account", "ada")
    entry = next(entry for entry in await store.audit.latest("ada") if entry.event == "password-set")
    assert (entry.actor, entry.reason) == ("operator:grace", TO_SET["reason"])
    assert entry.token_id
    assert 'watchword_revocations_total{scope="account"} 1.0' in operators.metrics.exposition().decode()
    assert NEW_PASSWORD not in str(await contents(valkey)) + answer.text


async def test_a_password_whose_end_of_sessions_is_pending_says_where_to_ask(
    start_operators: Callable[[Store], Awaitable[Operators]], store: Store, valkey_url: str
) -> None:
    await signed_in(store)
    lacking = await opened_store(valkey_url, node=NodeOptions(replicas=1, acknowledge=1), strict=False)
    operators = await start_operators(lacking)
    answer = await operators.call("POST", SET_PASSWORD, token_of("grace", Scope.RESET), json=TO_SET)
    (revocation,) = await store.revocations.list()
    address = f"/v1/revocations/{revocation.revocation_id}"
    assert (answer.status, answer.body["subject"], answer.headers["Location"]) == (202, "ada", address)
    assert (await operators.call("GET", address, token_of("grace", Scope.REVOKE))).status == 202
    assert (await store.audit.latest("ada", 1))[0].event == "password-set"
    await lacking.close()


async def test_no_password_is_set_that_is_not_on_record(
    operators: Operators, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or its holder would not be told, should the store fail in between."""

    async def away(*_: object) -> None:
        raise StoreUnavailable("away")

    await signed_in(store)
    monkeypatch.setattr(store.audit, "record", away)
    answer = await operators.call("POST", SET_PASSWORD, token_of("grace", Scope.RESET), json=TO_SET)
    assert answer.status == 200
    assert [entry.event for entry in await store.audit.latest("ada")] == ["password-set"]
    assert len(await store.outbox.claim(Channel.MAIL, NOW + 1e9, seconds=1, most=10)) == 1


@pytest.mark.parametrize("scope", [Scope.READ, Scope.REVOKE])
async def test_to_set_a_password_takes_the_scope_of_support(
    operators: Operators, store: Store, scope: Scope
) -> None:
    await signed_in(store)
    before = await password_hash(store)
    answer = await operators.call("POST", SET_PASSWORD, token_of("grace", scope), json=TO_SET)
    assert (answer.status, answer.body["reason"]) == (403, "insufficient-scope")
    assert await password_hash(store) == before
    assert set((await live(operators)).values()) == {True}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"password": "x" * 7}, "must have at least 8 characters"),
        ({"password": ""}, "must have at least 8 characters"),
        ({"password": "x" * 1025}, "must have at most 1024 characters"),
        ({"password": 12345678}, "must be text"),
        ({"password": None}, "must be text"),
        ({}, "is missing"),
    ],
)
async def test_what_can_be_no_password_changes_nothing(
    operators: Operators, store: Store, body: dict[str, object], message: str
) -> None:
    await signed_in(store)
    before = await password_hash(store)
    token = token_of("grace", Scope.RESET)
    answer = await operators.call("POST", SET_PASSWORD, token, json={"reason": "x", **body})
    assert (answer.status, answer.body["faults"]) == (422, [{"field": "password", "message": message}])
    assert await password_hash(store) == before
    assert set((await live(operators)).values()) == {True}


async def test_nobody_gets_no_password(operators: Operators, store: Store) -> None:
    token = token_of("grace", Scope.RESET)
    answer = await operators.call("POST", "/v1/accounts/nobody/password", token, json=TO_SET)
    assert (answer.status, answer.body["reason"]) == (404, "not-found")
    assert await store.accounts.find("nobody") is None
