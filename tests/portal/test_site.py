"""The gateway's own addresses: who may ask for which, before anything else is looked at."""

import re
from typing import Any

import pytest
from support.gateway import POLICY, Client, OpenScene, Scene
from support.raw_client import Answer

from gateway.core.policy.model import Need
from gateway.core.policy.own import (
    ADD_FACTOR,
    CHANGE_PASSWORD,
    MANAGE_PROFILE,
    MANAGE_PROTECTION,
    REMOVE_FACTOR,
    RENEW_RECOVERY_CODES,
)
from gateway.portal.activity import ActivityPage
from gateway.portal.devices import Devices
from gateway.portal.moving import Moving
from gateway.portal.profile import Profile
from gateway.portal.recovery import Recovery
from gateway.portal.resets import ResetPages
from gateway.portal.site import _routes
from gateway.portal.unlocking import Unlocking
from gateway.portal.waiting import Waiting

UNKNOWN = "0" * 32
UNUSED: Any = type("Unused", (), {"__getattr__": lambda self, name: name})()
TOPICS = (
    Profile(UNUSED, UNUSED, "private", writes=False),
    ActivityPage(UNUSED, UNUSED),
    Recovery(UNUSED, UNUSED),
    Unlocking(UNUSED, UNUSED),
    Moving(UNUSED, UNUSED),
    Devices(UNUSED, UNUSED),
    Waiting(UNUSED, UNUSED, UNUSED),
    ResetPages(UNUSED, UNUSED, UNUSED, UNUSED),
)
ROUTES = (*_routes(UNUSED, UNUSED), *(route for topic in TOPICS for route in topic.routes()))
LINES = {
    f"{route.method} {re.sub('{.*}', UNKNOWN, route.pattern)}".replace(
        f"static/{UNKNOWN}", "static/watchword.css"
    ): route
    for route in ROUTES
}
CLOSED = [line for line, route in LINES.items() if route.need is not Need.PUBLIC]
CHANGING = [line for line in LINES if not line.startswith("GET ")]
SHOWING = [line for line in LINES if line.startswith("GET ")]

OPEN = {
    "GET /.watchword/static/watchword.css",
    "GET /.watchword/sign-in",
    "POST /.watchword/sign-in",
    "POST /.watchword/sign-out",
    f"GET /.watchword/ended/{UNKNOWN}",
    "GET /.watchword/waiting",
    "POST /.watchword/waiting",
    "GET /.watchword/waiting/events",
    "GET /.watchword/api/waiting",
    "POST /.watchword/api/waiting",
    f"GET /.watchword/step-up/{UNKNOWN}",
    f"POST /.watchword/step-up/{UNKNOWN}",
    f"GET /.watchword/step-up/{UNKNOWN}/recovery",
    f"POST /.watchword/step-up/{UNKNOWN}/recovery",
    f"GET /.watchword/reset/{UNKNOWN}/stop",
    f"POST /.watchword/reset/{UNKNOWN}/stop",
    "POST /.watchword/api/sign-in",
    "POST /.watchword/api/sign-out",
    f"GET /.watchword/api/step-up/{UNKNOWN}",
    f"POST /.watchword/api/step-up/{UNKNOWN}",
}

ALWAYS = POLICY.replace("Signing in, protect: by-choice", "Signing in, protect: always")
ON_BY_DEFAULT = POLICY.replace(
    "Signing in, protect: by-choice", "Signing in, protect: by-choice, default: on"
)


def location(answer: Answer) -> str:
    assert answer.status == 303, answer
    return answer.header(b"location")[0].decode()


def test_what_is_open_to_everybody() -> None:
    assert set(LINES) - set(CLOSED) == OPEN


def test_what_needs_a_code() -> None:
    assert {line for line, route in LINES.items() if route.action} == {
        "POST /.watchword/security/factors",
        "POST /.watchword/security/protection",
        "POST /.watchword/api/factors",
        f"DELETE /.watchword/api/factors/{UNKNOWN}",
        "PUT /.watchword/api/protection",
        "GET /.watchword/password",
        "POST /.watchword/password",
        "PUT /.watchword/api/password",
        "POST /.watchword/profile",
        "PUT /.watchword/api/profile",
        "POST /.watchword/security/move",
        "POST /.watchword/security/recovery-codes",
        "POST /.watchword/api/recovery-codes",
    }
    for line, route in LINES.items():
        own = {
            "protection": MANAGE_PROTECTION,
            "password": CHANGE_PASSWORD,
            "profile": MANAGE_PROFILE,
            "recovery-codes": RENEW_RECOVERY_CODES,
        }
        about_factors = REMOVE_FACTOR if line.startswith("DELETE") else ADD_FACTOR
        expected = own.get(line.rpartition("/")[2], about_factors)
        assert route.action in (None, expected), line


async def test_without_a_session_there_is_only_the_way_in(scene: Scene) -> None:
    for line in CLOSED:
        stranger = scene.client()
        page = await stranger.visit(line, form={} if line in CHANGING else None)
        assert location(page).startswith("/.watchword/sign-in?return_to="), line
        answer = await stranger.call(line, {} if line in CHANGING else None)
        assert (answer.status, answer.json["reason"]) == (401, "no-session"), line
    assert await scene.seen() == []


async def test_without_a_session_a_challenge_leads_to_sign_in(scene: Scene) -> None:
    stranger = scene.client()
    for method in ("GET", "POST"):
        form = {"code": "123456"} if method == "POST" else None
        assert location(await stranger.visit(f"{method} /.watchword/step-up/{UNKNOWN}", form)) == (
            "/.watchword/sign-in"
        )
        answer = await stranger.call(f"{method} /.watchword/api/step-up/{UNKNOWN}", form)
        assert (answer.status, answer.json["reason"]) == (401, "no-session")


FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost:81"},
    {"Origin": "https://localhost"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
]


@pytest.mark.parametrize("marks", FOREIGN, ids=str)
async def test_other_sites_change_nothing(scene: Scene, marks: dict[str, str]) -> None:
    ada = await scene.signed_in()
    for line in CHANGING:
        answer = await ada.call(line, {"code": "123456"}, headers=marks)
        assert (answer.status, answer.json["reason"]) == (403, "wrong-origin"), line
    assert (await ada.call("GET /.watchword/api/me")).status == 200


async def test_a_refusal_to_another_site_is_a_page_for_a_person(scene: Scene) -> None:
    ada = await scene.signed_in()
    answer = await ada.visit("POST /.watchword/sign-out", form={}, headers={"Origin": "https://evil.example"})
    assert answer.status == 403
    assert b"started by another site" in answer.body


@pytest.mark.parametrize(
    "path",
    [
        "/.watchword/nothing",
        "/.watchword/security/",
        "/.watchword/api/",
        "/.watchword/Security",
    ],
)
async def test_unknown_addresses_are_not_the_apps(scene: Scene, path: str) -> None:
    ada = await scene.signed_in()
    answer = await ada.call(f"GET {path}")
    assert (answer.status, answer.json["reason"]) == (404, "not-found")
    page = await ada.visit(f"GET {path}")
    assert page.status == 404
    assert b"There is nothing here" in page.body
    assert await scene.seen() == []


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        ("DELETE /.watchword/security", b"GET"),
        ("GET /.watchword/sign-out", b"POST"),
        ("PUT /.watchword/sign-in", b"GET, POST"),
        (f"GET /.watchword/api/factors/{UNKNOWN}", b"DELETE"),
        ("OPTIONS /.watchword/api/me", b"GET"),
    ],
)
async def test_other_methods_are_refused_with_those_allowed(scene: Scene, line: str, allowed: bytes) -> None:
    answer = await (await scene.signed_in()).call(line)
    assert (answer.status, answer.json["reason"]) == (405, "method-refused")
    assert answer.header(b"allow") == [allowed]


async def test_head_is_get_without_the_body(scene: Scene) -> None:
    ada = await scene.signed_in()
    for line in SHOWING:
        shown = await ada.visit(line)
        head = await ada.visit(line.replace("GET", "HEAD", 1))
        assert (head.status, head.body) == (shown.status, b""), line
        names = {b"content-type", b"location", b"cache-control"}
        for name in names | {b"content-length"} if shown.body else names:
            assert head.header(name) == shown.header(name), line


# --- before the code of a protected sign-in


async def halfway(scene: Scene) -> tuple[Client, Client]:
    """Somebody with a factor in a session with a code, and in one with a password only."""
    ada = await scene.signed_in(factor=True)
    stolen = await scene.signed_in()
    stolen.setup_key = ada.setup_key
    return ada, stolen


@pytest.mark.parametrize("policy", [ALWAYS, ON_BY_DEFAULT], ids=["always", "on by default"])
async def test_before_the_code_of_the_sign_in_only_the_way_on_or_out_is_open(
    open_scene: OpenScene, policy: str
) -> None:
    async with open_scene(policy=policy) as scene:
        _, stolen = await halfway(scene)
        for line in [*CLOSED, "GET /", "POST /withdrawals", "GET /profile"]:
            form = None if line.startswith("GET ") else {"amount": "1", "address": "x"}
            assert location(await stolen.visit(line, form)).startswith("/.watchword/step-up/"), line
            answer = await stolen.call(line, form)
            assert (answer.status, answer.json["reason"]) == (401, "code-needed"), line
            assert answer.json["action"] == "sign-in"
        assert await scene.seen() == []


@pytest.mark.parametrize("policy", [ALWAYS, ON_BY_DEFAULT], ids=["always", "on by default"])
async def test_the_code_of_the_sign_in_opens_the_rest(open_scene: OpenScene, policy: str) -> None:
    async with open_scene(policy=policy) as scene:
        _, stolen = await halfway(scene)
        challenge = await stolen.call("GET /.watchword/api/me")
        assert (await stolen.answer(challenge)).status == 200
        for line in (
            "GET /.watchword/api/me",
            "GET /.watchword/security",
            "GET /.watchword/devices",
            "GET /",
        ):
            assert (await stolen.call(line)).status == 200, line


@pytest.mark.parametrize("policy", [ALWAYS, ON_BY_DEFAULT], ids=["always", "on by default"])
async def test_the_code_of_the_set_up_is_the_code_of_the_sign_in(open_scene: OpenScene, policy: str) -> None:
    async with open_scene(policy=policy) as scene:
        ada = await scene.signed_in(factor=True)
        assert (await ada.call("GET /")).status == 200


async def test_who_must_have_a_factor_and_has_none_is_led_to_set_up(open_scene: OpenScene) -> None:
    async with open_scene(policy=ALWAYS) as scene:
        ada = await scene.signed_in()
        needed = location(await ada.visit("GET /"))
        assert needed == "/.watchword/factor-needed?action=sign-in"
        page = await ada.visit(f"GET {needed}")
        assert page.status == 200
        assert b"Signing in needs a code" in page.body
        assert (await ada.visit("GET /.watchword/security")).status == 200
        await ada.enrol()
        assert (await ada.visit("GET /")).status == 200


# --- a device that waits


async def test_a_pending_device_sees_the_waiting_page_only(open_scene: OpenScene) -> None:
    async with open_scene(devices={"later": "approve"}) as scene:
        await scene.signed_in()
        later = await scene.signed_in()
        for line in [*CLOSED, "GET /"]:
            form = None if line.startswith("GET ") else {}
            assert location(await later.visit(line, form)).startswith("/.watchword/waiting?return_to="), line
            answer = await later.call(line, form)
            assert (answer.status, answer.json["reason"]) == (401, "device-pending"), line
        assert await scene.seen() == []
