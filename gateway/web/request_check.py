"""What aiohttp accepts in a request's head and the gateway does not.

Two programs that read one head in two ways are how requests are smuggled (RFC 9112 section 11.2), so
whatever is unusual and ambiguous is refused. The target is not judged here: `gateway.core.target` does.
"""

import re

from aiohttp import HttpVersion10, HttpVersion11, web

from gateway.errors import BadRequest

_SINGLE = frozenset(
    (
        b"authorization",
        b"content-length",
        b"content-type",
        b"cookie",
        b"expect",
        b"host",
        b"origin",
        b"sec-fetch-dest",
        b"sec-fetch-mode",
        b"sec-fetch-site",
        b"sec-websocket-key",
        b"transfer-encoding",
        b"upgrade",
        b"watchword-code",
    )
)
"""Headers that decide something. Of two, this program would read the first, and the next one the last."""

_WEBSOCKET_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")


class Unacceptable(BadRequest):
    """A head that is answered with `status`, after which the connection must be closed."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


def check_request(request: web.BaseRequest, *, head_bytes: int) -> None:
    """Raise Unacceptable unless the head can be read in one way only. It may have `head_bytes` at most."""
    if request.version not in (HttpVersion11, HttpVersion10):
        raise Unacceptable(505, "HTTP/1.1 is spoken here")
    if request.method in ("TRACE", "CONNECT"):
        raise Unacceptable(405, f"{request.method} is not served")
    fields = _deciding_fields(request.raw_headers, head_bytes)
    _check_framing(request, fields)
    if fields.get(b"expect", b"100-continue").lower() != b"100-continue":
        raise Unacceptable(417, "the only expectation that can be met is 100-continue")
    if b"upgrade" in fields:
        _check_upgrade(request, fields)


def _deciding_fields(raw: tuple[tuple[bytes, bytes], ...], head_bytes: int) -> dict[bytes, bytes]:
    fields: dict[bytes, bytes] = {}
    size = 0
    for name, value in raw:
        size += len(name) + len(value) + 4  # colon, blank, CR, LF
        folded = name.lower()
        if folded in _SINGLE:
            if folded in fields:
                raise Unacceptable(400, f"there is more than one {folded.decode()} header")
            fields[folded] = value
        if not value.isascii():
            _check_text(value)
    if size > head_bytes:
        raise Unacceptable(431, "the headers are too large")
    return fields


def _check_text(value: bytes) -> None:
    try:
        value.decode()
    except UnicodeDecodeError:
        raise Unacceptable(400, "a header value is not UTF-8") from None


def _check_framing(request: web.BaseRequest, fields: dict[bytes, bytes]) -> None:
    coding = fields.get(b"transfer-encoding")
    if coding is None:
        return
    if request.version == HttpVersion10:
        raise Unacceptable(400, "HTTP/1.0 has no Transfer-Encoding")
    if coding.lower() != b"chunked" or b"content-length" in fields:
        raise Unacceptable(400, "the only Transfer-Encoding is chunked, without a Content-Length")


def _check_upgrade(request: web.BaseRequest, fields: dict[bytes, bytes]) -> None:
    """The client's side of RFC 6455 section 4.2.1; the version is for the upstream to judge."""
    if fields[b"upgrade"].lower() != b"websocket":
        raise Unacceptable(400, "the only protocol to upgrade to is websocket")
    if request.method != "GET" or request.version == HttpVersion10 or request.body_exists:
        raise Unacceptable(400, "a WebSocket begins with a GET in HTTP/1.1 without a body")
    if not _WEBSOCKET_KEY.fullmatch(fields.get(b"sec-websocket-key", b"")):
        raise Unacceptable(400, "a WebSocket needs a Sec-WebSocket-Key")
