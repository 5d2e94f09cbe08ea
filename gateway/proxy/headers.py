"""Which headers an app gets to see, and which of its own the client does.

What a client says of itself in headers that only the gateway may write is dropped before the gateway
writes them. Names count as the same when a server that hands them on as variables could confuse them:
in any case, and with any mark for a dash (`Remote_User`, `remote.user`).
"""

import re
import string
from collections.abc import Iterator, Sequence

from gateway.core.decision import Permit
from gateway.core.records import Account
from gateway.proxy.wire import RawHeaders
from gateway.web.cookie_names import is_ours

Headers = list[tuple[bytes, bytes]]

VIA = b"1.1 watchword"

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

_READ_AS = frozenset((b"content-encoding", b"content-type"))
"""How a body is to be read. Without them the app could read another one than was matched and approved."""

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

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def request_headers(raw: RawHeaders, permit: Permit, *, route: Sequence[str], scheme: str) -> Headers:
    """The headers for the upstream, without framing.

    `route` are the addresses that the request is known to have come through, the client's first (see
    `gateway.web.addresses`); `scheme` is the one that the client used. Whatever else the client sent keeps
    its order and its bytes. Raises ValueError for an account that no header can name.
    """
    authority = permit.target.authority.encode("ascii")
    headers: Headers = [(b"Host", authority)]
    for folded, name, value in _end_to_end(raw):
        if folded in _NOT_FROM_CLIENTS or folded.startswith(_FAMILIES_NOT_FROM_CLIENTS):
            continue
        if folded == b"cookie":
            if kept := _without_our_cookies(value):
                headers.append((name, kept))
        else:
            headers.append((name, value))
    if permit.account is not None:
        headers += _identity(permit.account)
    headers += (
        (b"X-Forwarded-For", ", ".join(route).encode("ascii")),
        (b"X-Forwarded-Proto", scheme.encode("ascii")),
        (b"X-Forwarded-Host", authority),
        (b"Via", VIA),
    )
    return headers


def response_headers(raw: RawHeaders) -> Headers:
    """The headers for the client, without framing: what the upstream sent, but for cookies of our names."""
    headers = [
        (name, value)
        for folded, name, value in _end_to_end(raw)
        if not (folded == b"set-cookie" and is_ours(value)) and not folded.startswith(b"proxy-")
    ]
    headers.append((b"Via", VIA))
    return headers


def _end_to_end(raw: RawHeaders) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Folded name, name and value of each header that its sender did not mean for the next hop only."""
    folded = [name.translate(_FOLD) for name, _ in raw]
    dropped = _HOP_BY_HOP
    if b"connection" in folded:
        lists = [value for key, (_, value) in zip(folded, raw, strict=True) if key == b"connection"]
        listed = {option.strip(b" \t").translate(_FOLD) for option in b",".join(lists).split(b",")}
        dropped = dropped.union(listed - _READ_AS)
    for key, (name, value) in zip(folded, raw, strict=True):
        if key not in dropped:
            yield key, name, value


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
