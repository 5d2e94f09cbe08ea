"""The commands as a newcomer meets them."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from support.commands import CommandLine
from support.store import running_server

from gateway import __version__
from gateway.cli.main import app
from gateway.settings import Settings

COMMANDS = {
    "run",
    "demo",
    "check",
    "explain",
    "user add",
    "user list",
    "user disable",
    "user enable",
    "user unlock",
    "user password",
    "user email",
    *(f"device {step}" for step in ("list", "confirm", "rename")),
    "token",
    "revoke",
    *(f"reset {step}" for step in ("open", "evidence", "approve", "refuse", "abandon", "list", "show")),
    *(f"keys {step}" for step in ("list", "add", "rotate", "reseal", "retire")),
}


def leaves(command: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, object]]:
    """Every command that does something, by its path."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield " ".join(path), command
    else:
        for name, sub in inner.items():
            yield from leaves(sub, (*path, name))


ALL = dict(leaves(typer.main.get_command(app)))


def test_these_are_the_commands() -> None:
    assert set(ALL) == COMMANDS


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_and_every_parameter_says_what_it_is_for(command: CommandLine, name: str) -> None:
    result = command(*name.split(), "--help")
    assert result.exit_code == 0
    for parameter in ALL[name].params:  # type: ignore[attr-defined]
        assert getattr(parameter, "help", None), (name, parameter.name)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "New here? watchword demo shows it all"),
        (
            ("--help",),
            "Exit codes: 0 done, 1 it could not be done, 2 wrong usage, 3 the store did not answer, "
            "130 interrupted.",
        ),
        ((), "policies/APP.yaml, then watchword check, user add and run"),
        ((), "config/gateway.yaml and in WATCHWORD_* variables"),
        (("run", "--help"), "listen.port (8080) for people, admin.port (8081) for operators"),
        (("check", "--help"), "It opens no store and no port."),
        (("explain", "--help"), "Without any, rules for groups may match."),
        (("user", "add", "--help"), "before the first start"),
        (("user", "email", "--help"), "not told an address that people set themselves (profile.email)"),
        (("revoke", "--help"), "wait until no gateway accepts it"),
        (("revoke", "--help"), "watchword device list shows devices"),
        (("token", "--help"), "counts until it expires, and cannot be called back"),
        (("reset",), "reset open, then reset evidence for each item"),
        (("reset", "evidence", "--help"), "reset show tells which items have none yet."),
        (("user",), "The accounts of people who may sign in."),
        (("keys",), "The key ring that secrets in the store are sealed with."),
    ],
)
def test_help_without_a_command(command: CommandLine, arguments: tuple[str, ...], said: str) -> None:
    result = command(*arguments)
    assert said in re.sub(r"[\s│]+", " ", result.output)


def test_the_ports_that_help_names_are_the_defaults() -> None:
    assert (Settings().listen.port, Settings().admin.port) == (8080, 8081)


def test_the_version(command: CommandLine) -> None:
    """It says whether the hot path is compiled, which `make test-compiled` would else not know."""
    result = command("--version")
    compiled = ", compiled" if "compiled" in os.environ.get("PYTHONPATH", "") else ""
    assert (result.exit_code, result.stdout) == (0, f"{__version__}{compiled}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("nothing",),
        ("user", "nothing"),
        ("user", "add"),
        ("check", "--nothing"),
        ("explain", "GET"),
        ("demo", "--port", "65536"),
        ("demo", "--port", "http"),
        ("run", "--config"),
    ],
)
def test_wrong_usage(command: CommandLine, arguments: tuple[str, ...]) -> None:
    result = command(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Error" in result.stderr


def test_what_is_logged_does_not_end_up_in_the_json(command: CommandLine, short_path: Path) -> None:
    with running_server(short_path, "--appendonly", "no", "--save", "") as doubtful:
        environ = {"WATCHWORD_STORE__URL": doubtful.url, "WATCHWORD_MODE": "demo"}
        process = command.start("user", "list", "--json", **environ)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert json.loads(out) == []
    assert "appendonly is off" in err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("check",), 0), (("user", "disable", "nobody"), 1), (("explain", "GET"), 2), (("user", "list"), 3)],
)
def test_exit_codes_of_a_process(command: CommandLine, arguments: tuple[str, ...], code: int) -> None:
    environ = {"WATCHWORD_STORE__URL": "unix:///nowhere.sock"} if code == 3 else {}
    process = command.start(*arguments, **environ)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "Traceback" not in err
