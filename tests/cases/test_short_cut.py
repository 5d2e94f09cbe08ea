"""The short cut of a whole gateway: what takes it, and that nothing of what protects anybody is cut short."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from support.gateway import OpenScene, Scene
from support.metrics import samples
from support.raw_client import Answer, RawClient
from support.recording import Received, ok
from support.resets import FORGET_AT, opened, waiting
from support.short_cut import note_taken
from support.store import LIKE_OURS, running_server
from support.upstreams import Peer, until

from gateway.identity.assertions import Assertions
from gateway.proxy import header
from gateway.web.short_cut import QuickConnection

PLAIN = b"GET /public/x HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    return note_taken(monkeypatch)


@asynccontextmanager
async def warm(scene: Scene, taken: list[bytes]) -> AsyncIterator[RawClient]:
    """A client's connection for which everything is ready: its next plain request takes the short cut."""
    async with await RawClient.connect(scene.gateway.port, "localhost") as client:
        while not taken:
            await told(client, PLAIN)
        taken.clear()
        scene.app.requests.clear()
        yield client


async def told(client: RawClient, request: bytes) -> Answer:
    await client.send(request)
    return await client.answer(to_head=request.startswith(b"HEAD "))


# --- which requests take it


@pytest.mark.parametrize(
    ("line", "headers", "takes", "status"),
    [
        ("GET /public/x", {}, True, 200),
        ("GET /public/x?a=/b", {}, True, 200),
        ("HEAD /public/x", {}, True, 200),
        ("GET /mine", {}, True, 200),
        ("HEAD /mine", {}, True, 200),
        ("GET /mine", {"Connection": "keep-alive"}, True, 200),
        ("GET /mine", {"Sec-Fetch-Mode": "navigate", "Accept": "text/html"}, True, 200),
        ("GET /staff/x", {}, True, 200),
        ("POST /mine", {}, True, 200),
        ("POST /mine", {"Content-Length": "0"}, True, 200),
        ("PUT /mine", {"Content-Length": "0"}, True, 200),
        ("PATCH /mine", {}, True, 200),
        ("DELETE /mine", {}, True, 200),
        ("OPTIONS /mine", {}, True, 200),
        ("PROPFIND /mine", {}, False, 200),
        ("GET /mine", {"Content-Length": "0"}, False, 200),
        ("POST /mine", {"Content-Length": "+0"}, False, 400),
        ("GET /mine", {"Expect": "100-continue"}, False, 200),
        ("GET /mine", {"Upgrade": "h2c"}, False, 400),
        ("GET /mine", {"Connection": "close"}, False, 200),
        ("GET /mine", {"Watchword-Code": "123456"}, False, 200),
        ("GET /mine", {"Cookie": "ww-resume=x; {ada}"}, False, 200),
        ("GET /mine", {"Cookie": "{ada}; {ada}"}, False, 401),
        ("GET /mine", {"Cookie": "a=1"}, False, 401),
        ("GET /mine", {"Cookie": "ww-session=00.unknown"}, False, 401),
        ("GET /password", {}, False, 401),
        ("GET /admin", {}, False, 403),
        ("GET /.watchword/api/me", {}, False, 200),
        ("GET /.watchword/nothing", {}, False, 404),
        ("GET /public/../mine", {}, False, 400),
        ("GET /mine", {"Host": "other.example"}, False, 421),
    ],
)
async def test_what_takes_the_short_cut(
    scene: Scene, taken: list[bytes], line: str, headers: dict[str, str], takes: bool, status: int
) -> None:
    ada = await scene.signed_in(factor=True, groups=("staff",))
    assert (await ada.call("GET /mine")).status == 200  # memory knows her by now
    cookie = f"ww-session={ada.session}"
    headers = {name: value.replace("{ada}", cookie) for name, value in headers.items()}
    request = ada.request(line, {"Cookie": cookie, **headers})
    async with warm(scene, taken) as client:
        answer = await told(client, request)
        while answer.status == 100:
            answer = await client.answer()
        assert (answer.status, taken) == (status, [request] if takes else [])
        reached = [received.line for received in scene.app.requests]
        assert reached == ([line] if status == 200 and ".watchword" not in line else [])


@pytest.mark.parametrize(
    "pieces",
    [
        (PLAIN[:20], PLAIN[20:]),
        (PLAIN + PLAIN,),
        (PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"),),
        (b"\r\n" + PLAIN,),
        (PLAIN.replace(b"\r\n\r\n", b"\r\nX: " + b"x" * 8190 + b"\r\n\r\n"),),
        (PLAIN.replace(b"\r\n\r\n", b"\r\n" + b"X: 1\r\n" * 100 + b"\r\n"),),
    ],
)
async def test_what_is_not_one_whole_request_of_moderate_size_does_not(
    scene: Scene, taken: list[bytes], pieces: tuple[bytes, ...]
) -> None:
    async with warm(scene, taken) as client:
        for piece in pieces:
            await client.send(piece)
            await asyncio.sleep(0.02)  # so that they arrive one by one; what is shown does not depend on it
        assert (await client.answer()).status in (200, 400, 431)
        assert taken == []


async def test_who_is_to_be_told_of_a_reset_is_told(scene: Scene, taken: list[bytes]) -> None:
    """A page may have to come first; for which request, the ordinary way says."""
    store = scene.gateway.store
    ada = await scene.signed_in(factor=True)
    await ada.call("GET /mine")
    reset = await opened(store)
    assert await store.resets.move(reset, waiting(reset), forget_at=FORGET_AT)
    who = scene.gateway.pipeline.memory._who
    await until(lambda: who.remembered(who.place_of(ada.session), scene.clock.now) is None)
    page = ada.request("GET /mine", {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"})
    async with warm(scene, taken) as client:
        for request, status, reached in (
            (page, 303, 0),
            (ada.request("GET /mine", {}), 200, 1),
            (page, 303, 1),
        ):
            assert (await told(client, request)).status == status
            assert (taken, len(scene.app.requests)) == ([], reached)


# --- what may not be remembered


async def test_header_lines_that_are_kept_keep_no_decision(scene: Scene, taken: list[bytes]) -> None:
    """The same bytes on the same connection are judged by the policy of the moment."""
    async with warm(scene, taken) as client:
        for need, status in (("need: deny", 403), ("need: session", 401), ("need: public", 200)):
            text = scene.policy.read_text()
            line = next(line for line in text.splitlines() if "name: public" in line)
            rule = f'  - {{name: public, paths: ["/public/**"], {need}}}'
            scene.policy.write_text(text.replace(line, rule))
            assert scene.gateway.reload_policies() == ()
            assert (await told(client, PLAIN)).status == status
        assert len(scene.app.requests) == 1


@pytest.mark.parametrize("how", ["sign-out", "revoked"])
async def test_a_session_that_ends_between_two_requests_of_a_connection(
    scene: Scene, taken: list[bytes], how: str
) -> None:
    ada = await scene.signed_in()
    request = ada.request("GET /mine", {})
    async with warm(scene, taken) as client:
        for _ in range(3):
            assert (await told(client, request)).status == 200
        assert len(taken) >= 2
        line = "sign-out" if how == "sign-out" else "sessions/revoke-all"
        assert (await ada.call(f"POST /.watchword/api/{line}")).status in (200, 204)
        taken.clear()
        for _ in range(2):
            assert (await told(client, request)).status == 401
        assert taken == []


async def test_people_who_share_a_connection_are_never_mixed_up(scene: Scene, taken: list[bytes]) -> None:
    """Case 42: the lines that are kept are the last request's, and serve for the very same bytes only."""
    ada, bob = await scene.signed_in(), await scene.signed_in("bob")
    nobody = scene.client()
    async with warm(scene, taken) as client:
        for _ in range(3):
            for who, line in (
                (ada, "GET /mine"),
                (ada, "GET /mine"),
                (bob, "GET /mine"),
                (nobody, "GET /public/x"),
            ):
                assert (await told(client, who.request(line, {}))).status == 200
        users = [received.header("remote-user") for received in scene.app.requests]
        assert users == [["ada"], ["ada"], ["bob"], []] * 3
        assert len(taken) >= 8
        assert (await told(client, nobody.request("GET /mine", {}))).status == 401


async def test_without_the_store_only_what_is_public_takes_it(
    open_scene: OpenScene, taken: list[bytes], short_path: Path
) -> None:
    """Case 40, once no lease is left."""
    with running_server(short_path, *LIKE_OURS) as server:
        async with open_scene(store={"url": server.url, "timeout": 0.05}) as scene:
            ada = await scene.signed_in()
            request = ada.request("GET /mine", {})
            async with warm(scene, taken) as client:
                for _ in range(2):
                    assert (await told(client, request)).status == 200
                assert request in taken
                taken.clear()
                server.process.send_signal(signal.SIGSTOP)
                try:
                    await scene.outlast_leases()
                    for _ in range(2):
                        assert (await told(client, request)).status == 503
                    assert taken == []
                    assert (await told(client, PLAIN)).status == 200
                finally:
                    server.process.send_signal(signal.SIGCONT)


async def test_a_session_ends_in_time_on_a_connection_that_stays(scene: Scene, taken: list[bytes]) -> None:
    """The deadlines are the clock's, not the connection's; and use moves the idle one, as it is noted."""
    ada = await scene.signed_in()
    request = ada.request("GET /mine", {})
    async with warm(scene, taken) as client:
        for _ in range(3):
            assert (await told(client, request)).status == 200
            scene.clock.advance(3000)
        assert len(taken) >= 2
        scene.clock.advance(3600)
        taken.clear()
        assert (await told(client, request)).status == 401
        assert taken == []


async def test_use_is_noted(scene: Scene, taken: list[bytes]) -> None:
    ada = await scene.signed_in()
    request = ada.request("GET /mine", {})
    (begun,) = (await ada.call("GET /.watchword/api/sessions")).json
    async with warm(scene, taken) as client:
        assert (await told(client, request)).status == 200
        taken.clear()
        scene.clock.advance(61)
        assert (await told(client, request)).status == 200
        assert taken == [request]
    await scene.note_uses()
    (session,) = (await ada.call("GET /.watchword/api/sessions")).json
    assert session["last_used_at"] != begun["last_used_at"]


# --- what ends it, and what is kept of it


async def test_case_31_both_sides_are_cut_when_everything_is_revoked(
    open_scene: OpenScene, taken: list[bytes]
) -> None:
    rest: list[bytes] = []

    async def script(peer: Peer) -> None:
        while (received := Received(await peer.head())).line != "GET /events":
            await peer.say(ok(received))
        await peer.say(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: hello\n\n")
        rest.append(await peer.rest())

    async with open_scene(script=script) as scene:
        ada = await scene.signed_in()
        assert (await ada.call("GET /mine")).status == 200
        request = ada.request("GET /events", {})
        async with warm(scene, taken) as client:
            await client.send(request)
            await client.reader.readuntil(b"hello\n\n\r\n")
            assert taken == [request]
            assert (await ada.call("POST /.watchword/api/sessions/revoke-all")).status in (200, 204)
            with pytest.raises(ConnectionResetError):
                await client.reader.readexactly(1)
            await until(lambda: bool(rest))
            assert scene.gateway.live.count == 0


async def test_the_record_is_the_same_as_by_the_ordinary_way(scene: Scene, taken: list[bytes]) -> None:
    ada = await scene.signed_in()
    requests = [
        ada.request("GET /mine?q=SECRET", {}),
        ada.request("HEAD /mine", {}),
        scene.client().request("GET /public/%7Ex?q", {}),
    ]
    scene.app.respond = lambda _: b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"
    entries: list[list[object]] = []
    counts: list[float] = []
    await told_alone(scene, requests[0])
    for extra in (b"", b"Content-Length: 0\r\n"):  # which is for the ordinary way
        async with warm(scene, taken) as client:
            before = counted(scene)
            with capture_logs() as said:
                for request in requests:
                    await told(client, request.replace(b"\r\n\r\n", b"\r\n" + extra + b"\r\n"))
            assert len(taken) == (0 if extra else 3)
            counts.append(counted(scene) - before)
        entries.append([{key: entry[key] for key in entry if key != "ms"} for entry in said])
        assert [list(entry) for entry in said] == [list(said[0])] * 3
        taken.clear()
    assert entries[0] == entries[1]
    assert counts == [3, 3]
    assert "SECRET" not in repr(entries)


async def told_alone(scene: Scene, request: bytes) -> None:
    async with await RawClient.connect(scene.gateway.port, "localhost") as client:
        await told(client, request)


def counted(scene: Scene) -> float:
    return samples(scene.gateway.pipeline._metrics)["requests_total", "exchange", "4xx"]


async def test_answers_keep_the_order_of_their_requests(scene: Scene, taken: list[bytes]) -> None:
    """Sent while the first is on its way: quick ones, ordinary ones, and refusals."""
    ada = await scene.signed_in()
    await ada.call("GET /mine")
    mine = ["GET /mine", "HEAD /mine", "GET /mine"]
    lines = ["GET /mine", "GET /public/x", "PROPFIND /mine", "GET /admin", *mine]
    async with warm(scene, taken) as client:
        for _ in range(5):
            for line in lines:
                client.writer.write(ada.request(line, {"Content-Length": "0"} if "PROPFIND" in line else {}))
                await asyncio.sleep(0)
            for line in lines:
                answer = await client.answer(to_head=line.startswith("HEAD"))
                assert answer.status == (403 if line == "GET /admin" else 200)
                if not line.startswith("HEAD") and answer.status == 200:
                    assert answer.body == line.encode()
        assert taken


@pytest.mark.parametrize(("size", "kept"), [(100, True), (1900, True), (2100, False), (7000, False)])
async def test_long_header_lines_are_not_kept_by_an_idle_connection(
    scene: Scene, taken: list[bytes], size: int, kept: bool
) -> None:
    request = PLAIN.replace(b"\r\n\r\n", b"\r\nX: " + b"x" * size + b"\r\n\r\n")
    async with warm(scene, taken) as client:
        assert (await told(client, request)).status == 200
        assert taken == [request]
        (connection,) = scene.gateway._front.listener._connections
        assert isinstance(connection, QuickConnection)
        assert (connection.memory is not None) == kept


@pytest.mark.parametrize(("number", "quick"), [(100, True), (101, False), (1000, False)])
async def test_of_too_many_headers_none_is_read(
    scene: Scene, taken: list[bytes], number: int, quick: bool
) -> None:
    """It would take the longer the more there are, for nothing: such a request goes the ordinary way."""
    more = number - PLAIN.count(b"\r\n") + 2
    request = PLAIN[:-2] + b"".join(b"X%d: %d\r\n" % (each, number) for each in range(more)) + b"\r\n"
    async with warm(scene, taken) as client:
        header._remembered.clear()
        await client.send(request)
        assert (await client.answer()).status == (200 if quick else 400)
        assert bool(taken) == quick
        assert (b"X0: %d" % number in header._remembered) == quick


async def test_a_fault_of_ours_on_the_short_cut_is_told_by_the_ordinary_way(
    scene: Scene, taken: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await scene.signed_in()
    request = ada.request("GET /mine", {})

    def fail(*_: object) -> bytes:
        raise RuntimeError("no key")

    async with warm(scene, taken) as client:
        for _ in range(2):
            assert (await told(client, request)).status == 200
        assert taken == [request]
        monkeypatch.setattr(Assertions, "sign", fail)
        scene.clock.advance(290)  # a new assertion is due
        assert (await told(client, request)).status == 500
        assert (len(taken), len(scene.app.requests)) == (1, 2)
        assert (await told(client, PLAIN)).status == 200
