"""The head of a response (RFC 9112 sections 4 and 5), read strictly: nothing is repaired. No I/O in here.

Most heads come again, for as long as their Date is the same, so what was read of one is kept for the next
time that the very same bytes come. Long ones are not kept, and none with a header that may hold a secret.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.errors import UpstreamFailed, UpstreamFault
from gateway.proxy.header import Header, header_of

MAX_FIELDS = 200
"""Headers in a response."""

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_TEXT = rb"[^\x00-\x08\x0a-\x1f\x7f]*+"
_HEAD = re.compile(
    rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: (%b))?\r\n((?:%b:%b\r\n)*+)\r\n" % (_TEXT, _TOKEN, _TEXT)
)
_LENGTH = re.compile(rb"[0-9]{1,18}")

_REMEMBERED = 1024
_LONGEST_REMEMBERED = 1024


@dataclass(slots=True, eq=False)  # not frozen: that takes five times as long to make
class ResponseHead:
    """Is not changed once it is made. `headers` are all that were sent, in their order.

    A body has `length` bytes if that is declared, or is `chunked`, or ends with the connection. It lives on
    where it `keeps_alive`. `switches`: it may become a WebSocket, if that was asked for. `recurs`: it was
    short and plain enough to be remembered.
    """

    status: int
    reason: bytes
    headers: Sequence[Header]
    length: int | None
    chunked: bool
    keeps_alive: bool
    switches: bool
    recurs: bool


def broken(detail: str) -> UpstreamFailed:
    return UpstreamFailed(UpstreamFault.BROKEN, detail)


def read_head(block: bytes) -> ResponseHead | None:
    """A head with the empty line that ends it; None for an informational one (1xx), which is dropped.

    Raises UpstreamFailed(BROKEN).
    """
    return _remembered.get(block) or _learn(block)


_remembered: dict[bytes, ResponseHead] = {}


def _learn(block: bytes) -> ResponseHead | None:
    head = _read(block)
    if head is not None and head.recurs:
        if len(_remembered) >= _REMEMBERED:
            _remembered.clear()  # what is used often is back at once
        _remembered[block] = head
    return head


def _read(block: bytes) -> ResponseHead | None:
    form = _HEAD.fullmatch(block)
    if form is None:
        raise broken("the upstream's status line or headers are malformed")
    minor, status, reason, lines = form.groups()
    if status < b"200" and status != b"101":
        return None
    headers = [header_of(line) for line in lines.split(b"\r\n")[:-1]]
    if len(headers) > MAX_FIELDS:
        raise broken("the upstream sends too many headers")
    length, chunked = _framing(headers, minor)
    options = {option.strip(b" \t") for option in b",".join(_values(headers, b"connection")).split(b",")}
    return ResponseHead(
        status=int(status),
        reason=reason or b"",
        headers=headers,
        length=length,
        chunked=chunked,
        keeps_alive=minor == b"1" and b"close" not in options,
        switches=_values(headers, b"upgrade") == [b"websocket"] and b"upgrade" in options,
        recurs=len(block) <= _LONGEST_REMEMBERED and not any(header.may_be_secret for header in headers),
    )


def _framing(headers: Sequence[Header], minor: bytes) -> tuple[int | None, bool]:
    """Which length is declared, and whether the body is chunked (RFC 9112 section 6.3)."""
    lengths, codings = _values(headers, b"content-length"), _values(headers, b"transfer-encoding")
    if len(lengths) + len(codings) > 1 or (codings and (codings != [b"chunked"] or minor == b"0")):
        raise broken("the upstream's answer has more than one length, or an unknown transfer coding")
    if lengths and not _LENGTH.fullmatch(lengths[0]):
        raise broken("the upstream's Content-Length is not a number")
    return (int(lengths[0]) if lengths else None), bool(codings)


def _values(headers: Sequence[Header], key: bytes) -> list[bytes]:
    return [header.value.lower() for header in headers if header.key == key]
