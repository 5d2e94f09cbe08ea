"""Asking for a code: codes that come along, requests that wait for theirs, and proofs that count once."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from support.gateway import POLICY, SWITCHING, UPGRADE, Client, OpenScene, Scene
from support.raw_client import Answer

from gateway.store.sessions import Sessions

TRANSFER = {"amount": "10", "address": "bc1q"}
CODE_AT_SIGN_IN = POLICY.replace("Signing in, protect: by-choice", "Signing in, protect: always")


def reason(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json["reason"]


def with_code(code: str) -> dict[str, str]:
    return {"Watchword-Code": code}


# --- a code that comes with its request


async def test_a_code_with_its_request_lets_it_through_once(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    code = with_code(ada.next_code())
    answer = await ada.call("POST /api/transfers", TRANSFER, headers=code)
    assert (answer.status, answer.header(b"set-cookie")) == (200, []), "the session keeps its cookie"
    assert scene.app.requests[0].header("watchword-code") == []
    assert reason(await ada.call("POST /api/transfers", TRANSFER)) == (401, "code-needed")
    assert reason(await ada.call("POST /api/transfers", TRANSFER, headers=code)) == (403, "used-code")
    assert await scene.seen() == ["POST /api/transfers"]


async def test_a_code_for_a_while_brings_a_new_session_cookie(scene: Scene) -> None:
    scene.app.respond = lambda _: b"HTTP/1.1 200 OK\r\nSet-Cookie: app=1\r\nContent-Length: 0\r\n\r\n"
    ada = await scene.signed_in(factor=True)
    before = ada.with_cookies(session=ada.session)
    answer = await ada.call("POST /password", {"new": "x"}, headers=with_code(ada.next_code()))
    assert [cookie.split(b"=")[0] for cookie in answer.header(b"set-cookie")] == [b"app", b"ww-session"]
    assert (await ada.call("POST /password", {"new": "y"})).status == 200
    assert reason(await before.call("POST /password", {"new": "z"})) == (401, "code-needed")
    scene.clock.advance(5)
    assert reason(await before.call("GET /mine")) == (401, "no-session")
    assert await scene.seen() == ["POST /password"] * 2


@pytest.mark.parametrize("line", ["POST /api/transfers", "POST /password"])
async def test_a_code_that_is_not_taken(scene: Scene, line: str) -> None:
    ada = await scene.signed_in(factor=True)
    codes = {
        ada.code(): (403, "used-code"),
        ada.wrong_code(): (403, "wrong-code"),
        "12 456": (422, "malformed-code"),
    }
    for code, expected in codes.items():
        refused = await ada.call(line, TRANSFER, headers=with_code(code))
        assert reason(refused) == expected
        assert 0 < refused.json["next_code_in"] <= 30
    for code in (ada.wrong_code(), ada.wrong_code(), ada.next_code()):
        late = await ada.call(line, TRANSFER, headers=with_code(code))
    assert reason(late) == (429, "too-many-attempts")
    assert late.header(b"retry-after") == [str(late.json["retry_after"]).encode()]
    assert await scene.seen() == []


@pytest.mark.parametrize("line", ["GET /mine", "GET /public/x", "GET /admin"])
async def test_a_code_that_nobody_asked_for_is_not_used_up(scene: Scene, line: str) -> None:
    ada = await scene.signed_in(factor=True)
    code = with_code(ada.next_code())
    await ada.call(line, headers=code)
    assert all(code["Watchword-Code"].encode() not in received.head for received in scene.app.requests)
    assert (await ada.call("POST /api/transfers", TRANSFER, headers=code)).status == 200


async def test_one_code_is_for_one_action(open_scene: OpenScene) -> None:
    """Signing in takes the first; the transfer wants one of its own, with the new session."""
    async with open_scene(policy=CODE_AT_SIGN_IN) as scene:
        at_set_up, ada = await scene.signed_in(factor=True), await scene.signed_in()
        ada.setup_key, before = at_set_up.setup_key, ada.session
        asked = await ada.call("POST /api/transfers", TRANSFER, headers=with_code(ada.next_code()))
        assert (*reason(asked), asked.json["action"]) == (401, "code-needed", "approve-transaction")
        assert ada.session != before
        assert (await ada.answer(asked)).status == 200
        assert (await ada.call("POST /api/transfers", TRANSFER)).status == 200
        assert await scene.seen() == ["POST /api/transfers"]


async def test_a_large_body_needs_to_be_read_only_where_it_is_approved(open_scene: OpenScene) -> None:
    async with open_scene(challenges={"parked_body": "1KiB"}) as scene:
        ada = await scene.signed_in(factor=True)
        large = {**TRANSFER, "note": "x" * 1024}
        code = with_code(ada.next_code())
        assert reason(await ada.call("POST /api/transfers", large, headers=code)) == (413, "body-too-large")
        assert (await ada.call("POST /password", large, headers=code)).status == 200
        assert await scene.seen() == ["POST /password"]


async def test_the_app_may_allow_less_than_can_wait(open_scene: OpenScene) -> None:
    async with open_scene(policy=POLICY.replace("unmatched:", "body-limit: 1KiB\nunmatched:")) as scene:
        ada = await scene.signed_in(factor=True)
        large = {**TRANSFER, "note": "x" * 1024}
        assert reason(await ada.call("POST /api/transfers", large)) == (413, "body-too-large")
        assert (await ada.visit("POST /withdrawals", large)).status == 413
        assert (await ada.call("POST /api/transfers", TRANSFER)).status == 401


async def test_a_websocket_with_a_code(scene: Scene) -> None:
    scene.app.respond = lambda _: SWITCHING
    ada = await scene.signed_in(factor=True)
    for line in ("GET /orders/7", "GET /password"):
        answer = await ada.call(line, headers={**UPGRADE, **with_code(ada.next_code())})
        assert answer.status == 101


# --- a form that waits for its code


async def approved(ada: Client, parked: Answer) -> Answer:
    """Answer the page that a navigation was sent to."""
    assert parked.status == 303
    address = parked.header(b"location")[0].decode()
    assert address.startswith("/.watchword/step-up/")
    return await ada.visit(f"POST {address}", {"code": ada.next_code()})


async def test_a_form_is_sent_under_its_own_address_exactly_once(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    parked = await ada.visit("POST /withdrawals?a=%7e", TRANSFER)
    page = await ada.visit(f"GET {parked.header(b'location')[0].decode()}")
    assert page.status == 200 and b"Approving a transaction" in page.body and b"bc1q" in page.body
    wrong = await ada.visit(f"POST {parked.header(b'location')[0].decode()}", {"code": ada.wrong_code()})
    assert (wrong.status, wrong.header(b"set-cookie")) == (403, [])
    assert await scene.seen() == []

    led = await approved(ada, parked)
    assert (led.status, led.header(b"location")) == (303, [b"/withdrawals?a=%7e"])
    assert await scene.seen() == [], "only the browser's own request sends it"
    arrived = await ada.visit("GET /withdrawals?a=%7e")
    assert (arrived.status, arrived.body) == (200, b"POST /withdrawals?a=%7e")
    assert "ww-resume" not in ada.cookies
    assert (await ada.visit("GET /withdrawals?a=%7e")).body == b"GET /withdrawals?a=%7e", "a reload"
    assert await scene.seen() == ["POST /withdrawals?a=%7e", "GET /withdrawals?a=%7e"]


MULTIPART = b"--x\r\nContent-Disposition: form-data; name=f; filename=a\r\n\r\n\x00\xff\r\n\n\r--x--\r\n"


@pytest.mark.parametrize("path", ["/orders/7", "/password"])
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data; boundary=x", MULTIPART),
        ("text/plain", b""),
        ("application/octet-stream", bytes(range(256)) * 4096),
    ],
)
async def test_a_form_arrives_byte_for_byte(scene: Scene, path: str, kind: str, body: bytes) -> None:
    ada = await scene.signed_in(factor=True)
    headers = {
        "Sec-Fetch-Mode": "navigate",
        "Content-Type": kind,
        "Content-Length": str(len(body)),
        "x-CUSTOM": "Ünï",
        "Accept": "text/html;q=0.9",
        "X-custom": "2",
        "Connection": "keep-alive",
        "Cookie": f"a=1; ww-session={ada.session}",
    }
    await approved(ada, await ada.send(f"POST {path}", headers, body))
    ada.cookies["b"] = "2"
    assert (await ada.visit(f"GET {path}", headers={"X-Other": "of the GET"})).status == 200
    (received,) = scene.app.requests
    assert (received.line, received.body) == (f"POST {path}", body)
    sent = [
        pair for pair in received.headers if not pair[0].startswith(("Remote-", "Watchword-", "X-Forwarded-"))
    ]
    assert sent == [
        ("Host", "localhost"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Content-Type", kind),
        ("x-CUSTOM", "Ünï".encode().decode("latin-1")),
        ("Accept", "text/html;q=0.9"),
        ("X-custom", "2"),
        ("Cookie", "b=2"),
        ("Via", "1.1 watchword"),
        ("Content-Length", str(len(body))),
    ]


async def test_the_way_back_is_for_one_session_one_address_and_one_time(scene: Scene) -> None:
    ada, bob = await scene.signed_in(factor=True), await scene.signed_in("bob")
    elsewhere = await scene.signed_in()
    await approved(ada, await ada.visit("POST /withdrawals", TRANSFER))
    resume = ada.cookies["ww-resume"]
    for other in (bob, elsewhere, scene.client()):
        other.cookies["ww-resume"] = resume
        await other.visit("GET /withdrawals")
    for line in ("GET /", "GET /withdrawals?", "GET /withdrawals/", "HEAD /withdrawals", "GET /public/x"):
        await ada.visit(line)
    assert not [line for line in await scene.seen() if line.startswith("POST")]
    ada.cookies["ww-resume"] = resume
    assert (await ada.visit("GET /withdrawals")).body == b"POST /withdrawals"
    ada.cookies["ww-resume"] = resume
    assert (await ada.visit("GET /withdrawals")).body == b"GET /withdrawals"


@pytest.mark.parametrize("cookie", ["x", "", "A" * 43])
async def test_a_made_up_way_back_leads_nowhere(scene: Scene, cookie: str) -> None:
    ada = await scene.signed_in()
    ada.cookies["ww-resume"] = cookie
    assert (await ada.visit("GET /withdrawals")).body == b"GET /withdrawals"


async def test_the_way_back_is_open_for_a_minute(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    await approved(ada, await ada.visit("POST /withdrawals", TRANSFER))
    scene.clock.advance(60)
    assert (await ada.visit("GET /withdrawals")).body == b"GET /withdrawals"


async def test_who_was_thrown_out_meanwhile_sends_nothing(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    await approved(ada, await ada.visit("POST /withdrawals", TRANSFER))
    session, resume = ada.cookies["ww-session"], ada.cookies["ww-resume"]
    await ada.call("POST /.watchword/api/sessions/revoke-all")
    thrown_out = ada.with_cookies(session=session, resume=resume)
    (led_to,) = (await thrown_out.visit("GET /withdrawals")).header(b"location")
    assert led_to.startswith(b"/.watchword/sign-in?return_to=/withdrawals")
    assert await scene.seen() == []


async def test_two_browsers_windows_come_back_at_once(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    await approved(ada, await ada.visit("POST /withdrawals", TRANSFER))
    windows = [ada.with_cookies(session=ada.session, resume=ada.cookies["ww-resume"]) for _ in range(10)]
    answers = await asyncio.gather(*(window.visit("GET /withdrawals") for window in windows))
    assert Counter(answer.body for answer in answers) == {b"POST /withdrawals": 1, b"GET /withdrawals": 9}


@pytest.mark.parametrize("need", ["public", "deny"])
async def test_the_way_back_works_whatever_a_plain_get_needs(open_scene: OpenScene, need: str) -> None:
    rule = f"  - {{name: plain, methods: [GET], paths: [/withdrawals], need: {need}}}\n"
    policy = POLICY.replace("rules:\n", f"rules:\n{rule}")
    async with open_scene(policy=policy) as scene:
        ada = await scene.signed_in(factor=True)
        await approved(ada, await ada.visit("POST /withdrawals", TRANSFER))
        assert (await ada.visit("GET /withdrawals")).body == b"POST /withdrawals"
        assert (await ada.visit("GET /withdrawals")).status == (200 if need == "public" else 403)


async def test_what_is_too_large_to_wait_is_asked_for_again(open_scene: OpenScene) -> None:
    async with open_scene(challenges={"parked_body": "1KiB"}) as scene:
        ada = await scene.signed_in(factor=True)
        large = {**TRANSFER, "note": "x" * 1024}
        led = await approved(ada, await ada.visit("POST /password", large))
        assert (led.header(b"location"), "ww-resume" in ada.cookies) == ([b"/"], False)
        assert (await ada.visit("POST /password", large)).status == 200, "the code still counts"
        assert (await ada.visit("POST /withdrawals", large)).status == 413
        assert await scene.seen() == ["POST /password"]


async def test_signing_in_and_the_action_each_let_the_form_wait(open_scene: OpenScene) -> None:
    async with open_scene(policy=CODE_AT_SIGN_IN) as scene:
        at_set_up, ada = await scene.signed_in(factor=True), await scene.signed_in()
        ada.setup_key = at_set_up.setup_key
        await approved(ada, await ada.visit("POST /withdrawals", TRANSFER))
        again = await ada.visit("GET /withdrawals")
        assert "ww-resume" not in ada.cookies
        await approved(ada, again)
        assert (await ada.visit("GET /withdrawals")).body == b"POST /withdrawals"
        assert await scene.seen() == ["POST /withdrawals"]


async def test_our_own_forms_wait_as_well(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    led = await approved(ada, await ada.visit("POST /.watchword/security/factors", {"label": "Tablet"}))
    assert led.header(b"location") == [b"/.watchword/security/factors"]
    begun = await ada.visit("GET /.watchword/security/factors")
    page = await ada.visit(f"GET {begun.header(b'location')[0].decode()}")
    assert page.status == 200 and b"Tablet" in page.body
    assert len((await ada.call("GET /.watchword/api/me")).json["factors"]) == 2


# --- proofs


@pytest.mark.parametrize("other", ["PUT /orders/7", "POST /orders/8", "POST /orders/7?", "GET /orders/7"])
async def test_a_proof_is_for_one_request(scene: Scene, other: str) -> None:
    ada = await scene.signed_in(factor=True)
    assert (await ada.answer(await ada.call("POST /orders/7", TRANSFER))).status == 200
    assert reason(await ada.call(other, TRANSFER)) == (401, "code-needed")
    assert (await ada.call("POST /orders/7", TRANSFER)).status == 200
    assert await scene.seen() == ["POST /orders/7"]


async def test_a_proof_that_is_not_used_ends(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    await ada.answer(await ada.call("POST /orders/7", TRANSFER))
    scene.clock.advance(300)
    assert reason(await ada.call("POST /orders/7", TRANSFER)) == (401, "code-needed")


async def test_a_code_whose_proof_was_overtaken_is_not_tried_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the code and its use another request gets in; nobody can time that from outside."""
    consume = Sessions.consume

    async def overtaken(*arguments: Any) -> bool:
        return await consume(*arguments) and await consume(*arguments)

    monkeypatch.setattr(Sessions, "consume", overtaken)
    ada = await scene.signed_in(factor=True)
    code = with_code(ada.next_code())
    late = await ada.call("POST /orders/7", TRANSFER, headers=code)
    assert reason(late) == (401, "code-needed")
    assert await scene.seen() == []


async def test_a_proof_lets_one_of_many_through(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    await ada.answer(await ada.call("POST /orders/7", TRANSFER))
    answers = await asyncio.gather(*(ada.call("POST /orders/7", TRANSFER) for _ in range(20)))
    assert Counter(answer.status for answer in answers) == {200: 1, 401: 19}
    assert await scene.seen() == ["POST /orders/7"]


async def test_a_challenge_ends(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    asked = await ada.call("POST /orders/7", TRANSFER)
    scene.clock.advance(300)
    assert reason(await ada.answer(asked)) == (410, "challenge-expired")


# --- what is shown


BOTH = b'{"amount": "1", "address": "friend&amount=999&address=evil&x="}'
"""As JSON it gives a friend one, and as a form somebody else everything."""

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("then", [FORM, {}, {**JSON, "Content-Encoding": "deflate"}])
async def test_what_was_shown_cannot_be_sent_as_something_else(scene: Scene, then: dict[str, str]) -> None:
    ada = await scene.signed_in(factor=True)
    asked = await ada.send("POST /api/transfers", JSON, BOTH)
    assert asked.json["approves"][0]["value"] == "1"
    assert (await ada.answer(asked)).status == 200
    assert (await ada.send("POST /api/transfers", then, BOTH)).status in (400, 401)
    assert await scene.seen() == []
    assert (await ada.send("POST /api/transfers", JSON, BOTH)).status == 200


async def test_what_is_compressed_cannot_be_shown(scene: Scene) -> None:
    """Bytes that are text as they stand can be something else once an app has inflated them."""
    ada = await scene.signed_in(factor=True)
    answer = await ada.send("POST /api/transfers", {**FORM, "Content-Encoding": "deflate"}, b"amount=1")
    assert answer.status == 400


async def test_how_a_body_is_to_be_read_always_reaches_the_app(scene: Scene) -> None:
    ada = await scene.signed_in()
    await ada.send("POST /mine", {**JSON, "Connection": "Content-Type, Content-Encoding"}, BOTH)
    assert scene.app.requests[-1].header("content-type") == ["application/json"]


SHOWING = POLICY.replace("Changing your password,", "Changing it, show: {New: body.new, Size: body.size.cm},")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"new": "x", "size": {"cm": 1.50}}, ["x", "1.5"]),
        ({"new": "Ünï <b>"}, ["Ünï <b>", "—"]),
        ({"new": True, "size": {"cm": [1]}}, ["true", "[1]"]),
        (None, ["—", "—"]),
    ],
)
async def test_the_person_is_shown_what_the_app_will_read(
    open_scene: OpenScene, value: object, shown: list[str]
) -> None:
    async with open_scene(policy=SHOWING) as scene:
        ada = await scene.signed_in(factor=True)
        asked = await ada.call("POST /password", value)
        assert [part["value"] for part in asked.json["approves"]] == shown
        assert (await ada.call(f"GET {asked.json['answer']}")).json["approves"] == asked.json["approves"]


@pytest.mark.parametrize(("kind", "body"), [("application/json", b"{"), ("text/plain", b"a=1"), ("", b"{}")])
async def test_what_cannot_be_shown_is_not_asked_for(scene: Scene, kind: str, body: bytes) -> None:
    ada = await scene.signed_in(factor=True)
    assert (await ada.send("POST /api/transfers", {"Content-Type": kind}, body)).status == 400
    assert await scene.seen() == []
