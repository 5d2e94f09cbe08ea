"""The listening sockets, opened once, before there is any worker."""

import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from gateway.settings import AdminListen, Listen, Settings

_BACKLOG = 1024

Sockets = tuple[socket.socket, ...]
"""One for each address that a host name stands for."""


@dataclass(frozen=True, slots=True)
class Openings:
    """Where the workers listen: `slots` for people, one for each worker, and `admin` for all of them."""

    slots: tuple[Sockets, ...]
    admin: Sockets

    @property
    def port(self) -> int:
        return int(self.slots[0][0].getsockname()[1])

    @property
    def admin_port(self) -> int:
        return int(self.admin[0].getsockname()[1])

    def descriptors(self) -> tuple[int, ...]:
        return tuple(sock.fileno() for sockets in (*self.slots, self.admin) for sock in sockets)


@contextmanager
def opened(settings: Settings, slots: int) -> Iterator[Openings]:
    """The sockets of as many slots, and those for operators, for as long as the block runs.

    Raises OSError when an address cannot be had, also when another gateway of ours has it.
    """
    with ExitStack() as stack:
        first = _bound(settings.listen, settings.listen.port, stack, alone=True)
        port = first[0].getsockname()[1]
        others = [_bound(settings.listen, port, stack, alone=False) for _ in range(slots - 1)]
        admin = _bound(settings.admin, settings.admin.port, stack, alone=None)
        openings = Openings((first, *others), admin)
        for sockets in (*openings.slots, openings.admin):
            for sock in sockets:
                sock.listen(_BACKLOG)  # only now: connections that are taken will be served
        yield openings


def _bound(listen: Listen | AdminListen, port: int, stack: ExitStack, *, alone: bool | None) -> Sockets:
    """A socket for each address of a host; `alone`: none shares it yet, None: none ever will."""
    found: list[socket.socket] = []
    fault: OSError | None = None
    for family, kind, protocol, _, address in _addresses(listen.host, port):
        try:
            sock = stack.enter_context(socket.socket(family, kind, protocol))
        except OSError as error:  # such as IPv6 where there is none
            fault = error
            continue
        try:
            _bind(sock, (address[0], port, *address[2:]), alone=alone)
        except OSError as error:
            fault = OSError(error.errno, f"error while attempting to bind on address {address}: {error}")
            if error.errno != errno.EADDRNOTAVAIL:
                raise fault from None
            continue
        port = sock.getsockname()[1]
        found.append(sock)
    if not found:
        raise fault or OSError(errno.EADDRNOTAVAIL, f"{listen.host} has no address")
    return tuple(found)


def _addresses(host: str, port: int) -> list[Any]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys(found))


def _bind(sock: socket.socket, address: tuple[Any, ...], *, alone: bool | None) -> None:
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if alone is False:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(address)
    if alone:
        # After bind: it fails if anybody is here already, even with SO_REUSEPORT (a second gateway of the
        # same user would take half of the connections), and our own others may still join.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
