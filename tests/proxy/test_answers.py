"""How each decision looks to a person and to a program: the table of the design's section 6."""

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from support.gateway import POLICY, Client, OpenScene, Scene
from support.raw_client import Answer

CODE_AT_SIGN_IN = POLICY.replace("Signing in, protect: by-choice", "Signing in, protect: always")
TRANSFER = {"amount": "10", "address": "bc1q"}
INSUFFICIENT = 'Bearer error="insufficient_user_authentication", acr_values="otp"'


def assert_problem(answer: Answer, status: int, reason: str) -> None:
    """RFC 9457, never cached."""
    assert (answer.status, answer.json["status"], answer.json["reason"]) == (status, status, reason)
    assert answer.json["type"] == f"urn:watchword:problem:{reason}"
    assert answer.json["title"]
    assert answer.header(b"content-type") == [b"application/problem+json"]
    assert answer.header(b"cache-control") == [b"no-store"]
    assert answer.header(b"location") == []


def assert_page(answer: Answer, status: int) -> None:
    assert (answer.status, answer.header(b"content-type")) == (status, [b"text/html; charset=utf-8"])
    assert b"default-src 'none'" in answer.header(b"content-security-policy")[0]
    assert answer.header(b"cache-control") == [b"no-store"]
    assert answer.body.startswith(b"<!doctype html>")


def led_to(answer: Answer) -> tuple[str, dict[str, list[str]]]:
    """Where a 303 leads: the path, and the query."""
    assert (answer.status, answer.header(b"cache-control")) == (303, [b"no-store"])
    (location,) = answer.header(b"location")
    parts = urlsplit(location.decode())
    assert not parts.netloc
    return parts.path, parse_qs(parts.query)


# --- sign in


async def nobody(scene: Scene) -> Client:
    return scene.client()


async def expired(scene: Scene) -> Client:
    ada = await scene.signed_in()
    scene.clock.advance(3600)
    return ada


async def thrown_out(scene: Scene) -> Client:
    ada = await scene.signed_in()
    kept = dict(ada.cookies)
    await ada.call("POST /.watchword/api/sessions/revoke-all")
    ada.cookies = kept
    return ada


async def disabled(scene: Scene) -> Client:
    ada = await scene.signed_in()
    await scene.gateway.store.revocations.account(
        "ada", reason="", actor="", now=scene.clock.now, disable=True
    )
    return ada


async def on_a_revoked_device(scene: Scene) -> Client:
    ada = await scene.signed_in()
    (device,) = (await ada.call("GET /.watchword/api/devices")).json
    await ada.call(f"DELETE /.watchword/api/devices/{device['id']}")
    return ada


@pytest.mark.parametrize(
    ("who", "reason"),
    [
        (nobody, "no-session"),
        (expired, "session-expired"),
        (thrown_out, "session-revoked"),
        (disabled, "account-disabled"),
        (on_a_revoked_device, "device-revoked"),
    ],
)
async def test_who_must_sign_in(scene: Scene, who: Callable[[Scene], Awaitable[Client]], reason: str) -> None:
    client = await who(scene)
    for line in ("GET /mine?a=%2F&b", "POST /mine?a=%2F&b", "DELETE /.watchword/api/devices/x"):
        answer = await client.call(line)
        assert_problem(answer, 401, reason)
        assert answer.json["sign_in"] == "/.watchword/sign-in"
        error = "" if reason == "no-session" else ', error="invalid_token"'
        assert answer.header(b"www-authenticate") == [f'Bearer realm="exchange"{error}'.encode()]
    for line in ("GET /mine?a=%2F&b", "POST /mine?a=%2F&b"):
        path, query = led_to(await client.visit(line))
        assert (path, query.pop("return_to")) == ("/.watchword/sign-in", ["/mine?a=%2F&b"])
        assert query == ({} if reason == "no-session" else {"reason": [reason]})
    assert await scene.seen() == []


# --- step up


@pytest.mark.parametrize(
    ("line", "max_age"),
    [("POST /api/transfers", ', max_age="0"'), ("GET /password", ', max_age="300"'), ("GET /profile", "")],
)
async def test_who_must_give_a_code(scene: Scene, line: str, max_age: str) -> None:
    ada = await scene.signed_in(factor=True)
    answer = await ada.call(line, TRANSFER)
    assert_problem(answer, 401, "code-needed")
    assert answer.header(b"www-authenticate") == [f"{INSUFFICIENT}{max_age}".encode()]
    problem = answer.json
    assert problem["step_up"] == f"/.watchword/step-up/{problem['challenge']}"
    assert problem["answer"] == f"/.watchword/api/step-up/{problem['challenge']}"
    shown = (await ada.call(f"GET {problem['answer']}")).json
    assert [shown[key] for key in ("action", "title", "approves", "expires_at")] == [
        problem[key] for key in ("action", "action_title", "approves", "expires_at")
    ]
    path, query = led_to(await ada.visit(line, TRANSFER if "POST" in line else None))
    assert (path.rpartition("/")[0], query) == ("/.watchword/step-up", {})
    assert_page(await ada.visit(f"GET {path}"), 200)
    assert await scene.seen() == []


async def test_what_is_approved_is_told(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    problem = (await ada.call("POST /api/transfers", TRANSFER)).json
    assert (problem["action"], problem["action_title"]) == ("approve-transaction", "Approving a transaction")
    assert problem["approves"] == [{"label": "Amount", "value": "10"}, {"label": "To", "value": "bc1q"}]


async def test_who_has_no_factor_is_shown_where_to_set_one_up(scene: Scene) -> None:
    ada = await scene.signed_in()
    answer = await ada.call("POST /api/transfers", TRANSFER)
    assert_problem(answer, 401, "factor-missing")
    assert answer.header(b"www-authenticate") == [f'{INSUFFICIENT}, max_age="0"'.encode()]
    assert (answer.json["set_up"], answer.json["action"]) == ("/.watchword/security", "approve-transaction")
    path, query = led_to(await ada.visit("POST /withdrawals", TRANSFER))
    assert (path, query) == ("/.watchword/factor-needed", {"action": ["approve-transaction"]})
    page = await ada.visit(f"GET {path}?action=approve-transaction")
    assert_page(page, 200)
    assert b"Approving a transaction" in page.body
    assert await scene.seen() == []


async def test_who_has_no_factor_where_signing_in_needs_one_can_set_it_up(open_scene: OpenScene) -> None:
    async with open_scene(policy=CODE_AT_SIGN_IN) as scene:
        ada = await scene.signed_in()
        assert_problem(await ada.call("GET /mine"), 401, "factor-missing")
        path, query = led_to(await ada.visit("GET /mine"))
        assert_page(await ada.visit(f"GET {path}?action={query['action'][0]}"), 200)
        assert_page(await ada.visit("GET /.watchword/security"), 200)
        await ada.enrol()
        assert (await ada.visit("GET /mine")).status == 200, "the code of the set-up counts"


# --- authorise the device


async def test_who_waits_for_a_device_to_be_authorised(open_scene: OpenScene) -> None:
    async with open_scene(devices={"later": "approve"}) as scene:
        ada, phone = await scene.signed_in(), await scene.signed_in()
        answer = await phone.call("GET /mine")
        assert_problem(answer, 401, "device-pending")
        assert answer.header(b"www-authenticate") == [b'Bearer realm="exchange"']
        assert answer.json["waiting"] == "/.watchword/waiting"
        assert answer.json["answer"] == "/.watchword/api/waiting"
        path, query = led_to(await phone.visit("GET /mine?a"))
        assert (path, query) == ("/.watchword/waiting", {"return_to": ["/mine?a"]})
        waiting = await phone.visit(f"GET {path}?return_to=/mine")
        assert_page(waiting, 200)
        assert await scene.seen() == []

        pending = next(d for d in (await ada.call("GET /.watchword/api/devices")).json if not d["current"])
        assert (await ada.call(f"POST /.watchword/api/devices/{pending['id']}/authorise")).status == 200
        assert led_to(await phone.visit(f"GET {path}?return_to=/mine")) == ("/mine", {})
        assert (await phone.call("GET /mine")).status == 200


# --- refuse


@pytest.mark.parametrize(
    ("line", "status", "reason"),
    [
        ("GET /admin", 403, "denied"),
        ("GET /.watchword/nothing", 404, "not-found"),
        ("DELETE /.watchword/sign-in", 405, "method-refused"),
        ("GET /a//b", 400, "bad-request"),
        ("GET /a;b", 400, "bad-request"),
    ],
)
async def test_who_is_refused(scene: Scene, line: str, status: int, reason: str) -> None:
    for client in (scene.client(), await scene.signed_in()):
        assert_problem(await client.call(line), status, reason)
        assert_page(await client.visit(line), status)
    assert await scene.seen() == []


async def test_a_refused_form_is_not_offered_to_be_sent_again(open_scene: OpenScene) -> None:
    async with open_scene(policy=POLICY.replace("UPSTREAM", "http://127.0.0.1:1")) as scene:
        pages = [(await scene.client().visit(f"{method} /public/x")).body for method in ("GET", "POST")]
        assert [page.count(b"Try again") for page in pages] == [1, 0]


# --- a person or a program


@pytest.mark.parametrize(
    ("headers", "is_navigation"),
    [
        ({}, False),
        ({"Accept": "*/*"}, False),
        ({"Accept": "application/json"}, False),
        ({"Accept": "text/html,*/*;q=0.8"}, True),
        ({"Accept": "text/html", "X-Requested-With": "XMLHttpRequest"}, False),
        ({"Accept": "text/html", "Sec-Fetch-Mode": "cors"}, False),
        ({"Accept": "text/html", "Sec-Fetch-Mode": "websocket"}, False),
        ({"Accept": "*/*", "Sec-Fetch-Mode": "navigate"}, True),
        ({"X-Requested-With": "XMLHttpRequest", "Sec-Fetch-Mode": "navigate"}, True),
    ],
)
async def test_who_is_asking_decides_the_form(
    scene: Scene, headers: dict[str, str], is_navigation: bool
) -> None:
    assert (await scene.client().call("GET /mine", headers=headers)).status == (303 if is_navigation else 401)
