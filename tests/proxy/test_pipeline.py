"""The way of a request: who is let through to what, what failures become, and what the record says."""

import socket

import pytest
from structlog.testing import capture_logs
from support.gateway import PASSWORD, POLICY, OpenScene, Scene
from support.raw_client import Answer
from support.upstreams import Peer, Script

TRANSFER = {"amount": "10", "address": "bc1q"}


def reason(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json["reason"]


# --- which app


@pytest.mark.parametrize("host", ["other.example", "localhost.example", "192.0.2.1"])
async def test_a_host_that_no_app_has_is_nobodys(scene: Scene, host: str) -> None:
    client = scene.client(authority=host)
    for line in ("GET /public/x", "GET /.watchword/sign-in", "POST /.watchword/api/sign-in"):
        assert reason(await client.call(line)) == (421, "unknown-host")
        page = await client.visit(line)
        assert (page.status, page.header(b"content-type")) == (421, [b"text/html; charset=utf-8"])
    assert await scene.seen() == []


async def test_each_host_has_its_own_app(open_scene: OpenScene) -> None:
    async with open_scene(policy=POLICY.replace("[localhost, 127.0.0.1]", "[localhost]")) as scene:
        second = scene.policy.read_text().replace("app: exchange", "app: second")
        second = second.replace("[localhost]", "[127.0.0.1]").replace("unmatched: session", "unmatched: deny")
        scene.policy.with_name("second.yaml").write_text(second)
        assert scene.gateway.reload_policies() == ()
        ada = await scene.signed_in()
        elsewhere = await scene.signed_in(authority="127.0.0.1")
        assert (await ada.call("GET /mine")).status == 200
        assert (await elsewhere.call("GET /mine")).status == 403


# --- our own addresses


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("GET /.watchword", 401),
        ("GET /.watchword/", 401),
        ("GET /.watchword/nothing", 404),
        ("GET /.watchword/sign-in/", 404),
        ("GET /%2ewatchword/%73ign-in", 200),
        ("HEAD /.watchword/sign-in", 200),
        ("GET /.watchword/sign-out", 405),
        ("PUT /.watchword/sign-in", 405),
        ("GET /.WATCHWORD/sign-in", 401),
        ("GET /x/.watchword/sign-in", 401),
    ],
)
async def test_our_own_addresses_never_reach_the_app(scene: Scene, line: str, status: int) -> None:
    assert (await scene.client().call(line)).status == status
    assert await scene.seen() == []


async def test_the_style_of_a_refusal_is_there_on_every_host(scene: Scene) -> None:
    client = scene.client(authority="nobody.example")
    assert (await client.visit("GET /")).status == 421
    style = await client.call("GET /.watchword/static/watchword.css")
    assert (style.status, style.header(b"content-type")) == (200, [b"text/css; charset=utf-8"])
    for line in (
        "GET /.watchword/sign-in",
        "GET /.watchword/static",
        "POST /.watchword/static/watchword.css",
    ):
        assert (await client.call(line)).status == 421


async def test_a_method_that_an_address_of_ours_has_not_comes_with_those_it_has(scene: Scene) -> None:
    assert (await scene.client().call("GET /.watchword/sign-out")).header(b"allow") == [b"POST"]
    assert (await scene.client().call("PUT /.watchword/sign-in")).header(b"allow") == [b"GET, POST"]


# --- who is asking


async def test_a_rule_for_a_group(scene: Scene) -> None:
    grace = await scene.signed_in("grace", groups=("traders", "staff"))
    ada = await scene.signed_in(groups=("traders",))
    assert reason(await scene.client().call("GET /staff/x")) == (401, "no-session")
    assert reason(await ada.call("GET /staff/x")) == (403, "denied")
    assert (await grace.call("GET /staff/x")).status == 200
    assert await scene.seen() == ["GET /staff/x"]


async def test_a_rule_for_a_group_leaves_the_others_to_the_next_rule(open_scene: OpenScene) -> None:
    policy = POLICY.replace('"/staff/**"], need: deny', '"/staff/**"], need: public').replace("/admin, ", "")
    async with open_scene(policy=policy) as scene:
        ada = await scene.signed_in()
        assert (await scene.client().call("GET /staff/x")).status == 401, "it may be a member who asks"
        assert (await ada.call("GET /staff/x")).status == 200
        (received,) = scene.app.requests
        assert received.header("remote-user") == [], "public is public"


async def test_a_session_ends_when_it_is_not_used(scene: Scene) -> None:
    ada, idle = await scene.signed_in(), await scene.signed_in()
    for _ in range(3):
        scene.clock.advance(3000)
        assert (await ada.call("GET /mine")).status == 200
    assert reason(await idle.call("GET /mine")) == (401, "session-expired")
    scene.clock.advance(3600)
    assert reason(await ada.call("GET /mine")) == (401, "session-expired")


async def test_a_session_with_a_short_idle_time_lives_while_it_is_used(open_scene: OpenScene) -> None:
    async with open_scene(sessions={"idle": "30s"}) as scene:
        ada = await scene.signed_in()
        for _ in range(6):
            scene.clock.advance(20)
            assert (await ada.call("GET /mine")).status == 200
        scene.clock.advance(30)
        assert reason(await ada.call("GET /mine")) == (401, "session-expired")


async def test_a_session_ends_however_much_it_is_used(open_scene: OpenScene) -> None:
    async with open_scene(sessions={"idle": "1h", "absolute": "2h"}) as scene:
        ada = await scene.signed_in()
        for _ in range(3):
            scene.clock.advance(2399)
            assert (await ada.call("GET /mine")).status == 200
        scene.clock.advance(3)
        assert (await ada.call("GET /mine")).status == 401


async def test_use_is_noted_once_a_minute(scene: Scene) -> None:
    ada = await scene.signed_in()
    (begun,) = (await ada.call("GET /.watchword/api/sessions")).json
    for seconds, noted in ((60, False), (1, True)):
        scene.clock.advance(seconds)
        await ada.call("GET /mine")
        await scene.note_uses()
        (session,) = (await ada.call("GET /.watchword/api/sessions")).json
        assert (session["last_used_at"] != begun["last_used_at"]) == noted


# --- failures


async def silent(peer: Peer) -> None:
    await peer.head()
    await peer.rest()


async def hanging_up(peer: Peer) -> None:
    await peer.head()
    peer.hang_up()


@pytest.mark.parametrize(
    ("script", "status", "fault"),
    [
        (None, 502, "upstream-refused"),
        (silent, 504, "upstream-timeout"),
        (hanging_up, 502, "upstream-broken"),
    ],
)
async def test_an_upstream_that_fails(
    open_scene: OpenScene, script: Script | None, status: int, fault: str
) -> None:
    policy = POLICY if script else POLICY.replace("UPSTREAM", f"http://127.0.0.1:{closed_port()}")
    async with open_scene(policy=policy, script=script, upstream={"first_byte": 0.05}) as scene:
        ada = await scene.signed_in()
        for client, line in ((scene.client(), "GET /public/x"), (ada, "GET /mine"), (ada, "POST /mine")):
            assert reason(await client.call(line)) == (status, fault)
            page = await client.visit(line)
            assert (page.status, page.header(b"content-type")) == (status, [b"text/html; charset=utf-8"])
            assert b"127.0.0.1" not in page.body
        assert (await ada.call("GET /.watchword/api/me")).status == 200


def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


async def test_a_fault_of_ours_tells_nothing(scene: Scene) -> None:
    """An address that no header can carry cannot be sent on, and is not altered either."""
    eve = await scene.signed_in("eve", email="eve@example.org\nRemote-User: root")
    with capture_logs() as said:
        answer, page = await eve.call("GET /mine"), await eve.visit("GET /mine")
    assert reason(answer) == (500, "internal-error")
    assert answer.json.keys() == {"type", "title", "status", "reason"}
    assert (page.status, page.header(b"content-type")) == (500, [b"text/html; charset=utf-8"])
    assert b"ValueError" not in page.body and b"Traceback" not in page.body
    assert [entry["event"] for entry in said] == ["this should not happen", "request"] * 2
    assert await scene.seen() == []


# --- the record


async def test_what_the_log_says_of_each_request(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    asked = [
        ("GET /public/x?q", "forward", "public", 200),
        ("GET /mine", "forward", "session-live", 200),
        ("GET /password", "step-up", "code-needed", 401),
        ("GET /admin", "refuse", "denied", 403),
        ("GET /.watchword/nothing", "refuse", "not-found", 404),
    ]
    with capture_logs() as said:
        for line, *_ in asked:
            await ada.call(line)
        await scene.client().call("GET /mine")
    entries = [{key: entry[key] for key in ("path", "outcome", "reason", "status")} for entry in said]
    expected = [
        *((line.split()[1].partition("?")[0], *rest) for line, *rest in asked),
        ("/mine", "sign-in", "no-session", 401),
    ]
    assert [tuple(entry.values()) for entry in entries] == expected
    assert {(entry["app"], entry["method"], entry["address"]) for entry in said} == {
        ("exchange", "GET", "127.0.0.1")
    }


async def test_the_reference_on_a_refusal_is_in_the_log(scene: Scene) -> None:
    ada = await scene.signed_in()
    for line in ("GET /admin", "GET /.watchword/nothing", "GET /public/%2e%2e/x"):
        with capture_logs() as said:
            page = await ada.visit(line)
        (entry,) = said
        assert f"reference <code>{entry['reference']}</code>" in page.body.decode()


async def test_what_cannot_be_read_is_recorded_without_it(scene: Scene) -> None:
    with capture_logs() as said:
        await scene.client().call("GET /public/%2e%2e/SECRET?q=SECRET")
    (entry,) = said
    assert (entry["outcome"], entry["reason"], entry["status"]) == ("refuse", "bad-request", 400)
    assert "SECRET" not in repr(said)


async def test_case_41_the_log_holds_no_secret(scene: Scene) -> None:
    with capture_logs() as said:
        ada = await scene.signed_in(factor=True)
        cookies = {*ada.cookies.values()}
        codes = [ada.code(), ada.next_code(), ada.wrong_code()]
        form = {**TRANSFER, "note": "IN-THE-BODY"}
        parked = await ada.visit("POST /withdrawals?q=IN-THE-QUERY", form)
        await ada.visit(f"POST {parked.header(b'location')[0].decode()}", {"code": codes[1]})
        cookies |= {*ada.cookies.values()}
        await ada.visit("GET /withdrawals?q=IN-THE-QUERY", headers={"X": "IN-A-HEADER"})
        await ada.call("POST /api/transfers", form, headers={"Watchword-Code": codes[2]})
        await ada.call("POST /.watchword/api/sign-in", {"subject": "ada", "password": "WRONG-PASSWORD"})
        await ada.call("POST /.watchword/api/sign-in", {"subject": 7, "password": "WRONG-PASSWORD"})
        twice = b"IN-THE-BODY=1&IN-THE-BODY=2"
        await ada.send("POST /api/transfers", {"Content-Type": "application/x-www-form-urlencoded"}, twice)
    assert "POST /withdrawals?q=IN-THE-QUERY" in await scene.seen()
    assert "/withdrawals" in repr(said) and "127.0.0.1" in repr(said)
    for secret in (PASSWORD, "WRONG-PASSWORD", ada.setup_key, "IN-THE-BODY", "IN-THE-QUERY", "IN-A-HEADER"):
        assert secret not in repr(said)
    values = {str(value) for entry in said for value in entry.values()}
    assert not values & {*cookies, *codes}
    assert not [cookie for cookie in cookies if cookie in repr(said)]


async def test_requests_are_counted_by_what_became_of_them(scene: Scene) -> None:
    ada = await scene.signed_in()
    for line in ("GET /mine", "GET /mine", "GET /admin"):
        await ada.call(line)
    await scene.client().call("GET /mine")
    await scene.client(authority="other.example").call("GET /mine")
    counts = scene.gateway.pipeline._metrics.exposition().decode()
    for labels, count in (
        ('app="exchange",outcome="2xx"', "3.0"),  # one of them the sign-in
        ('app="exchange",outcome="refuse"', "1.0"),
        ('app="exchange",outcome="sign-in"', "1.0"),
        ('app="",outcome="refuse"', "1.0"),
    ):
        assert f"watchword_requests_total{{{labels}}} {count}" in counts
