"""The head of an upstream's answer, as its client is told it: all of it, but with framing of our own."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.proxy.headers import answer_lines
from gateway.proxy.wire import LAST_CHUNK, ResponseReader, chunk


@dataclass(frozen=True, slots=True)
class AnswerHead:
    """`data` is the head as bytes; `chunked` says that the body goes in chunks, `keep_alive` that another
    request may follow on the client's connection.
    """

    data: bytes
    chunked: bool
    keep_alive: bool

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
    length = response.length
    chunked = response.has_body and length is None and is_1_1
    keep_alive = keep_alive and (chunked or length is not None or not response.has_body)
    parts = [
        b"HTTP/1.1 %d %b\r\n" % (response.status, response.reason),
        answer_lines(response.headers, cacheable=not extra),
        *(b"%b: %b\r\n" % field for field in extra),
        b"Transfer-Encoding: chunked\r\n" if chunked else _length(response, length),
    ]
    if keep_alive != is_1_1:  # where the client's version of HTTP would assume something else
        parts.append(b"Connection: keep-alive\r\n" if keep_alive else b"Connection: close\r\n")
    parts.append(b"\r\n")
    return AnswerHead(b"".join(parts), chunked, keep_alive)


def switching_head(response: ResponseReader, extra: Sequence[tuple[bytes, bytes]] = ()) -> bytes:
    """The head of a 101, behind which a WebSocket begins."""
    return b"".join(
        (
            b"HTTP/1.1 %d %b\r\n" % (response.status, response.reason),
            answer_lines(response.headers, cacheable=not extra),
            *(b"%b: %b\r\n" % field for field in extra),
            b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        )
    )


def _length(response: ResponseReader, length: int | None) -> bytes:
    """How the client finds the end of the body. After HEAD and 304 the length is of what there would be."""
    if length is not None:
        return b"Content-Length: %d\r\n" % length
    if response.has_body or response.status == 204:
        return b""
    return b"".join(header.line for header in response.headers if header.key == b"content-length")
