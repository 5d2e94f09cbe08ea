import asyncio
from collections import Counter
from dataclasses import replace
from itertools import chain

import pytest
from redis.asyncio import Redis
from support.race import Race, StoreCall, mixed_calls
from support.store import (
    LIMITS,
    NOW,
    STEP,
    account_added,
    contents,
    device_of,
    enrolled,
    every_size,
    signed_in,
    spent,
)

from gateway.core.reasons import Reason
from gateway.core.records import Device, DeviceState, LaterDevices
from gateway.store.factors import Spending
from gateway.store.keys import shard_of_id
from gateway.store.opening import Store
from gateway.store.sessions import FORGET_DEVICE_SECONDS, MOST_DEVICES, Arrival

PENDING, AUTHORISED, REVOKED = DeviceState.PENDING, DeviceState.AUTHORISED, DeviceState.REVOKED
ALLOW, NOTIFY = LaterDevices.ALLOW, LaterDevices.NOTIFY
STEP_UP, APPROVE = LaterDevices.STEP_UP, LaterDevices.APPROVE


async def device_named(store: Store, browser: str) -> Device:
    """Ada's device with the device cookie `browser`."""
    device = await store.devices.find(store.devices.id_for("ada", browser))
    assert device is not None
    return device


@every_size
async def test_a_device_is_known_by_its_cookie_for_one_account(store: Store) -> None:
    ids = {store.devices.id_for(subject, cookie) for subject in ("ada", "bob") for cookie in ("c1", "c2")}
    assert len(ids) == 4
    assert store.devices.id_for("ada", "c1") in ids
    assert all(shard_of_id(device_id, 64) for device_id in ids)


@every_size
async def test_a_device_is_recorded_at_sign_in(store: Store) -> None:
    await signed_in(store)
    device_id = store.devices.id_for("ada", "laptop")
    assert await store.devices.find(device_id) == Device(
        id=device_id,
        subject="ada",
        name="Firefox on Linux",
        user_agent="Mozilla/5.0",
        state=AUTHORISED,
        first_used_at=NOW,
        last_used_at=NOW,
        address="192.0.2.1",
        browser="Firefox",
        system="Linux",
        confirmed_at=NOW,
    )
    assert await store.devices.find("0" * 32) is None
    assert await store.devices.find("no identifier") is None


async def test_a_device_that_returns_keeps_its_name_and_state(store: Store) -> None:
    await signed_in(store, browser="phone")
    await signed_in(store, later=APPROVE)
    assert (await signed_in(store, later=ALLOW, now=NOW + 60)).device_state is PENDING
    device = await store.devices.find(store.devices.id_for("ada", "laptop"))
    assert device is not None
    assert (device.state, device.first_used_at, device.last_used_at) == (PENDING, NOW, NOW + 60)


@every_size
async def test_the_list_is_of_the_account_latest_use_first(store: Store) -> None:
    await signed_in(store)
    await signed_in(store, browser="phone", now=NOW + 1)
    await signed_in(store, "bob")
    ids = [device.id for device in await store.devices.list("ada")]
    assert ids == [store.devices.id_for("ada", browser) for browser in ("phone", "laptop")]
    assert await store.devices.list("nobody") == []


# --- which devices are let in


@pytest.mark.parametrize(
    ("later", "states"),
    [
        (ALLOW, [AUTHORISED, AUTHORISED, AUTHORISED]),
        (NOTIFY, [AUTHORISED, AUTHORISED, AUTHORISED]),
        (STEP_UP, [AUTHORISED, PENDING, PENDING]),
        (APPROVE, [AUTHORISED, PENDING, PENDING]),
    ],
)
@every_size
async def test_the_first_device_is_authorised_and_later_ones_as_the_setting_says(
    store: Store, later: LaterDevices, states: list[DeviceState]
) -> None:
    browsers = ("laptop", "phone", "tablet")
    begun = [await signed_in(store, browser=browser, later=later) for browser in browsers]
    assert [session.device_state for session in begun] == states
    assert [session.arrival for session in begun] == [Arrival.FIRST, Arrival.LATER, Arrival.LATER]
    again = await signed_in(store, browser="phone", later=later)
    assert (again.device_state, again.arrival) == (states[1], Arrival.KNOWN)
    assert (await signed_in(store, "bob", later=later)).device_state is AUTHORISED
    confirmed = [(await device_named(store, browser)).is_confirmed for browser in browsers]
    assert confirmed == [True, False, False]


async def test_of_two_first_sign_ins_at_once_one_is_the_first(store: Store) -> None:
    await account_added(store, "ada")
    begun = await asyncio.gather(
        *(signed_in(store, browser=f"browser {number}", later=APPROVE) for number in range(20))
    )
    assert sorted(session.device_state for session in begun) == [AUTHORISED] + [PENDING] * 19


@every_size
async def test_a_pending_device_is_confirmed_on_a_confirmed_one(store: Store) -> None:
    first = await signed_in(store)
    session = await signed_in(store, browser="phone", later=APPROVE)
    phone = await device_named(store, "phone")
    done = await store.devices.authorise(first.session_id, phone.id, NOW + 5)
    assert done == replace(phone, state=AUTHORISED, confirmed_at=NOW + 5, word_seed="")
    assert done == phone.confirmed(NOW + 5)
    snapshot = await store.who.ask(session.cookie, NOW)
    assert snapshot is not None and snapshot.device == done
    assert await store.devices.authorise(first.session_id, phone.id, NOW + 6) == done, (
        "once more changes nothing"
    )


@every_size
async def test_who_was_only_let_in_lets_in_only(store: Store) -> None:
    """Or the setting `allow`, which asks nobody, would vouch for whoever knows the password."""
    first = await signed_in(store)
    let_in = await signed_in(store, browser="phone", later=ALLOW)
    session = await signed_in(store, browser="tablet", later=APPROVE)
    tablet = store.devices.id_for("ada", "tablet")
    done = await store.devices.authorise(let_in.session_id, tablet, NOW)
    assert done is not None
    assert (done.state, done.is_confirmed, done.word_seed) == (AUTHORISED, False, "")
    asking = await store.devices.ask(session.session_id, NOW)
    assert await store.devices.authorise(let_in.session_id, tablet, NOW) == asking, "it goes on asking"
    done = await store.devices.authorise(first.session_id, tablet, NOW)
    assert done is not None and done.is_confirmed


@every_size
async def test_only_a_device_of_ones_own_can_be_authorised(store: Store, valkey: Redis) -> None:
    ada = await signed_in(store)
    await signed_in(store, "bob")
    await signed_in(store, "bob", browser="phone", later=APPROVE)
    before = await contents(valkey)
    for device_id in (store.devices.id_for("bob", "phone"), "0" * 32, "no identifier", ""):
        assert await store.devices.authorise(ada.session_id, device_id, NOW) is None
    assert await contents(valkey) == before


@every_size
async def test_no_device_vouches_for_itself_and_a_pending_one_for_none(store: Store, valkey: Redis) -> None:
    await signed_in(store)
    let_in = await signed_in(store, browser="phone", later=ALLOW)
    waiting = [await signed_in(store, browser=browser, later=APPROVE) for browser in ("tablet", "kiosk")]
    ids = {browser: store.devices.id_for("ada", browser) for browser in ("phone", "tablet", "kiosk")}
    before = await contents(valkey)
    assert await store.devices.authorise(let_in.session_id, ids["phone"], NOW) is None
    for session in waiting:
        for device_id in ids.values():
            assert await store.devices.authorise(session.session_id, device_id, NOW) is None
    assert await contents(valkey) == before


@pytest.mark.parametrize("end", ["session", "device", "account", "everybody"])
async def test_a_session_that_ended_authorises_nothing(store: Store, end: str) -> None:
    first = await signed_in(store)
    await signed_in(store, browser="phone", later=APPROVE)
    targets = {"session": [first.session_id], "device": [store.devices.id_for("ada", "laptop")]}
    targets |= {"account": ["ada"], "everybody": []}
    await getattr(store.revocations, end)(*targets[end], reason="test", actor="test", now=NOW)
    phone = store.devices.id_for("ada", "phone")
    assert await store.devices.authorise(first.session_id, phone, NOW) is None
    assert await store.devices.authorise("no identifier", phone, NOW) is None
    assert (await device_named(store, "phone")).state is PENDING


@every_size
async def test_an_operator_confirms_a_device(store: Store) -> None:
    await signed_in(store)
    await signed_in(store, browser="phone", later=APPROVE)
    phone = store.devices.id_for("ada", "phone")
    for at in (NOW + 1, NOW + 2):
        done = await store.devices.confirm(phone, at)
        assert done is not None and done.is_confirmed and done.confirmed_at == NOW + 1
    await store.revocations.device(phone, reason="lost", actor="test", now=NOW)
    for device_id in (phone, "0" * 32, "no identifier"):
        assert await store.devices.confirm(device_id, NOW) is None


@every_size
async def test_a_revoked_device_stays_revoked(store: Store) -> None:
    phone = await signed_in(store, browser="phone", now=NOW - 1)
    device = device_of(store, "ada", "laptop")
    await signed_in(store)
    await store.revocations.device(device.id, reason="stolen", actor="account:ada", now=NOW)
    assert await store.devices.authorise(phone.session_id, device.id, NOW) is None
    assert await store.devices.rename(device.id, "Another", owner="ada") is None
    started = await store.sessions.start(
        subject="ada", device=device, address="192.0.2.1", later=ALLOW, now=NOW
    )
    assert started is Reason.DEVICE_REVOKED
    assert [listed.state for listed in await store.devices.list("ada")] == [REVOKED, AUTHORISED]


async def test_who_has_revoked_every_device_begins_anew(store: Store) -> None:
    """Nobody would be left to authorise the next one."""
    await signed_in(store)
    device_id = store.devices.id_for("ada", "laptop")
    await store.revocations.device(device_id, reason="stolen", actor="account:ada", now=NOW)
    begun = [await signed_in(store, browser=browser, later=APPROVE) for browser in ("phone", "tablet")]
    assert [session.device_state for session in begun] == [AUTHORISED, PENDING]


async def test_a_device_that_waits_with_nobody_left_to_ask_is_authorised(store: Store) -> None:
    await signed_in(store, browser="phone", later=APPROVE)
    assert (await signed_in(store, later=APPROVE)).device_state is PENDING
    phone = store.devices.id_for("ada", "phone")
    await store.revocations.device(phone, reason="lost", actor="account:ada", now=NOW)
    assert (await signed_in(store, later=APPROVE)).device_state is AUTHORISED


@pytest.mark.parametrize(
    ("later", "factor", "state"),
    [
        (ALLOW, False, AUTHORISED),
        (ALLOW, True, AUTHORISED),
        (STEP_UP, False, AUTHORISED),
        (STEP_UP, True, PENDING),
        (APPROVE, False, AUTHORISED),
        (APPROVE, True, PENDING),
    ],
)
async def test_after_all_others_were_revoked_a_device_is_not_confirmed_by_that(
    store: Store, later: LaterDevices, factor: bool, state: DeviceState
) -> None:
    """Or who knows the password could revoke all devices, and sign in as if for the first time."""
    first = await signed_in(store)
    if factor:
        await enrolled(store, first)
    laptop = store.devices.id_for("ada", "laptop")
    await store.revocations.device(laptop, reason="all of them", actor="account:ada", now=NOW)
    assert (await signed_in(store, browser="phone", later=later)).device_state is state
    assert not (await device_named(store, "phone")).is_confirmed


async def test_signing_in_again_neither_confirms_a_device_nor_takes_that_back(store: Store) -> None:
    for browser, confirmed in (("laptop", True), ("phone", False)):
        for _ in range(2):
            await signed_in(store, browser=browser)
            assert (await device_named(store, browser)).is_confirmed is confirmed


# --- a code that vouches for a device


@pytest.mark.parametrize("later", [ALLOW, STEP_UP])
async def test_a_code_confirms_the_device_that_it_is_given_on(store: Store, later: LaterDevices) -> None:
    factor = await enrolled(store, await signed_in(store))
    session = await signed_in(store, browser="phone", later=later)
    await signed_in(store, browser="tablet", later=later)
    tablet = await device_named(store, "tablet")
    assert await spent(store, session, factor, STEP, confirms_device=True) is None
    phone = await device_named(store, "phone")
    assert (phone.is_confirmed, phone.confirmed_at, phone.word_seed) == (True, NOW, "")
    assert await device_named(store, "tablet") == tablet
    assert await spent(store, session, factor, STEP + 1, confirms_device=True, now=NOW + 30) is None
    assert (await device_named(store, "phone")).confirmed_at == NOW


async def test_a_code_that_is_not_taken_confirms_nothing(store: Store) -> None:
    factor = await enrolled(store, await signed_in(store))
    session = await signed_in(store, browser="phone", later=STEP_UP)
    before = await device_named(store, "phone")
    refused = [
        await spent(store, session, factor, STEP - 10, confirms_device=True),
        await spent(store, session, "0" * 32, STEP, confirms_device=True),
        await spent(store, session, factor, STEP, confirms_device=True, challenge_id="0" * 32),
    ]
    assert refused == [Reason.USED_CODE, Reason.FACTOR_MISSING, Reason.CHALLENGE_EXPIRED]
    assert await device_named(store, "phone") == before
    assert await spent(store, session, factor, STEP) is None, "where no code serves, it is asked for no more"
    assert await device_named(store, "phone") == replace(before, proved_at=NOW)


async def test_one_code_confirms_one_device_over_processes(store: Store, valkey_url: str, race: Race) -> None:
    factor = await enrolled(store, await signed_in(store))
    sessions = [await signed_in(store, browser=f"new {n}", later=STEP_UP) for n in range(10)]
    calls = [
        ("factors.spend", (Spending(session.session_id, factor, STEP, confirms_device=True), NOW), {})
        for session in sessions
    ]
    outcomes = Counter(chain(*race(mixed_calls, valkey_url, calls)))
    assert outcomes == {None: 1, Reason.USED_CODE: 39}
    confirmed = [device for device in await store.devices.list("ada") if device.is_confirmed]
    assert len(confirmed) == 2, "the first one, and that of the code"


async def test_a_device_that_is_revoked_is_never_let_in_over_processes(
    store: Store, valkey_url: str, race: Race
) -> None:
    first = await signed_in(store)
    waiting = [await signed_in(store, browser=f"new {n}", later=APPROVE) for n in range(10)]
    calls: list[StoreCall] = []
    revoking = {"reason": "test", "actor": "test", "now": NOW}
    for number in range(10):
        device_id = store.devices.id_for("ada", f"new {number}")
        calls += [
            ("devices.authorise", (first.session_id, device_id, NOW), {}),
            ("revocations.device", (device_id,), revoking),
            ("devices.rename", (device_id, "Another"), {}),
        ]
    race(mixed_calls, valkey_url, calls)
    for session in waiting:
        snapshot = await store.who.ask(session.cookie, NOW)
        assert snapshot is not None and snapshot.fault(NOW) is Reason.DEVICE_REVOKED


# --- words, while a device asks to be confirmed


async def test_a_device_that_waits_shows_words_of_its_own_new_ones_at_each_sign_in(store: Store) -> None:
    first = await signed_in(store)
    seeds = set()
    for browser in ("phone", "phone", "tablet"):
        await signed_in(store, browser=browser, later=APPROVE)
        seeds.add((await device_named(store, browser)).word_seed)
    assert len(seeds) == 3 and "" not in seeds
    assert (await device_named(store, "laptop")).word_seed == ""
    await store.devices.authorise(first.session_id, store.devices.id_for("ada", "phone"), NOW)
    assert (await device_named(store, "phone")).word_seed == ""


async def test_a_device_that_was_let_in_asks_when_it_has_to_be_confirmed(store: Store) -> None:
    first = await signed_in(store)
    let_in = await signed_in(store, browser="phone")
    assert (await device_named(store, "phone")).word_seed == ""
    asking = await store.devices.ask(let_in.session_id, NOW)
    assert asking is not None and asking.word_seed != ""
    assert await store.devices.ask(let_in.session_id, NOW) == asking, "the same words, however often"
    assert await device_named(store, "phone") == asking
    confirmed = await store.devices.ask(first.session_id, NOW)
    assert confirmed is not None and confirmed.word_seed == "", "it has nothing to ask for"
    await signed_in(store, browser="phone")
    assert (await device_named(store, "phone")).word_seed == "", "who begins anew has not asked yet"


@pytest.mark.parametrize("end", ["session", "device", "account", "everybody"])
async def test_the_device_of_a_session_is_known_while_that_lives(store: Store, end: str) -> None:
    session = await signed_in(store)
    laptop = await device_named(store, "laptop")
    assert await store.devices.of_session(session.session_id, NOW) == laptop
    assert await store.devices.of_session(session.session_id, NOW + LIMITS.idle) is None
    targets = {"session": [session.session_id], "device": [laptop.id], "account": ["ada"], "everybody": []}
    await getattr(store.revocations, end)(*targets[end], reason="test", actor="test", now=NOW)
    for ended in (session.session_id, "0" * 32, "no identifier"):
        assert await store.devices.of_session(ended, NOW) is None
        assert await store.devices.ask(ended, NOW) is None


# --- names


@every_size
async def test_a_device_is_given_a_name_which_it_keeps(store: Store) -> None:
    await signed_in(store)
    laptop = store.devices.id_for("ada", "laptop")
    for name, owner in (("Ada's laptop", "ada"), ("Named by support", None)):
        renamed = await store.devices.rename(laptop, name, owner)
        assert renamed is not None
        assert (renamed.name, renamed.browser, renamed.system) == (name, "Firefox", "Linux")
        await signed_in(store)
        assert await device_named(store, "laptop") == renamed


@every_size
async def test_nobody_elses_device_is_renamed(store: Store, valkey: Redis) -> None:
    await signed_in(store)
    await signed_in(store, "bob")
    before = await contents(valkey)
    for device_id in (store.devices.id_for("bob", "laptop"), "0" * 32, "no identifier", ""):
        assert await store.devices.rename(device_id, "Mine", owner="ada") is None
    assert await contents(valkey) == before


# --- how many there can be


async def test_a_strangers_new_devices_never_push_out_authorised_ones(store: Store) -> None:
    await signed_in(store, browser="phone", later=APPROVE)
    for number in range(MOST_DEVICES + 5):
        started = await signed_in(store, browser=f"new {number}", now=NOW + 1 + number, later=APPROVE)
        assert started.device_state is PENDING
    devices = await store.devices.list("ada")
    assert len(devices) == MOST_DEVICES
    assert devices[0].id == store.devices.id_for("ada", f"new {MOST_DEVICES + 4}")
    assert store.devices.id_for("ada", "phone") in [device.id for device in devices]
    assert await store.devices.find(store.devices.id_for("ada", "new 0")) is None


async def test_a_device_that_was_not_used_for_long_is_forgotten(store: Store) -> None:
    await signed_in(store, browser="phone")
    await signed_in(store, browser="laptop", now=NOW + FORGET_DEVICE_SECONDS)
    assert [device.name for device in await store.devices.list("ada")] == ["Firefox on Linux"]
