"""Cases 31 and 33: what is under way when a session ends, through the whole gateway."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from support.gateway import SWITCHING, UPGRADE, Client, OpenScene, Scene
from support.identity import snapshot_of
from support.raw_client import RawClient
from support.recording import Received
from support.upstreams import Peer, until

from gateway.core.ending import Ending, Scope

HELLO = b"\x81\x05hello"
CLOSE = b"\x88\x17\x03\xf0the session was ended"


@dataclass
class App:
    """An app whose every answer goes on for as long as anybody listens. `ended` are the people it lost."""

    ended: dict[tuple[str, str], bytes] = field(default_factory=dict)

    async def __call__(self, peer: Peer) -> None:
        received = Received(await peer.head())
        if received.header("upgrade"):
            await peer.say(SWITCHING + HELLO)
        elif "/events" in received.line:
            await peer.say(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: hello\n\n")
        elif "/download" in received.line:
            await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nhello")
        elif "/upload" in received.line:
            await peer.reader.readuntil(b"hello")
        who = received.header("remote-user") or ["nobody"]
        self.ended[who[0], received.line] = await peer.rest()
        peer.hang_up()


async def opened(client: Client, line: str, headers: dict[str, str], body: bytes = b"") -> RawClient:
    connection = await RawClient.connect(client.port)
    await connection.send(client.request(line, headers) + body)
    if not body:
        await connection.reader.readuntil(b"hello")
    return connection


@asynccontextmanager
async def everything_open(client: Client) -> AsyncIterator[dict[str, RawClient]]:
    """A WebSocket, an event stream, a download and an upload of one client, each well under way."""
    origin = {"Origin": f"http://{client.authority}"}
    connections = {
        "GET /ws": await opened(client, "GET /ws", {**UPGRADE, **origin}),
        "GET /events": await opened(client, "GET /events", {}),
        "GET /download": await opened(client, "GET /download", {}),
        "POST /upload": await opened(client, "POST /upload", {"Content-Length": "1000000"}, b"hello"),
    }
    try:
        yield connections
    finally:
        for connection in connections.values():
            connection.writer.transport.abort()


async def epoch_of(scene: Scene, client: Client) -> int:
    return (await snapshot_of(scene.gateway.store, client.session, scene.clock.now)).session.account_epoch


async def test_case_31_everything_of_an_account_is_closed_on_both_sides(open_scene: OpenScene) -> None:
    app = App()
    async with open_scene(script=app) as scene:
        ada, bob = await scene.signed_in(), await scene.signed_in("bob")
        async with everything_open(ada) as hers, everything_open(bob) as his:
            live = scene.gateway.live
            await until(lambda: live.count == 8)
            assert sorted(session.subject for session in live.sessions()) == ["ada", "bob"]
            ending = Ending("r", Scope.ACCOUNT, subject="ada", epoch=await epoch_of(scene, ada) + 1)
            assert live.cut(ending) == 4
            assert await hers["GET /ws"].reader.read(-1) == CLOSE
            hers["GET /ws"].writer.close()
            for line in ("GET /events", "GET /download", "POST /upload"):
                assert await hers[line].is_reset(), line
            await until(lambda: len(app.ended) == 4)
            assert set(app.ended) == {("ada", line) for line in hers}
            assert app.ended["ada", "GET /ws"][:2] == b"\x88\x97", "a close frame, masked"
            assert {rest for key, rest in app.ended.items() if "ws" not in key[1]} == {b""}
            assert live.count == 4, "nobody else's"
            await his["POST /upload"].send(b"and on")
        await until(lambda: len(app.ended) == 8)
        assert app.ended["bob", "POST /upload"] == b"and on"
        await until(lambda: live.count == 0)


async def test_case_31_the_session_that_ended_the_others_goes_on(open_scene: OpenScene) -> None:
    app = App()
    async with open_scene(script=app) as scene:
        ada, elsewhere = await scene.signed_in(), await scene.signed_in()
        live = scene.gateway.live
        async with everything_open(ada):
            (kept,) = live.sessions()
            async with everything_open(elsewhere) as others:
                await until(lambda: live.count == 8)
                ending = Ending("r", Scope.ACCOUNT, subject="ada", epoch=kept.account_epoch + 1, kept=kept.id)
                assert live.cut(ending) == 4
                assert await others["GET /download"].is_reset()
            assert [session.id for session in live.sessions()] == [kept.id]
            assert live.count == 4


async def test_case_31_what_is_public_belongs_to_no_session(open_scene: OpenScene) -> None:
    async with open_scene(script=App()) as scene:
        ada = await scene.signed_in()
        async with await opened(ada, "GET /public/download", {}) as connection:
            assert scene.gateway.live.count == 0
            assert scene.gateway.live.cut_all("over") == 0
            assert not connection.reader.at_eof()


async def test_case_33_an_ending_while_a_request_is_still_judged(scene: Scene) -> None:
    """Its body is read for the code; who asks was found out before. It never reaches the app."""
    ada = await scene.signed_in(factor=True)
    body = json.dumps({"amount": "1", "address": "bc1q"}).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    head = ada.request("POST /api/transfers", {**headers, "Watchword-Code": ada.next_code()})
    ending = Ending("r", Scope.ACCOUNT, subject="ada", epoch=await epoch_of(scene, ada) + 1)
    identified = asyncio.Event()
    moment = scene.gateway.live.moment

    def marked() -> float:
        """A mark is made before it is looked up who asks."""
        identified.set()
        return moment()

    scene.gateway.live.moment = marked
    async with await RawClient.connect(scene.gateway.port) as client:
        await client.send(head + body[:5])
        await identified.wait()
        await epoch_of(scene, ada)  # behind the request's own look at the store
        assert scene.gateway.live.cut(ending) == 0
        await client.send(body[5:])
        assert await client.is_reset()
    assert await scene.seen() == []
