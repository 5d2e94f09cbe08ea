"""Tables, JSON, and one way to fail."""

import json
import sys
from datetime import UTC, datetime, timedelta, timezone

import pytest
import typer

from gateway.cli.output import console, counted, fail, failures, moment, show_faults, show_json, show_table
from gateway.errors import CannotListen, Fault, Faulty, RevocationPending, StoreUnavailable

FAULTS = (Fault("a.yaml", 1, 2, "is [red]wrong[/]"), Fault("b.yaml", 3, 4, "is [/x] too"))
TAKEN = CannotListen("listen.port", "127.0.0.1:8080 is in use already; choose another port")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (Faulty([FAULTS[0]]), 1, "a.yaml:1:2: is [red]wrong[/]\n1 fault\n"),
        (Faulty(list(FAULTS)), 1, "a.yaml:1:2: is [red]wrong[/]\nb.yaml:3:4: is [/x] too\n2 faults\n"),
        (StoreUnavailable("no [/answer]"), 3, "The store is not available: no [/answer]\n"),
        (
            FileNotFoundError(2, "No such file or directory", "/a/[/b]"),
            1,
            "No such file or directory: /a/[/b]\n",
        ),
        (OSError("something [/else]"), 1, "something [/else]\n"),
        (TAKEN, 1, "listen.port: 127.0.0.1:8080 is in use already; choose another port.\n"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_goes_wrong_is_a_message_and_a_code(
    error: Exception, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as raised, failures():
        raise error
    assert raised.value.exit_code == code
    assert capsys.readouterr() == ("", said)


def test_faults_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as raised, failures(as_json=True):
        raise Faulty(list(FAULTS))
    assert raised.value.exit_code == 1
    out, err = capsys.readouterr()
    assert err == ""
    assert json.loads(out) == {
        "faults": [
            {"file": "a.yaml", "line": 1, "column": 2, "message": "is [red]wrong[/]"},
            {"file": "b.yaml", "line": 3, "column": 4, "message": "is [/x] too"},
        ]
    }


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (StoreUnavailable("no [/answer]"), 3, "The store is not available: no [/answer]"),
        (FileNotFoundError(2, "No such file", "/a/[/b]"), 1, "No such file: /a/[/b]"),
        (TAKEN, 1, "listen.port: 127.0.0.1:8080 is in use already; choose another port."),
    ],
    ids=["store", "file", "port"],
)
def test_what_goes_wrong_is_an_error_for_programs(
    error: Exception, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as raised, failures(as_json=True):
        raise error
    out, err = capsys.readouterr()
    assert (raised.value.exit_code, json.loads(out), err) == (code, {"error": said}, "")


def test_what_was_promised_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    promised = RevocationPending("no [/answer]", "7" * 32, "account")
    with pytest.raises(typer.Exit) as raised, failures():
        raise promised
    out, err = capsys.readouterr()
    assert (raised.value.exit_code, err) == (1, "")
    assert "no [/answer]. It is pending" in out and f"GET /v1/revocations/{'7' * 32} at" in out
    with pytest.raises(typer.Exit) as raised, failures(as_json=True):
        raise promised
    told = {"id": "7" * 32, "scope": "account", "confirmed": False, "status": f"/v1/revocations/{'7' * 32}"}
    assert (raised.value.exit_code, json.loads(capsys.readouterr().out)) == (1, told)


def test_our_own_mistakes_are_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError), failures():
        _ = 1 / 0


def test_failing_says_why_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert fail("There is no [/such] thing.").exit_code == 1
    assert capsys.readouterr() == ("", "There is no [/such] thing.\n")


def test_a_long_fault_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    show_faults([Fault("a.yaml", 1, 2, "word " * 100)], as_json=False)
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_json_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    show_json({"a": "é\n[/]"})
    assert capsys.readouterr().out == '{"a": "é\\n[/]"}\n'


@pytest.mark.parametrize("at_terminal", [False, True], ids=["in a pipe", "at a terminal"])
def test_a_table_shows_what_it_is_given(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, at_terminal: bool
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: at_terminal)
    show_table(("name", "why"), [("[bold]x", "[/y]"), ("[fe80::1]", "z" * 100)])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[:2]] == [["name", "why"], ["[bold]x", "[/y]"]]
    assert lines[2].startswith("[fe80::1]")
    assert "".join(lines).count("z") == 100  # folded, not cut
    assert len(lines) == (4 if at_terminal else 3)


def test_what_goes_to_a_pipe_is_not_wrapped(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One row is one line, for grep and awk; and so is a sentence."""
    monkeypatch.setenv("COLUMNS", "80")
    show_table(("id", "what was found"), [("x" * 32, "word " * 300), ("y" * 32, "ä 中 " * 300)])
    console.print("word " * 100)
    lines = capsys.readouterr().out.splitlines()
    assert [line[:1] for line in lines] == ["i", "x", "y", "w"]
    assert lines[1].count("word") == 300
    assert not any(line.endswith(" ") for line in lines[:3])


@pytest.mark.parametrize("number", [0, 1, 2, 1204])
def test_numbers_have_their_word(number: int) -> None:
    assert counted(number, "value") == f"{number} value{'s' * (number != 1)}"


@pytest.mark.parametrize(
    "at",
    [
        1795770760.9,
        datetime(2026, 11, 27, 9, 12, 40, 999_999, tzinfo=UTC),
        datetime(2026, 11, 27, 10, 12, 40, tzinfo=timezone(timedelta(hours=1))),
    ],
    ids=["seconds", "with a fraction", "elsewhere"],
)
def test_times_are_written_in_one_way(at: float | datetime, capsys: pytest.CaptureFixture[str]) -> None:
    assert moment(at) == "2026-11-27T09:12:40Z"
    if isinstance(at, datetime):
        show_json({"at": at, "never": None})
        assert capsys.readouterr().out == '{"at": "2026-11-27T09:12:40Z", "never": null}\n'
