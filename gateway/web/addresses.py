"""Where a request comes from: the peer, or what trusted proxies in front of the gateway say of it."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

UNKNOWN = "unknown"
"""The address of a peer that has none, like one on a Unix socket (the word is that of RFC 7239)."""


def route(peer: object, forwarded_for: Iterable[str], trusted: Iterable[Network]) -> tuple[str, ...]:
    """The addresses that a request is known to have come through: the client first, the peer last.

    `peer` is a socket's peer name; `forwarded_for` are the X-Forwarded-For headers in their order. They are
    read from the right for as long as who added an entry is in `trusted`. What stands further left is
    anybody's invention, and is left out. Without trust the client is the peer.
    """
    hop = _hop(str(peer[0])) if isinstance(peer, tuple) and peer else None
    if hop is None:
        return (UNKNOWN,)
    networks = tuple(trusted)
    known = [hop.text]
    for entry in reversed(",".join(forwarded_for).split(",")):
        if not any(hop.address in network for network in networks):
            break
        before = _hop(entry)
        if before is None:
            break
        hop = before
        known.append(hop.text)
    return tuple(reversed(known))


def of_peer(peer: object) -> str:
    """The address of a socket's peer name."""
    return route(peer, (), ())[-1]


def is_trusted(peer: object, trusted: Iterable[Network]) -> bool:
    """Whether a socket's peer name is one of a network that is trusted."""
    hop = _hop(str(peer[0])) if isinstance(peer, tuple) and peer else None
    return hop is not None and any(hop.address in network for network in trusted)


class _Hop(NamedTuple):
    """An address, and how it is written."""

    address: Address
    text: str


@lru_cache(4096)
def _hop(text: str) -> _Hop | None:
    """Read an address, with brackets, port or zone if it has them. IPv4 within IPv6 counts as IPv4."""
    text = text.strip(" \t")
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    address = getattr(address, "ipv4_mapped", None) or address
    return _Hop(address, str(address))
