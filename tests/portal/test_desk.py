"""What an account holder can do with what is theirs, whichever door they come through."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from support.gateway import PASSWORD, Client, OpenScene, Scene
from support.identity import code_of, enrolled_key, snapshot_of
from support.own_pages import confirmed
from support.portal import desk_of, inbound
from support.raw_client import Answer
from support.store import NOW, enrolled, new_factor, signed_in

from gateway.core.reasons import Reason
from gateway.errors import BadRequest, StoreUnavailable
from gateway.identity.second_factor import CodeRefused
from gateway.portal.desk import LARGEST_FORM, fields_of, text_field
from gateway.store.audit import Audit
from gateway.store.opening import Store

API = "/.watchword/api"
UNKNOWN = "00" + "f" * 30


def reason(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json["reason"]


async def listed(client: Client, kind: str) -> Any:
    answer = await client.call(f"GET {API}/{kind}")
    assert answer.status == 200, answer
    return answer.json


async def me(client: Client) -> Any:
    return await listed(client, "me")


# --- factors


async def test_only_ones_own_pending_factors_can_be_confirmed(scene: Scene) -> None:
    eve = await scene.signed_in("eve")
    theirs = (await eve.call(f"POST {API}/factors", {"label": ""})).json
    ada = await scene.signed_in(factor=True)
    confirmed = (await me(ada))["factors"][0]["id"]
    for factor in (theirs["id"], confirmed, UNKNOWN, "x"):
        for _ in range(6):  # nothing to guess at, so no attempt either
            answer = await ada.call(f"POST {API}/factors/{factor}/confirm", {"code": "123456"})
            assert reason(answer) == (404, "not-found")


async def test_only_ones_own_factors_can_be_removed(scene: Scene) -> None:
    eve = await scene.signed_in("eve")
    theirs = (await eve.call(f"POST {API}/factors", {"label": ""})).json["id"]
    ada = await scene.signed_in()
    for factor in (theirs, UNKNOWN, "x"):
        assert reason(await ada.call(f"DELETE {API}/factors/{factor}")) == (404, "not-found")
    assert len((await me(eve))["factors"]) == 1


# --- sessions and devices


async def test_what_is_over_is_not_listed(scene: Scene) -> None:
    ada, ended, lost = [await scene.signed_in() for _ in range(3)]
    idle = await scene.signed_in()
    await ended.call(f"POST {API}/sign-out")
    lost_device = (await me(lost))["device"]
    assert (await ada.call(f"DELETE {API}/devices/{lost_device}")).status == 200
    scene.clock.advance(3000)
    await me(ada)  # which keeps this session from being idle
    await scene.note_uses()
    scene.clock.advance(1000)
    assert [session["current"] for session in await listed(ada, "sessions")] == [True]
    devices = await listed(ada, "devices")
    assert len(devices) == 3
    assert lost_device not in {device["id"] for device in devices}
    assert reason(await idle.call(f"GET {API}/me")) == (401, "session-expired")


async def test_a_session_is_revoked(scene: Scene) -> None:
    ada, other = await scene.signed_in(), await scene.signed_in()
    session = (await me(other))["session"]
    revoked = await ada.call(f"DELETE {API}/sessions/{session}")
    assert confirmed(revoked) in [done.revocation_id for done in await scene.gateway.store.revocations.list()]
    assert reason(await other.call(f"GET {API}/me")) == (401, "no-session")
    assert reason(await ada.call(f"DELETE {API}/sessions/{session}")) == (404, "not-found")
    assert (await ada.call(f"DELETE {API}/sessions/{(await me(ada))['session']}")).status == 200
    assert reason(await ada.call(f"GET {API}/me")) == (401, "no-session")


async def test_a_device_is_revoked_with_all_its_sessions(scene: Scene) -> None:
    ada, other = await scene.signed_in(), await scene.signed_in()
    device = (await me(other))["device"]
    same_browser = other.with_cookies(device=other.cookies["ww-device"])
    await same_browser.sign_in("ada")
    assert (await me(same_browser))["device"] == device
    assert (await ada.call(f"DELETE {API}/devices/{device}")).status == 200
    for client in (other, same_browser):
        assert reason(await client.call(f"GET {API}/me")) == (401, "device-revoked")
    assert len(await listed(ada, "sessions")) == 1


async def test_a_waiting_device_is_authorised(open_scene: OpenScene) -> None:
    async with open_scene(devices={"later": "approve"}) as scene:
        ada, later = await scene.signed_in(), await scene.signed_in()
        assert reason(await later.call("GET /")) == (401, "device-pending")
        states = {device["state"]: device["id"] for device in await listed(ada, "devices")}
        line = f"POST {API}/devices/{states['pending']}/authorise"
        assert reason(await later.call(line)) == (401, "device-pending")
        for _ in range(2):
            done = await ada.call(line)
            assert (done.status, done.json) == (
                200,
                {"id": states["pending"], "state": "authorised", "confirmed": True},
            )
        assert (await later.call("GET /")).status == 200


async def test_a_revoked_device_is_not_authorised_again(scene: Scene) -> None:
    ada, other = await scene.signed_in(), await scene.signed_in()
    device = (await me(other))["device"]
    await ada.call(f"DELETE {API}/devices/{device}")
    assert reason(await ada.call(f"POST {API}/devices/{device}/authorise")) == (404, "not-found")
    assert reason(await other.call(f"GET {API}/me")) == (401, "device-revoked")


async def test_all_sessions_are_revoked_this_one_included(scene: Scene) -> None:
    eve = await scene.signed_in("eve")
    ada, other = await scene.signed_in(), await scene.signed_in()
    old = ada.with_cookies(session=ada.session)
    answer = await ada.call(f"POST {API}/sessions/revoke-all")
    assert answer.json["revoked"] == "all sessions"
    confirmed(answer)
    assert "ww-session" not in ada.cookies
    for client in (old, other):
        assert reason(await client.call(f"GET {API}/me")) == (401, "session-revoked")
    await me(eve)
    await ada.sign_in("ada")
    assert len(await listed(ada, "sessions")) == 1


async def test_everything_is_on_record(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    other, third = await me(await scene.signed_in()), await me(await scene.signed_in())
    here = await me(ada)
    factor = here["factors"][0]["id"]
    line = f"DELETE {API}/factors/{factor}"
    assert (await ada.answer(await ada.call(line))).status == 200
    for request in (
        line,
        f"DELETE {API}/sessions/{other['session']}",
        f"POST {API}/devices/{third['device']}/authorise",
        f"DELETE {API}/devices/{third['device']}",
        f"POST {API}/sessions/revoke-all",
    ):
        assert (await ada.call(request)).status in (200, 204)
    entries = (await scene.gateway.store.audit.latest("ada"))[::-1]
    assert [(entry.event, entry.reason) for entry in entries if entry.session_id == here["session"]] == [
        ("signed-in", ""),
        ("device-added", "Unknown device"),
        ("factor-begun", factor),
        ("code-taken", "factor-confirmed"),
        ("factor-confirmed", factor),
        ("recovery-codes-made", "10"),
        ("code-taken", "account/remove-factor"),
        ("factor-removed", factor),
        ("session-revoked", f"{other['session']}: revoked by its owner"),
        ("device-authorised", third["device"]),
        ("device-revoked", third["device"]),
        ("account-revoked", "force logout"),
    ]
    assert {(entry.actor, entry.address) for entry in entries} == {("account:ada", "127.0.0.1")}


async def test_what_changes_something_is_on_record_in_the_same_step(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever fails after it: a change that nobody is told of would be what an attacker hopes for."""

    async def away(*_: object) -> None:
        raise StoreUnavailable("away")

    ada = await scene.signed_in(factor=True)
    other = await me(await scene.signed_in())
    spare = (await me(ada))["factors"][0]["id"]
    monkeypatch.setattr(Audit, "record", away)
    await scene.signed_in()
    for line, body in (
        (f"PUT {API}/profile", {"email": "new@example.org"}),
        (f"PUT {API}/protection", {"app": "exchange", "action": "manage-profile", "on": False}),
        (f"POST {API}/recovery-codes", None),
        (f"PATCH {API}/devices/{other['device']}", {"name": "Mine"}),
        (f"DELETE {API}/sessions/{other['session']}", None),
        (f"DELETE {API}/devices/{other['device']}", None),
        (f"DELETE {API}/factors/{spare}", None),
        (f"PUT {API}/password", {"current": PASSWORD, "new": "another long password"}),
        (f"POST {API}/sessions/revoke-all", None),
    ):
        answer = await ada.call(line, body)
        if answer.status == 401:
            assert (await ada.answer(answer)).status == 200
            answer = await ada.call(line, body)
        assert answer.status in (200, 204), (line, answer)
    entries = (await scene.gateway.store.audit.latest("ada"))[::-1]
    assert [entry.event for entry in entries if entry.event != "code-taken"][7:] == [
        *("signed-in", "device-added", "profile-changed", "protection-off", "recovery-codes-made"),
        *("device-renamed", "session-revoked", "device-revoked", "factor-removed"),
        *("password-changed", "account-revoked"),
    ]
    assert Counter(entry.event for entry in entries)["code-taken"] == 5


# --- what changed between the question who asks and the answer


async def test_a_factor_that_was_confirmed_meanwhile_is_not_removed_without_a_code(store: Store) -> None:
    started = await signed_in(store)
    before, desk = await snapshot_of(store, started.cookie), desk_of(store)
    factor = await enrolled(store, started)
    assert not await desk.remove(inbound(), before, factor, code_given=False)
    assert [kept.id for kept in await store.factors.list("ada")] == [factor]


async def test_a_code_for_a_session_that_ended_meanwhile_removes_nothing(store: Store) -> None:
    started, desk = await signed_in(store), desk_of(store)
    key = await enrolled_key(desk.second_factor, store, started.cookie)
    before = await snapshot_of(store, started.cookie)
    (factor,) = await store.factors.list("ada")
    await store.revocations.account("ada", reason="test", actor="test", now=NOW)
    refused = await desk.remove_with_code(inbound(), before, factor.id, code_of(key, NOW))
    assert isinstance(refused, CodeRefused)
    assert refused.reason is Reason.SESSION_REVOKED
    assert await store.factors.list("ada") == [factor]


async def test_a_pending_factor_is_removed_without_a_code(store: Store) -> None:
    started, desk = await signed_in(store), desk_of(store)
    await enrolled_key(desk.second_factor, store, started.cookie)
    waiting = replace(new_factor(store), session_id=started.session_id)
    await store.factors.add(waiting, NOW, code_given=True)
    person = await snapshot_of(store, started.cookie)
    assert await desk.remove_with_code(inbound(), person, waiting.id, "") is True
    assert await desk.remove_with_code(inbound(), person, waiting.id, "") is False


# --- what became of what was ended


async def test_only_what_is_ones_own_can_be_asked_after(store: Store) -> None:
    desk, ada, bob = desk_of(store), await signed_in(store), await signed_in(store, "bob")
    person, other = await snapshot_of(store, ada.cookie), await snapshot_of(store, bob.cookie)
    ended = await desk.end_all(inbound(), other)
    assert ended is not None
    assert await desk.became_of(other, ended.id) == ended
    assert await desk.became_of(person, ended.id) is None
    everybody = await store.revocations.everybody(reason="test", actor="test", now=NOW)
    assert await desk.became_of(person, everybody.revocation_id) is None
    assert await desk.became_of(person, UNKNOWN) is None
    assert await desk.became_of(person, "x") is None


# --- fields


async def test_the_fields_of_a_form_and_of_json() -> None:
    form = inbound(body=b"a=1&b=x+y", content_type=b"application/x-www-form-urlencoded")
    assert await fields_of(form) == {"a": "1", "b": "x y"}
    assert await fields_of(inbound(body=b'{"a": "1"}', content_type=b"application/json")) == {"a": "1"}


@pytest.mark.parametrize("content_type", [b"text/plain", b"multipart/form-data; boundary=x", None])
async def test_no_other_type_is_read(content_type: bytes | None) -> None:
    with pytest.raises(BadRequest):
        await fields_of(inbound(body=b"a=1", content_type=content_type))


@pytest.mark.parametrize("value", [None, 1, True, ["x"], {"x": 1}])
def test_a_field_must_be_text(value: object) -> None:
    assert text_field({"code": "x"}, "code") == "x"
    with pytest.raises(BadRequest, match="'code' must be text"):
        text_field({"code": value}, "code")
    with pytest.raises(BadRequest, match="'code' must be text"):
        text_field({}, "code")
    assert text_field({}, "code", default="") == ""


@pytest.mark.parametrize(("more", "status"), [(0, 401), (1, 413)])
async def test_our_forms_are_small(scene: Scene, more: int, status: int) -> None:
    start = b"subject=ada&password="
    body = start + b"x" * (LARGEST_FORM + more - len(start))
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await scene.client().send("POST /.watchword/sign-in", kind, body)).status == status
