"""Another proxy asks about a request: what it is told, for each kind of proxy, by a whole gateway."""

import json
from collections.abc import Mapping
from pathlib import Path

import jwt
import pytest
from aiohttp import web
from support.gateway import UPGRADE, Client, OpenScene, Scene
from support.raw_client import Answer
from support.servers import LIKE_OURS
from support.store import running_server

from gateway.core.reasons import Reason
from gateway.proxy.verdict import Allowed, worded
from gateway.store.sessions import Sessions
from gateway.web.forward_auth import Dialect
from gateway.web.problems import problem

TRUSTING = {"forward_auth": True, "trusted_proxies": ("127.0.0.1/32",)}
NAMED = ("remote-user", "remote-name", "remote-email", "remote-groups", "watchword-assertion")
NAVIGATION = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}

pytestmark = pytest.mark.parametrize("dialect", Dialect, ids=lambda dialect: dialect.name.lower())


async def ask(
    client: Client, dialect: Dialect, line: str, headers: Mapping[str, str] = {}, host: str = "localhost"
) -> Answer:
    """Ask about a request of a client in the way of a proxy."""
    method, _, target = line.partition(" ")
    match dialect:
        case Dialect.FORWARDED:
            said = {"X-Forwarded-Method": method, "X-Forwarded-Uri": target, "X-Forwarded-Host": host}
            return await client.call(f"GET {dialect}", headers={"Host": "elsewhere:1", **headers, **said})
        case Dialect.NGINX:
            said = {"X-Original-Method": method, "X-Original-URI": target, "Host": host}
            return await client.call(f"GET {dialect}", headers={**headers, **said})
        case Dialect.ENVOY:
            return await client.call(f"{method} {dialect}{target}", headers={**headers, "Host": host})


def reason_of(answer: Answer) -> str:
    (carried,) = answer.header(b"watchword-problem") or [answer.body]
    return str(json.loads(carried)["reason"])


def location(answer: Answer, dialect: Dialect) -> str:
    """Where a page load is led; Traefik must be told the whole address."""
    (address,) = answer.header(b"location")
    if dialect is not Dialect.FORWARDED:
        return address.decode()
    assert address.startswith(b"http://localhost/")
    return address.decode().removeprefix("http://localhost")


def as_told(dialect: Dialect, status: int) -> int:
    """A refusal's status; nginx knows one."""
    return 403 if dialect is Dialect.NGINX else status


def told(answer: Answer, name: str) -> list[bytes]:
    return answer.header(name.encode())


@pytest.fixture
async def trusting(open_scene: OpenScene, dialect: Dialect) -> object:
    async with open_scene(**TRUSTING) as scene:
        yield scene


async def test_yes_and_who_asks(trusting: Scene, dialect: Dialect) -> None:
    ada = await trusting.signed_in(groups=("traders", "staff"))
    ada.cookies["theme"] = "dark"
    answer = await ask(ada, dialect, "POST /mine?a=b", {"Remote-User": "root"})
    assert (answer.status, answer.body) == (200, b"")
    assert [told(answer, name) for name in NAMED[:4]] == [
        [b"ada"],
        [b"Ada"],
        [b"ada@example.org"],
        [b"staff,traders"],
    ]
    (assertion,) = told(answer, "watchword-assertion")
    claims = jwt.decode(assertion, options={"verify_signature": False})
    assert (claims["sub"], claims["aud"], claims["iss"]) == ("ada", "exchange", "http://localhost")
    assert told(answer, "cookie") == [b"theme=dark"], "our own are not for the app"
    assert told(answer, "cache-control") == [b"no-store"]
    assert trusting.app.requests == []


async def test_on_a_public_path_every_name_is_empty(trusting: Scene, dialect: Dialect) -> None:
    ada = await trusting.signed_in()
    answer = await ask(ada, dialect, "GET /public/x", {"Remote-User": "root", "Cookie": "ww-session=x"})
    assert answer.status == 200
    assert [told(answer, name) for name in (*NAMED, "cookie")] == [[b""]] * 6


async def test_memory_answers_and_the_use_is_noted(
    trusting: Scene, dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await trusting.signed_in()
    assert (await ask(ada, dialect, "GET /mine")).status == 200

    async def never(*_: object, **__: object) -> object:
        raise AssertionError("the store was asked")

    trusting.clock.advance(120)
    with monkeypatch.context() as patch:
        patch.setattr(Sessions, "read", never)
        forwarded = {"X-Forwarded-For": "192.0.2.9"}
        assert (await ask(ada, dialect, "GET /mine", forwarded)).status == 200
    await trusting.note_uses()
    (session,) = await trusting.gateway.store.sessions.list("ada")
    assert session.address == "192.0.2.9"


async def test_who_is_not_signed_in(trusting: Scene, dialect: Dialect) -> None:
    nobody = trusting.client()
    answer = await ask(nobody, dialect, "GET /mine")
    assert (answer.status, reason_of(answer)) == (401, "no-session")
    assert told(answer, "www-authenticate") == [b'Bearer realm="exchange"']
    page = await ask(nobody, dialect, "GET /mine?a=b", NAVIGATION)
    assert page.status == (401 if dialect is Dialect.NGINX else 303)
    assert location(page, dialect) == "/.watchword/sign-in?return_to=/mine%3Fa%3Db"


async def test_who_needs_a_code_is_asked_for_one_and_comes_back(trusting: Scene, dialect: Dialect) -> None:
    ada = await trusting.signed_in(factor=True)
    asked = await ask(ada, dialect, "GET /password", {"Watchword-Code": ada.next_code()})
    assert (asked.status, reason_of(asked)) == (401, "code-needed"), "a code that comes along is not heeded"
    page = await ask(ada, dialect, "GET /password", NAVIGATION)
    assert page.status == (401 if dialect is Dialect.NGINX else 303)
    back = await ada.visit(f"POST {location(page, dialect)}", {"code": ada.next_code()})
    assert (back.status, told(back, "location")) == (303, [b"/password"])
    allowed = await ask(ada, dialect, "GET /password", NAVIGATION)
    assert allowed.status == 200
    claims = jwt.decode(told(allowed, "watchword-assertion")[0], options={"verify_signature": False})
    assert claims["amr"] == ["pwd", "otp", "mfa"]


async def test_a_form_that_needs_a_code_is_not_kept(trusting: Scene, dialect: Dialect) -> None:
    """Its body is out of sight; after the code, the person sends it again."""
    ada = await trusting.signed_in(factor=True)
    page = await ask(ada, dialect, "POST /password", NAVIGATION)
    back = await ada.visit(f"POST {location(page, dialect)}", {"code": ada.next_code()})
    assert back.status == 303
    assert "ww-resume" not in ada.cookies
    assert (await ask(ada, dialect, "POST /password", NAVIGATION)).status == 200


@pytest.mark.parametrize("line", ["POST /withdrawals", "POST /api/transfers", "GET /orders/7"])
async def test_what_is_approved_by_its_body_is_refused(trusting: Scene, dialect: Dialect, line: str) -> None:
    for factor in (False, True):
        ada = await trusting.signed_in(str(factor).lower(), factor=factor)
        answer = await ask(ada, dialect, line, {"Watchword-Code": ada.next_code()} if factor else {})
        assert (answer.status, reason_of(answer)) == (403, "body-unseen")
        page = await ask(ada, dialect, line, NAVIGATION)
        assert (page.status, told(page, "location")) == (403, [])


async def test_a_request_that_was_parked_in_the_gateway_is_not_resumed(
    trusting: Scene, dialect: Dialect
) -> None:
    ada = await trusting.signed_in(factor=True)
    parked = await ada.visit("POST /withdrawals", {"amount": "1", "address": "bc1q"})
    await ada.visit(f"POST {told(parked, 'location')[0].decode()}", {"code": ada.next_code()})
    assert "ww-resume" in ada.cookies
    assert (await ask(ada, dialect, "GET /withdrawals", NAVIGATION)).status == 200
    assert trusting.app.requests == []
    assert (await ada.visit("GET /withdrawals")).status == 200, "the gateway itself still has it"
    assert trusting.app.lines == ["POST /withdrawals"]


async def test_what_is_refused(trusting: Scene, dialect: Dialect) -> None:
    ada = await trusting.signed_in()
    for line, status, reason in (
        ("GET /admin", 403, "denied"),
        ("GET /staff/x", 403, "denied"),
        ("GET //mine", 400, "bad-request"),
        ("GET /public/../mine", 400, "bad-request"),
        ("GET /.watchword/sign-in", 400, "bad-request"),
    ):
        answer = await ask(ada, dialect, line)
        assert (answer.status, reason_of(answer)) == (as_told(dialect, status), reason), line
    other = await ask(ada, dialect, "GET /mine", host="elsewhere")
    assert (other.status, reason_of(other)) == (as_told(dialect, 421), "unknown-host")
    asset = await ask(ada, dialect, "GET /.watchword/static/style.css", host="elsewhere")
    assert (asset.status, reason_of(asset)) == (as_told(dialect, 400), "bad-request")
    assert (await ask(ada, dialect, "GET /admin", NAVIGATION)).status == 403


async def test_groups_count(trusting: Scene, dialect: Dialect) -> None:
    grace = await trusting.signed_in("grace", groups=("staff",))
    assert (await ask(grace, dialect, "GET /staff/x")).status == 200


async def test_a_websocket_from_another_site(trusting: Scene, dialect: Dialect) -> None:
    """Case 32. Proxies keep Upgrade to themselves."""
    ada = await trusting.signed_in()
    handshake = {name: value for name, value in UPGRADE.items() if name.startswith("Sec-")}
    answer = await ask(ada, dialect, "GET /ws", {**handshake, "Origin": "http://evil.test"})
    assert (answer.status, reason_of(answer)) == (403, "wrong-origin")
    assert (await ask(ada, dialect, "GET /ws", {**handshake, "Origin": "http://localhost"})).status == 200


async def test_an_ended_session_is_out_at_once(trusting: Scene, dialect: Dialect) -> None:
    ada = await trusting.signed_in()
    assert (await ask(ada, dialect, "GET /mine")).status == 200
    assert (
        await ada.with_cookies(session=ada.session).call("POST /.watchword/api/sessions/revoke-all")
    ).status == 200
    answer = await ask(ada, dialect, "GET /mine")
    assert (answer.status, reason_of(answer)) == (401, "session-revoked")


async def test_a_store_that_is_down_is_no_pass(
    open_scene: OpenScene, short_path: Path, dialect: Dialect
) -> None:
    with running_server(short_path, *LIKE_OURS) as server:
        async with open_scene(store={"url": server.url, "timeout": 0.05}, **TRUSTING) as scene:
            ada = await scene.signed_in()
            assert (await ask(ada, dialect, "GET /mine")).status == 200
            server.process.kill()
            server.process.wait()
            await scene.outlast_leases()
            for headers in ({}, NAVIGATION):
                answer = await ask(ada, dialect, "GET /mine", headers)
                assert (answer.status, told(answer, "retry-after")) == (503, [b"5"])
            assert (await ask(ada, dialect, "GET /public/x")).status == 200


@pytest.mark.parametrize(
    "settings",
    [
        {"forward_auth": True, "trusted_proxies": ("10.0.0.0/8",)},
        {"forward_auth": False, "trusted_proxies": ("127.0.0.1/32",)},
    ],
    ids=["others are trusted", "it is off"],
)
async def test_nobody_else_may_ask(
    open_scene: OpenScene, dialect: Dialect, settings: Mapping[str, object]
) -> None:
    async with open_scene(**settings) as scene:
        for client in (scene.client(), await scene.signed_in()):
            for line in ("GET /public/x", "GET /mine"):
                forged = {"X-Forwarded-For": "10.0.0.1"}
                answer = await ask(client, dialect, line, forged)
                unknown = dialect is Dialect.FORWARDED  # which is asked under any host
                assert (answer.status, reason_of(answer)) == (
                    (421, "unknown-host") if unknown else (404, "not-found")
                )
                assert [told(answer, name) for name in (*NAMED, "cookie")] == [[]] * 6
        assert scene.app.requests == []


# --- the words for each


def test_yes_is_the_same_for_all(dialect: Dialect) -> None:
    yes = Allowed(status=200)
    assert worded(dialect, yes) is yes


@pytest.mark.parametrize("status", [200, 204, 206])
def test_what_nobody_allowed_is_never_a_yes(dialect: Dialect, status: int) -> None:
    assert worded(dialect, web.Response(status=status)).status in (403, 500)


@pytest.mark.parametrize("status", [400, 403, 404, 405, 413, 421, 500, 502, 504])
def test_nginx_knows_only_one_no(dialect: Dialect, status: int) -> None:
    assert worded(dialect, web.Response(status=status)).status == as_told(dialect, status)


def test_a_problem_fits_into_a_header(dialect: Dialect) -> None:
    answer = worded(dialect, problem(Reason.BAD_REQUEST, "Zoë\r\n佐"))
    assert isinstance(answer, web.Response)
    if dialect is not Dialect.NGINX:
        assert (answer.status, answer.headers.get("Watchword-Problem")) == (400, None)
        return
    carried = answer.headers["Watchword-Problem"]
    assert carried.isascii() and carried.isprintable()
    said = json.loads(carried)
    assert (said["detail"], said["status"], said["reason"]) == ("Zoë\r\n佐", 403, "bad-request")
