from dataclasses import fields as fields_of

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.upstreams import pairs

from gateway.errors import UpstreamFailed
from gateway.proxy import response_head
from gateway.proxy.response_head import MAX_FIELDS, read_head


def block(*lines: str, status: str = "HTTP/1.1 200 OK") -> bytes:
    return "".join(f"{line}\r\n" for line in (status, *lines, "")).encode("latin-1")


def test_a_head_is_read() -> None:
    head = read_head(block("A: b", "Content-Length: 5", "a:c", status="HTTP/1.1 404 Not Here"))
    assert head is not None
    assert (head.status, head.reason, head.length, head.chunked) == (404, b"Not Here", 5, False)
    assert pairs(head.headers) == [(b"A", b"b"), (b"Content-Length", b"5"), (b"a", b"c")]
    assert head.keeps_alive
    assert not head.switches


@pytest.mark.parametrize("status", ["100 Continue", "103 Early Hints", "199 x"])
def test_informational_heads_are_dropped(status: str) -> None:
    assert read_head(block("Link: x", status=f"HTTP/1.1 {status}")) is None


@pytest.mark.parametrize(
    ("status", "connection", "keeps_alive"),
    [
        ("HTTP/1.1 200 OK", "keep-alive", True),
        ("HTTP/1.1 200 OK", "x, Close", False),
        ("HTTP/1.0 200 OK", "keep-alive", False),
    ],
)
def test_whether_the_connection_lives_on(status: str, connection: str, keeps_alive: bool) -> None:
    head = read_head(block(f"Connection: {connection}", "Content-Length: 0", status=status))
    assert head is not None
    assert head.keeps_alive == keeps_alive


@pytest.mark.parametrize(
    ("lines", "switches"),
    [
        (("Upgrade: WebSocket", "Connection: x, Upgrade"), True),
        (("Upgrade: websocket",), False),
        (("Upgrade: h2c", "Connection: Upgrade"), False),
    ],
)
def test_whether_a_websocket_may_begin(lines: tuple[str, ...], switches: bool) -> None:
    head = read_head(block(*lines, status="HTTP/1.1 101 Switching"))
    assert head is not None
    assert head.switches == switches


@pytest.mark.parametrize(
    "broken",
    [
        block("Content-Length: 5", "Content-Length: 5"),
        block("Content-Length: 5", "Transfer-Encoding: chunked"),
        block("Transfer-Encoding: gzip, chunked"),
        block("Transfer-Encoding: chunked", status="HTTP/1.0 200 OK"),
        block("Content-Length: +5"),
        block("A : b"),
        block(" folded"),
        block("A: b\nC: d"),
        block("A: b\x00"),
        block(status="HTTP/2 200"),
        block(status="HTTP/1.1 600 x"),
        block(status="HTTP/1.1 20 x"),
        block(*("A: b" for _ in range(MAX_FIELDS + 1))),
    ],
)
def test_what_is_malformed_is_refused_each_time(broken: bytes) -> None:
    for _ in range(2):
        with pytest.raises(UpstreamFailed):
            read_head(broken)


VALUES = st.text("ab 019,;", max_size=8)


@given(st.integers(200, 599), st.lists(st.tuples(st.sampled_from(["A", "Date", "Connection"]), VALUES)))
def test_what_is_remembered_is_what_would_be_read(status: int, fields: list[tuple[str, str]]) -> None:
    data = block(*(": ".join(field) for field in fields), status=f"HTTP/1.1 {status} x")
    once, again, read = read_head(data), read_head(data), response_head._read(data)
    for head in (once, again):
        assert head is not None
        assert read is not None
        for each in fields_of(response_head.ResponseHead):
            assert getattr(head, each.name) == getattr(read, each.name)


@pytest.mark.parametrize(
    "line", ["Set-Cookie: a=secret", "SET-COOKIE: a=secret", "Location: /?t=secret", "X-Long: " + "a" * 2000]
)
def test_secrets_and_long_heads_are_not_remembered(line: str) -> None:
    response_head._remembered.clear()
    head = read_head(block(line))
    assert head is not None
    assert not head.recurs
    assert not response_head._remembered


def test_only_so_many_are_remembered() -> None:
    for number in range(2 * response_head._REMEMBERED):
        read_head(block(f"X: {number}"))
        assert len(response_head._remembered) <= response_head._REMEMBERED
