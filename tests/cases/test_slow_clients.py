"""Case 38 on connections whose last request took the short cut: nobody stays for having been quick once."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from support.gateway import OpenScene
from support.listening import ENDLESS, drip_until_cut
from support.raw_client import RawClient
from support.recording import Received, ok
from support.short_cut import make_hot, note_taken
from support.upstreams import Peer, until

from gateway.web.short_cut import QuickConnection

SLOW = b"GET /public/slow HTTP/1.1\r\nHost: localhost\r\n\r\n"
OTHER = b"GET /public/other HTTP/1.1\r\nHost: localhost\r\n\r\n"
SIZED = b"POST /public/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
CHUNKED = b"POST /public/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    return note_taken(monkeypatch)


# What a client does whose last request was quick; each gives what it got until it was cut off.

Doing = Callable[[RawClient], Awaitable[bytes]]


def dripping(begin: bytes, data: bytes) -> Doing:
    async def doing(client: RawClient) -> bytes:
        await client.send(begin)
        if not data:
            return await client.rest()
        return await drip_until_cut(
            client, data, pause=0.05
        )  # by what it earns, a body would last for longer

    return doing


async def saying_nothing(client: RawClient) -> bytes:
    return await client.rest()


@pytest.mark.parametrize(
    ("deadline", "doing"),
    [
        ("header_deadline", dripping(b"", SLOW[:-2] + b"X: y\r\n" * 1000)),
        ("header_deadline", dripping(b"", b"\r\n")),
        ("header_deadline", dripping(SLOW[:-2], b"X: y\r\n")),
        ("header_deadline", dripping(b"P", b"")),
        ("body_deadline", dripping(SIZED, b"x")),
        ("body_deadline", dripping(SIZED + b"x", b"")),
        ("body_deadline", dripping(CHUNKED, b"1\r\nx\r\n")),
        ("keep_alive", saying_nothing),
    ],
    ids=["head", "lines", "rest-of-head", "byte", "body", "no-more-body", "chunks", "nothing"],
)
async def test_case_38_who_was_quick_and_is_slow_now(
    open_scene: OpenScene, taken: list[bytes], deadline: str, doing: Doing
) -> None:
    """Every other deadline is an hour away, so it is this one that ends it; the app is left alone as well."""
    limits = {"header_deadline": ENDLESS, "body_deadline": ENDLESS, "keep_alive": ENDLESS, deadline: 1.0}
    async with (
        open_scene(limits=limits) as scene,
        await RawClient.connect(scene.gateway.port) as other,
        await RawClient.connect(scene.gateway.port) as slow,
    ):
        await make_hot(other, taken, OTHER)
        await make_hot(slow, taken, SLOW)
        taken.clear()
        until_cut = asyncio.ensure_future(doing(slow))
        served = 0
        while not until_cut.done() or not served:
            served += await is_served(other)
        assert await until_cut == b""
        served += await is_served(other)
        assert taken.count(OTHER) == served
        await until(lambda: len(scene.gateway._front.listener._connections) == 1)
        assert not [received for received in scene.app.requests if received.line.startswith("POST")]


async def is_served(client: RawClient) -> bool:
    await client.send(OTHER)
    assert (await client.answer()).body == b"GET /public/other"
    return True


async def test_case_38_a_head_that_was_begun_while_a_request_crossed(
    open_scene: OpenScene, taken: list[bytes]
) -> None:
    """What was kept for later counts from the moment at which it is its turn."""
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        while True:
            received = Received(await peer.head())
            if received.line == "GET /public/late":
                await go_on.wait()
            await peer.say(ok(received))

    limits = {"header_deadline": 1.0, "body_deadline": ENDLESS, "keep_alive": ENDLESS}
    late = SLOW.replace(b"slow", b"late")
    async with (
        open_scene(script=script, limits=limits) as scene,
        await RawClient.connect(scene.gateway.port) as slow,
    ):
        await make_hot(slow, taken, SLOW)
        (connection,) = scene.gateway._front.listener._connections
        assert isinstance(connection, QuickConnection)
        await slow.send(late)
        await until(lambda: late in taken)
        await slow.send(SLOW[:-2])
        await until(lambda: connection._held == SLOW[:-2])
        go_on.set()
        assert (await slow.answer()).body == b"GET /public/late"
        assert await drip_until_cut(slow, b"X: y\r\n") == b""
