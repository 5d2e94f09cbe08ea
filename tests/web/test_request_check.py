from contextlib import suppress

import pytest
from support.listening import Recorder, listening
from support.raw_client import RawClient

from gateway.web.connection import ListenerLimits

FOLLOWER = b"GET /follower HTTP/1.1\r\nHost: a\r\n\r\n"
WEBSOCKET = b"Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"


def head(*lines: bytes, start: bytes = b"GET / HTTP/1.1", host: bytes = b"Host: a") -> bytes:
    return b"\r\n".join((start, host, *lines)) + b"\r\n\r\n"


def post(*lines: bytes, body: bytes = b"0\r\n\r\n", version: bytes = b"1.1") -> bytes:
    return head(*lines, start=b"POST / HTTP/" + version) + body


CHUNKED = b"Transfer-Encoding: chunked"

REFUSED = {
    # versions (case 15)
    "HTTP/0.9 without a version": (b"GET /\r\n\r\n", 505),
    "HTTP/0.9": (head(start=b"GET / HTTP/0.9"), 505),
    "HTTP/2.0": (head(start=b"GET / HTTP/2.0"), 505),
    "HTTP/1.2": (head(start=b"GET / HTTP/1.2"), 400),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "version in small letters": (head(start=b"GET / http/1.1"), 400),
    # methods (case 7)
    "TRACE": (head(start=b"TRACE / HTTP/1.1"), 405),
    "CONNECT": (head(start=b"CONNECT a:80 HTTP/1.1"), 405),
    "CONNECT to a path": (head(start=b"CONNECT /x HTTP/1.1"), 405),
    "an unknown method": (head(start=b"FOO / HTTP/1.1"), 400),
    "a method in small letters": (head(start=b"get / HTTP/1.1"), 400),
    # framing (case 14)
    "CL with TE": (post(b"Content-Length: 5", CHUNKED), 400),
    "TE with CL": (post(CHUNKED, b"Content-Length: 5"), 400),
    "two CL": (post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"), 400),
    "a list of CL": (post(b"Content-Length: 5, 5", body=b"hello"), 400),
    "CL with a sign": (post(b"Content-Length: +5", body=b"hello"), 400),
    "CL with an underscore": (post(b"Content-Length: 1_0", body=b"hello"), 400),
    "CL empty": (post(b"Content-Length:", body=b"hello"), 400),
    "CL beyond 64 bits": (post(b"Content-Length: 99999999999999999999999", body=b"hello"), 400),
    "gzip, chunked": (post(b"Transfer-Encoding: gzip, chunked"), 400),
    "chunked, gzip": (post(b"Transfer-Encoding: chunked, gzip"), 400),
    "chunked twice in a list": (post(b"Transfer-Encoding: chunked, chunked"), 400),
    "two TE": (post(CHUNKED, CHUNKED), 400),
    "TE identity": (post(b"Transfer-Encoding: identity"), 400),
    "TE xchunked": (post(b"Transfer-Encoding: xchunked"), 400),
    "TE empty": (post(b"Transfer-Encoding:"), 400),
    "TE with a vertical tab": (post(b"Transfer-Encoding: \x0bchunked"), 400),
    "TE on HTTP/1.0": (post(CHUNKED, version=b"1.0"), 400),
    "a chunk ended by a bare LF": (post(CHUNKED, body=b"5\nhello\r\n0\r\n\r\n"), 400),
    "a chunk size in another notation": (post(CHUNKED, body=b"0x5\r\nhello\r\n0\r\n\r\n"), 400),
    "a chunk longer than it says": (post(CHUNKED, body=b"3\r\nhello\r\n0\r\n\r\n"), 400),
    # header lines
    "a bare LF": (b"GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
    "a bare CR": (head(b"X: a\rb"), 400),
    "a folded line": (head(b"X: a", b" b"), 400),
    "a blank before the colon": (head(b"X : a"), 400),
    "no name": (head(b": a"), 400),
    "a name that is no token": (head(b"X(y): a"), 400),
    "a name beyond ASCII": (head(b"X\xc3\xa9: a"), 400),
    "a control character": (head(b"X: a\x01b"), 400),
    "NUL": (head(b"X: a\x00b"), 400),
    "DEL": (head(b"X: a\x7fb"), 400),
    "not UTF-8": (head(b"X: caf\xe9"), 400),
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    # duplicates
    "two Host": (head(b"Host: b"), 400),
    "two Cookie": (head(b"Cookie: a=1", b"Cookie: b=2"), 400),
    "two Cookie of one short value": (head(b"Cookie: a", b"cookie: a"), 400),
    "two Authorization": (head(b"Authorization: a", b"Authorization: b"), 400),
    "two Content-Type": (head(b"Content-Type: a/b", b"Content-Type: a/b"), 400),
    "two Origin": (head(b"Origin: http://a", b"Origin: http://b"), 400),
    "two Expect": (head(b"Expect: 100-continue", b"Expect: 100-continue"), 400),
    "two codes": (head(b"Watchword-Code: 123456", b"Watchword-Code: 654321"), 400),
    # expectations and upgrades (case 15)
    "another expectation": (head(b"Expect: tea"), 417),
    "h2c": (
        head(b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings", b"HTTP2-Settings: AAMAAABkAAQ"),
        400,
    ),
    "h2c without Connection": (head(b"Upgrade: h2c"), 400),
    "websocket or h2c": (head(b"Upgrade: websocket, h2c", b"Connection: upgrade"), 400),
    "two Upgrade": (head(b"Upgrade: websocket", b"Upgrade: h2c", b"Connection: upgrade"), 400),
    "a Kelvin sign in websocKet": (head("Upgrade: websoc\u212aet".encode(), b"Connection: upgrade"), 400),
    "a WebSocket by POST": (b"POST / HTTP/1.1\r\nHost: a\r\n" + WEBSOCKET + b"\r\n", 400),
    "a WebSocket in HTTP/1.0": (b"GET / HTTP/1.0\r\nHost: a\r\n" + WEBSOCKET + b"\r\n", 400),
    "a WebSocket with a body": (
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n" + WEBSOCKET + b"\r\nhi",
        400,
    ),
    "a WebSocket without a key": (head(b"Upgrade: websocket", b"Connection: upgrade"), 400),
    "a WebSocket with a short key": (
        head(b"Upgrade: websocket", b"Connection: upgrade", b"Sec-WebSocket-Key: AAAA"),
        400,
    ),
    # sizes (case 39)
    "a long request line": (head(start=b"GET /" + b"a" * 9000 + b" HTTP/1.1"), 400),
    "a long header": (head(b"X: " + b"a" * 9000), 400),
    "200 headers": (head(*(b"X: a" for _ in range(200))), 400),
    "40 KB of headers": (head(*(b"X: " + b"a" * 4000 for _ in range(10))), 431),
}


@pytest.mark.parametrize(("raw", "status"), REFUSED.values(), ids=REFUSED.keys())
async def test_it_is_refused_and_the_connection_ends(raw: bytes, status: int) -> None:
    async with listening(Recorder()) as port, await RawClient.connect(port) as client:
        await client.send(raw)
        assert (await client.answer()).status == status
        assert await client.rest() == b""


@pytest.mark.parametrize("raw", [raw for raw, _ in REFUSED.values()], ids=REFUSED.keys())
async def test_what_follows_in_the_same_bytes_is_not_served(raw: bytes) -> None:
    """Cases 14, 15: it may look like a request, but who knows where it begins?"""
    handler = Recorder()
    async with listening(handler) as port, await RawClient.connect(port) as client:
        await client.send(raw + FOLLOWER)
        assert (await client.answer()).status >= 400
        assert await client.rest() == b""
    assert all(request.path != "/follower" for request in handler.requests)


@pytest.mark.parametrize("name", ["HTTP/2.0", "two Cookie", "a bare LF"])
async def test_what_follows_later_is_not_served_either(name: str) -> None:
    handler = Recorder()
    async with listening(handler) as port, await RawClient.connect(port) as client:
        await client.send(REFUSED[name][0])
        await client.answer()
        with suppress(ConnectionError):
            await client.send(FOLLOWER)
        assert await client.rest() == b""
    assert handler.requests == []


async def test_the_answer_is_plain_and_tells_nothing_of_the_request() -> None:
    async with listening(Recorder()) as port, await RawClient.connect(port) as client:
        await client.send(head(b"Cookie: secret\x01", b"Accept: text/html"))
        answer = await client.answer()
    assert answer.body == b"400 Bad Request\n"
    assert answer.header(b"content-type") == [b"text/plain; charset=utf-8"]
    assert answer.header(b"server") == []


async def test_the_answer_says_what_is_wrong_where_we_know_it() -> None:
    async with listening(Recorder()) as port, await RawClient.connect(port) as client:
        await client.send(head(b"Cookie: a=1", b"Cookie: b=2"))
        answer = await client.answer()
    assert answer.body == b"400 Bad Request: there is more than one cookie header\n"
    assert answer.header(b"connection") == [b"close"]


async def test_a_refused_method_comes_with_those_that_are_served() -> None:
    async with listening(Recorder()) as port, await RawClient.connect(port) as client:
        await client.send(head(start=b"TRACE / HTTP/1.1"))
        assert b"POST" in (await client.answer()).header(b"allow")[0]


ACCEPTED = {
    "HTTP/1.1": head(),
    "HTTP/1.0": head(start=b"GET / HTTP/1.0"),
    "PROPFIND": head(start=b"PROPFIND / HTTP/1.1"),
    "a sized body": post(b"Content-Length: 2", body=b"hi"),
    "a chunked body": post(CHUNKED, body=b"2;extension=1\r\nhi\r\n0\r\nTrailer: x\r\n\r\n"),
    "chunked in capitals": post(b"Transfer-Encoding: CHUNKED", body=b"2\r\nhi\r\n0\r\n\r\n"),
    "UTF-8": head("X: café".encode()),
    "a tab within a value": head(b"X: a\tb"),
    "repeated headers that decide nothing": head(b"Accept: a/b", b"Accept: c/d", b"X: 1", b"X: 1"),
    "two Connection": head(b"Connection: keep-alive", b"Connection: x"),
    "the expectation of HTTP/1.1": head(b"Expect: 100-Continue"),
    "a WebSocket": b"GET / HTTP/1.1\r\nHost: a\r\n" + WEBSOCKET + b"\r\n",
    "an empty line before": b"\r\n" + head(),
}


@pytest.mark.parametrize("raw", ACCEPTED.values(), ids=ACCEPTED.keys())
async def test_it_is_accepted(raw: bytes) -> None:
    handler = Recorder()
    async with listening(handler) as port, await RawClient.connect(port) as client:
        await client.send(raw)
        assert (await client.answer()).status == 200
    assert len(handler.requests) == 1


TARGETS = [
    "/a#/../b",
    "/a?b#c",
    "/a\\b",
    "/%zz",
    "/%2e%2E/x",
    "//x",
    "/a;b",
    "/a?",
    "/[]|^`{}",
    "http://b/x",
    "*",
]


@pytest.mark.parametrize("target", TARGETS)
async def test_a_target_reaches_the_handler_as_it_was_sent(target: str) -> None:
    """`gateway.core.target` judges targets; nothing may tidy them up before it sees them."""
    handler = Recorder()
    method = "OPTIONS" if target == "*" else "GET"
    async with listening(handler) as port, await RawClient.connect(port) as client:
        await client.send(head(start=f"{method} {target} HTTP/1.1".encode()))
        await client.answer()
    assert handler.requests[0].raw_path == target


@pytest.mark.parametrize(
    "target", [b"/caf\xc3\xa9", b"/\xff", b"/a b", b"/a\tb", b"/\x01", b"/\x00", b"/?\xe9"]
)
async def test_a_target_of_other_bytes_reaches_nobody(target: bytes) -> None:
    handler = Recorder()
    async with listening(handler) as port, await RawClient.connect(port) as client:
        await client.send(head(start=b"GET " + target + b" HTTP/1.1"))
        assert (await client.answer()).status == 400
    assert handler.requests == []


async def test_the_limit_on_headers_counts_all_of_them() -> None:
    limits = ListenerLimits(head_bytes=200)
    async with listening(Recorder(), limits) as port, await RawClient.connect(port) as client:
        await client.send(head(b"X: " + b"a" * 170))
        assert (await client.answer()).status == 200
        await client.send(head(b"X: " + b"a" * 190))
        assert (await client.answer()).status == 431
