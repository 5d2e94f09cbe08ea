"""An app that fails, by the short cut and by the ordinary way: told and put on record in the same way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs
from support.gateway import OpenScene, Scene
from support.metrics import samples
from support.raw_client import RawClient
from support.short_cut import note_taken
from support.upstreams import OK, Peer

from gateway import clock

QUICK = b"GET /public/fail HTTP/1.1\r\nHost: localhost\r\n\r\n"
ORDINARY = QUICK.replace(b"\r\n\r\n", b"\r\nContent-Length: 0\r\n\r\n")
PLAIN = QUICK.replace(b"fail", b"plain")
BY_BOTH = pytest.mark.parametrize("request_", [QUICK, ORDINARY], ids=["short cut", "ordinary"])


@dataclass
class App:
    """Answers, but to `/public/fail` only `partial`, when it is told to `go`; then it hangs up."""

    partial: bytes = b""
    asked: list[bytes] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, peer: Peer) -> None:
        while b"/public/fail" not in (head := await peer.head()):
            await peer.say(OK)
        self.asked.append(head)
        self.arrived.set()
        await self.go.wait()
        if self.partial:
            await peer.say(self.partial)
        peer.hang_up()


@asynccontextmanager
async def asked(
    open_scene: OpenScene, taken: list[bytes], app: App, request: bytes
) -> AsyncIterator[tuple[Scene, RawClient]]:
    """A request that has reached the app, by the way that its bytes are for."""
    async with (
        open_scene(script=app) as scene,
        await RawClient.connect(scene.gateway.port, "localhost") as client,
    ):
        while not taken:
            await client.send(PLAIN)
            await client.answer()
        taken.clear()
        await client.send(request)
        await app.arrived.wait()
        assert taken == ([request] if request == QUICK else [])
        yield scene, client


def failures(scene: Scene) -> float:
    counts = samples(scene.gateway.pipeline._metrics)
    return counts.get(("upstream_failures_total", "exchange", "upstream-broken"), 0)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    return note_taken(monkeypatch)


@BY_BOTH
async def test_what_was_sent_on_is_not_judged_once_more_when_it_fails(
    open_scene: OpenScene, taken: list[bytes], request_: bytes
) -> None:
    app = App()
    async with asked(open_scene, taken, app, request_) as (scene, client):
        scene.policy.write_text(scene.policy.read_text().replace("need: public", "need: deny"))
        assert scene.gateway.reload_policies() == ()
        with capture_logs() as said:
            app.go.set()
            answer = await client.answer()
            assert (answer.status, answer.json["reason"]) == (502, "upstream-broken")
        assert [entry["event"] for entry in said] == ["upstream failed", "request"]
        assert (failures(scene), len(app.asked)) == (1, 1)


@BY_BOTH
async def test_a_failure_took_as_long_as_it_took(
    open_scene: OpenScene, taken: list[bytes], request_: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, moment = App(), [100.0]
    monkeypatch.setattr(clock, "stopwatch", lambda: moment[0])
    async with asked(open_scene, taken, app, request_) as (_, client):
        moment[0] += 7
        with capture_logs() as said:
            app.go.set()
            assert (await client.answer()).status == 502
        assert [entry["ms"] for entry in said if entry["event"] == "request"] == [7000]


@BY_BOTH
@pytest.mark.parametrize("framing", [b"Content-Length: 10", b"Transfer-Encoding: chunked"])
async def test_an_answer_that_is_broken_off_is_a_failure_of_the_app(
    open_scene: OpenScene, taken: list[bytes], request_: bytes, framing: bytes
) -> None:
    app = App(partial=b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n5\r\nhello")
    async with asked(open_scene, taken, app, request_) as (scene, client):
        with capture_logs() as said:
            app.go.set()
            assert await client.is_reset()
            while not any(entry["event"] == "request" for entry in said):
                await asyncio.sleep(0.001)
        assert [entry["event"] for entry in said] == ["upstream failed", "request"]
        assert failures(scene) == 1


@BY_BOTH
async def test_a_client_that_leaves_is_no_failure_of_the_app(
    open_scene: OpenScene, taken: list[bytes], request_: bytes
) -> None:
    app = App()
    async with asked(open_scene, taken, app, request_) as (scene, client):
        with capture_logs() as said:
            client.writer.transport.abort()
            while not said:
                await asyncio.sleep(0.001)
        assert [(entry["event"], entry["status"]) for entry in said] == [("request", 499)]
        assert failures(scene) == 0
