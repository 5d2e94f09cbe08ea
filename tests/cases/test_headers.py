"""Cases 10 to 18: headers and framing that would make somebody else of a request, or of an answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from support.gateway import Client, OpenScene, Scene
from support.raw_client import RawClient
from support.recording import Received, ok
from support.short_cut import note_taken
from support.upstreams import OK, Peer, Script

NAMED = ["Remote-User", "Remote-Name", "Remote-Email", "Remote-Groups"]
OURS = [*NAMED, "Watchword-Assertion"]
FORGED = [
    "Remote-User",
    "remote-user",
    "REMOTE_USER",
    "Remote_User",
    "Remote.User",
    "Remote-Groups",
    "Remote_Groups",
    "Remote-Name",
    "Remote-Email",
    "Remote-Anything",
    "X-Remote-User",
    "X-Forwarded-User",
    "X_Forwarded_User",
    "X-Forwarded-Preferred-Username",
    "X-Auth-Request-User",
    "X.Auth.Request.Email",
    "Watchword-Subject",
    "Watchword-Assertion",
    "watchword-assertion",
    "WATCHWORD_ASSERTION",
    "Watchword.Assertion",
    "Watchword-Assertion-",
]


@pytest.mark.parametrize("name", FORGED)
async def test_case_10_forged_identities(scene: Scene, name: str) -> None:
    ada = await scene.signed_in(groups=("traders", "staff"))
    forged = {name: "root"}
    assert (await scene.client().call("GET /public/x", headers=forged)).status == 200
    assert (await ada.call("GET /mine", headers=forged)).status == 200
    anonymous, known = scene.app.requests
    assert b"root" not in anonymous.head
    assert [anonymous.header(ours) for ours in OURS] == [[]] * 5
    assert b"root" not in known.head
    assert [known.header(ours) for ours in NAMED] == [
        ["ada"],
        ["Ada"],
        ["ada@example.org"],
        ["staff,traders"],
    ]
    assert len(known.header("Watchword-Assertion")) == 1
    assert len([name for name, _ in known.headers if name.lower().startswith("watchword")]) == 1


@pytest.mark.parametrize("name", OURS)
async def test_case_11_connection_lists_our_headers(scene: Scene, name: str) -> None:
    ada = await scene.signed_in(groups=("traders",))
    listed = {"Connection": f"close, {name}, X-Forwarded-For, Host, Cookie", name: "root"}
    assert (await ada.call("GET /mine", headers=listed)).status == 200
    (received,) = scene.app.requests
    assert [len(received.header(ours)) for ours in OURS] == [1] * 5
    assert received.header("x-forwarded-for") == ["127.0.0.1"]
    assert received.header("host") == ["localhost"]
    assert b"root" not in received.head


FORWARDED = {
    "X-Forwarded-For": "192.0.2.7",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Uri": "/public/x",
    "X-Forwarded-Method": "GET",
    "X-Original-URL": "/public/x",
    "X-Rewrite-URL": "/public/x",
    "X-Real-IP": "192.0.2.7",
    "Forwarded": "for=192.0.2.7;host=evil.example;proto=https",
}


async def test_case_12_a_stranger_says_where_a_request_is_from(scene: Scene) -> None:
    assert (await scene.client().call("GET /mine", headers=FORWARDED)).status == 401
    assert await scene.seen() == []
    ada = await scene.signed_in()
    assert (await ada.call("GET /mine", headers=FORWARDED)).status == 200
    received = scene.app.requests[-1]
    assert received.header("x-forwarded-for") == ["127.0.0.1"]
    assert received.header("x-forwarded-host") == ["localhost"]
    assert received.header("x-forwarded-proto") == ["http"]
    for gone in ("X-Forwarded-Uri", "X-Forwarded-Method", "X-Original-URL", "X-Rewrite-URL", "Forwarded"):
        assert received.header(gone) == []
    (session,) = (await ada.call("GET /.watchword/api/sessions")).json
    assert session["address"] == "127.0.0.1"


async def test_case_12_a_proxy_that_is_listed_says_where_a_request_is_from(open_scene: OpenScene) -> None:
    async with open_scene(trusted_proxies=("127.0.0.0/8", "192.0.2.7/32")) as scene:
        claimed = {**FORWARDED, "X-Forwarded-For": "203.0.113.9, 198.51.100.4, 192.0.2.7"}
        await scene.client().call("GET /public/x", headers=claimed)
        (received,) = scene.app.requests
        assert received.header("x-forwarded-for") == ["198.51.100.4, 192.0.2.7, 127.0.0.1"]
        assert received.header("x-forwarded-host") == ["localhost"]


@pytest.mark.parametrize(
    "agent", ["kube-probe/1.31", "GoogleHC/1.0", "ELB-HealthChecker/2.0", "Consul Health Check"]
)
@pytest.mark.parametrize("path", ["/mine", "/ping", "/healthz", "/ready", "/robots.txt", "/.well-known/x"])
async def test_case_13_a_health_checker_is_anybody(scene: Scene, agent: str, path: str) -> None:
    answer = await scene.client().call(f"GET {path}", headers={"User-Agent": agent})
    assert answer.status == 401
    assert await scene.seen() == []


LAST = b"GET /public/last HTTP/1.1\r\nHost: localhost\r\n\r\n"
HOT = pytest.mark.parametrize("hot", [False, True], ids=["fresh", "hot"])
"""On a connection that has just been made, and on one whose requests took the short cut until then."""


@asynccontextmanager
async def connected(scene: Scene, monkeypatch: pytest.MonkeyPatch, *, hot: bool) -> AsyncIterator[RawClient]:
    taken = note_taken(monkeypatch)
    async with await RawClient.connect(scene.gateway.port) as client:
        while hot and not taken:
            await client.send(LAST)
            assert (await client.answer()).status == 200
        yield client


SMUGGLED = b"GET /public/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"


def post(ada: Client, version: bytes, *lines: bytes, body: bytes) -> bytes:
    """A POST of somebody who is signed in, with a second request behind or within it."""
    cookie = f"Cookie: ww-session={ada.session}".encode()
    return b"\r\n".join((b"POST /notes HTTP/" + version, b"Host: localhost", cookie, *lines, b"", body))


@pytest.mark.parametrize(
    ("version", "lines", "body"),
    [
        (b"1.1", (b"Content-Length: 5", b"Transfer-Encoding: chunked"), b"0\r\n\r\n" + SMUGGLED),
        (b"1.1", (b"Transfer-Encoding: chunked", b"Content-Length: 5"), b"0\r\n\r\n" + SMUGGLED),
        (b"1.1", (b"Content-Length: 0", b"Content-Length: %d" % len(SMUGGLED)), SMUGGLED),
        (b"1.1", (b"Content-Length: 5", b"Content-Length: 5"), b"12345" + SMUGGLED),
        (b"1.1", (b"Content-Length: 5, 5",), b"12345" + SMUGGLED),
        (b"1.1", (b"Content-Length: +5",), b"12345" + SMUGGLED),
        (b"1.1", (b"Content-Length: 0x5",), b"12345" + SMUGGLED),
        (b"1.1", (b"Transfer-Encoding: gzip, chunked",), b"0\r\n\r\n" + SMUGGLED),
        (b"1.1", (b"Transfer-Encoding: chunked, identity",), b"0\r\n\r\n" + SMUGGLED),
        (b"1.1", (b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), b"0\r\n\r\n" + SMUGGLED),
        (b"1.1", (b"Transfer-Encoding: xchunked",), b"0\r\n\r\n" + SMUGGLED),
        (b"1.1", (b"Transfer-Encoding : chunked",), b"0\r\n\r\n" + SMUGGLED),
        (b"1.1", (b"Transfer-Encoding:\x0bchunked",), b"0\r\n\r\n" + SMUGGLED),
        (b"1.0", (b"Transfer-Encoding: chunked",), b"0\r\n\r\n" + SMUGGLED),
        (b"1.0", (b"Transfer-Encoding: chunked",), b"0\r\n\r\n"),
        (b"1.1", (b"X: 1", b" Content-Length: 5"), SMUGGLED),
        (b"1.1", (b"X: 1\nContent-Length: 5",), SMUGGLED),
        (b"1.1", (b"Host: localhost",), SMUGGLED),
        (b"1.1", (b"Transfer-Encoding: chunked",), b"-1\r\n\r\n" + SMUGGLED),
        (b"1.1", (b"Transfer-Encoding: chunked",), b"5\r\n12345XX0\r\n\r\n" + SMUGGLED),
    ],
)
@HOT
async def test_case_14_two_ways_to_find_the_end_of_a_body(
    scene: Scene,
    monkeypatch: pytest.MonkeyPatch,
    version: bytes,
    lines: tuple[bytes, ...],
    body: bytes,
    hot: bool,
) -> None:
    ada = await scene.signed_in()
    async with connected(scene, monkeypatch, hot=hot) as client:
        await client.send(post(ada, version, *lines, body=body))
        assert (await client.answer()).status == 400
        assert await client.rest() == b""
    assert await scene.seen() == []


@pytest.mark.parametrize("framing", ["sized", "chunked", "too large"])
async def test_case_14_the_body_of_a_refused_request_is_no_request(scene: Scene, framing: str) -> None:
    """The answer comes before the body was read; what is left of it is still a body."""
    nobody, large = scene.client(), SMUGGLED * 40_000
    bodies = {
        "sized": ({"Content-Length": str(len(SMUGGLED))}, SMUGGLED),
        "chunked": ({"Transfer-Encoding": "chunked"}, b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)),
        "too large": ({"Content-Length": str(len(large))}, large),
    }
    headers, body = bodies[framing]
    line = "POST /.watchword/api/sign-in" if framing == "too large" else "POST /mine"
    async with await RawClient.connect(scene.gateway.port) as client:
        await client.send(nobody.request(line, headers))
        assert (await client.answer()).status in (401, 413)
        with suppress(ConnectionError):
            await client.send(body + nobody.request("GET /public/next", {"Connection": "close"}))
        await client.rest()
    assert await scene.seen() in ([], ["GET /public/next"])


async def test_case_14_nobody_is_asked_for_a_body_that_is_not_wanted(scene: Scene) -> None:
    expecting = {"Expect": "100-continue", "Content-Length": "5"}
    ada = await scene.signed_in(factor=True)
    for client, line in ((scene.client(), "POST /mine"), (ada, "POST /password"), (ada, "POST /admin")):
        assert (await client.send(line, expecting)).status in (401, 403), "and not 100"
    assert await scene.seen() == []


KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="


def upgrade(target: bytes, *lines: bytes) -> bytes:
    return b"\r\n".join((b"GET " + target + b" HTTP/1.1", b"Host: localhost", *lines, b"", b""))


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /public/x\r\n\r\n",
        b"GET /public/x HTTP/0.9\r\nHost: localhost\r\n\r\n",
        b"GET /public/x HTTP/1.2\r\nHost: localhost\r\n\r\n",
        b"GET /public/x HTTP/2.0\r\nHost: localhost\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        upgrade(
            b"/public/x", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"
        ),
        upgrade(b"/public/x", b"Connection: Upgrade", b"Upgrade: h2c", KEY),
        upgrade(b"/public/x", b"Connection: Upgrade", b"Upgrade: websocket, h2c", KEY),
        upgrade(b"/public/x", b"Connection: Upgrade", b"Upgrade: TLS/1.2"),
    ],
)
@HOT
async def test_case_15_other_protocols(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, raw: bytes, hot: bool
) -> None:
    async with connected(scene, monkeypatch, hot=hot) as client:
        await client.send(raw)
        assert (await client.answer()).status in (400, 505)
        await client.send(SMUGGLED)
        assert await client.rest() == b""
    assert await scene.seen() == []


@HOT
async def test_case_16_an_identity_in_trailers(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, hot: bool
) -> None:
    ada = await scene.signed_in()
    lines = (b"Transfer-Encoding: chunked", b"Trailer: Remote-User", b"TE: trailers")
    body = b"5\r\nhello\r\n0\r\nRemote-User: root\r\nX: root\r\n\r\n"
    async with connected(scene, monkeypatch, hot=hot) as client:
        await client.send(post(ada, b"1.1", *lines, body=body))
        assert (await client.answer()).status == 200
    received = scene.app.requests[-1]
    assert (received.body, received.trailers) == (b"hello", b"")
    assert received.header("remote-user") == ["ada"]
    assert b"root" not in received.head
    assert not received.header("trailer") and not received.header("te")


SECRET = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret"


def chatty(beyond: bytes, *, later: bool) -> Script:
    """An app that answers with the target, and then says more than it was asked."""

    async def script(peer: Peer) -> None:
        while True:
            own = ok(Received(await peer.head()))
            if later:
                await peer.say(own)
                await peer.say(beyond)
            else:
                await peer.say(own + beyond)

    return script


@pytest.mark.parametrize("later", [False, True], ids=["at once", "a moment later"])
@pytest.mark.parametrize("beyond", [SECRET, b"secret", b"\r\n" + SECRET], ids=["answer", "text", "line"])
async def test_case_17_bytes_beyond_an_answer(open_scene: OpenScene, beyond: bytes, later: bool) -> None:
    async with open_scene(script=chatty(beyond, later=later)) as scene:
        for number in range(5):
            answer = await scene.client().call(f"GET /public/{number}")
            assert (answer.status, answer.body) == (200, b"GET /public/%d" % number)


@pytest.mark.parametrize("later", [False, True], ids=["at once", "a moment later"])
@pytest.mark.parametrize("beyond", [SECRET, b"secret", b"\r\n" + SECRET], ids=["answer", "text", "line"])
async def test_case_17_bytes_beyond_an_answer_of_the_short_cut(
    open_scene: OpenScene, monkeypatch: pytest.MonkeyPatch, beyond: bytes, later: bool
) -> None:
    async def script(peer: Peer) -> None:
        while b"/public/chatty" not in (head := await peer.head()):
            await peer.say(ok(Received(head)))
        await peer.say(ok(Received(head)) + (b"" if later else beyond))
        await peer.say(beyond if later else b"")
        await peer.rest()

    taken = note_taken(monkeypatch)
    chatty = LAST.replace(b"last", b"chatty")
    async with open_scene(script=script) as scene, connected(scene, monkeypatch, hot=True) as client:
        for _ in range(3):
            while chatty not in taken:
                await client.send(chatty)
                assert (await client.answer()).body == b"GET /public/chatty"
                await client.send(LAST)
                assert (await client.answer()).body == b"GET /public/last"
            taken.clear()


@pytest.mark.parametrize("later", [False, True], ids=["at once", "a moment later"])
async def test_case_17_bytes_beyond_an_answer_when_others_wait(open_scene: OpenScene, later: bool) -> None:
    """The connection is wanted at the very moment that its answer ends."""
    async with open_scene(script=chatty(SECRET, later=later), upstream={"connections": 1}) as scene:

        async def ask(number: int) -> None:
            answer = await scene.client().call(f"GET /public/{number}")
            assert (answer.status, answer.body) == (200, b"GET /public/%d" % number)

        await asyncio.gather(*(ask(number) for number in range(50)))


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\nSet-Cookie: evil=1\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: evil=1\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\r\n Set-Cookie: evil=1\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
)
@HOT
async def test_case_18_an_upstream_that_breaks_the_rules(
    open_scene: OpenScene, monkeypatch: pytest.MonkeyPatch, response: bytes, hot: bool
) -> None:
    async def broken(peer: Peer) -> None:
        while b"/public/last" in await peer.head():
            await peer.say(OK)
        await peer.say(response)
        await peer.rest()

    async with open_scene(script=broken) as scene:
        async with connected(scene, monkeypatch, hot=hot) as client:
            await client.send(b"GET /public/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = await client.answer()
            assert (answer.status, answer.json["reason"]) == (502, "upstream-broken")
            assert b"evil" not in answer.head + answer.body
        assert (await scene.client().call("GET /public/last")).body == b"ok"
