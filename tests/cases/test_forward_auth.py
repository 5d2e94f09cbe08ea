"""Real proxies ask Watchword about each request and forward it themselves, as `deploy/forward-auth` has it.

What they forward reaches the app only if Watchword allowed it, and says of the client only what it said.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.assertions import key_set, verified
from support.gateway import UPGRADE, Client, OpenScene, Scene
from support.peers import asking
from support.raw_client import Answer, RawClient
from support.recording import Received
from support.servers import LIKE_OURS
from support.store import running_server

TRUSTING = {"forward_auth": True, "trusted_proxies": ("127.0.0.1/32",)}
NAMED = ["Remote-User", "Remote-Name", "Remote-Email", "Remote-Groups"]
FORGED = [
    "Remote-User",
    "remote-user",
    "REMOTE_USER",
    "Remote_Groups",
    "Remote.User",
    "Remote-Email",
    "Watchword-Assertion",
    "watchword_assertion",
    "Watchword.Assertion",
    "Watchword-Code",
]
ASKED = {
    "X-Forwarded-Method": "GET",
    "X-Forwarded-Uri": "/public/x",
    "X-Forwarded-Host": "localhost",
    "X-Original-Method": "GET",
    "X-Original-URI": "/public/x",
}


@dataclass(frozen=True)
class Front:
    """A proxy in front of an app, which asks the gateway of `scene`."""

    scene: Scene
    name: str
    port: int

    def through(self, client: Client) -> Client:
        """The same client, from now on by way of the proxy."""
        client.port = self.port
        return client

    async def signed_in(self, subject: str = "ada", **known: Any) -> Client:
        """A client that signs in through the proxy."""
        client = self.through(await self.scene.signed_in(subject, **known))
        client.cookies.clear()
        await client.sign_in(subject)
        return client

    def nobody(self) -> Client:
        return self.through(self.scene.client())

    @property
    def seen(self) -> list[str]:
        return self.scene.app.lines


@asynccontextmanager
async def opened(open_scene: OpenScene, name: str, folder: Path, **settings: Any) -> AsyncIterator[Front]:
    async with open_scene(**{**TRUSTING, **settings}) as scene:
        app = int(scene.upstream.address.rpartition(":")[2])
        async with asking(name, folder, gateway=scene.gateway.port, app=app) as port:
            yield Front(scene, name, port)


@pytest.fixture
async def front(open_scene: OpenScene, name: str, short_path: Path) -> AsyncIterator[Front]:
    async with opened(open_scene, name, short_path) as running:
        yield running


def said_of_client(received: Received) -> dict[str, str]:
    """The headers that name somebody, under whatever spelling, without those that are empty."""
    families = ("remote", "watchword")
    return {
        key.lower(): value for key, value in received.headers if key.lower().startswith(families) and value
    }


def page_of(answer: Answer) -> str:
    """Where a browser is led: on the app's own host, with or without its name."""
    (address,) = answer.header(b"location")
    return address.decode().removeprefix("http://localhost")


async def test_what_is_allowed_arrives_with_who_asks(front: Front) -> None:
    ada = await front.signed_in(groups=("traders", "staff"))
    ada.cookies["theme"] = "dark"
    answer = await ada.call("PUT /mine?a=b", {"x": 1})
    assert (answer.status, answer.body) == (200, b"PUT /mine?a=b")
    (received,) = front.scene.app.requests
    assert received.body == b'{"x": 1}'
    assert [received.header(ours) for ours in NAMED] == [
        ["ada"],
        ["Ada"],
        ["ada@example.org"],
        ["staff,traders"],
    ]
    assert received.header("cookie") == ["theme=dark"], "the session is not the app's to see"
    assert received.header("host") == ["localhost"]
    (token,) = received.header("watchword-assertion")
    keys = key_set(await front.nobody().call("GET /.watchword/jwks.json"))
    assert verified(token, keys, "exchange", "http://localhost")["sub"] == "ada"


async def test_case_10_forged_identities(front: Front) -> None:
    ada = await front.signed_in()
    for forged in FORGED:
        for client, line in ((front.nobody(), "GET /public/x"), (ada, "GET /public/x"), (ada, "GET /mine")):
            assert (await client.call(line, headers={forged: "root"})).status == 200
        anonymous, public, known = front.scene.app.requests[-3:]
        for received in (anonymous, public):
            assert said_of_client(received) == {}, forged
        said = said_of_client(known)
        assert said.pop("watchword-assertion")
        assert said == {"remote-user": "ada", "remote-name": "Ada", "remote-email": "ada@example.org"}
        assert b"root" not in anonymous.head + public.head + known.head


async def test_case_11_connection_lists_our_headers(front: Front) -> None:
    ada = await front.signed_in(groups=("traders",))
    ada.cookies["theme"] = "dark"
    for listed in (*NAMED, "Watchword-Assertion", "remote-user, X, remote-groups"):
        headers = {"Connection": f"close, {listed}", "Remote-User": "root"}
        assert (await ada.call("GET /mine", headers=headers)).status == 200
        received = front.scene.app.requests[-1]
        assert [len(received.header(ours)) for ours in (*NAMED, "Watchword-Assertion")] == [1] * 5
        assert received.header("remote-user") == ["ada"]
        assert b"ww-session" not in received.head
    await ada.call("GET /mine", headers={"Connection": "close, Cookie"})
    assert not any(b"ww-session" in received.head for received in front.scene.app.requests)


async def test_who_is_not_signed_in_is_led_to_the_page_and_back(front: Front) -> None:
    await front.scene.signed_in()
    nobody = front.nobody()
    refused = await nobody.call("GET /mine")
    assert (refused.status, refused.json["reason"]) == (401, "no-session")
    assert refused.header(b"www-authenticate") == [b'Bearer realm="exchange"']
    led = await nobody.visit("GET /mine?a=b")
    assert (led.status, page_of(led)) == (303, "/.watchword/sign-in?return_to=/mine%3Fa%3Db")
    assert (await nobody.visit(f"GET {page_of(led)}")).status == 200
    form = {"subject": "ada", "password": "correct horse battery staple", "return_to": "/mine?a=b"}
    back = await nobody.visit("POST /.watchword/sign-in", form)
    assert (back.status, back.header(b"location")) == (303, [b"/mine?a=b"])
    assert front.seen == []
    assert (await nobody.visit("GET /mine?a=b")).status == 200
    assert front.seen == ["GET /mine?a=b"]


async def test_a_code_is_asked_for_on_the_way(front: Front) -> None:
    ada = await front.signed_in()
    await ada.enrol()
    problem = await ada.call("GET /password")
    assert (problem.status, problem.json["reason"]) == (401, "code-needed")
    assert b"insufficient_user_authentication" in problem.header(b"www-authenticate")[0]
    assert front.seen == []
    assert (await ada.answer(problem)).status == 200
    assert (await ada.call("GET /password")).status == 200
    led = await ada.visit("GET /profile")
    assert led.status == 303
    back = await ada.visit(f"POST {page_of(led)}", {"code": ada.next_code()})
    assert (back.status, back.header(b"location")) == (303, [b"/profile"])
    assert (await ada.visit("GET /profile")).status == 200
    assert front.seen == ["GET /password", "GET /profile"]


async def test_what_is_approved_by_its_body_is_refused(front: Front) -> None:
    ada = await front.signed_in()
    await ada.enrol()
    answer = await ada.call(
        "POST /api/transfers", {"amount": "1"}, headers={"Watchword-Code": ada.next_code()}
    )
    assert (answer.status, answer.json["reason"]) == (403, "body-unseen")
    assert (await ada.visit("POST /withdrawals", {"amount": "1"})).status == 403
    assert front.seen == []


SPELLED = """
/public/../admin /public/%2e%2e/admin //admin /public//../admin /public/..%2fadmin /%61dmin /admin
/admin?x=/public/x /public/%2e%2e%2fadmin /public/..;/admin /./admin /admin%00 /public\\..\\admin
/public/%252e%252e/admin /public/..%5cadmin /admin;x
"""


async def test_cases_1_to_5_no_spelling_leads_past_the_policy(front: Front) -> None:
    """What the proxy forwards is what was judged, whatever it makes of a path."""
    ada = await front.signed_in()
    for target in SPELLED.split():
        await ada.call(f"GET {target}")
        assert [line for line in front.seen if "admin" in line.lower()] == [], target
    assert (await ada.call("GET /admin%3fx")).status == 200, "that is another path, and needs a session"
    assert [line.lower() for line in front.seen] == ["get /admin%3fx"]


async def test_nobody_outside_asks_as_the_proxy_does(front: Front) -> None:
    ada = await front.signed_in()
    starts = ("/.watchword/f", "/.watchword/%66", "//.watchword/f", "/x/../.watchword/f", "/.watchword//f")
    ends = ("", "/", "/nginx", "/envoy/mine", "/envoy/public/x", "?x", "/../forward-auth", "/%2e%2e/x")
    for address in (f"{start}orward-auth{end}" for start in starts for end in ends):
        for client in (ada, front.nobody()):
            answer = await client.call(f"GET {address}", headers=ASKED)
            assert answer.status in {400, 401, 403, 404}, address
            named = {name.lower() for name, _ in answer.headers}
            assert not named & {b"remote-user", b"watchword-assertion", b"cookie"}
    assert front.seen == []


async def test_what_a_client_says_it_asks_for_is_not_heeded(front: Front) -> None:
    """Case 12."""
    spelled = {name.replace("-", "_"): value for name, value in ASKED.items()}
    for forged in (ASKED, spelled):
        answer = await front.nobody().call("GET /mine", headers=forged)
        assert answer.status >= 400
    assert front.seen == []
    ada = await front.signed_in()
    assert (await ada.call("GET /admin", headers=ASKED)).status in {400, 403}
    assert front.seen == []


async def test_case_32_a_websocket(open_scene: OpenScene, name: str, short_path: Path) -> None:
    async with opened(open_scene, name, short_path) as front:
        front.scene.app.respond = lambda _: (
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhello"
        )
        ada = await front.signed_in()
        nobody = front.nobody()
        for client, origin, status in (
            (nobody, "http://localhost", 401),
            (ada, "http://evil.test", 403),
            (ada, "http://localhost", 101),
        ):
            async with await RawClient.connect(front.port) as connection:
                await connection.send(client.request("GET /ws", {**UPGRADE, "Origin": origin}))
                assert (await connection.answer()).status == status
                if status == 101:
                    assert await connection.reader.readexactly(5) == b"hello"
        assert front.seen == ["GET /ws"]


async def test_an_ended_session_is_out_at_once(front: Front) -> None:
    ada = await front.signed_in()
    assert (await ada.call("GET /mine")).status == 200
    same = ada.with_cookies(session=ada.session)
    assert (await same.call("POST /.watchword/api/sessions/revoke-all")).status == 200
    assert (await ada.call("GET /mine")).status == 401
    assert front.seen == ["GET /mine"]


async def test_case_40_a_store_that_is_down(open_scene: OpenScene, name: str, short_path: Path) -> None:
    (short_path / "store").mkdir()
    (short_path / "proxy").mkdir()
    with running_server(short_path / "store", *LIKE_OURS) as server:
        store = {"url": server.url, "timeout": 0.05}
        async with opened(open_scene, name, short_path / "proxy", store=store) as front:
            ada = await front.signed_in()
            server.process.kill()
            server.process.wait()
            await front.scene.outlast_leases()
            answers: list[Answer] = [await ada.call("GET /mine"), await ada.visit("GET /mine")]
            assert [answer.status for answer in answers] == [503, 503]
            later = [answer.header(b"retry-after") for answer in answers]
            assert later == ([[], []] if name == "envoy" else [[b"5"], [b"5"]]), "Envoy says it itself"
            assert front.seen == []
            assert (await front.nobody().call("GET /public/x")).status == 200


async def test_a_gateway_that_is_away_is_no_pass(front: Front) -> None:
    ada = await front.signed_in()
    await front.scene.gateway.stop()
    for line in ("GET /mine", "GET /public/x"):
        assert (await ada.call(line)).status >= 500
    assert front.seen == []
