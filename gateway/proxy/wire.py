"""HTTP/1.1 as bytes (RFC 9112): a request's head is written, a response is read. No I/O in here.

Four rules, so that nobody can read the same bytes in another way:

1. What is sent is checked as a whole; a line break or a framing header from outside is a ValueError.
2. A response's head must fit a grammar of our own, which repairs nothing; what does not is
   UpstreamFailed(BROKEN). What fits, httptools reads in the same way (a property in the tests).
3. A response has one framing: exactly one Content-Length, or `Transfer-Encoding: chunked` alone, or the
   end of the connection.
4. Bytes after the end of a response belong to nobody, and such a connection is not `reusable`.
"""

import re
from collections.abc import Sequence
from typing import Final, Protocol

import httptools

from gateway.core.target import Target
from gateway.proxy.response_head import ResponseHead, broken, read_head

RawHeaders = Sequence[tuple[bytes, bytes]]
"""Names and values as on the wire, order and case kept."""

MAX_HEAD = 64 * 1024
"""Bytes of a response's status line and headers, and likewise of its chunk extensions and trailers."""

_CHUNK_ALLOWANCE = 256
"""Bytes of framing that every chunk may add: its size, line ends, an extension of usual length."""

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_TEXT = rb"[^\x00-\x08\x0a-\x1f\x7f]*+"
_REQUEST_LINE = re.compile(rb"(?!CONNECT )[A-Z][A-Z\-]*+ /[!-~]*+ HTTP/1\.1\r\n")
_NAMES = re.compile(rb"%b(?:,%b)*+" % (_TOKEN, _TOKEN))
_VALUES = re.compile(rb"%b(?:\r\n%b)*+" % (_TEXT, _TEXT))
_LONE_CR_OR_LF = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)")

_FRAMING = frozenset(
    b"connection content-length keep-alive proxy-connection te trailer transfer-encoding upgrade".split()
)


WITH_CONTENT = frozenset({"POST", "PUT", "PATCH"})
"""Methods for which a body of no bytes is a body: RFC 9110 section 8.6 wants its length declared."""


class Lines:
    """Header lines that are fit to be sent: `header_lines` has looked at every name and value.

    `hosts` is how many of them name the host.
    """

    __slots__ = ("data", "hosts")

    def __init__(self, data: bytes, hosts: int) -> None:
        self.data: Final = data
        self.hosts: Final = hosts


NO_LINES = Lines(b"", 0)


def header_lines(headers: RawHeaders) -> Lines:
    """Headers as they are written.

    Raises ValueError when one names framing or a hop-by-hop field, or holds what could end a line: nothing
    from outside may begin a second header or request.
    """
    if not headers:
        return NO_LINES
    # All names in one look and all values in another: a separator inside of one shows in the count.
    names = b",".join([name for name, _ in headers])
    values = b"\r\n".join([value for _, value in headers])
    separators = len(headers) - 1
    if not _NAMES.fullmatch(names) or names.count(b",") != separators:
        raise ValueError("a header's name is not a token (RFC 9110 section 5.6.2)")
    if not _VALUES.fullmatch(values) or values.count(b"\r\n") != separators:
        raise ValueError("a header's value holds a line break or a control character")
    folded = names.lower().split(b",")
    if not _FRAMING.isdisjoint(folded):
        raise ValueError("framing and hop-by-hop headers are added here and nowhere else")
    return Lines(b"".join([b"%b: %b\r\n" % field for field in headers]), folded.count(b"host"))


def joined(first: Lines, second: Lines, third: Lines) -> Lines:
    """One after the other."""
    return Lines(first.data + second.data + third.data, first.hosts + second.hosts + third.hosts)


def request_head(
    target: Target,
    headers: RawHeaders | Lines,
    *,
    length: int | None,
    chunked: bool = False,
    upgrade: bool = False,
) -> bytes:
    """The request line and headers of one request, framing added.

    Raises ValueError as `header_lines` does, and when the host is not named exactly once.
    """
    lines = headers if isinstance(headers, Lines) else header_lines(headers)
    if lines.hosts != 1:
        raise ValueError("a request names its host once")
    line = f"{target.method} {target.path_and_query} HTTP/1.1\r\n".encode("ascii")
    if not _REQUEST_LINE.fullmatch(line):
        raise ValueError("the method or the target does not fit a request line")
    if length is not None:
        framing = b"Content-Length: %d\r\n\r\n" % length
    elif chunked:
        framing = b"Transfer-Encoding: chunked\r\n\r\n"
    elif upgrade:
        framing = b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    else:
        framing = b"\r\n"
    return line + lines.data + framing


def chunk(data: bytes) -> bytes:
    """`data`, which must not be empty, as one chunk. `LAST_CHUNK` ends the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"


class Body(Protocol):
    """The part of a response after its head, and how one knows where it ends.

    `surplus` says that bytes followed the end. `length` is what Content-Length declared.
    """

    complete: bool
    surplus: bool
    length: int | None

    def feed(self, data: bytes) -> bytes:
        """Take the framing off. Raises UpstreamFailed(BROKEN)."""

    def end(self) -> None:
        """The connection ended in order. Raises UpstreamFailed(BROKEN) when that is too early."""


class SizedBody:
    """As many bytes as Content-Length declares; none at all after HEAD and the like."""

    def __init__(self, length: int) -> None:
        self.length: int | None = length
        self.complete = length == 0
        self.surplus = False
        self._missing = length

    def feed(self, data: bytes) -> bytes:
        if len(data) > self._missing:
            self.surplus = True
            data = data[: self._missing]
        self._missing -= len(data)
        self.complete = self._missing == 0
        return data

    def end(self) -> None:
        if not self.complete:
            raise broken("the upstream closed the connection before the end of its answer")


class EndlessBody:
    """Everything until the connection ends: RFC 9112 section 6.3 rule 8, and tunnels."""

    length: int | None = None
    surplus = False

    def __init__(self) -> None:
        self.complete = False

    def feed(self, data: bytes) -> bytes:
        return data

    def end(self) -> None:
        self.complete = True


class ChunkedBody:
    """Chunks (RFC 9112 section 7.1). Extensions and trailers are checked for their form and dropped.

    httptools gets a head of our own making, so that nothing in the upstream's can steer it. It ignores
    line breaks between two messages: the last five bytes show whether there were any.
    """

    length: int | None = None

    def __init__(self) -> None:
        self.complete = False
        self.surplus = False
        self._pieces: list[bytes] = []
        self._tail = b""
        self._allowance = MAX_HEAD
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._parser.feed_data(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")

    def feed(self, data: bytes) -> bytes:
        if self._parser is None:
            self.surplus = True
            return b""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if not self.complete:  # else it is about the surplus, which `on_message_begin` has noticed
                raise broken(f"the upstream's chunks are malformed: {error}") from None
        self._tail = (self._tail + data[-5:])[-5:]
        body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._allowance -= len(data) - len(body)
        if self._allowance < 0:
            raise broken("the upstream's chunk extensions or trailers are too long")
        if self.complete:
            self.surplus |= self._tail[:1] in b"\r\n"
            self._parser = None  # it refers to self: a cycle that would wait for the garbage collector
        return body

    def end(self) -> None:
        if not self.complete:
            raise broken("the upstream closed the connection before the last chunk")

    def on_message_begin(self) -> None:
        """httptools: another message begins, right behind the end of this one."""
        self.surplus = self.complete

    def on_chunk_header(self) -> None:
        self._allowance += _CHUNK_ALLOWANCE

    def on_body(self, data: bytes) -> None:
        if not self.complete:
            self._pieces.append(data)

    def on_message_complete(self) -> None:
        self.complete = True


class ResponseReader:
    """Reads the final response to one request; informational ones (1xx) are dropped.

    `head` and `body` are None until the final head has arrived. `has_body` is False after HEAD, 101, 204
    and 304.
    """

    __slots__ = ("_buffer", "_is_head", "_upgrade", "body", "has_body", "head")

    def __init__(self, method: str, *, upgrade: bool = False) -> None:
        self.head: ResponseHead | None = None
        self.body: Body | None = None
        self.has_body = False
        self._is_head = method == "HEAD"
        self._upgrade = upgrade
        self._buffer = b""

    @property
    def status(self) -> int:
        """0 before the head has arrived."""
        return 0 if self.head is None else self.head.status

    @property
    def complete(self) -> bool:
        return self.body is not None and self.body.complete

    @property
    def reusable(self) -> bool:
        """Whether the connection can carry another request after this response."""
        return (
            self.head is not None
            and self.head.keeps_alive
            and self.body is not None
            and self.body.complete
            and not self.body.surplus
            and not isinstance(self.body, EndlessBody)
        )

    def feed(self, data: bytes) -> bytes:
        """Take what arrived; return the part of the body that it held. Raises UpstreamFailed(BROKEN)."""
        if self.body is None:
            data = self._feed_head(data)
        return self.body.feed(data) if self.body is not None and data else b""

    def end(self) -> None:
        """The connection ended in order. Raises UpstreamFailed(BROKEN) when that is too early."""
        if self.body is None:
            raise broken("the upstream closed the connection without an answer")
        self.body.end()

    def _feed_head(self, data: bytes) -> bytes:
        """Take heads up to the final one; return what came behind it."""
        searched = max(0, len(self._buffer) - 3)
        data, self._buffer = self._buffer + data, b""
        while (end := data.find(b"\r\n\r\n", searched, MAX_HEAD)) >= 0:
            head = read_head(data[: end + 4])
            data, searched = data[end + 4 :], 0
            if head is not None:
                self._begin(head)
                return data
        self._check_unfinished(data, searched)
        self._buffer = data
        return b""

    def _check_unfinished(self, data: bytes, searched: int) -> None:
        """Refuse at once what can never become a head, instead of waiting for its end."""
        if len(data) >= MAX_HEAD:
            raise broken("the upstream's headers are too long")
        if not b"HTTP/1.".startswith(data[:7]) or _LONE_CR_OR_LF.search(data, searched):
            raise broken("the upstream does not answer in HTTP/1.1")

    def _begin(self, head: ResponseHead) -> None:
        """Find where the body ends (RFC 9112 section 6.3)."""
        self.head = head
        if head.status == 101:
            if not self._upgrade or not head.switches:
                raise broken("the upstream switched to a protocol that nobody asked for")
            self.body = EndlessBody()
            return
        self.has_body = not self._is_head and head.status not in (204, 304)
        if not self.has_body:
            self.body = SizedBody(0)
        elif head.chunked:
            self.body = ChunkedBody()
        else:
            self.body = EndlessBody() if head.length is None else SizedBody(head.length)
