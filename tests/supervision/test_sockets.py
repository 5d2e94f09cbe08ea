import errno
import os
import re
import socket
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import CannotListen
from gateway.settings import AdminListen, Listen, Settings
from gateway.supervision.sockets import bound, naming, opened


def settings_at(**places: Any) -> Settings:
    return Settings(listen=Listen(port=0, **places), admin=AdminListen(port=0), policies=Path("none"))


def accepted(sock: socket.socket) -> int:
    count = 0
    try:
        while True:
            sock.accept()[0].close()
            count += 1
    except BlockingIOError:
        return count


def test_every_slot_gets_its_share_of_the_connections() -> None:
    with opened(settings_at(), 3) as openings:
        clients = [socket.create_connection(("127.0.0.1", openings.port)) for _ in range(120)]
        shares = [accepted(sock) for (sock,) in openings.slots]
        assert sum(shares) == 120
        assert min(shares) > 0
        for client in clients:
            client.close()


def test_a_host_name_is_all_its_addresses_on_one_port() -> None:
    with opened(settings_at(host="localhost"), 2) as openings:
        assert {sock.getsockname()[1] for sockets in openings.slots for sock in sockets} == {openings.port}
        addresses = {info[4][0] for info in socket.getaddrinfo("localhost", 1, type=socket.SOCK_STREAM)}
        assert {sock.getsockname()[0] for sock in openings.slots[1]} <= addresses


def test_what_belongs_to_somebody_else_is_refused_even_if_they_share() -> None:
    with opened(settings_at(), 2) as openings:
        taken = openings.port
        again = Settings(listen=Listen(port=taken), admin=AdminListen(port=0))
        with (
            pytest.raises(CannotListen, match=rf"^listen\.port: 127\.0\.0\.1:{taken} is in use"),
            opened(again, 2),
        ):
            raise AssertionError("two gateways would share the connections")
        other = Settings(listen=Listen(port=0), admin=AdminListen(port=openings.admin_port))
        with pytest.raises(CannotListen, match=rf"^admin\.port: .*:{openings.admin_port} "), opened(other, 2):
            raise AssertionError("two gateways would share the operators")


def test_what_was_opened_is_closed_again() -> None:
    with opened(settings_at(), 2) as openings:
        port = openings.port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


@pytest.mark.parametrize(
    ("host", "said"),
    [
        (
            "192.0.2.1",
            "listen.host: 192.0.2.1:0 is no address of this machine; 0.0.0.0 stands for all that are",
        ),
        ("no-such-host.invalid", "listen.host: no-such-host.invalid has no address: "),
    ],
)
def test_an_address_that_is_not_here(host: str, said: str) -> None:
    with pytest.raises(CannotListen, match=f"^{re.escape(said)}"), opened(settings_at(host=host), 2):
        raise AssertionError("it is nobody's address")


@pytest.mark.parametrize("slots", [1, 2])
def test_what_is_only_bound_takes_no_connection_and_keeps_others_away(slots: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        other = Settings(listen=Listen(port=0), admin=AdminListen(port=taken.getsockname()[1]))
        with pytest.raises(CannotListen, match=r"^admin\.port: "), bound(other, slots):
            raise AssertionError("somebody listens there")
    with bound(settings_at(), slots) as openings:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", openings.port))
        assert openings.sockets(openings.slot) == list(openings.slots[0])
        assert openings.admin_sockets()[0].getsockname() == ("127.0.0.1", openings.admin_port)


@pytest.mark.parametrize(
    ("number", "setting", "said"),
    [
        (errno.EADDRINUSE, "admin.port", "is in use already"),
        (errno.EACCES, "admin.port", "is not for this user to listen at"),
        (errno.EADDRNOTAVAIL, "admin.host", "is no address of this machine"),
        (errno.ENOBUFS, "admin.port", "cannot be had: No buffer space available"),
    ],
)
def test_what_the_system_says_of_an_address(number: int, setting: str, said: str) -> None:
    with pytest.raises(CannotListen) as raised, naming("admin", "[::1]:80"):
        raise OSError(number, os.strerror(number))
    assert raised.value.setting == setting
    assert raised.value.why.startswith(f"[::1]:80 {said}")


def test_a_single_worker_shares_its_port_with_nobody() -> None:
    with bound(settings_at(), 1) as openings, socket.socket() as other:
        openings.slots[0][0].listen()
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        with pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", openings.port))
