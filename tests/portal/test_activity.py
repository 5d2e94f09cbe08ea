"""The activity page: what happened, in plain words, of oneself only, and nothing that is not for one."""

import re
from dataclasses import replace
from html import unescape
from typing import Any

import pytest
from support.gateway import Client, OpenScene, Scene
from support.sample_pages import EVERYTHING
from support.store import NOW

from gateway.core.telling import TOLD
from gateway.portal.activity import MOST_SHOWN
from gateway.store.audit import AuditEntry

PAGE, API = "/.watchword/activity", "/.watchword/api/activity"


async def rows(client: Client) -> list[str]:
    """The text of each row of the page, newest first; but for the first use of each device."""
    answer = await client.visit(f"GET {PAGE}")
    assert answer.status == 200
    found = re.findall(r"<li>(.*?)</li>", answer.body.decode(), re.DOTALL)
    texts = [" ".join(unescape(re.sub(r"<[^>]+>", " ", row)).split()) for row in found]
    return [text for text in texts if not text.startswith("A device signed in for the first time")]


async def listed(client: Client) -> list[dict[str, Any]]:
    answer = await client.call(f"GET {API}")
    assert (answer.status, answer.header(b"cache-control")) == (200, [b"no-store"])
    found: list[dict[str, Any]] = answer.json
    return [entry for entry in found if entry["event"] != "device-added"]


async def record(scene: Scene, event: str, actor: str = "account:ada", **more: Any) -> None:
    entry = AuditEntry(scene.clock.now, event, actor, "ada")
    await scene.gateway.store.audit.record(replace(entry, **more))


async def test_a_day_in_plain_words_newest_first(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    scene.clock.advance(7200)
    assert (
        await scene.client().call("POST /.watchword/api/sign-in", {"subject": "ada", "password": "x"})
    ).status == 401
    code = {"Watchword-Code": ada.next_code()}
    off = {"app": "exchange", "action": "manage-profile", "on": False}
    ada = ada.with_cookies(session=ada.session, device=ada.cookies["ww-device"])
    await scene.client().sign_in("ada")
    await ada.sign_in("ada")
    assert (await ada.call("PUT /.watchword/api/protection", off, headers=code)).status == 200
    found = await rows(ada)
    for row, words in zip(
        found,
        [
            "A protection was switched off This device When just now",
            "A code was used This device",
            "Signed in This device",
            "Signed in When",
            "A wrong password at sign-in When",
            "New recovery codes were made This device When 2 hours ago",
            "An authenticator app was added This device When 2 hours ago",
            "A code was used This device",
            "The set-up of an authenticator app was begun This device",
            "Signed in This device",
        ],
        strict=True,
    ):
        assert row.startswith(words), found
    assert "About Managing your profile (" in found[0]
    assert "About Changing your protection (Your account)" in found[1]
    assert "About Phone" in found[6]
    assert "Why To set up an authenticator app" in found[7]
    assert "Device Unknown device Address 127.0.0.1" in found[0]


async def test_the_same_as_json(scene: Scene) -> None:
    ada = await scene.signed_in()
    (signed_in,) = await listed(ada)
    device = (await ada.call("GET /.watchword/api/devices")).json[0]
    assert signed_in == {
        "at": signed_in["at"],
        "event": "signed-in",
        "about": None,
        "reason": None,
        "by": None,
        "device": device["id"],
        "device_name": device["name"],
        "address": "127.0.0.1",
        "current": True,
    }
    assert signed_in["at"].endswith("+00:00")
    other = await scene.signed_in()
    assert [entry["current"] for entry in await listed(other)] == [True, False]


async def test_everybody_sees_their_own_only(scene: Scene) -> None:
    ada, bob = await scene.signed_in(), await scene.signed_in("bob")
    await record(scene, "password-changed", subject="bob", actor="account:bob")
    await record(scene, "password-changed", subject="", actor="operator:grace")
    assert [entry["event"] for entry in await listed(ada)] == ["signed-in"]
    assert [entry["event"] for entry in await listed(bob)] == ["password-changed", "signed-in"]


@pytest.mark.parametrize("actor", ["operator:grace", "cli:root"])
async def test_what_support_did_says_that_it_was_support_and_no_more(scene: Scene, actor: str) -> None:
    ada = await scene.signed_in()
    device = (await ada.call("GET /.watchword/api/devices")).json[0]
    await record(
        scene,
        "device-revoked",
        actor,
        device_id=device["id"],
        address="10.9.8.7",
        reason="ticket 4711: sounded drunk",
        token_id="jti-of-grace",
    )
    row = (await rows(ada))[0]
    assert row.startswith("A device was revoked When just now")
    assert f"About {device['name']} By Support" in row
    entry = (await listed(ada))[0]
    assert (entry["by"], entry["device"], entry["address"], entry["current"]) == (
        "support",
        None,
        None,
        False,
    )
    assert (await ada.call(f"GET {API}")).status == 200
    for text in (row, str(entry)):
        for hidden in ("grace", "root", "10.9.8.7", "4711", "jti-of-grace"):
            assert hidden not in text


async def test_who_looked_is_the_operators_business(scene: Scene) -> None:
    ada = await scene.signed_in()
    for event in ("account-read", "sessions-read", "activity-read", "operator-refused"):
        await record(scene, event, "operator:grace")
    assert [entry["event"] for entry in await listed(ada)] == ["signed-in"]


async def test_a_device_has_its_name_of_now_or_of_then(scene: Scene) -> None:
    ada = await scene.signed_in()
    device = (await ada.call("GET /.watchword/api/devices")).json[0]["id"]
    redis = scene.gateway.store._connection.redis
    await redis.hset(f"ww:{{s00}}:device:{device}", "name", "Work laptop")
    assert (await listed(ada))[0]["device_name"] == "Work laptop"
    await record(scene, "device-new", device_id="00" + "e" * 30)
    await redis.hset(f"ww:{{s00}}:device:{'00' + 'd' * 30}", "name", "Old phone")
    await record(scene, "device-new", device_id="00" + "d" * 30)
    forgotten, unknown, _ = await listed(ada)
    assert (forgotten["device_name"], unknown["device_name"]) == ("Old phone", None)


async def test_a_revoked_device_is_named(scene: Scene) -> None:
    ada, other = await scene.signed_in(), await scene.signed_in()
    (gone,) = [d for d in (await ada.call("GET /.watchword/api/devices")).json if not d["current"]]
    await ada.call(f"DELETE /.watchword/api/devices/{gone['id']}")
    assert (await listed(ada))[0]["about"] == gone["name"]
    assert (await other.call(f"GET {API}")).status == 401


@pytest.mark.parametrize("event", [*TOLD, "unheard-of", "x<script>alert(1)</script>"])
async def test_every_event_has_words(scene: Scene, event: str) -> None:
    ada = await scene.signed_in()
    await record(scene, event)
    row = (await rows(ada))[0]
    assert row.startswith("Something happened: " + event) == (event not in TOLD)


async def test_a_code_that_was_refused_says_what_it_was_for_and_why(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    asked = await ada.call("POST /withdrawals", {"amount": 1, "address": "b"})
    assert (await ada.answer(asked, ada.wrong_code())).status == 403
    row = (await rows(ada))[0]
    assert row.startswith("A code was refused")
    assert "About Approving a transaction (Exchange)" in row
    assert "Why The code was wrong" in row
    entry = (await listed(ada))[0]
    assert (entry["about"], entry["reason"]) == ("Approving a transaction (Exchange)", "wrong-code")
    factor = (await ada.call("GET /.watchword/api/me")).json["factors"][0]["id"]
    await ada.visit(f"POST /.watchword/security/factors/{factor}/remove", {"code": "12 345"})
    row = (await rows(ada))[0]
    assert "About To remove an authenticator app" in row
    assert "Why It was not six digits" in row


async def test_a_change_of_the_profile_says_of_what(scene: Scene) -> None:
    ada = await scene.signed_in()
    for change, why in (
        ({"name": "Ada King"}, "Why The name"),
        ({"email": "king@example.org"}, "Why The e-mail address"),
        ({"name": "Ada", "email": "ada@example.org"}, "Why The name and the e-mail address"),
    ):
        assert (await ada.call("PUT /.watchword/api/profile", change)).status == 200
        assert why in (await rows(ada))[0]


async def test_ends_and_names_say_how_and_of_what(scene: Scene) -> None:
    ada = await scene.signed_in()
    device = (await ada.call("GET /.watchword/api/devices")).json[0]["id"]
    await ada.call(f"PATCH /.watchword/api/devices/{device}", {"name": "Work: laptop"})
    assert "About Work: laptop" in (await rows(ada))[0]
    other = await scene.signed_in()
    await other.call("POST /.watchword/api/sign-out")
    assert "Why By signing out" in (await rows(ada))[0]
    session = (await (await scene.signed_in()).call("GET /.watchword/api/me")).json["session"]
    await ada.call(f"DELETE /.watchword/api/sessions/{session}")
    assert "Why By its owner, on the devices page" in (await rows(ada))[0]


CASE = "5eed" * 8


@pytest.mark.parametrize(
    ("reason", "item", "words"),
    [
        (f"{CASE} phone", "phone", "About Phone number By Support"),
        (f"{CASE} photo-with-id-and-note", "photo-with-id-and-note", "About Photo with an ID and a note"),
        (f"{CASE} mothers-cat", "mothers-cat", "About mothers cat By Support"),
        (f"{CASE} Sounded drunk", None, "When just now 2"),
        ("phone", None, "When just now 2"),
    ],
)
async def test_what_support_checked_before_a_reset_is_named(
    scene: Scene, reason: str, item: str | None, words: str
) -> None:
    ada = await scene.signed_in()
    await record(scene, "reset-evidence", "operator:grace", reason=reason)
    row = (await rows(ada))[0]
    assert words in row
    assert "drunk" not in row
    assert (await listed(ada))[0]["about"] == item


async def test_how_a_reset_was_stopped_is_said(scene: Scene) -> None:
    ada = await scene.signed_in()
    for how in ("on a signed-in device", "by the link in a message"):
        await record(scene, "reset-stopped", reason=f"{CASE} {how}")
    by_link, on_device, *_ = await rows(ada)
    assert "Why By the link in a message" in by_link
    assert "Why On a device that is signed in" in on_device


async def test_reasons_are_not_shown_as_they_are(scene: Scene) -> None:
    """They are for the audit stream: ids, operators' notes, what somebody else wrote."""
    ada = await scene.signed_in()
    for reason in ("r" * 32 + ": by phone", "exchange/unknown", "<b>x</b>", "127.0.0.1"):
        await record(scene, "reset-opened", reason=reason)
    assert {entry["about"] for entry in await listed(ada)} == {None}
    assert not any("exchange/unknown" in row or "by phone" in row for row in await rows(ada))


async def test_the_latest_hundred_are_shown(scene: Scene) -> None:
    ada = await scene.signed_in()
    await record(scene, "password-changed")
    for number in range(MOST_SHOWN - 3):
        await record(scene, "code-taken", at=NOW + number)
    assert len(await listed(ada)) == MOST_SHOWN - 1, "and the first use of the device"
    assert (await listed(ada))[-1]["event"] == "signed-in"
    await record(scene, "code-taken", at=NOW + 1000)
    assert len(await rows(ada)) == MOST_SHOWN - 1
    assert (await listed(ada))[-1]["event"] == "password-changed"


async def test_a_code_of_the_sign_in_comes_first(open_scene: OpenScene) -> None:
    """The page tells whoever has only the password nothing."""
    policy = "app: exchange\nhosts: [localhost]\nupstream: UPSTREAM\nunmatched: session\nactions:\n"
    policy += "  sign-in: {title: Signing in, protect: always}\n"
    async with open_scene(
        policy=policy + "rules:\n  - {name: public, paths: [/public/**], need: public}\n"
    ) as scene:
        await scene.signed_in(factor=True)
        stolen = await scene.signed_in()
        assert (await stolen.call(f"GET {API}")).json["reason"] == "code-needed"


def test_the_page_leads_on_and_says_where_it_ends() -> None:
    assert "/.watchword/devices" in EVERYTHING["activity"]
    assert "These are the latest" not in EVERYTHING["activity"]
    assert "These are the latest 4." in EVERYTHING["activity, full"]
    assert "Nothing has happened yet." in EVERYTHING["activity, none"]
    for page in ("security", "devices", "activity"):
        assert f'href="{PAGE}"' in EVERYTHING[page]
