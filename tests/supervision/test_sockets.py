import socket
from pathlib import Path
from typing import Any

import pytest

from gateway.settings import AdminListen, Listen, Settings
from gateway.supervision.sockets import opened


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
        with pytest.raises(OSError, match=f"{taken}"), opened(again, 2):
            raise AssertionError("two gateways would share the connections")
        other = Settings(listen=Listen(port=0), admin=AdminListen(port=openings.admin_port))
        with pytest.raises(OSError, match=f"{openings.admin_port}"), opened(other, 2):
            raise AssertionError("two gateways would share the operators")


def test_what_was_opened_is_closed_again() -> None:
    with opened(settings_at(), 2) as openings:
        port = openings.port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_an_address_that_is_not_here() -> None:
    with pytest.raises(OSError, match=r"192\.0\.2\.1"), opened(settings_at(host="192.0.2.1"), 2):
        raise AssertionError("it is nobody's address")
