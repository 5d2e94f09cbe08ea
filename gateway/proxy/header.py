"""One header, read once: its parts, and who may get to see it.

Most header lines come again and again (`Accept-Encoding: gzip, deflate`, `Server: nginx`), so what was
read of one is kept for the next time. Long ones are not, and none whose name hints at a secret.
"""

import re
import string
from collections.abc import Iterable
from typing import Final

from gateway.web.cookie_names import is_ours

_HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"content-length",
        b"http2-settings",
        b"keep-alive",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
"""What RFC 9110 section 7.6.1 keeps from being forwarded, and framing, which each connection has its own."""

_NOT_FROM_CLIENTS = frozenset(
    (
        b"expect",  # answered here
        b"forwarded",
        b"host",
        b"proxy",  # CGI programs would take it for HTTP_PROXY
        b"true-client-ip",
        b"x-client-ip",
        b"x-cluster-client-ip",
    )
)
_FAMILIES_NOT_FROM_CLIENTS = (
    b"proxy-",
    b"remote-",
    b"watchword-",
    b"x-auth-",
    b"x-forwarded",
    b"x-http-method",
    b"x-method-override",
    b"x-original-",
    b"x-real-",
    b"x-remote-",
    b"x-rewrite-",
)

_ALPHANUMERIC = string.ascii_letters + string.digits
_FOLD = bytes(ord(chr(byte).lower()) if chr(byte) in _ALPHANUMERIC else ord("-") for byte in range(256))

_FIT = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[^\x00-\x08\x0a-\x1f\x7f]*+")

_PLAIN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[ -~]*+")

_REMEMBERED = 4096
_LONGEST_REMEMBERED = 128
_HINTS = re.compile(
    rb"api|auth|code|cookie|csrf|jwt|key|location|pass|protocol|refer|secret|session|signature|token|xsrf"
)


class Header:
    """One header of a request or an answer.

    `raw` is the line that it was read from, without its end. `key` is its name in small letters; `folded` is
    that with every mark for a dash, as servers that hand headers on as variables confuse them
    (`Remote_User`). `line` is how it is written. `from_client` and `from_upstream` say whether the other side
    gets to see it, if no Connection header says otherwise. `is_fit`: its name is a token (RFC 9110 section
    5.6.2), and nothing in its value could end the line; `is_plain`: neither is there anything but visible
    ASCII and spaces. `may_be_secret`: its name hints at a secret in its value.
    """

    __slots__ = (
        "folded",
        "from_client",
        "from_upstream",
        "is_fit",
        "is_plain",
        "key",
        "line",
        "may_be_secret",
        "name",
        "raw",
        "value",
    )

    def __init__(self, line: bytes) -> None:
        """Read it from its line, without the line's end; the name ends with the first colon."""
        name, _, value = line.partition(b":")
        value = value.strip(b" \t")
        folded = fold(name)
        end_to_end = folded not in _HOP_BY_HOP
        own_cookie = folded == b"set-cookie" and is_ours(value)
        self.raw: Final = line
        self.key: Final = name.lower()
        self.folded: Final = folded
        self.name: Final = name
        self.value: Final = value
        self.line: Final = b"%b: %b\r\n" % (name, value)
        self.from_client: Final = (
            end_to_end
            and folded not in _NOT_FROM_CLIENTS
            and not folded.startswith(_FAMILIES_NOT_FROM_CLIENTS)
        )
        self.from_upstream: Final = end_to_end and not own_cookie and not folded.startswith(b"proxy-")
        self.is_plain: Final = _PLAIN.fullmatch(line) is not None
        self.is_fit: Final = self.is_plain or _FIT.fullmatch(line) is not None
        self.may_be_secret: Final = _HINTS.search(folded) is not None


def fold(name: bytes) -> bytes:
    return name.translate(_FOLD)


def header_of(line: bytes) -> Header:
    """A header from its line, without the line's end; the name ends with the first colon."""
    known = _remembered.get(line)
    return _learn(line) if known is None else known


def headers_of(pairs: Iterable[tuple[bytes, bytes]]) -> list[Header]:
    """Headers from names and values; a name must hold no colon."""
    return [header_of(b"%b:%b" % pair) for pair in pairs]


_remembered: dict[bytes, Header] = {}


def _learn(line: bytes) -> Header:
    header = Header(line)
    if len(line) <= _LONGEST_REMEMBERED and not header.may_be_secret:
        if len(_remembered) >= _REMEMBERED:
            _remembered.clear()  # what is used often is back at once
        _remembered[line] = header
    return header
