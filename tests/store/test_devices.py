import asyncio

import pytest
from redis.asyncio import Redis
from support.store import NOW, account_added, contents, device_of, every_size, signed_in

from gateway.core.reasons import Reason
from gateway.core.records import Device, DeviceState
from gateway.store.keys import shard_of_id
from gateway.store.opening import Store
from gateway.store.sessions import FORGET_DEVICE_SECONDS, MOST_DEVICES

PENDING, AUTHORISED, REVOKED = DeviceState.PENDING, DeviceState.AUTHORISED, DeviceState.REVOKED


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
    )
    assert await store.devices.find("0" * 32) is None
    assert await store.devices.find("no identifier") is None


async def test_a_device_that_returns_keeps_its_name_and_state(store: Store) -> None:
    await signed_in(store, browser="phone")
    await signed_in(store, approve_later=True)
    assert (await signed_in(store, approve_later=False, now=NOW + 60)).device_state is PENDING
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
    ("approve_later", "states"),
    [(False, [AUTHORISED, AUTHORISED, AUTHORISED]), (True, [AUTHORISED, PENDING, PENDING])],
)
@every_size
async def test_the_first_device_is_authorised_and_later_ones_as_the_setting_says(
    store: Store, approve_later: bool, states: list[DeviceState]
) -> None:
    browsers = ("laptop", "phone", "tablet")
    begun = [await signed_in(store, browser=browser, approve_later=approve_later) for browser in browsers]
    assert [session.device_state for session in begun] == states
    assert (await signed_in(store, "bob", approve_later=approve_later)).device_state is AUTHORISED


async def test_of_two_first_sign_ins_at_once_one_is_the_first(store: Store) -> None:
    await account_added(store, "ada")
    begun = await asyncio.gather(
        *(signed_in(store, browser=f"browser {number}", approve_later=True) for number in range(20))
    )
    assert sorted(session.device_state for session in begun) == [AUTHORISED] + [PENDING] * 19


@every_size
async def test_a_pending_device_can_be_authorised(store: Store) -> None:
    await signed_in(store)
    session = await signed_in(store, browser="phone", approve_later=True)
    assert await store.devices.authorise("ada", store.devices.id_for("ada", "phone"))
    snapshot = await store.sessions.identify(session.cookie, NOW)
    assert snapshot is not None and snapshot.device is not None
    assert snapshot.device.state is AUTHORISED


@every_size
async def test_only_a_device_of_ones_own_can_be_authorised(store: Store, valkey: Redis) -> None:
    await signed_in(store, "bob")
    await signed_in(store, "bob", browser="phone", approve_later=True)
    before = await contents(valkey)
    for device_id in (store.devices.id_for("bob", "phone"), "0" * 32, "no identifier", ""):
        assert not await store.devices.authorise("ada", device_id)
    assert await contents(valkey) == before


@every_size
async def test_a_revoked_device_stays_revoked(store: Store) -> None:
    await signed_in(store)
    device = device_of(store, "ada", "laptop")
    await store.revocations.device(device.id, reason="stolen", actor="account:ada", now=NOW)
    assert not await store.devices.authorise("ada", device.id)
    started = await store.sessions.start(
        subject="ada", device=device, address="192.0.2.1", approve_later=False, now=NOW
    )
    assert started is Reason.DEVICE_REVOKED
    assert [listed.state for listed in await store.devices.list("ada")] == [REVOKED]


async def test_who_has_revoked_every_device_begins_anew(store: Store) -> None:
    """Nobody would be left to authorise the next one."""
    await signed_in(store)
    device_id = store.devices.id_for("ada", "laptop")
    await store.revocations.device(device_id, reason="stolen", actor="account:ada", now=NOW)
    begun = [await signed_in(store, browser=browser, approve_later=True) for browser in ("phone", "tablet")]
    assert [session.device_state for session in begun] == [AUTHORISED, PENDING]


async def test_a_device_that_waits_with_nobody_left_to_ask_is_authorised(store: Store) -> None:
    await signed_in(store, browser="phone", approve_later=True)
    assert (await signed_in(store, approve_later=True)).device_state is PENDING
    phone = store.devices.id_for("ada", "phone")
    await store.revocations.device(phone, reason="lost", actor="account:ada", now=NOW)
    assert (await signed_in(store, approve_later=True)).device_state is AUTHORISED


# --- how many there can be


async def test_a_strangers_new_devices_never_push_out_authorised_ones(store: Store) -> None:
    await signed_in(store, browser="phone", approve_later=True)
    for number in range(MOST_DEVICES + 5):
        started = await signed_in(store, browser=f"new {number}", now=NOW + 1 + number, approve_later=True)
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
