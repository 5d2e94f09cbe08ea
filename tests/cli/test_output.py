"""Tables, JSON, and one way to fail."""

import errno
import json

import pytest
import typer

from gateway.cli.output import fail, failures, show_faults, show_json, show_table
from gateway.errors import Fault, Faulty, StoreUnavailable

FAULTS = (Fault("a.yaml", 1, 2, "is [red]wrong[/]"), Fault("b.yaml", 3, 4, "is [/x] too"))
TAKEN = OSError(errno.EADDRINUSE, "error while attempting to bind on address ('127.0.0.1', 8080)")


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
        (TAKEN, 1, f"{TAKEN.strerror}. Choose another port, or stop what listens there.\n"),
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


def test_a_table_shows_what_it_is_given(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    show_table(("name", "why"), [("[bold]x", "[/y]"), ("[fe80::1]", "z" * 100)])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[:2]] == [["name", "why"], ["[bold]x", "[/y]"]]
    assert lines[2].startswith("[fe80::1]")
    assert (len(lines), lines[2].count("z")) == (3, 100), "for a program a row is a line"
