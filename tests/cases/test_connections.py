"""Cases 32, 42 and 43: connections that nobody may open, and that must not mix people up."""

import asyncio
from collections import Counter

import pytest
from support.gateway import SWITCHING, UPGRADE, OpenScene, Scene
from support.raw_client import RawClient
from support.recording import Received, ok
from support.upstreams import Peer

HERE = {"Origin": "http://localhost"}


def switching(received: Received) -> bytes:
    return SWITCHING if received.header("upgrade") else ok(received)


# --- 32: WebSockets


@pytest.mark.parametrize(
    ("who", "path", "headers", "status"),
    [
        ("nobody", "/ws", HERE, 401),
        ("nobody", "/ws", {}, 401),
        ("nobody", "/ws", {**HERE, "Sec-Fetch-Mode": "websocket", "Sec-Fetch-Site": "same-origin"}, 401),
        ("nobody", "/ws", {**HERE, "Cookie": f"ww-session=00.{'A' * 43}"}, 401),
        ("nobody", "/ws", {"Origin": "https://evil.example"}, 403),
        ("ada", "/ws", {"Origin": "https://evil.example"}, 403),
        ("ada", "/ws", {"Origin": "null"}, 403),
        ("ada", "/ws", {"Origin": "https://localhost"}, 403),
        ("ada", "/ws", {"Origin": "http://127.0.0.1"}, 403),
        ("ada", "/ws", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("ada", "/password", HERE, 401),
        ("ada", "/orders/7", HERE, 401),
        ("ada", "/admin", HERE, 403),
        ("ada", "/staff/ws", HERE, 403),
        ("ada", "/.watchword/devices", {}, 200),
    ],
)
async def test_case_32_an_upgrade_that_nobody_may_have(
    scene: Scene, who: str, path: str, headers: dict[str, str], status: int
) -> None:
    scene.app.respond = switching
    client = await scene.signed_in(factor=True) if who == "ada" else scene.client()
    assert (await client.call(f"GET {path}", headers={**UPGRADE, **headers})).status == status
    assert scene.upstream.peers == [], "the upstream was dialled"


async def test_case_32_a_session_that_ended(scene: Scene) -> None:
    scene.app.respond = switching
    ada = await scene.signed_in()
    kept = ada.with_cookies(session=ada.session)
    await ada.call("POST /.watchword/api/sessions/revoke-all")
    assert (await kept.call("GET /ws", headers={**UPGRADE, **HERE})).status == 401
    assert scene.upstream.peers == []


@pytest.mark.parametrize("headers", [HERE, {}, {**HERE, "Sec-Fetch-Mode": "websocket"}])
async def test_case_32_a_session_from_here_may(scene: Scene, headers: dict[str, str]) -> None:
    scene.app.respond = switching
    ada = await scene.signed_in()
    assert (await ada.call("GET /ws", headers={**UPGRADE, **headers})).status == 101
    (received,) = scene.app.requests
    assert (received.line, received.header("remote-user")) == ("GET /ws", ["ada"])
    assert received.header("upgrade") == ["websocket"]


# --- 42: cookies of the app


@pytest.mark.parametrize("authority", ["localhost", "127.0.0.1"])
async def test_case_42_a_cookie_of_one_person_goes_with_nobody_elses_request(
    scene: Scene, authority: str
) -> None:
    """All through one connection to the app, which is reached by name."""

    def respond(received: Received) -> bytes:
        who = received.header("remote-user") or ["nobody"]
        return b"HTTP/1.1 200 OK\r\nSet-Cookie: app=%b\r\nContent-Length: 0\r\n\r\n" % who[0].encode()

    scene.app.respond = respond
    ada = await scene.signed_in(authority=authority)
    bob = await scene.signed_in("bob", authority=authority)
    nobody = scene.client(authority)
    for _ in range(3):
        for client, line in ((ada, "GET /mine"), (bob, "GET /mine"), (nobody, "GET /public/x")):
            assert (await client.call(line)).status == 200
    sent = [
        (*(received.header("remote-user") or ["nobody"]), *received.header("cookie"))
        for received in scene.app.requests
    ]
    everybody = ("ada", "bob", "nobody")
    assert sent == [(who,) for who in everybody] + [(who, f"app={who}") for who in everybody] * 2
    assert len(scene.upstream.peers) == 1


async def test_case_42_people_who_share_a_connection(scene: Scene) -> None:
    """As behind a load balancer: each request is its own, whoever came before."""
    ada, bob = await scene.signed_in(), await scene.signed_in("bob")
    async with await RawClient.connect(scene.gateway.port) as shared:
        for client, expected in ((ada, ["ada"]), (bob, ["bob"]), (scene.client(), []), (ada, ["ada"])):
            await shared.send(client.request("GET /public/x" if not expected else "GET /mine", {}))
            assert (await shared.answer()).status == 200
            assert scene.app.requests[-1].header("remote-user") == expected


# --- 43: clients that leave


def full_of(number: int) -> bytes:
    return b"%6d" % number * 5000


async def numbered(peer: Peer) -> None:
    """Answer /public/<number> with a body full of that number, in two pieces."""
    while True:
        line = Received(await peer.head()).line
        body = full_of(int(line.rpartition("/")[2]))
        await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:9000])
        await asyncio.sleep(0)
        await peer.say(body[9000:])


async def test_case_43_clients_cancel_by_the_hundred(open_scene: OpenScene) -> None:
    async with open_scene(script=numbered, upstream={"connections": 10}) as scene:
        outcomes: Counter[str] = Counter()

        async def ask(number: int) -> None:
            async with await RawClient.connect(scene.gateway.port) as client:
                await client.send(b"GET /public/%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % number)
                if number % 4 == 1:
                    return
                if number % 4 == 2:
                    await client.answer(to_head=True)
                    return
                answer = await client.answer()
                outcomes[str(answer.status)] += 1
                assert answer.body == full_of(number)

        await asyncio.gather(*(ask(number) for number in range(400)))
        assert outcomes == {"200": 200}


async def test_case_43_a_delete_whose_client_left_arrives_once_at_most(scene: Scene) -> None:
    ada = await scene.signed_in()

    async def leave(number: int) -> None:
        async with await RawClient.connect(scene.gateway.port) as client:
            await client.send(ada.request(f"DELETE /things/{number}", {}))

    await asyncio.gather(*(leave(number) for number in range(200)))
    assert (await ada.call("DELETE /things/200")).status == 200
    arrived = Counter(await scene.seen())
    assert set(arrived.values()) == {1}
    assert arrived["DELETE /things/200"] == 1


@pytest.mark.parametrize("method", ["DELETE", "PUT", "POST", "GET"])
async def test_case_43_what_an_upstream_dropped_is_not_sent_again(open_scene: OpenScene, method: str) -> None:
    """The upstream reads a request on a connection that it kept, and hangs up without a word."""

    async def dropping(peer: Peer) -> None:
        await peer.head()
        await peer.say(ok(Received(b"GET / HTTP/1.1")))
        await peer.head()
        peer.hang_up()

    async with open_scene(script=dropping) as scene:
        client = scene.client()
        assert (await client.call("GET /public/first")).status == 200
        dropped = await client.call(f"{method} /public/x")
        assert (dropped.status, dropped.json["reason"]) == (502, "upstream-broken")
        assert (await client.call("GET /public/last")).status == 200
        lines = [Received(head).line for head in scene.upstream.heads]
        assert lines == ["GET /public/first", f"{method} /public/x", "GET /public/last"]
