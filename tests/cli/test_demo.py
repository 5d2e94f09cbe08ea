"""`watchword demo`, as a newcomer starts it: a process that keeps its promises, and then is gone."""

import http.cookiejar
import json
import re
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from support.commands import CommandLine, processes_in

from gateway.cli.common import settings_from

SECONDS = 60
"""Until a process has said something, or ended. Slow machines are no defect."""

FREE = ("--port", "0", "--admin-port", "0")


@dataclass(frozen=True)
class Demo:
    process: subprocess.Popen[str]
    said: dict[str, Any]

    def call(self, path: str, value: object = None) -> Any:
        """What a client of its own, signed in, gets."""
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
        credentials = {"subject": self.said["account"], "password": self.said["password"]}
        for address, body in (("/.watchword/api/sign-in", credentials), (path, value)):
            data = None if body is None else json.dumps(body).encode()
            request = urllib.request.Request(
                self.said["gateway"] + address, data, {"Content-Type": "application/json"}
            )
            with opener.open(request, timeout=SECONDS) as answer:
                text = answer.read().decode()
        return text

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=SECONDS)
        assert (self.process.returncode, out, err) == (0, "", "")


@contextmanager
def running(command: CommandLine, *arguments: str, **environ: str) -> Iterator[Demo]:
    process = command.start("demo", *FREE, "--json", *arguments, **environ)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, process.communicate(timeout=SECONDS)
        yield Demo(process, json.loads(line))
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=SECONDS)


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name
)
def test_one_line_of_json_then_it_serves_and_leaves_nothing_behind(
    command: CommandLine, short_path: Path, number: signal.Signals
) -> None:
    with running(command, TMPDIR=str(short_path)) as demo:
        said = demo.said
        assert list(said) == ["gateway", "admin", "app", "account", "password", "admin_token", "environ"]
        assert (said["app"], said["account"]) == ("exchange", "ada")
        assert re.fullmatch(r"http://localhost:\d+", said["gateway"])
        assert json.loads(demo.call("/.watchword/api/me"))["name"] == "Ada Lovelace"
        assert "Ada Lovelace" in demo.call("/")
        request = urllib.request.Request(
            f"{said['admin']}/v1/accounts/ada", headers={"Authorization": f"Bearer {said['admin_token']}"}
        )
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            assert json.load(answer)["subject"] == "ada"
        assert processes_in(short_path) != []
        demo.stop(number)
        assert processes_in(short_path) == []
        assert list(short_path.iterdir()) == []


def test_an_open_stream_does_not_keep_it_from_stopping(command: CommandLine) -> None:
    with running(command) as demo:
        port = int(demo.said["gateway"].rpartition(":")[2])
        body = json.dumps({"subject": "ada", "password": demo.said["password"]}).encode()
        request = urllib.request.Request(
            f"{demo.said['gateway']}/.watchword/api/sign-in", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            cookie = answer.headers.get_all("Set-Cookie")[0].partition(";")[0]
        with socket.create_connection(("127.0.0.1", port)) as stream:
            stream.sendall(f"GET /events HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n".encode())
            assert stream.recv(12) == b"HTTP/1.1 200"
            demo.stop()


def test_what_it_keeps_is_there_at_the_next_start(command: CommandLine, short_path: Path) -> None:
    folder = short_path / "kept"
    options = ("--data-dir", str(folder))
    with running(command, *options) as demo:
        first = demo.said
        (device,) = json.loads(demo.call("/.watchword/api/devices"))
        demo.stop()
    assert {path.stat().st_mode & 0o077 for path in (folder, folder / "keys.json", folder / "demo.json")} == {
        0
    }
    policy = folder / "policies" / "exchange.yaml"
    policy.write_text(policy.read_text() + "# an edit\n")
    assert processes_in(folder) == []

    with running(command, *options) as demo:
        assert demo.said["password"] == first["password"]
        devices = json.loads(demo.call("/.watchword/api/devices"))
        assert device["id"] in [found["id"] for found in devices]
        assert "Ada Lovelace" in demo.call("/")  # the exchange listens elsewhere now
        assert policy.read_text().endswith("# an edit\n")
        demo.stop()


def test_the_other_commands_reach_it(command: CommandLine, short_path: Path) -> None:
    """With what it says, whatever settings file they find, also while it runs."""
    elsewhere = "store: {url: redis://127.0.0.1:1, data-dir: elsewhere}\nkeys: elsewhere/keys.json\n"
    (command.folder / "config").mkdir()
    (command.folder / "config" / "gateway.yaml").write_text(elsewhere)
    options = ("--data-dir", str(short_path / "a folder"), "--reset-waiting", "90s")
    with running(command, *options) as demo:
        there = replace(command, environ=command.environ | demo.said["environ"])
        assert [account["subject"] for account in there.json("user", "list")] == ["ada"]
        token = there.json("token", "grace", "--scope", "read")["token"]
        request = urllib.request.Request(
            f"{demo.said['admin']}/v1/accounts/ada", headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            assert json.load(answer)["subject"] == "ada"
        there.json("revoke", "account", "ada")
        with pytest.MonkeyPatch.context() as patched:
            for name, value in there.environ.items():
                patched.setenv(name, value)
            assert settings_from(None).resets.waiting == 90
        demo.stop()
    assert not (command.folder / "elsewhere").exists()


def test_what_it_ignores_it_names(command: CommandLine) -> None:
    """A variable that would change a gateway changes no demo; other names are nobody's settings."""
    environ = {"WATCHWORD_LISTEN__PORT": "1", "WATCHWORD_STORE__SHARDS": "none", "WATCHWORD_TYPO": "1"}
    with running(command, WATCHWORD_ISSUER="", **environ) as demo:
        demo.process.send_signal(signal.SIGTERM)
        _, err = demo.process.communicate(timeout=SECONDS)
    assert err == (
        "The demo has settings of its own and ignores WATCHWORD_LISTEN__PORT, WATCHWORD_STORE__SHARDS.\n"
    )


def test_a_start_that_was_cut_short_is_made_up_for(command: CommandLine, short_path: Path) -> None:
    """The password was written down, and no account made with it."""
    (short_path / "demo.json").write_text('{"password": "correct horse"}')
    with running(command, "--data-dir", str(short_path)) as demo:
        assert demo.said["password"] == "correct horse"
        demo.call("/.watchword/api/me")
        demo.stop()


@pytest.mark.parametrize("option", ["--port", "--admin-port"])
def test_a_port_that_is_taken(command: CommandLine, short_path: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        process = command.start("demo", *FREE, option, port, TMPDIR=str(short_path))
        out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, out) == (1, "")
    assert err == (
        f"{option}: 127.0.0.1:{port} is in use already; choose another port, or stop what listens there.\n"
    )
    assert processes_in(short_path) == []
    assert list(short_path.iterdir()) == []


def test_a_data_directory_that_cannot_be_one(command: CommandLine, short_path: Path) -> None:
    file = short_path / "file"
    file.touch()
    process = command.start("demo", *FREE, "--data-dir", str(file))
    out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, out) == (1, "")
    assert err == f"File exists: {file}\n"


def test_a_waiting_time_that_is_none(command: CommandLine) -> None:
    process = command.start("demo", *FREE, "--reset-waiting", "3")
    out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, out) == (2, "")
    assert "'3' is not a duration" in err


def test_what_a_newcomer_reads(command: CommandLine) -> None:
    process = command.start("demo", *FREE)
    assert process.stdout is not None
    try:
        text = ""
        while "Ctrl-C" not in text:
            line = process.stdout.readline()
            assert line, "it ended"
            text += line
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, out, err) == (0, "Stopped.\n", "")
    for said in (
        "Watchword is guarding a small exchange",
        "http://localhost:",
        "ada",
        "/.watchword/security",
    ):
        assert said in text
    (policy,) = re.findall(r"Policy\s+(\S+)", text)
    (said,) = re.findall(r"export (.*)\n", text)
    assert f"WATCHWORD_STORE__DATA_DIR={Path(policy).parents[1]} " in f"{said} "
    assert policy.endswith("/policies/exchange.yaml")
    assert not Path(policy).exists()  # forgotten, as it was told nothing else
