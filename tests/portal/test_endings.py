"""What people are told of what they end: nothing is called certain that is not."""

import json
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from redis.asyncio import Redis
from support.gateway import PASSWORD, QUICK
from support.identity import snapshot_of
from support.metrics import samples
from support.own_pages import what_was_done
from support.portal import call_of, desk_of, inbound
from support.sample_pages import PAGES, STATIC
from support.store import LIKE_OURS, NOW, opened_store, running_server, signed_in

from gateway.core.ending import Scope
from gateway.core.records import Snapshot
from gateway.portal.api import Api
from gateway.portal.call import Call
from gateway.portal.desk import Desk
from gateway.portal.devices import Devices
from gateway.portal.endings import Ended, seen_through
from gateway.portal.forms import Forms
from gateway.store.opening import Store
from gateway.store.standing import NodeOptions
from gateway.web.cookies import OwnCookies
from gateway.web.metrics import Metrics

OWN = "/.watchword"
WHY = {"reason": "test", "actor": "account:ada", "now": NOW}
NEW = {"current": PASSWORD, "new": "a longer horse battery staple"}


def text_of(answer: web.StreamResponse) -> str:
    assert isinstance(answer, web.Response) and answer.text is not None
    return answer.text


def json_of(answer: web.StreamResponse) -> Any:
    """What a call answers, but for the id."""
    found = json.loads(text_of(answer))
    assert len(found.pop("id")) == 32
    return found


def forgets_session(answer: web.StreamResponse) -> bool:
    return any(value.startswith("ww-session=;") for value in answer.headers.getall("Set-Cookie", []))


async def two_devices(store: Store) -> tuple[Snapshot, Snapshot]:
    """Ada on her laptop and on her phone."""
    await store.accounts.add(
        subject="ada",
        name="",
        email="",
        groups=frozenset(),
        password_hash=QUICK.hash(PASSWORD),
        now=NOW - 100,
    )
    here, there = await signed_in(store), await signed_in(store, browser="phone")
    return await snapshot_of(store, here.cookie), await snapshot_of(store, there.cookie)


async def seen_at(devices: Devices, answer: web.StreamResponse, *, cookie: str = "") -> web.StreamResponse:
    """Where a browser is led to, which has `cookie` left."""
    address = answer.headers["Location"]
    assert (answer.status, address.rpartition("/")[0]) == (303, f"{OWN}/ended")
    request = replace(inbound(f"GET {address}"), cookies=OwnCookies(cookie or None, None, None))
    return await devices.ended(call_of(request, None, id=address.rpartition("/")[2]))


@pytest.fixture
async def alone(store: Store, valkey_url: str) -> AsyncIterator[Store]:
    """A store whose one replica is missing."""
    opened = await opened_store(valkey_url, node=NodeOptions(replicas=1, acknowledge=1))
    yield opened
    await opened.close()


# --- a revocation that is confirmed, or that there is nothing to do for


async def test_what_was_ended_is_told_with_its_confirmation_and_counted(store: Store) -> None:
    here, metrics = await signed_in(store), Metrics()
    ended = await seen_through(store.revocations.session(here.session_id, **WHY), metrics)
    (revocation,) = await store.revocations.list()
    assert ended is not None and ended.confirmation is not None
    assert ended == Ended(revocation.revocation_id, Scope.SESSION, ended.confirmation)
    assert samples(metrics)["revocations_total", "session"] == 1
    assert await seen_through(store.revocations.session(here.session_id, **WHY), metrics) is None
    assert samples(metrics)["revocations_total", "session"] == 1


# --- replicas do not hold it yet


async def test_what_replicas_do_not_hold_yet_is_pending(alone: Store) -> None:
    person, other = await two_devices(alone)
    devices = Devices(desk_of(alone), PAGES)
    led_on = await devices.revoke(call_of(inbound(), person, id=other.session.device_id))
    assert led_on.status == 303
    shown = await devices.show(call_of(inbound(f"GET {led_on.headers['Location']}"), person))
    assert what_was_done(text_of(shown)) == (
        "The device was revoked and its sessions ended. Some of our servers have not confirmed that yet; "
        "we go on until they have. Reload this page to see."
    )
    call = call_of(inbound(), person, id=other.session.id)
    ended = await devices.revoke_session_call(call)
    assert (ended.status, json_of(ended)) == (202, {"confirmed": False})
    every = await devices.revoke_all_call(call)
    assert (every.status, json_of(every)) == (202, {"confirmed": False, "revoked": "all sessions"})
    assert forgets_session(every)


@pytest.mark.parametrize("ended", ["device", "session", "all"])
async def test_whoever_throws_themselves_out_is_told_that_it_is_under_way(alone: Store, ended: str) -> None:
    person, _ = await two_devices(alone)
    devices = Devices(desk_of(alone), PAGES)
    match ended:
        case "device":
            answer = await devices.revoke(call_of(inbound(), person, id=person.session.device_id))
        case "session":
            answer = await devices.revoke_session(call_of(inbound(), person, id=person.session.id))
        case _:
            answer = await devices.revoke_all(call_of(inbound(), person))
    assert forgets_session(answer)
    shown = await seen_at(devices, answer)
    assert shown.status == 202
    html = text_of(shown)
    assert "<h1>It is under way</h1>" in html
    assert ("Every session on every device is being ended." in html) == (ended == "all")
    assert f'href="{OWN}/sign-in"' in html


async def test_a_password_whose_sessions_are_not_certain_to_be_over(alone: Store) -> None:
    person, other = await two_devices(alone)
    cookie = (await signed_in(alone)).cookie
    person = await snapshot_of(alone, cookie)
    changed = await Api(desk_of(alone)).change_password(asking(person, cookie, json.dumps(NEW)))
    assert (changed.status, json_of(changed)) == (202, {"confirmed": False})
    assert "ww-session=" in changed.headers["Set-Cookie"]
    assert not forgets_session(changed)
    assert (await alone.sessions.find(other.session.id)) is not None


async def test_signing_out_is_not_kept_waiting_for(alone: Store) -> None:
    cookie = (await signed_in(alone)).cookie
    person = await snapshot_of(alone, cookie)
    answer = await Forms(desk_of(alone), PAGES, STATIC).sign_out(asking(person, cookie))
    assert (answer.status, forgets_session(answer)) == (200, True)
    assert "You are signed out" in text_of(answer)


def asking(person: Snapshot, cookie: str, body: str = "") -> Call:
    request = inbound(body=body.encode(), content_type=b"application/json")
    return call_of(replace(request, cookies=OwnCookies(cookie, None, None)), person)


# --- the store does not answer


async def test_what_the_store_does_not_answer_to_is_under_way(short_path: Path, tmp_path: Path) -> None:
    """It is promised, and takes place once the store is there again."""
    with running_server(short_path, *LIKE_OURS) as server:
        store = await opened_store(server.url, timeout=0.5, journal=tmp_path)
        person, other = await two_devices(store)
        desk = desk_of(store)
        elsewhere = await opened_store(server.url, timeout=0.5)
        os.kill(server.process.pid, signal.SIGSTOP)
        device, every = await assert_under_way(desk, person, other)
        assert samples(desk.metrics)["store_errors_total",] == 3
        unknown = await seen_at(Devices(desk_of(elsewhere), PAGES), every)
        assert (unknown.status, "it is kept, and done as soon as" in text_of(unknown)) == (503, True)
        os.kill(server.process.pid, signal.SIGCONT)
        await store.finisher.finish()
        for devices in (Devices(desk, PAGES), Devices(desk_of(elsewhere), PAGES)):
            reloaded = await seen_at(devices, every)
            assert (reloaded.status, "You are signed out everywhere" in text_of(reloaded)) == (200, True)
            led_on = await seen_at(devices, device, cookie="x")
            assert led_on.headers["Location"].startswith(f"{OWN}/devices?notice=device-revoked&of=")
        await elsewhere.close()
        assert {each.scope for each in await store.revocations.list()} == {Scope.ACCOUNT, Scope.DEVICE}
        assert await store.sessions.list("ada") != [], "they are there,"
        account = await store.accounts.find("ada")
        assert account is not None and account.epoch != person.session.account_epoch, "and over"
        await store.close()


async def test_signing_out_is_under_way_where_the_store_takes_no_writes(
    short_path: Path, tmp_path: Path
) -> None:
    with running_server(short_path, *LIKE_OURS) as server:
        store = await opened_store(server.url, journal=tmp_path)
        cookies = [(await signed_in(store)).cookie for _ in range(2)]
        people = [await snapshot_of(store, cookie) for cookie in cookies]
        desk = desk_of(store)
        async with Redis.from_url(server.url) as redis:
            await redis.config_set("min-replicas-to-write", 1)
            page = await Forms(desk, PAGES, STATIC).sign_out(asking(people[0], cookies[0]))
            call = await Api(desk).sign_out(asking(people[1], cookies[1]))
            await redis.config_set("min-replicas-to-write", 0)
        assert (page.status, forgets_session(page)) == (202, True)
        assert "The session is being ended." in text_of(page)
        assert (call.status, forgets_session(call)) == (204, True)
        await store.finisher.finish()
        assert await store.sessions.list("ada") == []
        await store.close()


async def assert_under_way(
    desk: Desk, person: Snapshot, other: Snapshot
) -> tuple[web.StreamResponse, web.StreamResponse]:
    """The answers to the end of a device, and of all sessions."""
    devices = Devices(desk, PAGES)
    call = call_of(inbound(), person, id=other.session.device_id)
    revoked = await devices.revoke(call)
    assert not forgets_session(revoked)
    shown = await seen_at(devices, revoked, cookie="x")
    assert shown.status == 202
    html = text_of(shown)
    assert "The device is being revoked" in html
    assert f'href="{OWN}/devices"' in html
    called = await devices.revoke_call(call)
    assert (called.status, json_of(called)) == (202, {"confirmed": False})
    left = await devices.revoke_all(call)
    assert forgets_session(left)
    assert (await seen_at(devices, left)).status == 202
    return revoked, left
