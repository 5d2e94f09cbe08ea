"""Devices and sessions: shown, named, let in and ended, as pages and as JSON."""

import re
from typing import Any

import pytest
from support.gateway import PASSWORD, POLICY, Client, OpenScene, Scene
from support.own_pages import alert, confirmed, leads_to, listed, page, problem, what_was_done
from support.store import NOW

from gateway.portal.replies import moment as at

OWN = "/.watchword"
API = f"{OWN}/api"
UNKNOWN = "00" + "f" * 30
FIREFOX = {"User-Agent": "Mozilla/5.0 (Android 15; Mobile; rv:130.0) Gecko/130.0 Firefox/130.0"}


async def me(client: Client) -> Any:
    return await listed(client, "me")


# --- the page


async def test_devices_and_sessions_are_shown_and_ended(scene: Scene) -> None:
    other, ada = await scene.signed_in(), await scene.signed_in()
    html = page(await ada.visit(f"GET {OWN}/devices"))
    assert (html.count(">This device<"), html.count(">This session<")) == (1, 1)
    device, session = re.findall(r'action="([^"]*/revoke)"', html)[-2:]  # this device comes first
    ended = leads_to(await ada.visit(f"POST {session}", {}))
    assert ended.startswith(f"{OWN}/devices?notice=session-revoked&of=")
    assert what_was_done(page(await ada.visit(f"GET {ended}"))).startswith(
        "The session was ended. This holds everywhere: 1 server confirmed it within "
    )
    assert leads_to(await ada.visit(f"POST {session}", {})) == f"{OWN}/devices"
    assert leads_to(await other.visit("GET /")).startswith(f"{OWN}/sign-in")
    revoked = leads_to(await ada.visit(f"POST {device}", {}))
    assert revoked.startswith(f"{OWN}/devices?notice=device-revoked&of=")
    html = page(await ada.visit(f"GET {revoked}"))
    assert what_was_done(html).startswith("The device was revoked and its sessions ended. This holds every")
    assert html.count('class="card device') == 1
    for address in (device, session):
        assert leads_to(await ada.visit(f"GET {address}")) == f"{OWN}/devices"


@pytest.mark.parametrize("notice", ["", "nothing", "<script>", "factor-added&notice=factor-added"])
async def test_only_notices_that_there_are_are_shown(scene: Scene, notice: str) -> None:
    ada = await scene.signed_in()
    address = f"{OWN}/devices?notice={notice.replace('<', '%3C').replace('>', '%3E')}"
    assert 'class="notice"' not in page(await ada.visit(f"GET {address}"))


async def test_other_peoples_records_stay(scene: Scene) -> None:
    eve = await scene.signed_in("eve")
    theirs = (await eve.call(f"GET {OWN}/api/me")).json
    ada = await scene.signed_in()
    for record in (theirs["device"], theirs["session"], UNKNOWN, "x"):
        for address in (
            f"devices/{record}/revoke",
            f"devices/{record}/authorise",
            f"devices/{record}/name",
            f"sessions/{record}/revoke",
        ):
            assert leads_to(await ada.visit(f"POST {OWN}/{address}", {"name": "Mine"})) == f"{OWN}/devices"
    assert (await eve.call(f"GET {OWN}/api/me")).json == theirs


async def test_force_logout(scene: Scene) -> None:
    ada, other = await scene.signed_in(), await scene.signed_in()
    old = ada.with_cookies(session=ada.session)
    ended = leads_to(await ada.visit(f"POST {OWN}/sessions/revoke-all", {}))
    assert "ww-session" not in ada.cookies
    for _ in ("at once", "reloaded"):
        html = page(await ada.visit(f"GET {ended}"))
        assert "You are signed out everywhere" in html
        assert re.search(r"<p>This holds everywhere: 1 server confirmed it within \d+ ms\.</p>", html)
    for client in (old, other):
        way_in = leads_to(await client.visit("GET /x"))
        assert way_in == f"{OWN}/sign-in?return_to=/x&reason=session-revoked"
        assert "Your session was ended." in page(await client.visit(f"GET {way_in}"))


async def test_whoever_ends_their_own_session_or_device_finds_out_what_became_of_it(scene: Scene) -> None:
    for kind in ("sessions", "devices"):
        ada = await scene.signed_in()
        record = (await ada.call(f"GET {OWN}/api/{kind}")).json
        (mine,) = [each["id"] for each in record if each["current"]]
        ended = leads_to(await ada.visit(f"POST {OWN}/{kind}/{mine}/revoke", {}))
        html = page(await ada.visit(f"GET {ended}"))
        assert "You are signed out" in html and "signed out everywhere" not in html
        assert "1 server confirmed it" in html


async def test_whoever_has_signed_in_again_is_not_told_that_they_are_signed_out(scene: Scene) -> None:
    ada = await scene.signed_in()
    ended = leads_to(await ada.visit(f"POST {OWN}/sessions/revoke-all", {}))
    again = await scene.signed_in()
    assert leads_to(await again.visit(f"GET {ended}")) == f"{OWN}/devices"


async def test_of_what_nobody_knows_nothing_is_called_done(scene: Scene) -> None:
    everybody = await scene.gateway.store.revocations.everybody(
        reason="x", actor="cli:x", now=scene.clock.now
    )
    for unknown in ("0" * 32, "nonsense", everybody.revocation_id):
        html = page(await scene.client().visit(f"GET {OWN}/ended/{unknown}"), status=404)
        assert "We cannot tell" in html and "signed out" not in html


# --- the calls


async def test_devices_and_sessions_are_listed_and_the_current_ones_marked(scene: Scene) -> None:
    first = await scene.signed_in()
    scene.clock.advance(10)
    ada = await scene.signed_in()
    here = await me(ada)
    assert await listed(ada, "devices") == [
        {
            "id": device,
            "name": "Unknown device",
            "browser": None,
            "system": None,
            "state": "authorised",
            "confirmed": confirmed,
            "words": None,
            "address": "127.0.0.1",
            "first_used_at": used,
            "last_used_at": used,
            "current": device == here["device"],
        }
        for device, used, confirmed in (
            (here["device"], at(NOW + 10), False),
            ((await me(first))["device"], at(NOW), True),
        )
    ]
    assert await listed(ada, "sessions") == [
        {
            "id": client["session"],
            "device": client["device"],
            "address": "127.0.0.1",
            "created_at": at(begun),
            "last_used_at": at(begun),
            "expires_at": at(begun + 86_400),
            "current": client == here,
        }
        for client, begun in ((here, NOW + 10), (await me(first), NOW))
    ]


async def test_sessions_and_devices_are_revoked(scene: Scene) -> None:
    ada = await scene.signed_in()
    for kind in ("session", "device"):
        other = (await me(await scene.signed_in()))[kind]
        revoked = await ada.call(f"DELETE {API}/{kind}s/{other}")
        confirmed(revoked)
    answer = await ada.call(f"POST {API}/sessions/revoke-all")
    assert answer.json["revoked"] == "all sessions"
    confirmed(answer)
    assert "ww-session" not in ada.cookies


async def test_a_device_is_authorised(open_scene: OpenScene) -> None:
    async with open_scene(devices={"later": "approve"}) as scene:
        ada, _ = await scene.signed_in(), await scene.signed_in()
        (waiting,) = [d["id"] for d in await listed(ada, "devices") if d["state"] == "pending"]
        for _ in range(2):
            done = await ada.call(f"POST {API}/devices/{waiting}/authorise")
            assert (done.status, done.json) == (
                200,
                {"id": waiting, "state": "authorised", "confirmed": True},
            )


async def test_other_peoples_records_are_not_there(scene: Scene) -> None:
    eve = await scene.signed_in("eve")
    theirs = await me(eve)
    ada = await scene.signed_in()
    sessions = (theirs["session"], theirs["device"], UNKNOWN, "ff" * 16, "x")
    lines = [f"DELETE {API}/sessions/{session}" for session in sessions]
    for device in (theirs["device"], theirs["session"], UNKNOWN, "ff" * 16, "x"):
        lines += [f"DELETE {API}/devices/{device}", f"POST {API}/devices/{device}/authorise"]
    for line in lines:
        assert problem(await ada.call(line)) == (404, "not-found"), line
    for device in (theirs["device"], theirs["session"], UNKNOWN, "ff" * 16, "x"):
        renamed = await ada.call(f"PATCH {API}/devices/{device}", {"name": "Mine"})
        assert problem(renamed) == (404, "not-found"), device
    assert await me(eve) == theirs
    assert [device["name"] for device in await listed(eve, "devices")] == ["Unknown device"]


# --- what is certain everywhere, and what is not yet


async def test_nobody_is_told_what_became_of_what_others_ended(scene: Scene) -> None:
    ada, eve = await scene.signed_in(), await scene.signed_in("eve")
    other = (await me(await scene.signed_in("eve")))["device"]
    theirs = confirmed(await eve.call(f"DELETE {API}/devices/{other}"))
    assert "This holds everywhere" in what_was_done(await shown(eve, f"notice=device-revoked&of={theirs}"))
    plain = "The device was revoked and its sessions ended."
    for of in (theirs, UNKNOWN, "x", "%3Cscript%3E", f"{theirs}&of={theirs}"):
        assert what_was_done(await shown(ada, f"notice=device-revoked&of={of}")) == plain
    everybody = await scene.gateway.store.revocations.everybody(reason="test", actor="test", now=NOW)
    await ada.sign_in("ada")
    assert what_was_done(await shown(ada, f"notice=device-revoked&of={everybody.revocation_id}")) == plain


async def test_what_ended_is_told_of_what_the_notice_says(scene: Scene) -> None:
    ada = await scene.signed_in()
    other = (await me(await scene.signed_in()))["session"]
    ended = confirmed(await ada.call(f"DELETE {API}/sessions/{other}"))
    assert "This holds everywhere" in what_was_done(await shown(ada, f"notice=session-revoked&of={ended}"))
    for notice in ("device-revoked", "device-renamed"):
        assert "This holds everywhere" not in what_was_done(await shown(ada, f"notice={notice}&of={ended}"))
    assert 'class="notice"' not in await shown(ada, f"of={ended}")


async def shown(client: Client, query: str) -> str:
    return page(await client.visit(f"GET {OWN}/devices?{query}"))


# --- names


async def test_d1_a_device_is_shown_with_browser_and_system_whatever_it_is_called(scene: Scene) -> None:
    ada = await scene.signed_in()
    phone = scene.client()
    form = {"subject": "ada", "password": PASSWORD}
    await phone.visit(f"POST {OWN}/sign-in", form, headers=FIREFOX)
    html = page(await phone.visit(f"GET {OWN}/devices"))
    assert "<h2><bdi>Firefox Mobile on Android</bdi></h2>" in html
    device = (await me(phone))["device"]
    named = await ada.visit(f"POST {OWN}/devices/{device}/name", {"name": "  Ada's <b>phone</b> "})
    assert leads_to(named) == f"{OWN}/devices?notice=device-renamed"
    html = page(await ada.visit(f"GET {leads_to(named)}"))
    assert "The device has its new name." in html
    assert "<h2><bdi>Ada&#39;s &lt;b&gt;phone&lt;/b&gt;</bdi></h2>" in html
    for fact in ("<dt>Browser</dt><dd>Firefox Mobile</dd>", "<dt>System</dt><dd>Android</dd>"):
        assert fact in html
    await phone.sign_in("ada")  # by something else, which claims nothing
    (found,) = [one for one in await listed(ada, "devices") if one["id"] == device]
    assert (found["name"], found["browser"], found["system"]) == ("Ada's <b>phone</b>", None, None)
    assert leads_to(await ada.visit(f"GET {OWN}/devices/{device}/name")) == f"{OWN}/devices"


async def test_a_device_is_named_by_a_call(scene: Scene) -> None:
    ada = await scene.signed_in()
    device = (await me(ada))["device"]
    renamed = await ada.call(f"PATCH {API}/devices/{device}", {"name": "Work laptop"})
    assert (renamed.status, renamed.json) == (200, (await listed(ada, "devices"))[0])
    assert renamed.json["name"] == "Work laptop"
    (entry,) = [e for e in await scene.gateway.store.audit.latest("ada") if e.event == "device-renamed"]
    assert (entry.reason, entry.device_id) == (f"{device}: Work laptop", device)


UNFIT = {
    "": "The name is empty.",
    "  ": "The name is empty.",
    "x" * 65: "That name is too long: it may have at most 64 characters.",
    "two\nlines": "That cannot be a name: U+000A in it",
    "\u202eesrever": "That cannot be a name: U+202E in it",
}


@pytest.mark.parametrize(("name", "said"), UNFIT.items())
async def test_what_cannot_be_a_name(scene: Scene, name: str, said: str) -> None:
    ada = await scene.signed_in()
    device = (await me(ada))["device"]
    html = page(await ada.visit(f"POST {OWN}/devices/{device}/name", {"name": name}), status=422)
    assert alert(html).startswith(said)
    assert '<details class="action" open>' in html
    refused = await ada.call(f"PATCH {API}/devices/{device}", {"name": name})
    assert problem(refused) == (422, "unfit-name")
    assert refused.json["detail"].startswith(said)
    assert (await listed(ada, "devices"))[0]["name"] == "Unknown device"


@pytest.mark.parametrize("body", [{}, {"name": 7}, {"name": None}])
async def test_a_name_is_text(scene: Scene, body: object) -> None:
    ada = await scene.signed_in()
    device = (await me(ada))["device"]
    assert problem(await ada.call(f"PATCH {API}/devices/{device}", body)) == (400, "body-unreadable")


# --- who vouches for whom


ON_DEVICE = POLICY.replace("rules:\n", 'rules:\n  - {name: vault, paths: ["/vault/**"], need: device}\n')


async def test_d2_a_device_that_waits_comes_first_with_its_words(open_scene: OpenScene) -> None:
    async with open_scene(devices={"later": "approve"}) as scene:
        ada = await scene.signed_in()
        await scene.signed_in()
        (waits,) = [device for device in await listed(ada, "devices") if not device["current"]]
        assert (waits["state"], waits["confirmed"]) == ("pending", False)
        html = page(await ada.visit(f"GET {OWN}/devices"))
        assert html.index(f"<strong>{waits['words']}</strong>") < html.index(">This device<")
        assert "This device wants access" in html


async def test_a_device_that_is_let_in_shows_words_only_once_it_asks(open_scene: OpenScene) -> None:
    async with open_scene(policy=ON_DEVICE) as scene:
        ada, later = await scene.signed_in(), await scene.signed_in()
        assert [device["words"] for device in await listed(ada, "devices")] == [None, None]
        assert "Waiting" not in page(await ada.visit(f"GET {OWN}/devices"))
        waiting = leads_to(await later.visit("GET /vault/"))
        assert waiting == f"{OWN}/waiting?return_to=/vault/&need=device"
        asking = page(await later.visit(f"GET {waiting}"))
        html = page(await ada.visit(f"GET {OWN}/devices"))
        (words,) = re.findall(r'class="words">.*?<strong>(.*?)</strong>', html)
        assert f"<strong>{words}</strong>" in asking
        # It cannot vouch for itself, so it does not offer to.
        assert "/authorise" not in page(await later.visit(f"GET {OWN}/devices"))
        device = (await me(later))["device"]
        assert problem(await later.call(f"POST {API}/devices/{device}/authorise")) == (404, "not-found")
        done = await ada.visit(f"POST {OWN}/devices/{device}/authorise", {})
        assert leads_to(done) == f"{OWN}/devices?notice=device-authorised"
        assert (await later.visit("GET /vault/")).status == 200


async def test_a_device_that_was_only_let_in_confirms_no_other(open_scene: OpenScene) -> None:
    async with open_scene(policy=ON_DEVICE) as scene:
        await scene.signed_in()
        let_in, later = await scene.signed_in(), await scene.signed_in()
        await later.visit(f"GET {leads_to(await later.visit('GET /vault/'))}")
        assert "/authorise" not in page(await let_in.visit(f"GET {OWN}/devices"))
        device = (await me(later))["device"]
        done = await let_in.call(f"POST {API}/devices/{device}/authorise")
        assert (done.status, done.json["confirmed"]) == (200, False)
        assert problem(await later.call("GET /vault/")) == (401, "device-unconfirmed")


async def test_device_sessions_and_grants_end_together(scene: Scene) -> None:
    """Nothing of a revoked device counts any more: no session, no grant that it held, no code given on it."""
    ada = await scene.signed_in(factor=True)
    lost = await scene.signed_in()
    lost.setup_key = ada.setup_key
    asked = await lost.call("POST /api/transfers", {"amount": 12.5, "address": "bc1q"})
    assert (await lost.answer(asked)).status == 200
    snapshot = await scene.gateway.store.who.ask(lost.session, scene.clock.now)
    assert snapshot is not None and len(snapshot.grants) == 1
    open_one = await lost.call("POST /api/transfers", {"amount": 13, "address": "bc1q"})
    device = (await me(lost))["device"]
    assert (await ada.call(f"DELETE {API}/devices/{device}")).status == 200
    assert problem(await lost.call("POST /api/transfers", {"amount": 12.5, "address": "bc1q"})) == (
        401,
        "device-revoked",
    )
    (grant,) = snapshot.grants
    assert not await scene.gateway.store.sessions.consume(snapshot.session.id, grant, scene.clock.now)
    assert problem(await lost.answer(open_one)) == (401, "no-session")
    paid = await ada.call(
        "POST /api/transfers",
        {"amount": 1, "address": "bc1q"},
        headers={"Watchword-Code": ada.code()},
    )
    assert paid.status == 200, "the code was not spent"
