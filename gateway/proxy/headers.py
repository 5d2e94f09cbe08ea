"""Which headers an app gets to see, and which of its own the client does.

What a client says of itself in headers that only the gateway may write is dropped before the gateway
writes them. Names count as the same when a server that hands them on as variables could confuse them:
in any case, and with any mark for a dash (`Remote_User`, `remote.user`).
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

from gateway.proxy.header import Header, fold
from gateway.proxy.wire import NO_LINES, Lines, header_lines, joined
from gateway.web.cookie_names import is_ours

Headers = list[tuple[bytes, bytes]]

VIA = b"1.1 watchword"

_READ_AS = frozenset((b"content-encoding", b"content-type"))
"""How a body is to be read. Without them the app could read another one than was matched and approved."""

_CACHING = frozenset((b"cache-control", b"cdn-cache-control", b"expires", b"pragma", b"surrogate-control"))


class Outbound:
    """The headers for the upstream, but for those that say who asks (`gateway.proxy.identity_headers`)."""

    __slots__ = ("_after", "_before", "_identity", "_whole")

    def __init__(self, before: Lines, after: Lines) -> None:
        self._before = before
        self._after = after
        self._identity: Lines | None = None
        self._whole = NO_LINES

    def around(self, identity: Lines) -> Lines:
        """All of them, with those in their place. What was put together last is kept for the same ones."""
        if self._identity is not identity:
            self._identity = identity
            self._whole = joined(self._before, identity, self._after)
        return self._whole


def outbound(headers: Sequence[Header], authority: str, *, route: Sequence[str], scheme: str) -> Outbound:
    """What an upstream is told of a client's request.

    `route` are the addresses that the request is known to have come through, the client's first (see
    `gateway.web.addresses`); `scheme` is the one that the client used, `authority` what it asked for.
    Whatever else the client sent keeps its order and its bytes. Raises ValueError for what may not be sent.
    """
    host = authority.encode("ascii")
    added = _recently_added if len(host) <= _LONGEST_HOST else _added
    after = added(host, tuple(route), scheme)  # which has looked at the host
    lines = [b"Host: %b\r\n" % host]
    for header in _passed_on(headers):
        if header.from_client:
            if not header.is_fit:
                raise ValueError("a header's name is no token, or its value holds a control character")
            lines.append(header.line if header.folded != b"cookie" else _cookie_line(header))
    return Outbound(Lines(b"".join(lines), hosts=1), after)


def _added(host: bytes, route: tuple[str, ...], scheme: str) -> Lines:
    """What the gateway tells of where a request comes from."""
    return header_lines(
        [
            (b"X-Forwarded-For", ", ".join(route).encode("ascii")),
            (b"X-Forwarded-Proto", scheme.encode("ascii")),
            (b"X-Forwarded-Host", host),
            (b"Via", VIA),
        ]
    )


_LONGEST_HOST = 255
"""Of a name in the DNS: longer ones are somebody's who wants memory filled."""

_recently_added = lru_cache(4096)(_added)


def answer_lines(headers: Sequence[Header], *, cacheable: bool = True) -> bytes:
    """The headers for the client, without framing: what the upstream sent, but for cookies of our names.

    Without `cacheable`, what it says of caching is left out, and nobody is to keep the answer.
    """
    passed = [
        header.line
        for header in _passed_on(headers)
        if header.from_upstream and (cacheable or header.key not in _CACHING)
    ]
    if not cacheable:
        passed.append(b"Cache-Control: no-store\r\n")
    passed.append(_VIA_LINE)
    return b"".join(passed)


_VIA_LINE = b"Via: %b\r\n" % VIA


def _passed_on(headers: Sequence[Header]) -> Sequence[Header] | Iterator[Header]:
    """Without those that the sender named in Connection, and so meant for the next hop only."""
    named = [header.value for header in headers if header.folded == b"connection"]
    if not named or all(value in _USUAL for value in named):
        return headers
    listed = {fold(option.strip(b" \t")) for option in b",".join(named).split(b",")} - _READ_AS
    return (header for header in headers if header.folded not in listed)


_USUAL = frozenset((b"keep-alive", b"Keep-Alive", b"upgrade", b"Upgrade"))
"""Values of Connection that name no header that would otherwise be passed on."""


def _cookie_line(header: Header) -> bytes:
    kept = without_our_cookies(header.value)
    if kept is header.value and kept:
        return header.line
    return b"%b: %b\r\n" % (header.name, kept) if kept else b""


def without_our_cookies(value: bytes) -> bytes:
    cookies = value.split(b";")
    kept = [cookie for cookie in cookies if not is_ours(cookie)]
    return value if len(kept) == len(cookies) else b";".join(kept).lstrip(b" \t")
