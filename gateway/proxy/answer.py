"""The head of an upstream's answer, as its client is told it: all of it, but with framing of our own."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from gateway.proxy.headers import answer_lines
from gateway.proxy.response_head import ResponseHead
from gateway.proxy.wire import LAST_CHUNK, ResponseReader, chunk


class AnswerHead:
    """`data` is the head as bytes; `chunked` says that the body goes in chunks, `keep_alive` that another
    request may follow on the client's connection.
    """

    __slots__ = ("chunked", "data", "keep_alive")

    def __init__(self, data: bytes, *, chunked: bool, keep_alive: bool) -> None:
        self.data: Final = data
        self.chunked: Final = chunked
        self.keep_alive: Final = keep_alive

    def whole(self, body: bytes) -> bytes:
        """The answer with all of its body."""
        if not self.chunked:
            return self.data + body
        return self.data + (chunk(body) if body else b"") + LAST_CHUNK


def answer_head(
    response: ResponseReader,
    *,
    is_1_1: bool,
    keep_alive: bool,
    extra: Sequence[tuple[bytes, bytes]] = (),
) -> AnswerHead:
    """The head for a client that speaks HTTP/1.1, or 1.0, and would keep its connection, or not.

    `extra` are headers of ours, with which an answer is not to be cached: one person's cookie, or what
    became of a request that was parked, which no cache may take for what a GET of that address brings.
    """
    head = response.head
    if head is None:
        raise ValueError("the head of the answer is not there yet")
    make = _remembered if head.recurs and not extra else _made
    return make(head, response.has_body, is_1_1, keep_alive, tuple(extra))


def _made(
    head: ResponseHead,
    has_body: bool,
    is_1_1: bool,
    keep_alive: bool,
    extra: tuple[tuple[bytes, bytes], ...],
) -> AnswerHead:
    is_sized = head.length is not None or not has_body
    chunked = is_1_1 and not is_sized
    keep_alive = keep_alive and (chunked or is_sized)
    parts = [
        b"HTTP/1.1 %d %b\r\n" % (head.status, head.reason),
        answer_lines(head.headers, cacheable=not extra),
        *(b"%b: %b\r\n" % field for field in extra),
    ]
    if chunked:
        parts.append(b"Transfer-Encoding: chunked\r\n")
    elif head.length is not None and head.status != 204:  # after HEAD and 304: of what there would be
        parts.append(b"Content-Length: %d\r\n" % head.length)
    if keep_alive != is_1_1:  # where the client's version of HTTP would assume something else
        parts.append(b"Connection: keep-alive\r\n" if keep_alive else b"Connection: close\r\n")
    parts.append(b"\r\n")
    return AnswerHead(b"".join(parts), chunked=chunked, keep_alive=keep_alive)


_remembered = lru_cache(1024)(_made)


def switching_head(head: ResponseHead, extra: Sequence[tuple[bytes, bytes]] = ()) -> bytes:
    """The head of a 101, behind which a WebSocket begins."""
    return b"".join(
        (
            b"HTTP/1.1 %d %b\r\n" % (head.status, head.reason),
            answer_lines(head.headers, cacheable=not extra),
            *(b"%b: %b\r\n" % field for field in extra),
            b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        )
    )
