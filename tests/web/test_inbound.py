"""What a request says of itself: who waits for it, what it may change, and its body, within limits."""

import asyncio
from dataclasses import replace

import pytest
from aiohttp import web
from support.listening import listening
from support.raw_client import RawClient
from support.receiving import READER, head, read, received
from support.store import NOW

from gateway.errors import PayloadTooLarge
from gateway.web.connection import ListenerLimits
from gateway.web.inbound import Inbound
from gateway.web.listener import Listener


@pytest.mark.parametrize(
    ("lines", "value"),
    [
        (["X-Name: a"], "a"),
        (["x-NAME: a"], "a"),
        (["X-Name:"], ""),
        (["X-Name: ünï"], "ünï"),
        ([], None),
        (["X-Name: a", "x-name: b"], None),
        (["X_Name: a"], None),
    ],
)
async def test_a_header_has_one_value_or_none(lines: list[str], value: str | None) -> None:
    assert (await read(head(*lines))).header(b"x-name") == value


@pytest.mark.parametrize(
    ("lines", "is_navigation"),
    [
        ([], False),
        (["Accept: */*"], False),
        (["Accept: text/html,*/*;q=0.8"], True),
        (["Accept: text/html", "X-Requested-With: XMLHttpRequest"], False),
        (["Accept: text/html", "Accept: text/html"], False),
        (["Accept: text/html", "Sec-Fetch-Mode: cors"], False),
        (["Accept: text/html", "Sec-Fetch-Mode: "], False),
        (["Sec-Fetch-Mode: navigate"], True),
        (["Sec-Fetch-Mode: Navigate"], False),
        (["Sec-Fetch-Mode: navigate", "X-Requested-With: XMLHttpRequest"], True),
    ],
)
async def test_a_navigation_is_what_browsers_mark_as_one(lines: list[str], is_navigation: bool) -> None:
    assert (await read(head(*lines))).is_navigation == is_navigation


NAVIGATION = "Sec-Fetch-Mode: navigate"


@pytest.mark.parametrize(
    ("method", "lines", "is_page_load"),
    [
        ("GET", [NAVIGATION], True),
        ("GET", [NAVIGATION, "Sec-Fetch-Dest: document"], True),
        ("GET", ["Accept: text/html"], True),
        ("GET", [NAVIGATION, "Sec-Fetch-Dest: iframe"], False),
        ("GET", [NAVIGATION, "Sec-Purpose: prefetch;prerender"], False),
        ("GET", ["Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: document"], False),
        ("GET", [], False),
        ("HEAD", [NAVIGATION], False),
        ("POST", [NAVIGATION], False),
    ],
)
async def test_a_page_load_is_what_a_person_looks_at(
    method: str, lines: list[str], is_page_load: bool
) -> None:
    inbound = await read(head(*lines))
    assert replace(inbound, target=inbound.target.with_method(method)).is_page_load == is_page_load


@pytest.mark.parametrize(
    ("method", "is_safe"),
    [
        ("GET", True),
        ("HEAD", True),
        ("OPTIONS", True),
        ("POST", False),
        ("DELETE", False),
        ("PROPFIND", False),
    ],
)
async def test_safe_methods_are_those_that_change_nothing(method: str, is_safe: bool) -> None:
    inbound = await read(head())
    assert replace(inbound, target=inbound.target.with_method(method)).is_safe == is_safe


async def test_an_upgrade_is_asked_for_by_a_header() -> None:
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    assert (await read(head("Connection: Upgrade", "Upgrade: websocket", key))).is_upgrade
    assert not (await read(head("Connection: Upgrade"))).is_upgrade


async def test_the_origin_is_the_public_one() -> None:
    inbound = await read(b"GET / HTTP/1.1\r\nHost: LOCALHOST:8080\r\n\r\n")
    assert inbound.origin == "http://localhost:8080"
    assert replace(inbound, scheme="https").origin == "https://localhost:8080"


async def test_the_client_is_where_the_route_begins() -> None:
    inbound = await read(head())
    assert replace(inbound, route=("192.0.2.1", "198.51.100.1")).address == "192.0.2.1"


# --- bodies


CHUNKED = head("Transfer-Encoding: chunked", line="POST /")


def sized(body: bytes, declared: int | None = None) -> bytes:
    return head(f"Content-Length: {len(body) if declared is None else declared}", line="POST /") + body


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (sized(b"hello"), b"hello"),
        (sized(b""), b""),
        (head(), b""),
        (CHUNKED + b"2\r\nhe\r\n3;x\r\nllo\r\n0\r\n\r\n", b"hello"),
        (CHUNKED + b"0\r\n\r\n", b""),
        (sized(b"\x1f\x8b" * 50), b"\x1f\x8b" * 50),
    ],
)
async def test_a_body_within_the_limit_is_read_whole(raw: bytes, body: bytes) -> None:
    async def use(inbound: Inbound) -> bytes:
        return await inbound.read_body(len(body))

    assert await received(raw, use) == body


@pytest.mark.parametrize(
    "raw",
    [
        sized(b"hello!"),
        sized(b"", declared=2**40),
        CHUNKED + b"6\r\nhello!\r\n0\r\n\r\n",
        CHUNKED + b"1\r\nh\r\n5\r\nello!\r\n",
    ],
    ids=["sized", "declared only", "one chunk", "endless"],
)
async def test_a_body_beyond_the_limit_is_not(raw: bytes) -> None:
    async def use(inbound: Inbound) -> bytes:
        return await inbound.read_body(5)

    with pytest.raises(PayloadTooLarge):
        await received(raw, use)


async def test_a_body_that_was_read_is_not_read_again() -> None:
    async def use(inbound: Inbound) -> bytes:
        return await replace(inbound, body=b"kept").read_body(0)

    assert await received(sized(b"hello"), use) == b"kept"


async def test_an_answer_is_over_when_the_client_has_left() -> None:
    """Nobody else tells a handler that is busy with something else."""
    inbounds: asyncio.Queue[Inbound] = asyncio.Queue()
    left = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        inbounds.put_nowait(READER.read(request, NOW))
        await left.wait()
        return web.Response()

    async with listening(handler) as port:
        async with await RawClient.connect(port) as client:
            await client.send(head())
            inbound = await inbounds.get()
            assert not inbound.is_over
        while not inbound.is_over:
            await asyncio.sleep(0)
        left.set()


async def test_an_answer_is_over_when_the_listener_stops() -> None:
    inbounds: asyncio.Queue[Inbound] = asyncio.Queue()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        inbound = READER.read(request, NOW)
        inbounds.put_nowait(inbound)
        while not inbound.is_over:
            await asyncio.sleep(0)
        return web.Response()

    listener = Listener(handler, ListenerLimits())
    port = await listener.start("127.0.0.1", 0)
    async with await RawClient.connect(port) as client:
        await client.send(head())
        await inbounds.get()
        await listener.stop(grace=100)
        assert (await client.answer()).status == 200
