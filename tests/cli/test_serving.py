"""`watchword run`, as a process that starts, is told things, and stops."""

import json
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import pytest
from support.commands import POLICY, CommandLine, processes_in

SECONDS = 60
"""Until a process has said something, or ended. Slow machines are no defect."""

EMBEDDED = {"WATCHWORD_STORE__URL": "embedded"}


class Node:
    """A running `watchword run`, and what it logs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        self.process = process
        self._log: TextIO = process.stderr

    def logged(self, event: str) -> dict[str, Any]:
        """The next entry of this name."""
        for line in self._log:
            entry: dict[str, Any] = json.loads(line)
            if entry["event"] == event:
                return entry
        raise AssertionError(f"it ended without {event!r}")

    def status_of(self, port: int, path: str, host: str = "exchange.localhost") -> int:
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Host": host})
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code


@contextmanager
def running(command: CommandLine, *arguments: str, **environ: str) -> Iterator[Node]:
    process = command.start("run", *arguments, **environ)
    try:
        yield Node(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=SECONDS)


def stop(node: Node, number: signal.Signals) -> str:
    """Tell it to stop; what it still logged. It must end well."""
    node.process.send_signal(number)
    out, err = node.process.communicate(timeout=SECONDS)
    assert (node.process.returncode, out) == (0, ""), err
    return err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_it_runs_until_it_is_told_to_stop(command: CommandLine, number: signal.Signals) -> None:
    with running(command) as node:
        started = node.logged("listening")
        assert node.status_of(started["port"], "/private") == 401
        assert node.status_of(started["port"], "/", host="other.localhost") == 421
        assert node.status_of(started["admin_port"], "/healthz") == 200
        assert "stopping" in stop(node, number)
        with pytest.raises(urllib.error.URLError):
            node.status_of(started["port"], "/")


def test_it_takes_its_settings_from_a_file(command: CommandLine) -> None:
    config = command.folder / "config" / "gateway.yaml"
    config.parent.mkdir()
    config.write_text("log: {format: console}\nmode: demo\npolicies: elsewhere\n")
    (command.folder / "policies").rename(command.folder / "elsewhere")
    process = command.start("run")
    assert process.stderr is not None
    try:
        text = ""
        while "listening" not in text:
            text = process.stderr.readline()
            assert text, "it ended"
    finally:
        process.terminate()
        process.communicate(timeout=SECONDS)
    assert process.returncode == 0


@pytest.mark.parametrize("told", [True, False], ids=["SIGHUP", "a change of a file"])
def test_policies_are_reloaded_and_a_faulty_one_is_not_taken(command: CommandLine, told: bool) -> None:
    folder = command.folder / "policies"
    if told:  # where a link leads to is not watched, so that nothing but the signal tells
        folder.rename(command.folder / "first")
        folder.symlink_to("first")

    def change(name: str, text: str) -> None:
        if not told:
            (folder / "exchange.yaml").write_text(text)
            return
        other = command.folder / name
        other.mkdir()
        (other / "exchange.yaml").write_text(text)
        folder.unlink()
        folder.symlink_to(name)
        node.process.send_signal(signal.SIGHUP)

    with running(command) as node:
        port = node.logged("listening")["port"]
        assert node.status_of(port, "/static/x") == 502  # allowed, and there is no upstream
        change("second", POLICY.replace("need: public", "need: deny"))
        node.logged("policies loaded")
        assert node.status_of(port, "/static/x") == 403
        change("third", POLICY.replace("need: public", "ned: public"))
        assert ":10:" in node.logged("policy fault, the policies in use stay")["fault"]
        assert node.status_of(port, "/static/x") == 403
        change("fourth", POLICY)
        node.logged("policies loaded")
        assert node.status_of(port, "/static/x") == 502
        stop(node, signal.SIGTERM)


def test_faults_stop_the_start(command: CommandLine) -> None:
    (command.folder / "policies" / "exchange.yaml").write_text("app: exchange\n")
    process = command.start("run", WATCHWORD_ISUER="x")
    out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, out) == (1, "")
    assert "exchange.yaml:1:" in err
    assert "WATCHWORD_ISUER" in err


@pytest.mark.parametrize("which", ["LISTEN", "ADMIN"])
def test_a_port_that_is_taken_stops_the_start(command: CommandLine, short_path: Path, which: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        environ = {**EMBEDDED, f"WATCHWORD_{which}__PORT": port, "WATCHWORD_STORE__DATA_DIR": str(short_path)}
        process = command.start("run", **environ)
        out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, out) == (1, "")
    assert port in err
    assert "Choose another port" in err
    assert "Traceback" not in err
    assert processes_in(short_path) == []


def test_a_store_that_does_not_answer_stops_the_start(command: CommandLine) -> None:
    process = command.start("run", WATCHWORD_STORE__URL="unix:///nowhere.sock")
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 3
    assert "The store is not available" in err


def test_the_embedded_store_stops_with_it(command: CommandLine, short_path: Path) -> None:
    with running(command, WATCHWORD_STORE__DATA_DIR=str(short_path), **EMBEDDED) as node:
        node.logged("listening")
        assert processes_in(short_path) != []
        stop(node, signal.SIGTERM)
        assert processes_in(short_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_during_the_start_leaves_nothing_behind(
    command: CommandLine, short_path: Path, number: signal.Signals
) -> None:
    with running(command, WATCHWORD_STORE__DATA_DIR=str(short_path), **EMBEDDED) as node:
        while not processes_in(short_path):
            assert node.process.poll() is None
        stop(node, number)
        assert processes_in(short_path) == []
