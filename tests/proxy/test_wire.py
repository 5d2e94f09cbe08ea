"""Bytes that upstreams send, and bytes that never leave: no sockets in here."""

import itertools
import re

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.upstreams import pairs

from gateway.core.target import Target, parse_target
from gateway.errors import UpstreamFailed, UpstreamFault
from gateway.proxy.response_head import MAX_FIELDS
from gateway.proxy.wire import LAST_CHUNK, MAX_HEAD, ResponseReader, chunk, request_head

TARGET = parse_target("GET", "/a?b=c", "app.test")
HOST = [(b"Host", b"app.test")]


def read(*segments: bytes, method: str = "GET", upgrade: bool = False) -> tuple[ResponseReader, bytes]:
    reader = ResponseReader(method, upgrade=upgrade)
    return reader, b"".join([reader.feed(segment) for segment in segments])


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges) if start < end]


CUTS = st.lists(st.integers(min_value=0, max_value=5000), max_size=12)


# --- requests


def test_a_request_is_written_as_given() -> None:
    headers = [*HOST, (b"X-Twice", b"1"), (b"x-twice", b"2"), (b"Empty", b""), (b"Cookie", b"a=\xe4; b")]
    assert request_head(TARGET, headers, length=None) == (
        b"GET /a?b=c HTTP/1.1\r\n"
        b"Host: app.test\r\nX-Twice: 1\r\nx-twice: 2\r\nEmpty: \r\nCookie: a=\xe4; b\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("length", "chunked", "upgrade", "added"),
    [
        (None, False, False, b""),
        (0, False, False, b"Content-Length: 0\r\n"),
        (7, True, False, b"Content-Length: 7\r\n"),
        (None, True, False, b"Transfer-Encoding: chunked\r\n"),
        (None, False, True, b"Connection: Upgrade\r\nUpgrade: websocket\r\n"),
    ],
)
def test_framing_is_added(length: int | None, chunked: bool, upgrade: bool, added: bytes) -> None:
    head = request_head(TARGET, HOST, length=length, chunked=chunked, upgrade=upgrade)
    assert head == b"GET /a?b=c HTTP/1.1\r\nHost: app.test\r\n" + added + b"\r\n"


@pytest.mark.parametrize(
    "field",
    [
        (b"A", b"b\r\nInjected: yes"),
        (b"A", b"b\nInjected: yes"),
        (b"A", b"b\rInjected: yes"),
        (b"A", b"b\x00"),
        (b"A", b"\x7f"),
        (b"A: b\r\nInjected", b"yes"),
        (b"A: b", b"c"),
        (b"A,B", b"c"),
        (b"A ", b"b"),
        (b"", b"b"),
        (b"\xc3\xa4", b"b"),
        (b"Connection", b"close"),
        (b"content-LENGTH", b"5"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Keep-Alive", b"timeout=5"),
        (b"Proxy-Connection", b"close"),
        (b"TE", b"trailers"),
        (b"Trailer", b"Remote-User"),
        (b"Upgrade", b"h2c"),
        (b"HOST", b"second.test"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_what_may_not_be_sent_is_refused(field: tuple[bytes, bytes], first: bool) -> None:
    with pytest.raises(ValueError, match=r"header|host"):
        request_head(TARGET, [field, *HOST] if first else [*HOST, field], length=None)


@pytest.mark.parametrize("headers", [[], [(b"Accept", b"*/*")]])
def test_a_request_without_host_is_refused(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(ValueError, match=r"header|host"):
        request_head(TARGET, headers, length=None)


@pytest.mark.parametrize(
    ("method", "path", "query"),
    [
        ("GET", "/a b", None),
        ("GET", "/a\r\nX: y", None),
        ("GET", "/a", "x y"),
        ("GET", "/a", "\n"),
        ("GET", "a", None),
        ("GET", "", None),
        ("GET /x HTTP/1.1\r\nA:", "/", None),
        ("get", "/", None),
        ("", "/", None),
        ("CONNECT", "/", None),
        ("GET", "/\xe4", None),
    ],
)
def test_a_target_is_checked_once_more(method: str, path: str, query: str | None) -> None:
    target = Target(method=method, host="app.test", authority="app.test", path=path, query=query, segments=())
    with pytest.raises(ValueError, match=r"request line|ascii"):
        request_head(target, HOST, length=None)


@given(st.lists(st.tuples(st.binary(max_size=8), st.binary(max_size=8)), max_size=4))
def test_no_header_becomes_another_one(headers: list[tuple[bytes, bytes]]) -> None:
    try:
        head = request_head(TARGET, [*HOST, *headers], length=None)
    except ValueError:
        return
    lines = head.split(b"\r\n")[1:-2]
    assert [tuple(line.split(b": ", 1)) for line in lines] == [*HOST, *headers]
    assert len(re.findall(rb"[\r\n]", head)) == 2 * (len(headers) + 3)


# --- responses that are read


@pytest.mark.parametrize("step", [1, 2, 7, 10_000])
@pytest.mark.parametrize(
    ("head", "body", "status", "reason", "length"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", b"hello", 200, b"OK", 5),
        (b"HTTP/1.1 404 Not  Found\r\ncontent-length:0\r\n", b"", 404, b"Not  Found", 0),
        (b"HTTP/1.1 200\r\nContent-Length: \t5 \t\r\n", b"hello", 200, b"", 5),
        (b"HTTP/1.1 200 \r\nContent-Length: 5\r\n", b"hello", 200, b"", 5),
        (b"HTTP/1.0 599 \xe4\r\nContent-Length: 5\r\n", b"hello", 599, b"\xe4", 5),
        (b"HTTP/1.1 200 OK\r\nX:\r\nX: \xe4\tb\r\nContent-Length: 5\r\n", b"hello", 200, b"OK", 5),
    ],
)
def test_sized_answers(head: bytes, body: bytes, status: int, reason: bytes, length: int, step: int) -> None:
    data = head + b"\r\n" + body
    reader, received = read(*[data[start : start + step] for start in range(0, len(data), step)])
    assert (reader.status, reader.head.reason, received) == (status, reason, body)
    assert reader.body is not None
    assert (reader.body.length, reader.complete, reader.has_body) == (length, True, True)


def test_headers_keep_order_case_and_repeats() -> None:
    reader, _ = read(
        b"HTTP/1.1 200 OK\r\n"
        b"Set-Cookie: a\r\nX: 1\r\nset-cookie:b\r\nConnection: X\r\nContent-Length: 0\r\n\r\n"
    )
    assert pairs(reader.head.headers) == [
        (b"Set-Cookie", b"a"),
        (b"X", b"1"),
        (b"set-cookie", b"b"),
        (b"Connection", b"X"),
        (b"Content-Length", b"0"),
    ]


@pytest.mark.parametrize(
    ("method", "status"), [("HEAD", 200), ("HEAD", 404), ("GET", 204), ("GET", 304), ("DELETE", 204)]
)
@pytest.mark.parametrize("framing", [b"", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_answers_without_a_body(method: str, status: int, framing: bytes) -> None:
    reader, body = read(b"HTTP/1.1 %d X\r\n%b\r\n" % (status, framing), method=method)
    assert (body, reader.complete, reader.has_body, reader.reusable) == (b"", True, False, True)


def test_an_answer_without_a_length_lasts_until_the_connection_ends() -> None:
    reader, body = read(b"HTTP/1.1 200 OK\r\n\r\nabc", b"def")
    assert (body, reader.complete) == (b"abcdef", False)
    reader.end()
    assert (reader.complete, reader.reusable) == (True, False)


@pytest.mark.parametrize(
    "interim",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" * 3,
        b"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n",
    ],
)
@given(cuts=CUTS)
def test_informational_answers_are_dropped(interim: bytes, cuts: list[int]) -> None:
    reader, body = read(*split(interim + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", cuts))
    assert (reader.status, pairs(reader.head.headers), body) == (200, [(b"Content-Length", b"2")], b"ok")
    assert reader.reusable


def test_an_upgrade_that_was_asked_for_is_a_tunnel() -> None:
    switch = (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n"
    )
    reader, body = read(switch + b"\x81\x02", b"hi", upgrade=True)
    assert (reader.status, body) == (101, b"\x81\x02hi")
    assert not reader.complete
    assert not reader.has_body
    reader.end()
    assert not reader.reusable


@pytest.mark.parametrize(
    ("head", "reusable"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x , Close\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x\r\nconnection: close\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n", False),
    ],
)
def test_reuse(head: bytes, reusable: bool) -> None:
    reader, _ = read(head + b"\r\n" + (LAST_CHUNK if b"unked" in head else b""))
    assert (reader.complete, reader.reusable) == (True, reusable)


# --- chunks


@given(pieces=st.lists(st.binary(min_size=1, max_size=600)), cuts=CUTS, trailers=st.booleans())
def test_chunks_come_out_as_they_went_in(pieces: list[bytes], cuts: list[int], trailers: bool) -> None:
    end = b"0\r\nRemote-User: admin\r\nX: y\r\n\r\n" if trailers else LAST_CHUNK
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(map(chunk, pieces)) + end
    reader, body = read(*split(data, cuts))
    assert body == b"".join(pieces)
    assert reader.reusable
    assert len(reader.head.headers) == 1


@given(cuts=CUTS, extra=st.binary(min_size=1, max_size=60) | st.text("\r\n", min_size=1).map(str.encode))
@pytest.mark.parametrize(
    ("method", "answer", "body"),
    [
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", b""),
        ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok"),
        ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n", b"ok"),
    ],
)
def test_bytes_beyond_the_answer_are_noticed(
    method: str, answer: bytes, body: bytes, cuts: list[int], extra: bytes
) -> None:
    """Case 17. Nothing of them becomes body, and the connection is never used again."""
    reader = ResponseReader(method)
    received = b"".join([reader.feed(segment) for segment in split(answer, cuts)[:-1]])
    last = split(answer, cuts)[-1]
    received += reader.feed(last + extra)
    assert (received, reader.complete, reader.reusable) == (body, True, False)


def test_a_second_answer_behind_chunks_is_not_body() -> None:
    first = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    reader, body = read(first + first)
    assert (body, reader.reusable) == (b"ok", False)
    reader, body = read(first)
    assert reader.reusable
    assert (reader.feed(first), reader.reusable) == (b"", False), "neither is one that comes later"


@pytest.mark.parametrize(
    "chunks",
    [
        b"2\nok\r\n",
        b"2\r\nok\n",
        b"2\r\nokay\r\n",
        b"0x2\r\nok\r\n",
        b" 2\r\nok\r\n",
        b"2 \r\nok\r\n",
        b"+2\r\nok\r\n",
        b"-2\r\nok\r\n",
        b"2_0\r\nok\r\n",
        b"\r\nok\r\n",
        b"10000000000000002\r\nok\r\n",
        b"2;a=\x00\r\nok\r\n",
        b"2;a\nb\r\nok\r\n",
        b'2;a="\r\n"\r\nok\r\n',
        b"0\r\nA: b\n\r\n",
        b"0\r\nA: b\r\n c\r\n\r\n",
        b"0\r\nA : b\r\n\r\n",
        b"0\r\nA: \x00\r\n\r\n",
        b"0\r\n\n",
        b"2;" + b"a" * 100_000 + b"\r\nok\r\n0\r\n\r\n",
        b"0\r\n" + b"A: b\r\n" * 100_000,
        b"0\r\nA: " + b"b" * 100_000,
    ],
    ids=lambda value: repr(value[:24]),
)
@pytest.mark.parametrize("step", [1000, 1_000_000])
def test_malformed_chunks(chunks: bytes, step: int) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with pytest.raises(UpstreamFailed) as failed:
        read(head, *[chunks[start : start + step] for start in range(0, len(chunks), step)])
    assert failed.value.fault is UpstreamFault.BROKEN


def test_usual_chunk_extensions_are_no_trouble_in_any_number() -> None:
    signed = b"2;chunk-signature=" + b"a" * 64 + b"\r\nok\r\n"
    _, body = read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[signed] * 5000, LAST_CHUNK)
    assert body == b"ok" * 5000


# --- responses that are refused

FINE = b"Content-Length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        b"HTTP/1.1 200 OK\r\nA: b\n" + FINE,
        b"HTTP/1.1 200 OK\r\nA: b\rc\r\n" + FINE,
        b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n" + FINE,
        b"HTTP/1.1 200 OK\r\n A: b\r\n" + FINE,
        b"HTTP/1.1 200 OK\r\nA: b\x00c\r\n" + FINE,
        b"HTTP/1.1 200 OK\r\nA: b\x01c\r\n" + FINE,
        b"HTTP/1.1 200 OK\r\nA\x00: b\r\n" + FINE,
        b"HTTP/1.1 200 OK\r\nA : b\r\n" + FINE,
        b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\n: b\r\n" + FINE,
        b"HTTP/1.1 200 OK\r\nno colon\r\n" + FINE,
        b"HTTP/1.1 200 OK\r\n\xc3\xa4: b\r\n" + FINE,
        b"HTTP/1.1 200 O\x00K\r\n" + FINE,
        b"HTTP/1.1 200 O\rK\r\n" + FINE,
        b"\r\nHTTP/1.1 200 OK\r\n" + FINE,
        b"hello",
        b"<html>hello</html>",
        b"HTTP/0.9 200 OK\r\n" + FINE,
        b"HTTP/1.2 200 OK\r\n" + FINE,
        b"HTTP/2.0 200 OK\r\n" + FINE,
        b"HTTP/2 200 OK\r\n" + FINE,
        b"\x00\x00\x12\x04\x00\x00\x00\x00\x00",
        b"RTSP/1.0 200 OK\r\n" + FINE,
        b"ICE/1.0 200 OK\r\n" + FINE,
        b"http/1.1 200 OK\r\n" + FINE,
        b"HTTP/1.1  200 OK\r\n" + FINE,
        b"HTTP/1.1 99 OK\r\n" + FINE,
        b"HTTP/1.1 099 OK\r\n" + FINE,
        b"HTTP/1.1 600 OK\r\n" + FINE,
        b"HTTP/1.1 2000 OK\r\n" + FINE,
        b"HTTP/1.1 +20 OK\r\n" + FINE,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + FINE,
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n" + FINE,
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + FINE,
        b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\nA: b\x00\r\n\r\nHTTP/1.1 200 OK\r\n" + FINE,
        b"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n" + FINE,
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * MAX_FIELDS + FINE,
        b"HTTP/1.1 200 OK\r\nA: " + b"b" * MAX_HEAD + b"\r\n" + FINE,
        b"HTTP/1.1 200 OK\r\nA: " + b"b" * MAX_HEAD,
    ],
    ids=lambda value: repr(value[:64]),
)
@pytest.mark.parametrize("step", [11, 1_000_000])
def test_hostile_answers_are_refused(answer: bytes, step: int) -> None:
    """Case 18 and its kin. A head is refused as soon as that is certain, not when it ends."""
    with pytest.raises(UpstreamFailed) as failed:
        read(*[answer[start : start + step] for start in range(0, len(answer), step)])
    assert failed.value.fault is UpstreamFault.BROKEN


@pytest.mark.parametrize(
    "options",
    [b"Connection: Upgrade\r\n", b"Upgrade: websocket\r\n", b"Connection: Upgrade\r\nUpgrade: h2c\r\n"],
)
def test_an_upgrade_to_something_else_is_refused(options: bytes) -> None:
    with pytest.raises(UpstreamFailed):
        read(b"HTTP/1.1 101 Switching\r\n" + options + b"\r\n", upgrade=True)


def test_the_largest_head_and_the_most_headers_are_accepted() -> None:
    reader, _ = read(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * (MAX_FIELDS - 1) + FINE)
    assert len(reader.head.headers) == MAX_FIELDS
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: "
    value = b"b" * (MAX_HEAD - len(head) - 4)
    reader, body = read(head + value + b"\r\n\r\nok")
    assert (pairs(reader.head.headers)[1], body) == ((b"A", value), b"ok")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 2",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n",
    ],
)
def test_an_early_end_is_not_an_end(answer: bytes) -> None:
    reader, _ = read(answer)
    with pytest.raises(UpstreamFailed) as failed:
        reader.end()
    assert failed.value.fault is UpstreamFault.BROKEN


@given(st.binary(max_size=300), CUTS)
def test_any_bytes_are_read_or_refused(data: bytes, cuts: list[int]) -> None:
    for prefix in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"):
        try:
            whole = read(prefix + data)[1]
        except UpstreamFailed:
            whole = None
        try:
            pieces = read(*split(prefix + data, cuts))[1]
        except UpstreamFailed:
            pieces = None
        if whole is not None:  # what is refused in one piece may already be refused, or go on, in parts
            assert pieces == whole


class Fields:
    """What httptools reads in one head."""

    def __init__(self) -> None:
        self.reason = b""
        self.headers: list[tuple[bytes, bytes]] = []

    def on_status(self, reason: bytes) -> None:
        self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))


HEAD_TEXT = st.text('aZ09 :;,=-_.~!\t\xe4"', max_size=12).map(lambda text: text.encode("latin-1"))
HEAD_NAME = st.text("aZ09-_.~!#$%&'*+^`|", min_size=1, max_size=8).map(str.encode)


@given(
    st.integers(200, 599),
    HEAD_TEXT,
    st.lists(st.tuples(HEAD_NAME, st.sampled_from([b":", b": ", b":\t ", b" :"]), HEAD_TEXT), max_size=5),
)
def test_httptools_reads_a_head_in_the_same_way(
    status: int, reason: bytes, lines: list[tuple[bytes, bytes, bytes]]
) -> None:
    block = b"HTTP/1.1 %d %b\r\n" % (status, reason)
    block += b"".join([b"%b%b%b\r\n" % line for line in lines]) + b"\r\n"
    reader = ResponseReader("GET")
    try:
        reader.feed(block)
    except UpstreamFailed:
        return
    fields = Fields()
    parser = httptools.HttpResponseParser(fields)
    parser.feed_data(block)
    assert parser.get_status_code() == reader.status
    assert [(name, value.strip(b" \t")) for name, value in fields.headers] == pairs(reader.head.headers)
    assert fields.reason == reader.head.reason
