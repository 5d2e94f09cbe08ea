"""From an allowed request to the app's answer, through the whole gateway."""

import asyncio

from support.gateway import POLICY, UPGRADE, OpenScene, Scene
from support.raw_client import RawClient
from support.recording import Received, Recorder
from support.store import RING
from support.upstreams import OK, Peer, serving

from gateway.identity.assertions import Assertions
from gateway.proxy.delivery import Delivery
from gateway.proxy.identity_headers import IdentityHeaders
from gateway.proxy.live import LiveConnections
from gateway.proxy.upstream import UpstreamLimits
from gateway.web.metrics import Metrics

EXCHANGE = POLICY.replace("[localhost, 127.0.0.1]", "[localhost]")


async def two_apps(scene: Scene, upstream: str) -> None:
    """Add a second app, at 127.0.0.1, that answers at `upstream`."""
    first = scene.policy.read_text()
    second = first.replace("app: exchange", "app: second").replace("[localhost]", "[127.0.0.1]")
    second = "\n".join(
        f"upstream: {upstream}" if "upstream" in line else line for line in second.splitlines()
    )
    scene.policy.with_name("second.yaml").write_text(second)
    assert scene.gateway.reload_policies() == ()


async def test_connections_are_kept_for_the_next_one(scene: Scene) -> None:
    ada = await scene.signed_in()
    for _ in range(5):
        assert (await ada.call("GET /mine")).status == 200
    assert len(scene.upstream.peers) == 1


async def test_each_app_has_its_own_upstream(open_scene: OpenScene) -> None:
    other = Recorder()
    async with serving(other) as elsewhere, open_scene(policy=EXCHANGE) as scene:
        await two_apps(scene, elsewhere.address)
        for authority in ("localhost", "127.0.0.1", "localhost", "127.0.0.1"):
            answer = await scene.client(authority).call(f"GET /public/{authority}")
            assert (answer.status, answer.body) == (200, f"GET /public/{authority}".encode())
        assert (scene.app.lines, other.lines) == (
            ["GET /public/localhost"] * 2,
            ["GET /public/127.0.0.1"] * 2,
        )


async def test_an_address_that_refuses_makes_way_for_the_next(open_scene: OpenScene) -> None:
    policy = POLICY.replace("upstream: UPSTREAM", 'upstream: ["http://127.0.0.1:1", UPSTREAM]')
    async with open_scene(policy=policy) as scene:
        for _ in range(3):
            assert (await scene.client().call("POST /public/x")).status == 200
        assert scene.app.lines == ["POST /public/x"] * 3


async def test_a_new_address_counts_from_the_next_request_on(open_scene: OpenScene) -> None:
    async with serving(Recorder()) as elsewhere, open_scene() as scene:
        before = scene.upstream.address.replace("127.0.0.1", "localhost")
        assert (await scene.client().call("GET /public/x")).status == 200
        scene.policy.write_text(scene.policy.read_text().replace(before, elsewhere.address))
        assert scene.gateway.reload_policies() == ()
        assert (await scene.client().call("GET /public/x")).status == 200
        assert (len(scene.upstream.heads), len(elsewhere.heads)) == (1, 1)


async def test_when_the_gateway_stops_its_connections_end(open_scene: OpenScene) -> None:
    ended = asyncio.Event()

    async def waiting(peer: Peer) -> None:
        await peer.head()
        await peer.say(OK)
        await peer.rest()
        ended.set()

    async with open_scene(script=waiting) as scene:
        assert (await scene.client().call("GET /public/x")).body == b"ok"
        assert not ended.is_set()
        await scene.gateway.stop()
        await ended.wait()


async def test_what_reaches_the_app(open_scene: OpenScene) -> None:
    async with open_scene(trusted_proxies=("127.0.0.1/32",)) as scene:
        ada = await scene.signed_in(groups=("traders",))
        ada.cookies["theme"] = "dark"
        await ada.call(
            "PUT /mine?a=b", {"x": 1}, headers={"X-Forwarded-For": "192.0.2.9", "User-Agent": "it"}
        )
        (received,) = scene.app.requests
        (assertion,) = received.header("watchword-assertion")
        assert received == Received(
            b"PUT /mine?a=b HTTP/1.1\r\n"
            b"Host: localhost\r\n"
            b"Content-Type: application/json\r\n"
            b"User-Agent: it\r\n"
            b"Cookie: theme=dark\r\n"
            b"Remote-User: ada\r\n"
            b"Remote-Name: Ada\r\n"
            b"Remote-Email: ada@example.org\r\n"
            b"Remote-Groups: traders\r\n"
            b"Watchword-Assertion: " + assertion.encode() + b"\r\n"
            b"X-Forwarded-For: 192.0.2.9, 127.0.0.1\r\n"
            b"X-Forwarded-Proto: http\r\n"
            b"X-Forwarded-Host: localhost\r\n"
            b"Via: 1.1 watchword\r\n"
            b"Content-Length: 8\r\n\r\n",
            b'{"x": 1}',
        )


async def test_a_body_that_was_read_on_the_way_arrives_whole(scene: Scene) -> None:
    """It came in pieces, was approved as a whole, and has a length now."""
    ada = await scene.signed_in(factor=True)
    chunked = {"Transfer-Encoding": "chunked", "Content-Type": "application/json"}
    head = ada.request("POST /api/transfers", {**chunked, "Watchword-Code": ada.next_code()})
    async with await RawClient.connect(scene.gateway.port) as client:
        await client.send(head + b'a\r\n{"amount":\r\n4\r\n"1"}\r\n0\r\n\r\n')
        assert (await client.answer()).status == 200
    (received,) = scene.app.requests
    assert (received.body, received.header("content-length")) == (b'{"amount":"1"}', ["14"])
    assert received.header("transfer-encoding") == []


async def test_events_are_passed_on_as_they_come(open_scene: OpenScene) -> None:
    heard = asyncio.Event()

    async def ticking(peer: Peer) -> None:
        await peer.head()
        await peer.say(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        await peer.say(b"data: 1\n\n")
        await heard.wait()
        await peer.say(b"data: 2\n\n")
        peer.hang_up()

    async with open_scene(script=ticking) as scene:
        ada = await scene.signed_in()
        async with await RawClient.connect(scene.gateway.port) as client:
            await client.send(ada.request("GET /events", {}))
            await client.answer(to_head=True)
            assert await client.chunk() == b"data: 1\n\n"
            heard.set()
            assert (await client.chunk(), await client.chunk()) == (b"data: 2\n\n", b"")


async def test_a_websocket_is_a_pipe_and_is_counted(open_scene: OpenScene) -> None:
    async def echoing(peer: Peer) -> None:
        await peer.head()
        await peer.say(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        while data := await peer.reader.read(1000):
            await peer.say(data.upper())

    async with open_scene(script=echoing) as scene:
        ada = await scene.signed_in()
        counted = scene.gateway.pipeline._metrics.exposition
        async with await RawClient.connect(scene.gateway.port) as client:
            await client.send(ada.request("GET /ws", {**UPGRADE, "Origin": "http://localhost"}))
            assert (await client.answer()).status == 101
            for _ in range(3):
                await client.send(b"hello")
                assert await client.reader.readexactly(5) == b"HELLO"
            assert b"watchword_open_tunnels 1.0" in counted()
        while b"watchword_open_tunnels 0.0" not in counted():
            await asyncio.sleep(0)


async def test_closing_what_was_never_used_is_harmless() -> None:
    metrics = Metrics()
    identities = IdentityHeaders(Assertions(RING), 300.0, 1)
    await Delivery(UpstreamLimits(), identities, metrics, LiveConnections(metrics)).close()


async def test_an_answer_with_our_cookies_is_not_cached(scene: Scene) -> None:
    """Nor is a confirmation kept as the page at its address, once a parked request was resumed there."""
    cacheable = b"Cache-Control: public, max-age=600\r\nExpires: Thu, 01 Jan 2099 00:00:00 GMT\r\n"
    scene.app.respond = lambda _: b"HTTP/1.1 200 OK\r\n%bContent-Length: 0\r\n\r\n" % cacheable
    ada = await scene.signed_in(factor=True)
    asked = await ada.visit("POST /withdrawals", {"amount": "1", "address": "bc1q"})
    await ada.visit(f"POST {asked.header(b'location')[0].decode()}", {"code": ada.next_code()})
    resumed = await ada.visit("GET /withdrawals")
    rotated = await ada.call("GET /password", headers={"Watchword-Code": ada.next_code()})
    assert [received.line for received in scene.app.requests] == ["POST /withdrawals", "GET /password"]
    for answer in (resumed, rotated):
        assert answer.header(b"set-cookie")
        assert (answer.header(b"cache-control"), answer.header(b"expires")) == ([b"no-store"], [])
    plain = await ada.visit("GET /withdrawals")
    assert plain.header(b"cache-control") == [b"public, max-age=600"], "the app's word counts otherwise"
