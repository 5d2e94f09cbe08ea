"""Case 43 on the short cut: clients that leave by the hundred in the middle of what crosses there."""

import asyncio
from collections import Counter

import pytest
from support.gateway import OpenScene, Scene
from support.raw_client import RawClient
from support.recording import Received, ok
from support.short_cut import make_hot, note_taken
from support.upstreams import Peer, until

from gateway.web.short_cut import QuickConnection

AT_ONCE = 40
NUMBER = 400
PEOPLE = ("ada", "bob", "cleo", "dan")


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    return note_taken(monkeypatch)


def said_to(name: str, line: str) -> bytes:
    """What the app answers to somebody who asks for that: both, in many copies."""
    return f"{name} {line};".encode() * 500


WAYS = ("before-the-head", "behind-the-head", "within-the-body", "at-some-time", "never")
"""When a client leaves. For the first three, the app goes on only once the client has."""


def way_of(number: int) -> str:
    return WAYS[number % len(WAYS)]


def line_for(number: int, method: str = "GET") -> str:
    return f"{method} /mine/{number}?{way_of(number)}"


class App:
    """`seen` counts the lines of requests; `left` are those whose client was heard to leave in mid-answer."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.left: set[str] = set()

    async def __call__(self, peer: Peer) -> None:
        while True:
            received = Received(await peer.head())
            for length in received.header("content-length"):
                await peer.reader.readexactly(int(length))
            self.seen[received.line] += 1
            body = said_to(received.header("remote-user")[0], received.line)
            pieces = [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body), body[:3000], body[3000:]]
            for way, piece in zip(WAYS, pieces, strict=False):
                if received.line.endswith(f"?{way}"):
                    await peer.rest()
                    self.left.add(received.line)
                    return
                await peer.say(piece)
                await asyncio.sleep(0)


async def leave(client: RawClient, app: App, number: int) -> None:
    match way_of(number):
        case "before-the-head":
            await until(lambda: app.seen[line_for(number)] > 0)
        case "behind-the-head":
            await client.answer(to_head=True)
        case "within-the-body":
            await client.answer(to_head=True)
            await client.reader.readexactly(1000)
        case _:
            for _ in range(number % 13):
                await asyncio.sleep(0)
    if number % 2:
        client.writer.transport.abort()
    else:
        client.writer.close()


async def over(scene: Scene) -> None:
    """Wait until no client is there any more; then nothing of them may be left."""
    await until(lambda: not scene.gateway._front.listener._connections)
    assert scene.gateway.live.count == 0


async def test_case_43_clients_leave_by_the_hundred_within_crossings(
    open_scene: OpenScene, taken: list[bytes]
) -> None:
    """Who stays gets their own answer, whoever left before them; and whatever was sent was sent once."""
    app = App()
    places = asyncio.Semaphore(AT_ONCE)
    async with open_scene(script=app, upstream={"connections": 10}) as scene:
        people = {name: await scene.signed_in(name) for name in PEOPLE}

        async def ask(number: int) -> None:
            name = PEOPLE[number % len(PEOPLE)]
            me, line = people[name], line_for(number)
            async with places, await RawClient.connect(scene.gateway.port) as client:
                await make_hot(client, taken, me.request(f"GET /mine/warm/{number}", {}))
                await client.send(me.request(line, {}))
                if way_of(number) != "never":
                    await leave(client, app, number)
                    return
                assert (await client.answer()).body == said_to(name, line)

        await asyncio.gather(*(ask(number) for number in range(NUMBER)))
        await over(scene)
        lines = [line_for(number) for number in range(NUMBER)]
        assert max(app.seen[line] for line in lines) == 1
        assert app.left == {line_for(number) for number in range(NUMBER) if way_of(number) in WAYS[:3]}
        crossed = {data.partition(b" HTTP/")[0].decode() for data in taken}
        assert app.left < crossed
        assert {line_for(number) for number in range(NUMBER) if way_of(number) == "never"} < crossed


@pytest.mark.parametrize("method", ["DELETE", "POST"])
async def test_case_43_what_stands_behind_a_crossing_arrives_once(
    open_scene: OpenScene, taken: list[bytes], method: str
) -> None:
    """Sent while the request before it crosses, by clients of whom some leave; in one piece or in several."""
    app = App()
    places = asyncio.Semaphore(AT_ONCE)
    async with open_scene(script=app, upstream={"connections": 10}) as scene:
        people = {name: await scene.signed_in(name) for name in PEOPLE}

        async def ask(number: int) -> None:
            name = PEOPLE[number % len(PEOPLE)]
            me, lines = people[name], (f"GET /mine/{number}", f"{method} /mine/{number}")
            behind = me.request(lines[1], {}, b"" if method == "DELETE" else b"x" * number)
            async with places, await RawClient.connect(scene.gateway.port) as client:
                await make_hot(client, taken, me.request(f"GET /mine/warm/{number}", {}))
                client.writer.write(me.request(lines[0], {}))
                await until(lambda: app.seen[lines[0]] > 0)
                size = len(behind) // (1 + number % 3) + 1
                for start in range(0, len(behind), size):
                    client.writer.write(behind[start : start + size])
                    await asyncio.sleep(0)
                if way_of(number) != "never":
                    await leave(client, app, 3)
                    return
                for line in lines:
                    assert (await client.answer()).body == said_to(name, line)

        await asyncio.gather(*(ask(number) for number in range(NUMBER)))
        await over(scene)
        sent = {number: app.seen[f"{method} /mine/{number}"] for number in range(NUMBER)}
        assert set(sent.values()) <= {0, 1}
        assert {sent[number] for number in sent if way_of(number) == "never"} == {1}
        crossed = {data.partition(b" HTTP/")[0].decode() for data in taken}
        assert crossed >= {f"GET /mine/{number}" for number in range(NUMBER)}


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "PUT", "POST"])
async def test_case_43_what_an_upstream_dropped_is_not_sent_again(
    open_scene: OpenScene, taken: list[bytes], method: str
) -> None:
    """A request that crosses is read by the app, which hangs up; another one waits behind it."""
    go_on = asyncio.Event()
    seen: list[str] = []

    async def dropping(peer: Peer) -> None:
        while True:
            received = Received(await peer.head())
            for length in received.header("content-length"):
                await peer.reader.readexactly(int(length))
            seen.append(received.line)
            if "dropped" in received.line:
                await go_on.wait()
                peer.hang_up()
                return
            await peer.say(ok(received))

    async with open_scene(script=dropping) as scene, await RawClient.connect(scene.gateway.port) as client:
        ada = await scene.signed_in()
        await make_hot(client, taken, ada.request("GET /mine", {}))
        seen.clear()
        dropped = ada.request(f"{method} /dropped", {}, b"body" if method in ("PUT", "POST") else b"")
        await client.send(dropped)
        await until(lambda: len(seen) == 1)
        assert dropped in taken
        (connection,) = scene.gateway._front.listener._connections
        assert isinstance(connection, QuickConnection)
        behind = ada.request("DELETE /behind", {})
        await client.send(behind)
        await until(lambda: connection._held == behind)
        go_on.set()
        assert (await client.answer(to_head=method == "HEAD")).status == 502
        assert (await client.answer()).body == b"DELETE /behind"
        assert seen == [f"{method} /dropped", "DELETE /behind"]
