"""The account holder is told of a reset on every signed-in device, and stops it with one click (F5)."""

import re
from typing import Any
from urllib.parse import quote

import pytest
from support.gateway import POLICY, Client, OpenScene, Scene
from support.raw_client import Answer
from support.resets import GRACE, MARGARET

from gateway.assembly import reset_cases
from gateway.core.reset import Reset, ResetState
from gateway.identity.resets import ResetCases, stop_path, stop_tag

PAGE = "/.watchword/reset"
LED = re.compile(re.escape(PAGE) + r"\?return_to=(.*)")


def location(answer: Answer) -> str:
    assert answer.status == 303, answer
    return answer.header(b"location")[0].decode()


def cases_of(scene: Scene) -> ResetCases:
    return reset_cases(scene.gateway.settings, scene.gateway.store)


async def opened(scene: Scene, subject: str = "ada") -> Reset:
    reset = await cases_of(scene).open(subject, "ticket 4711", GRACE, scene.clock.now)
    assert isinstance(reset, Reset)
    return reset


async def approved(scene: Scene, subject: str = "ada") -> Reset:
    reset = await opened(scene, subject)
    for item in reset.checklist:
        await cases_of(scene).record(reset.id, item, "seen", GRACE, scene.clock.now)
    outcome = await cases_of(scene).approve(reset.id, MARGARET, scene.clock.now)
    assert isinstance(outcome, Reset)
    return outcome


async def state_of(scene: Scene, reset: Reset) -> ResetState:
    found = await scene.gateway.store.resets.find(reset.id)
    assert found is not None
    return found.state


async def stops(scene: Scene, subject: str = "ada") -> list[tuple[str, str]]:
    """Who stopped a case and how, as it is on record."""
    entries = await scene.gateway.store.audit.latest(subject)
    return [(each.actor, each.reason) for each in entries if each.event == "reset-stopped"]


# --- being told


async def test_each_session_is_led_once_to_the_page_that_says_it(scene: Scene) -> None:
    ada, phone = await scene.signed_in(factor=True), await scene.signed_in()
    await approved(scene)
    for client in (ada, phone):
        led = location(await client.visit("GET /orders?page=2"))
        assert led == f"{PAGE}?return_to={quote('/orders?page=2', safe='/')}"
        page = await client.visit(f"GET {led}")
        assert page.status == 200
        assert b"Your authenticator apps are to be removed" in page.body
        assert b'href="/orders?page=2"' in page.body, "the way back"
        assert (await client.visit("GET /orders?page=2")).status == 200
    assert await scene.seen() == ["GET /orders?page=2"] * 2


async def test_until_somebody_looked_at_it_they_are_led_there(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    await approved(scene)
    for _ in range(2):
        assert LED.fullmatch(location(await ada.visit("GET /")))
    counts = scene.gateway.pipeline._metrics.exposition().decode()
    assert 'watchword_requests_total{app="exchange",outcome="told"} 2.0' in counts
    assert (await ada.visit(f"HEAD {PAGE}")).status == 200
    for unseen in ({"Sec-Purpose": "prefetch"}, {"Sec-Fetch-Dest": "iframe"}, {"Sec-Fetch-Mode": "cors"}):
        assert (await ada.visit(f"GET {PAGE}", headers=unseen)).status == 200
    assert LED.fullmatch(location(await ada.visit("GET /")))
    assert await scene.seen() == []


async def test_who_looked_before_anything_was_decided_is_led_there_once_it_is(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    reset = await opened(scene)
    assert (await ada.visit(f"GET {PAGE}")).status == 200
    for item in reset.checklist:
        await cases_of(scene).record(reset.id, item, "seen", GRACE, scene.clock.now)
    assert isinstance(await cases_of(scene).approve(reset.id, MARGARET, scene.clock.now), Reset)
    assert LED.fullmatch(location(await ada.visit("GET /")))


@pytest.mark.parametrize(
    ("line", "headers"),
    [
        ("GET /", {"Sec-Fetch-Mode": "cors"}),
        ("GET /", {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}),
        ("GET /", {"Sec-Fetch-Mode": "navigate", "Sec-Purpose": "prefetch"}),
        ("HEAD /", {"Sec-Fetch-Mode": "navigate"}),
        ("POST /orders", {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin"}),
        ("DELETE /orders", {}),
        ("GET /", {"Accept": "application/json"}),
        ("GET /public/x", {"Sec-Fetch-Mode": "navigate"}),
    ],
)
async def test_nothing_else_is_disturbed(scene: Scene, line: str, headers: dict[str, str]) -> None:
    ada = await scene.signed_in(factor=True)
    await approved(scene)
    assert (await ada.send(line, headers)).status == 200
    assert await scene.seen() == [line]


async def test_a_form_that_waited_for_a_code_goes_through(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    await approved(scene)
    form = {"amount": "1", "address": "x"}
    asked = location(await ada.visit("POST /withdrawals", form))
    back = location(await ada.visit(f"POST {asked}", {"code": ada.next_code()}))
    assert (await ada.visit(f"GET {back}")).status == 200
    assert await scene.seen() == ["POST /withdrawals"]


async def test_a_code_for_one_request_is_not_used_up_by_being_told(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    asked = location(await ada.visit("GET /orders/7"))
    await approved(scene)
    back = location(await ada.visit(f"POST {asked}", {"code": ada.next_code()}))
    led = location(await ada.visit(f"GET {back}"))
    await ada.visit(f"GET {led}")
    assert (await ada.visit(f"GET {back}")).status == 200
    assert await scene.seen() == ["GET /orders/7"]


async def test_while_nobody_has_approved_it_only_the_account_pages_say_so(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    reset = await opened(scene)
    assert (await ada.visit("GET /")).status == 200
    for path in ("security", "devices"):
        page = (await ada.visit(f"GET /.watchword/{path}")).body
        assert b'class="banner warning"' in page
        assert b"has not decided yet" in page
        assert f'action="/.watchword/resets/{reset.id}/stop"'.encode() in page
    page = await ada.visit(f"GET {PAGE}")
    assert b"has not decided yet" in page.body
    assert b"<time" not in page.body


async def test_while_it_waits_the_account_pages_say_when(scene: Scene) -> None:
    ada, bob = await scene.signed_in(factor=True), await scene.signed_in("bob", factor=True)
    reset = await approved(scene)
    for path in ("security", "devices", "password"):
        if path == "password":
            challenge = await ada.call("GET /.watchword/password")
            await ada.answer(challenge)
        page = (await ada.visit(f"GET /.watchword/{path}")).body
        assert b'class="banner alert"' in page
        assert f'action="/.watchword/resets/{reset.id}/stop"'.encode() in page
        assert b"banner" not in (await bob.visit("GET /.watchword/security")).body


async def test_where_nothing_is_going_on_there_is_no_such_page(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    assert location(await ada.visit(f"GET {PAGE}")) == "/.watchword/security"
    for line in ("GET /.watchword/api/reset", "POST /.watchword/api/reset/stop"):
        answer = await ada.call(line)
        assert (answer.status, answer.json["reason"]) == (404, "not-found")
    assert (await ada.visit("GET /")).status == 200


@pytest.mark.parametrize(
    "wanted", ["//evil.example", "https:evil.example", "/\\evil.example", "http://evil.example/", PAGE]
)
async def test_case_24_the_way_back_is_on_this_host(scene: Scene, wanted: str) -> None:
    ada = await scene.signed_in(factor=True)
    await approved(scene)
    page = await ada.visit(f"GET {PAGE}?return_to={quote(wanted, safe='')}")
    assert b'<a class="button quiet" href="/">' in page.body


async def test_a_program_is_told_as_well(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    reset = await opened(scene)
    answer = await ada.call("GET /.watchword/api/reset")
    assert (answer.status, answer.json) == (200, {"id": reset.id, "state": "open", "due_at": None})
    await ada.call("POST /.watchword/api/reset/stop", {})
    reset = await approved(scene)
    answer = await ada.call("GET /.watchword/api/reset")
    assert (answer.json["id"], answer.json["state"]) == (reset.id, "waiting")
    assert answer.json["due_at"].endswith("+00:00")
    assert LED.fullmatch(location(await ada.visit("GET /"))), "a person was not told by that"


# --- stopping


@pytest.mark.parametrize("start", [opened, approved])
async def test_one_click_stops_it_and_asks_for_no_code(scene: Scene, start: Any) -> None:
    ada, phone = await scene.signed_in(factor=True), await scene.signed_in()
    reset = await start(scene)
    stopped = await phone.visit(f"POST /.watchword/resets/{reset.id}/stop", {})
    assert location(stopped) == "/.watchword/security?notice=reset-stopped"
    assert b"It is stopped" in (await phone.visit("GET /.watchword/security?notice=reset-stopped")).body
    assert await state_of(scene, reset) is ResetState.STOPPED
    assert await stops(scene) == [("account:ada", f"{reset.id} on a signed-in device")]
    for client in (ada, phone):
        assert (await client.visit("GET /")).status == 200
        assert b"banner" not in (await client.visit("GET /.watchword/security")).body
    scene.clock.advance(4 * 86_400)
    assert await cases_of(scene).settle(scene.clock.now) == []
    account = await scene.gateway.store.accounts.find("ada")
    assert account is not None and (account.confirmed_factors, account.must_enrol) == (1, False)


async def test_a_program_stops_it(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    reset = await approved(scene)
    answer = await ada.call("POST /.watchword/api/reset/stop", {})
    assert (answer.status, answer.json) == (200, {"id": reset.id, "state": "stopped"})
    assert (await ada.call("POST /.watchword/api/reset/stop", {})).status == 404
    assert await stops(scene) == [("account:ada", f"{reset.id} on a signed-in device")]


async def test_a_stopped_case_stays_stopped(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    reset = await opened(scene)
    for item in reset.checklist:
        await cases_of(scene).record(reset.id, item, "seen", GRACE, scene.clock.now)
    await ada.visit(f"POST /.watchword/resets/{reset.id}/stop", {})
    assert await cases_of(scene).approve(reset.id, MARGARET, scene.clock.now) == "reset-closed"
    assert location(await ada.visit(f"POST /.watchword/resets/{reset.id}/stop", {})) == "/.watchword/security"
    assert len(await stops(scene)) == 1
    assert (await opened(scene)).id != reset.id


async def test_nobody_stops_what_is_somebody_elses(scene: Scene) -> None:
    await scene.signed_in(factor=True)
    bob = await scene.signed_in("bob", factor=True)
    adas = await approved(scene)
    for _ in range(2):
        bob_stops = await bob.visit(f"POST /.watchword/resets/{adas.id}/stop", {})
        assert location(bob_stops) == "/.watchword/security"
        assert await state_of(scene, adas) is ResetState.WAITING
        bobs = await opened(scene, "bob")  # and with one of his own, he still names hers
        await bob.visit(f"POST /.watchword/resets/{adas.id}/stop", {})
        assert await state_of(scene, bobs) is ResetState.OPEN
        await bob.call("POST /.watchword/api/reset/stop", {})
        assert await state_of(scene, bobs) is ResetState.STOPPED
    assert await state_of(scene, adas) is ResetState.WAITING


@pytest.mark.parametrize("marks", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
async def test_another_site_stops_nothing(scene: Scene, marks: dict[str, str]) -> None:
    ada = await scene.signed_in(factor=True)
    reset = await approved(scene)
    for path in (f"/.watchword/resets/{reset.id}/stop", "/.watchword/api/reset/stop", link(scene, reset)):
        key = {"key": stop_tag(scene.gateway.ring, reset.id)}
        answer = await ada.call(f"POST {path}", key, headers=marks)
        assert (answer.status, answer.json["reason"]) == (403, "wrong-origin")
    assert await state_of(scene, reset) is ResetState.WAITING


async def test_whoever_knows_only_the_password_does_not_stop_it(open_scene: OpenScene) -> None:
    """Where signing in takes a code, they are not signed in."""
    always = POLICY.replace("Signing in, protect: by-choice", "Signing in, protect: always")
    async with open_scene(policy=always) as scene:
        await scene.signed_in(factor=True)
        reset = await approved(scene)
        stolen = await scene.signed_in()
        answer = await stolen.call("POST /.watchword/api/reset/stop", {})
        assert (answer.status, answer.json["reason"]) == (401, "code-needed")
        assert await state_of(scene, reset) is ResetState.WAITING


# --- the link in a message


def link(scene: Scene, reset: Reset) -> str:
    return stop_path(scene.gateway.ring, reset.id)


async def test_a_link_shows_what_it_would_stop_and_changes_nothing(scene: Scene) -> None:
    await scene.signed_in(factor=True)
    reset = await approved(scene)
    stranger = scene.client()
    for method in ("GET", "HEAD", "GET"):
        page = await stranger.visit(f"{method} {link(scene, reset)}")
        assert page.status == 200
    assert page.header(b"referrer-policy") == [b"same-origin"]
    text = page.body.decode()
    assert "Exchange" in text and "<time" in text
    for secret in ("ada", "Ada", "4711", "grace", "margaret", "example.org"):
        assert secret not in text
    assert await state_of(scene, reset) is ResetState.WAITING


@pytest.mark.parametrize("start", [opened, approved])
async def test_the_button_behind_the_link_stops_it_without_a_session(scene: Scene, start: Any) -> None:
    await scene.signed_in(factor=True)
    reset = await start(scene)
    stranger = scene.client()
    path, key = link(scene, reset).split("?key=")
    page = await stranger.visit(f"POST {path}", {"key": key})
    assert page.status == 200
    assert b"It is stopped" in page.body
    assert await state_of(scene, reset) is ResetState.STOPPED
    assert await stops(scene) == [("account:ada", f"{reset.id} by the link in a message")]
    for again in (
        await stranger.visit(f"POST {path}", {"key": key}),
        await stranger.visit(f"GET {path}?key={key}"),
    ):
        assert again.status == 200
        assert b"There is nothing left to stop" in again.body
    assert len(await stops(scene)) == 1


async def test_without_the_right_key_nothing_is_stopped_and_nothing_is_learned(scene: Scene) -> None:
    await scene.signed_in(factor=True)
    reset = await approved(scene)
    other = stop_tag(scene.gateway.ring, "00" + "b" * 30)
    right = stop_tag(scene.gateway.ring, reset.id)
    stranger = scene.client()
    answers = set()
    for reset_id in (reset.id, "00" + "c" * 30, "x"):
        for key in ("", "x", other, right[:-1], right + "x", "%C3%A9", "%ED%A0%80"):
            path = f"{PAGE}/{reset_id}/stop"
            shown = await stranger.visit(f"GET {path}?key={key}")
            sent = await stranger.visit(f"POST {path}", {"key": key})
            answers |= {(shown.status, shown.body), (sent.status, sent.body)}
        answers.add(_told(await stranger.visit(f"GET {path}")))
        answers.add(_told(await stranger.visit(f"GET {path}?key={right}&key={right}")))
        answers.add(_told(await stranger.visit(f"POST {path}", {})))
    ((status, body),) = answers
    assert status == 404
    assert b"This link stops nothing" in body
    assert await state_of(scene, reset) is ResetState.WAITING


def _told(answer: Answer) -> tuple[int, bytes]:
    return answer.status, answer.body


async def test_a_link_is_of_one_case_and_one_ring(scene: Scene) -> None:
    await scene.signed_in(factor=True)
    first = await opened(scene)
    key = stop_tag(scene.gateway.ring, first.id)
    stranger = scene.client()
    await stranger.visit(f"POST {PAGE}/{first.id}/stop", {"key": key})
    second = await approved(scene)
    page = await stranger.visit(f"POST {PAGE}/{second.id}/stop", {"key": key})
    assert page.status == 404
    assert await state_of(scene, second) is ResetState.WAITING


# --- afterwards


async def test_after_a_reset_there_is_only_the_way_to_a_new_factor(scene: Scene) -> None:
    ada, phone = await scene.signed_in(factor=True), await scene.signed_in()
    reset = await approved(scene)
    scene.clock.advance(3 * 86_400)
    await cases_of(scene).settle(scene.clock.now)
    assert await state_of(scene, reset) is ResetState.DONE
    for client in (ada, phone):
        assert (await client.call("GET /")).status == 401

    fresh = await scene.signed_in()
    for line in ("GET /", "GET /profile", "POST /orders/7", "POST /withdrawals", "GET /staff/x"):
        answer = await fresh.call(line)
        assert answer.status in (401, 403), line
        page = await fresh.visit(line)
        if page.status == 303:
            assert location(page).startswith("/.watchword/factor-needed?action=sign-in"), line
    assert await scene.seen() == []
    assert (await fresh.call("GET /.watchword/security")).status == 200
    answer = await fresh.call("PUT /.watchword/api/password", {"current": "x", "new": "y"})
    assert (answer.status, answer.json["reason"]) == (401, "factor-missing")
    await fresh.enrol()
    assert (await fresh.call("GET /")).status == 200
    assert await scene.seen() == ["GET /"]


async def test_an_app_without_a_sign_in_action_is_no_way_around(open_scene: OpenScene) -> None:
    policy = POLICY.replace("  sign-in: {title: Signing in, protect: by-choice}\n", "")
    assert "sign-in" not in policy
    async with open_scene(policy=policy) as scene:
        await scene.signed_in(factor=True)
        await approved(scene)
        scene.clock.advance(3 * 86_400)
        await cases_of(scene).settle(scene.clock.now)
        fresh: Client = await scene.signed_in()
        needed = await fresh.visit(f"GET {location(await fresh.visit('GET /'))}")
        assert needed.status == 200 and b"Set up an authenticator app" in needed.body
        answer = await fresh.call("GET /")
        assert (answer.status, answer.json["reason"], answer.json["action"]) == (
            401,
            "factor-missing",
            "sign-in",
        )
        assert await scene.seen() == []
        await fresh.enrol()
        assert (await fresh.call("GET /")).status == 200
