"""The command line: commands within the test's process, and as processes of their own."""

import json
import os
import pty
import subprocess
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
import redis
import structlog
from support.running_demo import WATCHWORD
from typer.testing import CliRunner, Result

from gateway.cli.common import settings_from, with_store
from gateway.cli.main import app
from gateway.store.opening import Store
from gateway.store.ring_file import load_or_create

T = TypeVar("T")

POLICY = """
app: exchange
hosts: [exchange.localhost, "[::1]"]
upstream: http://127.0.0.1:1
unmatched: session
actions:
  sign-in: {title: Signing in, protect: by-choice, default: on}
  pay: {title: Paying, protect: always, fresh: once}
rules:
  - {name: assets, methods: [GET], paths: ["/static/**"], need: public}
  - {name: pay, methods: [POST], paths: [/payments], action: pay}
  - {name: staff, paths: ["/staff/**"], groups: [staff], need: session}
  - {name: closed, paths: ["/staff/**"], need: deny}
"""


@dataclass(frozen=True)
class CommandLine:
    """A folder to work in, with a policy, and what the environment says there."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str, input: str | bytes | None = None, **environ: str) -> Result:  # noqa: A002
        """Run a command within this process; not one that sets up logging, which would outlive it here."""
        logs_to = structlog.get_config()["logger_factory"]
        result = CliRunner().invoke(app, arguments, input=input, env={**self.environ, **environ})
        assert structlog.get_config()["logger_factory"] is logs_to, "to a file that is closed: use start"
        return result

    def json(self, *arguments: str, **options: Any) -> Any:
        """What a command that succeeds answers to a program."""
        result = self(*arguments, "--json", **options)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def in_store(self, use: Callable[[Store], Awaitable[T]]) -> T:
        """What is found, or done, in the store of the commands."""
        with pytest.MonkeyPatch.context() as patched:
            for name, value in self.environ.items():
                patched.setenv(name, value)
            return with_store(settings_from(None), lambda store, _: use(store))

    def start(self, *arguments: str, **environ: str) -> subprocess.Popen[str]:
        """Start a command as a process of its own; the demo, which has settings of its own, without ours."""
        environ = (
            self._all(environ) if arguments[0] != "demo" else {**os.environ, "COLUMNS": "200", **environ}
        )
        return subprocess.Popen(
            [WATCHWORD, *arguments],
            cwd=self.folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def at_terminal(self, *arguments: str, answer: str) -> tuple[int, str, str]:
        """A command in a process of its own, which finds an answer at its terminal: the exit code, what it
        says, and what it says of failures.
        """
        terminal, end = pty.openpty()
        try:
            os.write(terminal, f"{answer}\n".encode())
            done = subprocess.run(
                [WATCHWORD, *arguments],
                cwd=self.folder,
                env=self._all({}),
                stdin=end,
                capture_output=True,
                text=True,
                check=False,
            )
        finally:
            os.close(end)
            os.close(terminal)
        return done.returncode, done.stdout, done.stderr

    def without_a_replica(self, *arguments: str, input: str | None = None) -> tuple[int, str]:  # noqa: A002
        """The exit code of a command whose store lacks a replica, and what it says; in a process of its own,
        which keeps its log out of that.
        """
        done = subprocess.run(
            [WATCHWORD, *arguments],
            cwd=self.folder,
            env=self._all({"WATCHWORD_STORE__REPLICAS": "1"}),
            input=input or "",
            capture_output=True,
            text=True,
            check=False,
        )
        assert "0 replicas are connected" in done.stderr
        return done.returncode, done.stdout

    def _all(self, environ: Mapping[str, str]) -> dict[str, str]:
        return {**os.environ, "COLUMNS": "200", **self.environ, **environ}


@pytest.fixture
def command(tmp_path: Path, valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The command line of an operator, with a key ring and an empty store."""
    with redis.Redis.from_url(valkey_url) as client:
        client.flushall()
    monkeypatch.chdir(tmp_path)
    load_or_create(tmp_path / "data" / "keys.json")
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "exchange.yaml").write_text(POLICY)
    return CommandLine(
        tmp_path,
        {
            "COLUMNS": "200",
            "USER": "grace",
            "WATCHWORD_PUBLIC_SCHEME": "http",
            "WATCHWORD_STORE__URL": valkey_url,
            "WATCHWORD_STORE__TIMEOUT": "20s",
            "WATCHWORD_LISTEN__PORT": "0",
            "WATCHWORD_ADMIN__PORT": "0",
        },
    )


@contextmanager
def no_writes(valkey_url: str) -> Iterator[None]:
    """The store answers, and takes nothing."""
    with redis.Redis.from_url(valkey_url) as client:
        client.config_set("min-replicas-to-write", 1)
        try:
            yield
        finally:
            client.config_set("min-replicas-to-write", 0)


def processes_in(folder: Path) -> list[str]:
    """The command lines of processes that have to do with a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it ended meanwhile
        if str(folder) in text:
            found.append(text)
    return found
