"""The listening sockets, opened once, before there is any worker."""

import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from gateway.errors import CannotListen
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

    @property
    def slot(self) -> int:
        """The slot of whoever serves alone."""
        return 0

    def sockets(self, slot: int) -> list[socket.socket]:
        """The public sockets of a slot; who closes them closes what was opened here."""
        return list(self.slots[slot])

    def admin_sockets(self) -> list[socket.socket]:
        """The same for operators."""
        return list(self.admin)

    def descriptors(self) -> tuple[int, ...]:
        return tuple(sock.fileno() for sockets in (*self.slots, self.admin) for sock in sockets)


@contextmanager
def opened(settings: Settings, slots: int) -> Iterator[Openings]:
    """The sockets of as many slots, and those for operators, for as long as the block runs.

    Raises CannotListen when an address cannot be had, also when another gateway of ours has it.
    """
    with bound(settings, slots) as openings:
        for section, sockets in (*(("listen", slot) for slot in openings.slots), ("admin", openings.admin)):
            for sock in sockets:
                with naming(section, _shown(sock.getsockname())):
                    sock.listen(_BACKLOG)  # only now: connections that are taken will be served
        yield openings


@contextmanager
def bound(settings: Settings, slots: int) -> Iterator[Openings]:
    """The same, but nobody can connect yet: whoever accepts has to say `listen` first."""
    with ExitStack() as stack:
        shared = True if slots > 1 else None
        first = _bound("listen", settings.listen, settings.listen.port, stack, alone=shared)
        port = first[0].getsockname()[1]
        others = [_bound("listen", settings.listen, port, stack, alone=False) for _ in range(slots - 1)]
        admin = _bound("admin", settings.admin, settings.admin.port, stack, alone=None)
        yield Openings((first, *others), admin)


@contextmanager
def naming(section: str, address: str) -> Iterator[None]:
    """Turns what the system says of an address into CannotListen, with the key in `section` to change."""
    try:
        yield
    except socket.gaierror as error:
        raise CannotListen(f"{section}.host", f"{address} has no address: {error.strerror}") from None
    except OSError as error:
        key, why = _REASONS.get(error.errno or 0, ("port", "cannot be had: " + str(error.strerror or error)))
        raise CannotListen(f"{section}.{key}", f"{address} {why}") from None


_REASONS = {
    errno.EADDRINUSE: ("port", "is in use already; choose another port, or stop what listens there"),
    errno.EADDRNOTAVAIL: ("host", "is no address of this machine; 0.0.0.0 stands for all that are"),
    errno.EACCES: ("port", "is not for this user to listen at; choose a port from 1024 on"),
}
"""By what the system says: which key to change, and what to say of the address."""


def _bound(
    section: str, listen: Listen | AdminListen, port: int, stack: ExitStack, *, alone: bool | None
) -> Sockets:
    """A socket for each address of a host; `alone`: none shares it yet, None: none ever will."""
    found: list[socket.socket] = []
    fault = CannotListen(f"{section}.host", f"{listen.host} has no address")
    for family, kind, protocol, _, address in _addresses(section, listen.host, port):
        place = (address[0], port, *address[2:])
        try:
            with naming(section, _shown(place)):
                sock = stack.enter_context(socket.socket(family, kind, protocol))
        except CannotListen as error:  # such as IPv6 where there is none
            fault = error
            continue
        try:
            with naming(section, _shown(place)):
                _bind(sock, place, alone=alone)
        except CannotListen as error:
            if error.setting == f"{section}.port":
                raise
            fault = error
            continue
        port = sock.getsockname()[1]
        found.append(sock)
    if not found:
        raise fault
    return tuple(found)


def _addresses(section: str, host: str, port: int) -> list[Any]:
    with naming(section, host):
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys(found))


def _shown(address: tuple[Any, ...]) -> str:
    """`127.0.0.1:8080`, `[::1]:8080`."""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


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
