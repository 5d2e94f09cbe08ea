"""Which headers an app gets to see, and which of its own the client does.

What a client says of itself in headers that only the gateway may write is dropped before the gateway
writes them. Names count as the same when a server that hands them on as variables could confuse them:
in any case, and with any mark for a dash (`Remote_User`, `remote.user`).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gateway.core.records import Account
from gateway.proxy.header import Header, fold
from gateway.proxy.wire import Lines, header_lines
from gateway.web.cookie_names import is_ours

Headers = list[tuple[bytes, bytes]]

VIA = b"1.1 watchword"

_READ_AS = frozenset((b"content-encoding", b"content-type"))
"""How a body is to be read. Without them the app could read another one than was matched and approved."""

_CACHING = frozenset((b"cache-control", b"cdn-cache-control", b"expires", b"pragma", b"surrogate-control"))

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Outbound:
    """The headers for the upstream, but for those between `before` and `after` that say who is asking."""

    before: Lines
    after: Lines


def outbound(headers: Sequence[Header], authority: str, *, route: Sequence[str], scheme: str) -> Outbound:
    """What an upstream is told of a client's request.

    `route` are the addresses that the request is known to have come through, the client's first (see
    `gateway.web.addresses`); `scheme` is the one that the client used, `authority` what it asked for.
    Whatever else the client sent keeps its order and its bytes.
    """
    host = authority.encode("ascii")
    kept = [field for header in _passed_on(headers) if header.from_client and (field := _to_app(header))]
    return Outbound(
        before=header_lines([(b"Host", host), *kept]),
        after=header_lines(
            [
                (b"X-Forwarded-For", ", ".join(route).encode("ascii")),
                (b"X-Forwarded-Proto", scheme.encode("ascii")),
                (b"X-Forwarded-Host", host),
                (b"Via", VIA),
            ]
        ),
    )


def identity_lines(account: Account | None) -> Lines:
    """Who is asking. Raises ValueError for an account that no header can name."""
    return header_lines(_identity(account) if account is not None else [])


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


_USUAL = frozenset((b"keep-alive", b"Keep-Alive", b"close", b"upgrade", b"Upgrade"))
"""Values of Connection that name no header that would otherwise be passed on."""


def _to_app(header: Header) -> tuple[bytes, bytes] | None:
    if header.folded != b"cookie":
        return header.name, header.value
    kept = _without_our_cookies(header.value)
    return (header.name, kept) if kept else None


def _without_our_cookies(value: bytes) -> bytes:
    cookies = value.split(b";")
    kept = [cookie for cookie in cookies if not is_ours(cookie)]
    return value if len(kept) == len(cookies) else b";".join(kept).lstrip(b" \t")


def _identity(account: Account) -> Headers:
    """Who is asking, in UTF-8, as most gateways send it. What is empty is left out.

    A name is for people to read, so odd characters in it become blanks. The others are keys, and altering
    one could turn an account into another, so what no header can carry is an error. For the same reason an
    address that is only the person's own word is not told.
    """
    if any(not group or "," in group for group in account.groups):
        raise ValueError("a group's name is empty or holds a comma, which is what separates groups")
    values = (
        (b"Remote-User", _key(account.subject)),
        (b"Remote-Name", _CONTROLS.sub(" ", account.name).strip().encode(errors="replace")),
        (b"Remote-Email", b"" if account.own_email else _key(account.email)),
        (b"Remote-Groups", b",".join(_key(group) for group in sorted(account.groups))),
    )
    return [(name, value) for name, value in values if value]


def _key(text: str) -> bytes:
    """Raises ValueError also for text that is no Unicode: UnicodeEncodeError is one."""
    if _CONTROLS.search(text) or text != text.strip():
        raise ValueError("a subject, address or group holds a control character, or a blank at an end")
    return text.encode()
