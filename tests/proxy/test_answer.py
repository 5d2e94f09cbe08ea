import pytest

from gateway.proxy.answer import AnswerHead, answer_head, switching_head
from gateway.proxy.wire import ResponseReader

SIZED = b"Content-Length: 5\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def read(head: bytes, method: str = "GET", upgrade: bool = False) -> ResponseReader:
    reader = ResponseReader(method, upgrade=upgrade)
    reader.feed(head)
    return reader


@pytest.mark.parametrize(
    ("answer", "method", "is_1_1", "keep_alive", "framing", "expected"),
    [
        (SIZED, "GET", True, True, SIZED, (False, True)),
        (
            SIZED,
            "GET",
            True,
            False,
            SIZED + b"Connection: close\r\n",
            (False, False),
        ),
        (
            SIZED,
            "GET",
            False,
            True,
            SIZED + b"Connection: keep-alive\r\n",
            (False, True),
        ),
        (SIZED, "HEAD", True, True, SIZED, (False, True)),
        (b"", "GET", True, True, CHUNKED, (True, True)),
        (
            CHUNKED,
            "GET",
            True,
            True,
            CHUNKED,
            (True, True),
        ),
        (CHUNKED, "GET", False, True, b"", (False, False)),
        (b"", "HEAD", True, True, b"", (False, True)),
    ],
)
def test_the_framing_is_that_of_the_clients_connection(
    answer: bytes, method: str, is_1_1: bool, keep_alive: bool, framing: bytes, expected: tuple[bool, bool]
) -> None:
    head = answer_head(
        read(b"HTTP/1.1 200 OK\r\n" + answer + b"\r\n", method), is_1_1=is_1_1, keep_alive=keep_alive
    )
    assert head.data == b"HTTP/1.1 200 OK\r\nVia: 1.1 watchword\r\n" + framing + b"\r\n"
    assert (head.chunked, head.keep_alive) == expected


def test_what_is_ours_is_not_to_be_cached() -> None:
    reader = read(
        b"HTTP/1.1 200 OK\r\nCache-Control: public\r\nA: b\r\nExpires: 1\r\nContent-Length: 0\r\n\r\n"
    )
    head = answer_head(reader, is_1_1=True, keep_alive=True, extra=[(b"Set-Cookie", b"ww-session=x")])
    assert head.data == (
        b"HTTP/1.1 200 OK\r\nA: b\r\nCache-Control: no-store\r\nVia: 1.1 watchword\r\n"
        b"Set-Cookie: ww-session=x\r\nContent-Length: 0\r\n\r\n"
    )


def test_a_switch_of_protocols_is_passed_on() -> None:
    said = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n"
    assert switching_head(read(b"HTTP/1.1 101 Switching\r\n" + said, upgrade=True).head) == (
        b"HTTP/1.1 101 Switching\r\nSec-WebSocket-Accept: x\r\nVia: 1.1 watchword\r\n"
        b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("chunked", "body", "expected"),
    [
        (False, b"abc", b"head;abc"),
        (True, b"abc", b"head;3\r\nabc\r\n0\r\n\r\n"),
        (True, b"", b"head;0\r\n\r\n"),
    ],
)
def test_a_whole_answer(chunked: bool, body: bytes, expected: bytes) -> None:
    assert AnswerHead(b"head;", chunked=chunked, keep_alive=True).whole(body) == expected
