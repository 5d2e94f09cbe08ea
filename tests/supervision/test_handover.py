import os
import socket
from pathlib import Path

import pytest

from gateway.supervision.handover import READY, Handed, handed_from


def handed(**changes: object) -> Handed:
    given = {"slot": 1, "name": "1a", "counts": "counts", "slots": ((3, 4), (5, 6)), "admin": (7,)}
    return Handed(**{**given, "orders": 8, "ready": 9, **changes})  # type: ignore[arg-type]


def test_it_is_the_same_on_the_other_side() -> None:
    assert handed_from(handed().to_text()) == handed()


@pytest.mark.parametrize("text", ["", "{}", "[]", "1", handed().to_text().replace("3", '"x"'), "null"])
def test_what_no_supervisor_gave(text: str) -> None:
    with pytest.raises(ValueError, match="supervisor"):
        handed_from(text)


def test_closing_its_sockets_leaves_the_queue_to_others() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        given = handed(slots=((), (server.fileno(),)), admin=(server.fileno(),))
        assert given.port == server.getsockname()[1]
        with socket.create_connection(server.getsockname()) as client:
            for sock in (*given.sockets(1), *given.admin_sockets()):
                sock.close()
            taken, address = server.accept()
            assert address == client.getsockname()
            taken.close()


def test_nothing_is_passed_on() -> None:
    one, other = os.pipe()
    os.set_inheritable(one, True)
    handed(slots=((one,),), admin=(), orders=one, ready=other).keep_to_oneself()
    assert not os.get_inheritable(one)
    os.close(one)
    os.close(other)


@pytest.mark.parametrize("heard", [True, False])
def test_it_says_once_that_it_serves(heard: bool) -> None:
    reading, writing = os.pipe()
    if not heard:
        os.close(reading)
    handed(ready=writing).say_ready()
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(writing)
    if heard:
        assert os.read(reading, 100) == READY
        os.close(reading)


def test_counts_can_be_forgotten(tmp_path: Path) -> None:
    folder = tmp_path / "counts"
    folder.mkdir()
    (folder / "counter_1a.db").touch()
    given = handed(counts=str(folder))
    given.forget_counts()
    assert not given.counts_folder.exists()
    given.forget_counts()
