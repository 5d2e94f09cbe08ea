"""Cases 39 and 40: more than anybody needs, and a store that is away."""

import gzip
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.gateway import PASSWORD, Client, OpenScene, Scene
from support.raw_client import Answer, RawClient
from support.recording import Received
from support.store import LIKE_OURS, Server, running_server

TRANSFER = {"amount": "10", "address": "bc1q"}


# --- 39: more than anybody needs (a gigabyte: test_own_process.py)


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("a request line", b"GET /public/" + b"x" * 9216 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("a query", b"GET /public/?" + b"x" * 9216 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("a header", b"GET /public/x HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 9216 + b"\r\n\r\n"),
        ("a header's name", b"GET /public/x HTTP/1.1\r\nHost: localhost\r\n" + b"x" * 9216 + b": 1\r\n\r\n"),
        ("200 headers", b"GET /public/x HTTP/1.1\r\nHost: localhost\r\n" + b"X: 1\r\n" * 200 + b"\r\n"),
        (
            "17 KiB of headers",
            b"GET /public/x HTTP/1.1\r\nHost: localhost\r\n" + b"X: %b\r\n" % (b"x" * 1024) * 17 + b"\r\n",
        ),
        ("a head that never ends", b"GET /public/x HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 100_000),
        ("a line that never ends", b"GET /public/" + b"x" * 100_000),
    ],
)
async def test_case_39_a_head_that_is_too_large(scene: Scene, name: str, head: bytes) -> None:
    async with await RawClient.connect(scene.gateway.port) as client:
        await client.send(head)
        assert 400 <= (await client.answer()).status < 500, name
        assert await client.rest() == b""
    assert await scene.seen() == []


@pytest.mark.parametrize("headers", [50, 99])
async def test_case_39_a_head_of_ordinary_size(scene: Scene, headers: int) -> None:
    head = b"GET /public/" + b"x" * 4000 + b" HTTP/1.1\r\nHost: localhost\r\n" + b"X: 1\r\n" * (headers - 1)
    assert (await scene.client().raw(head + b"\r\n")).status == 200


BOMB = gzip.compress(b"\0" * 50_000_000, 9)
ZIPPED = {"Content-Encoding": "gzip", "Content-Type": "application/json"}


async def test_case_39_a_zip_bomb_passes_unopened(scene: Scene) -> None:
    def respond(received: Received) -> bytes:
        lines = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(BOMB)}\r\n\r\n"
        return lines.encode() + BOMB

    scene.app.respond = respond
    answer = await scene.client().send("POST /public/x", ZIPPED, BOMB)
    assert (answer.status, answer.body == BOMB) == (200, True)
    assert answer.header(b"content-encoding") == [b"gzip"]
    assert scene.app.requests[0].body == BOMB


async def test_case_39_a_zip_bomb_where_we_read_is_not_opened(scene: Scene) -> None:
    ada = await scene.signed_in(factor=True)
    assert (await ada.send("POST /api/transfers", ZIPPED, BOMB)).status == 400
    assert (await ada.send("POST /.watchword/api/factors", ZIPPED, BOMB)).status in (400, 401)
    assert (await scene.client().send("POST /.watchword/api/sign-in", ZIPPED, BOMB)).status == 400
    assert await scene.seen() == []


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"a":' * 20_000, b'{"amount": ' + b"9" * 100_000 + b"}", b'"\\ud800"', b"nul"]
)
async def test_case_39_json_that_is_a_trap(scene: Scene, body: bytes) -> None:
    ada = await scene.signed_in(factor=True)
    json = {"Content-Type": "application/json"}
    assert (await ada.send("POST /api/transfers", json, body)).status == 400
    assert (await scene.client().send("POST /.watchword/api/sign-in", json, body)).status in (400, 413)
    assert await scene.seen() == []


@pytest.mark.parametrize("framing", ["declared", "chunked"])
async def test_case_39_a_body_that_is_too_large_to_be_read(scene: Scene, framing: str) -> None:
    """What must be read as a whole, to be approved, has a limit; so have our own calls."""
    ada = await scene.signed_in(factor=True)
    for line, size in (("POST /api/transfers", 1024 * 1024), ("POST /.watchword/api/sign-in", 64 * 1024)):
        async with await RawClient.connect(scene.gateway.port) as client:
            length = {
                "declared": {"Content-Length": str(size + 1)},
                "chunked": {"Transfer-Encoding": "chunked"},
            }
            await client.send(ada.request(line, length[framing]))
            if framing == "chunked":
                await client.send(b"%x\r\n%b\r\n" % (size + 1, b"x" * (size + 1)))
            answer = await client.answer()
            assert (answer.status, answer.json["reason"]) == (413, "body-too-large")
    assert await scene.seen() == []


# --- 40: the store is away


@pytest.fixture
def server(short_path: Path) -> Iterator[Server]:
    with running_server(short_path, *LIKE_OURS) as running:
        yield running


def assert_unavailable(answer: Answer) -> None:
    assert answer.status == 503
    assert int(answer.header(b"retry-after")[0]) > 0
    assert answer.header(b"set-cookie") == []
    assert answer.header(b"location") == []


async def assert_only_public_paths_work(scene: Scene, ada: Client) -> None:
    before = dict(ada.cookies)
    nobody = scene.client()
    for client, line in (
        (ada, "GET /mine"),
        (ada, "GET /password"),
        (ada, "GET /orders/7"),
        (ada, "POST /api/transfers"),
        (ada, "GET /staff/x"),
        (ada, "GET /.watchword/api/me"),
        (ada, "POST /.watchword/api/sign-out"),
        (ada, "POST /.watchword/api/sessions/revoke-all"),
    ):
        problem = await client.call(line, headers={"Content-Type": "application/json"})
        assert_unavailable(problem)
        assert problem.json["reason"] == "store-unavailable"
        assert_unavailable(await client.visit(line))
    wanted = {"subject": "ada", "password": PASSWORD}
    assert_unavailable(await nobody.call("POST /.watchword/api/sign-in", wanted))
    assert ada.cookies == before, "nobody is signed out"

    assert (await nobody.call("GET /mine")).status == 401, "who has no cookie has no session"
    assert (await nobody.call("GET /admin")).status == 403
    assert (await nobody.visit("GET /.watchword/sign-in")).status == 200
    for client in (nobody, ada):
        assert (await client.call("GET /public/x")).status == 200


async def test_case_40_the_store_stops_for_a_while(open_scene: OpenScene, server: Server) -> None:
    async with open_scene(store={"url": server.url, "timeout": 0.05}) as scene:
        ada = await scene.signed_in(factor=True)
        server.process.send_signal(signal.SIGSTOP)
        await scene.outlast_leases()
        await assert_only_public_paths_work(scene, ada)
        assert set(await scene.seen()) == {"GET /public/x"}
        server.process.send_signal(signal.SIGCONT)
        assert await works_again(ada)


async def test_case_40_the_store_dies_and_comes_back(
    open_scene: OpenScene, server: Server, short_path: Path
) -> None:
    async with open_scene(store={"url": server.url, "timeout": 5.0}) as scene:
        ada = await scene.signed_in(factor=True)
        asked = await ada.call("POST /api/transfers", TRANSFER)
        server.process.kill()
        server.process.wait()
        await scene.outlast_leases()
        await assert_only_public_paths_work(scene, ada)
        assert set(await scene.seen()) == {"GET /public/x"}
        with running_server(short_path, *LIKE_OURS):
            assert await works_again(ada)
            assert (await ada.answer(asked)).status == 200, "what was begun goes on"
            assert (await ada.call("POST /api/transfers", TRANSFER)).status == 200


async def works_again(ada: Client) -> bool:
    """Whether the next request gets through, once the store has caught up with what it missed."""
    while (answer := await ada.call("GET /mine")).status == 503:
        pass
    return answer.status == 200
