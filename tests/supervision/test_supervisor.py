"""Several workers behind one address: what clients notice of restarts and deaths, which is nothing."""

import http.client
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.commands import POLICY, CommandLine, processes_in
from support.serving import EMBEDDED, SECONDS, running, stop

from gateway.supervision.supervisor import delay_after

HOST = {"Host": "exchange.localhost"}
TWO = ("--workers", "2")
REQUESTS = ("requests_total", "exchange", "sign-in")


class Load:
    """Clients that ask until they are told to stop; `failed` is what went wrong for any of them."""

    def __init__(self, port: int) -> None:
        self.answered, self.connections = 0, 0
        self.failed: list[str] = []
        self._port = port
        self._enough, self._lock = threading.Event(), threading.Lock()

    def stop(self) -> None:
        self._enough.set()

    def short(self) -> None:
        """Each request on a connection of its own."""
        while not self._enough.is_set():
            self._ask(self._connected(), {**HOST, "Connection": "close"})

    def long(self) -> None:
        """As many requests on one connection as the gateway lets come."""
        client = self._connected()
        while not self._enough.is_set():
            if not self._ask(client, HOST):
                client = self._connected()

    def _connected(self) -> http.client.HTTPConnection:
        with self._lock:
            self.connections += 1
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=SECONDS)

    def _ask(self, client: http.client.HTTPConnection, headers: dict[str, str]) -> bool:
        """Whether the connection can be used again."""
        try:
            client.request("GET", "/private", headers=headers)
            answer = client.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.failed.append(repr(error))
            client.close()
            return False
        with self._lock:
            self.answered += 1
        if answer.status != 401:
            self.failed.append(str(answer.status))
        return not answer.will_close


@contextmanager
def load_on(port: int) -> Iterator[Load]:
    load = Load(port)
    clients = [threading.Thread(target=each) for each in (load.short, load.short, load.long, load.long)]
    for client in clients:
        client.start()
    try:
        yield load
    finally:
        load.stop()
        for client in clients:
            client.join(SECONDS)


def test_several_workers_serve_one_address_and_count_together(command: CommandLine) -> None:
    with running(command, *TWO) as node:
        started = node.logged("listening")
        assert started["workers"] == 2
        for _ in range(40):
            assert node.status_of(started["port"], "/private") == 401
        by = {line.split('"worker": ')[1][0] for line in node.lines if '"event": "request"' in line}
        pages = [node.counts(started["admin_port"]) for _ in range(4)]
        assert {page[REQUESTS] for page in pages} == {40}
        assert pages[0]["workers",] == 2
        assert {name[1] for name in pages[0] if name[0] == "process_open_fds"} == {"supervisor", "0", "1"}
        stop(node, signal.SIGTERM)
        assert by <= {"0", "1"}


def test_no_request_is_lost_while_workers_are_replaced(command: CommandLine) -> None:
    with running(command, *TWO) as node:
        started = node.logged("listening")
        before = node.children()
        with load_on(started["port"]) as load:
            for _ in range(2):
                node.process.send_signal(signal.SIGUSR2)
                node.logged("replaced the workers")
            while load.connections < 2000:
                assert not load.failed
        assert load.failed == []
        assert len(node.children()) == 2
        assert not before & node.children()
        counts = node.counts(started["admin_port"])
        assert counts[REQUESTS] == load.answered, "nothing that a retired worker counted is forgotten"
        assert counts["worker_deaths_total",] == 0
        stop(node, signal.SIGTERM)


def test_a_request_that_is_on_its_way_is_answered_by_the_worker_that_retires(command: CommandLine) -> None:
    with running(command, *TWO) as node:
        started = node.logged("listening")
        clients = [http.client.HTTPConnection("127.0.0.1", started["port"]) for _ in range(8)]
        for client in clients:
            client.connect()
            client.sock.sendall(b"GET /private HTTP/1.1\r\n")
        node.process.send_signal(signal.SIGUSR2)
        node.logged("retiring", worker=0)
        for client in clients:
            client.sock.sendall(b"Host: exchange.localhost\r\n\r\n")
            answer = http.client.HTTPResponse(client.sock)
            answer.begin()
            assert answer.status == 401
        node.logged("replaced the workers")
        stop(node, signal.SIGTERM)


def test_a_worker_that_dies_is_started_again_and_its_counts_stay(command: CommandLine) -> None:
    with running(command, *TWO) as node:
        started = node.logged("listening")
        for _ in range(20):
            node.status_of(started["port"], "/private")
        for victim in sorted(node.children()):
            os.kill(victim, signal.SIGKILL)
            slot = node.logged("a worker died", code=-signal.SIGKILL)["worker"]
            node.logged("worker ready", worker=slot)
        counts = node.counts(started["admin_port"])
        assert (counts[REQUESTS], counts["worker_deaths_total",]) == (20, 2)
        assert node.status_of(started["port"], "/private") == 401
        stop(node, signal.SIGTERM)


def test_a_slot_without_a_worker_is_covered_by_the_others(command: CommandLine) -> None:
    policy = command.folder / "policies" / "exchange.yaml"
    with running(command, *TWO) as node:
        started = node.logged("listening")
        policy.write_text("app: exchange\n")  # who serves goes on with what it has, nobody else can start
        os.kill(min(node.children()), signal.SIGKILL)
        node.logged("a worker did not start")
        for _ in range(50):
            assert node.status_of(started["port"], "/private") == 401
        node.process.send_signal(signal.SIGUSR2)
        node.logged("the workers in use stay")
        assert node.status_of(started["port"], "/private") == 401
        policy.write_text(POLICY)
        node.logged("worker ready")
        stop(node, signal.SIGTERM)


def test_workers_end_when_their_supervisor_is_killed(command: CommandLine, short_path: Path) -> None:
    with running(
        command, *TWO, WATCHWORD_STORE__DATA_DIR=str(short_path), TMPDIR=str(short_path), **EMBEDDED
    ) as node:
        node.logged("listening")
        assert list(short_path.glob("watchword-*"))
        node.process.kill()
        rest = node.rest_of_log()  # the log is at its end when nobody is left who could write to it
        assert rest.count('"the supervisor is gone"') == 2
        assert processes_in(short_path) == []
        assert not list(short_path.glob("watchword-*"))


def test_an_address_is_not_shared_with_another_gateway(command: CommandLine) -> None:
    with running(command, *TWO) as node:
        port = str(node.logged("listening")["port"])
        other = command.start("run", *TWO, WATCHWORD_LISTEN__PORT=port)
        _, said = other.communicate(timeout=SECONDS)
        assert other.returncode == 1
        assert said.startswith(f"listen.port: 127.0.0.1:{port} is in use already; choose another port")
        stop(node, signal.SIGTERM)


@pytest.mark.parametrize(("deaths", "seconds"), [(0, 0), (1, 0), (2, 0.5), (3, 1), (8, 30), (10**6, 30)])
def test_who_dies_again_and_again_is_started_later_each_time(deaths: int, seconds: float) -> None:
    assert delay_after(deaths) == seconds
