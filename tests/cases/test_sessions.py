"""Cases 25 to 28: sessions that somebody else chose, kept, doubled, or makes use of."""

from itertools import chain

import pytest
from support.gateway import OpenScene, Scene
from support.raw_client import Answer
from support.recording import Received

from gateway.portal import site
from gateway.portal.api import Api
from gateway.portal.devices import Devices
from gateway.portal.forms import Forms
from gateway.portal.waiting import Waiting

TRANSFER = {"amount": "10", "address": "bc1q"}
AUTHORITIES = ["localhost", "127.0.0.1"]


def reason(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json["reason"]


# --- 25: ids from before


@pytest.mark.parametrize("authority", AUTHORITIES)
@pytest.mark.parametrize(
    "chosen", [f"00.{'A' * 43}", "00.", "x", "", f"01.{'A' * 43}", f"0g.{'A' * 43}", f"00.{'é' * 43}"]
)
async def test_case_25_an_id_chosen_before_sign_in(scene: Scene, chosen: str, authority: str) -> None:
    await scene.signed_in()
    victim = scene.client(authority)
    victim.cookies = {"ww-session": chosen}
    assert (await victim.call("GET /mine")).status == 401
    await victim.sign_in("ada")
    assert victim.session != chosen
    attacker = victim.with_cookies(session=chosen)
    assert (await attacker.call("GET /mine")).status == 401
    assert (await victim.call("GET /mine")).status == 200
    assert await scene.seen() == ["GET /mine"]


async def test_case_25_signing_in_again_ends_the_session_before(scene: Scene) -> None:
    ada = await scene.signed_in()
    before = ada.with_cookies(session=ada.session)
    await ada.sign_in("ada")
    assert reason(await before.call("GET /mine")) == (401, "no-session")
    assert (await ada.call("GET /mine")).status == 200


@pytest.mark.parametrize("authority", AUTHORITIES)
async def test_case_25_the_id_from_before_a_step_up(scene: Scene, authority: str) -> None:
    ada = await scene.signed_in(factor=True, authority=authority)
    before = ada.with_cookies(session=ada.session)
    once, lasting = await ada.call("POST /api/transfers", TRANSFER), await ada.call("GET /password")
    await ada.answer(once)
    between = ada.with_cookies(session=ada.session)
    await ada.answer(lasting)
    assert len({before.session, between.session, ada.session}) == 3

    assert (await between.call("GET /mine")).status == 200, "a page's parallel calls do not fail"
    assert reason(await between.call("GET /password")) == (401, "code-needed")
    grants = (await between.call("GET /.watchword/api/me")).json["grants"]
    assert {grant["action"] for grant in grants} == {"sign-in", "approve-transaction"}
    scene.clock.advance(4.9)
    assert (await between.call("GET /mine")).status == 200
    scene.clock.advance(0.1)
    for old in (before, between):
        assert reason(await old.call("GET /mine")) == (401, "no-session")
        assert reason(await old.call("POST /api/transfers", TRANSFER)) == (401, "no-session")

    assert (await ada.call("GET /password")).status == 200
    assert (await ada.call("POST /api/transfers", TRANSFER)).status == 200
    assert await scene.seen() == ["GET /mine", "GET /mine", "GET /password", "POST /api/transfers"]


async def test_case_25_the_id_from_before_the_factor_was_set_up(scene: Scene) -> None:
    ada = await scene.signed_in()
    before = ada.with_cookies(session=ada.session)
    await ada.enrol()
    scene.clock.advance(5)
    assert reason(await before.call("GET /mine")) == (401, "no-session")
    assert (await ada.call("GET /mine")).status == 200


# --- 26: two cookies


@pytest.mark.parametrize(
    "cookies",
    [
        "ww-session={ada}; ww-session={bob}",
        "ww-session={bob}; ww-session={ada}",
        "ww-session={ada}; ww-session={ada}",
        "ww-session={ada}; ww-session=",
        "ww-session; ww-session={ada}",
        "ww-session={ada}; a=b; ww-session={bob}",
    ],
)
async def test_case_26_two_session_cookies(scene: Scene, cookies: str) -> None:
    ada, bob = await scene.signed_in(), await scene.signed_in("bob")
    cookie = cookies.format(ada=ada.session, bob=bob.session)
    assert reason(await scene.client().call("GET /mine", headers={"Cookie": cookie})) == (401, "no-session")
    assert await scene.seen() == []


async def test_case_26_two_cookie_headers(scene: Scene) -> None:
    ada, bob = await scene.signed_in(), await scene.signed_in("bob")
    headers = {"Cookie": f"ww-session={ada.session}", "cookie": f"ww-session={bob.session}"}
    assert (await scene.client().call("GET /mine", headers=headers)).status == 400
    assert await scene.seen() == []


@pytest.mark.parametrize(
    "cookie", ["__Host-ww-session={0}", "WW-session={0}", "ww-session2={0}", " ={0}", "{0}"]
)
async def test_case_26_a_cookie_of_almost_the_name(scene: Scene, cookie: str) -> None:
    ada = await scene.signed_in()
    sent = {"Cookie": cookie.format(ada.session)}
    assert reason(await scene.client().call("GET /mine", headers=sent)) == (401, "no-session")


# --- 27: the upstream sets our cookies


@pytest.mark.parametrize("authority", AUTHORITIES)
async def test_case_27_the_app_sets_a_cookie_of_our_name(scene: Scene, authority: str) -> None:
    names = [
        "ww-session",
        "WW-Session",
        "__Host-ww-session",
        "__Secure-ww-device",
        " ww-resume",
        "=ww-session",
    ]
    cookies = [*(f"{name}=evil; Path=/" for name in names), "app=1; Path=/"]

    def respond(_: Received) -> bytes:
        lines = "".join(f"Set-Cookie: {cookie}\r\n" for cookie in cookies)
        return f"HTTP/1.1 200 OK\r\n{lines}Content-Length: 0\r\n\r\n".encode()

    scene.app.respond = respond
    ada = await scene.signed_in(authority=authority)
    own = ada.session
    for line in ("GET /mine", "GET /public/x"):
        assert (await ada.call(line)).header(b"set-cookie") == [b"app=1; Path=/"]
    assert (ada.session, ada.cookies["app"]) == (own, "1")
    assert (await ada.call("GET /mine")).status == 200
    assert scene.app.requests[-1].header("cookie") == ["app=1"], "and the app never sees ours"


# --- 28: other sites make use of a session

TOPICS = (Devices.__new__(Devices), Waiting.__new__(Waiting))  # nobody answers here
ROUTES = chain(site._routes(Forms.__new__(Forms), Api.__new__(Api)), *(topic.routes() for topic in TOPICS))
CHANGES = [(route.method, route.pattern) for route in ROUTES if route.method != "GET"]

ELSEWHERE: list[dict[str, str]] = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost:1"},
    {"Origin": "https://localhost"},
    {"Origin": "http://localhost.evil.example"},
    {"Origin": "http://127.0.0.1"},
    {"Origin": ""},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "SAME-ORIGIN"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
]


async def test_case_28_every_change_is_in_the_table() -> None:
    assert len(CHANGES) >= 19
    for known in ("/step-up/{challenge}", "/sign-out", "/sessions/revoke-all", "/api/sessions/{id}"):
        assert f"/.watchword{known}" in [pattern for _, pattern in CHANGES]


@pytest.mark.parametrize(("method", "pattern"), CHANGES)
async def test_case_28_a_change_that_another_site_asks_for(scene: Scene, method: str, pattern: str) -> None:
    ada = await scene.signed_in(factor=True)
    me = (await ada.call("GET /.watchword/api/me")).json
    challenge = (await ada.call("POST /api/transfers", TRANSFER)).json["challenge"]
    kind = next((kind for kind in ("device", "session", "factor") if f"/{kind}s/" in pattern), "")
    ids = {"device": me["device"], "session": me["session"], "factor": me["factors"][0]["id"]}
    path = pattern.replace("{challenge}", challenge).replace("{id}", ids.get(kind, ""))
    fields = {"code": ada.next_code(), "subject": "ada", "password": "wrong", "label": "x"}
    for headers in ELSEWHERE:
        refused = await ada.call(f"{method} {path}", fields, headers=headers)
        assert reason(refused) == (403, "wrong-origin"), headers
        assert not refused.header(b"set-cookie")
    assert (await ada.call("GET /.watchword/api/me")).json == me
    assert (await ada.call(f"GET /.watchword/api/step-up/{challenge}")).status == 200, "not answered"
    for headers in ({}, {"Origin": "http://localhost"}, {"Sec-Fetch-Site": "same-origin"}):
        allowed = await scene.client().call(f"{method} {path}", fields, headers=headers)
        assert allowed.status != 403, "the same from here is"


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}])
async def test_case_28_links_from_elsewhere_work(scene: Scene, headers: dict[str, str]) -> None:
    ada = await scene.signed_in()
    assert (await ada.visit("GET /.watchword/devices", headers=headers)).status == 200
    assert (await ada.visit("GET /mine", headers=headers)).status == 200


async def test_case_28_behind_tls_the_origin_is_https(open_scene: OpenScene) -> None:
    async with open_scene(public_scheme="https") as scene:
        await scene.signed_in()
        client = scene.client()
        fields = {"subject": "ada", "password": "wrong"}
        for origin, status in (("http://localhost", 403), ("https://localhost", 401)):
            answer = await client.call("POST /.watchword/api/sign-in", fields, headers={"Origin": origin})
            assert answer.status == status
