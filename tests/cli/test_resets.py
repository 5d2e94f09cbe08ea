"""`watchword reset`: the same case files at the keyboard, and the same rule that one cannot do it alone."""

import re
from typing import Any

import pytest
from support.commands import CommandLine
from support.store import NOW, enrolled, signed_in

from gateway.assembly import reset_cases
from gateway.cli.common import settings_from
from gateway.store.opening import Store

ITEMS = ("full-name", "phone", "address", "photo-with-id-and-note")
MARGARET = {"USER": "margaret"}


@pytest.fixture
def ada(command: CommandLine) -> CommandLine:
    """The command line of grace, and an account with a factor."""

    async def added(store: Store) -> None:
        await enrolled(store, await signed_in(store))

    command.in_store(added)
    return command


def begun(command: CommandLine, *, checked: bool = False) -> str:
    """The id of a case that grace has opened, and perhaps checked."""
    reset_id: str = command.json("reset", "open", "ada", "--reason", "ticket 4711")["id"]
    for item in ITEMS if checked else ():
        command.json("reset", "evidence", reset_id, item, "seen, it fits")
    return reset_id


def test_a_case_goes_its_way(ada: CommandLine) -> None:
    said = ada("reset", "open", "ada", "--reason", "ticket [/red] 4711")
    found = re.fullmatch(r"Reset ([0-9a-f]{32}) of ada is open. Not checked yet: (.*)\.\n", said.stdout)
    assert found is not None and found[2] == ", ".join(ITEMS)
    reset_id = found[1]
    for item in ITEMS:
        said = ada("reset", "evidence", reset_id, item, "seen, it [bold]fits")
    assert said.stdout == f"Reset {reset_id} of ada is open. Somebody else can approve it.\n"
    said = ada("reset", "approve", reset_id, "--reason", "all fits", **MARGARET)
    assert re.fullmatch(rf"Reset {reset_id} of ada waits until \S+\.\n", said.stdout), said.output
    shown = ada("reset", "show", reset_id).stdout
    for text in ("cli:grace", "ticket [/red] 4711", "cli:margaret", "seen, it [bold]fits", "waiting", *ITEMS):
        assert text in shown
    assert reset_id in ada("reset", "list", "--state", "waiting").stdout
    said = ada("reset", "abandon", reset_id, "--reason", "she found it")
    assert said.stdout == f"Reset {reset_id} of ada is abandoned.\n"
    assert "she found it" in ada("reset", "show", reset_id).stdout
    assert ada("reset", "list", "--state", "waiting").stdout == "There is no such case.\n"


def test_the_waiting_time_is_that_of_the_settings(ada: CommandLine) -> None:
    reset_id = begun(ada, checked=True)
    settings = {"WATCHWORD_RESETS__WAITING": "1ms", **MARGARET}
    ada.json("reset", "approve", reset_id, "--reason", "x", **settings)

    async def settled(store: Store) -> list[Any]:
        return await reset_cases(settings_from(None), store).settle(NOW + 1)

    assert [reset.state for reset in ada.in_store(settled)] == ["done"]
    assert ada.json("reset", "show", reset_id)["state"] == "done"


def test_the_list_is_that_of_the_settings(ada: CommandLine) -> None:
    answer = ada.json(
        "reset", "open", "ada", "--reason", "x", WATCHWORD_RESETS__EVIDENCE="passport, signature"
    )
    assert answer["checklist"] == answer["missing"] == ["passport", "signature"]


def test_the_answer_for_programs_is_that_of_the_api(ada: CommandLine) -> None:
    reset_id = begun(ada)
    answer = ada.json("reset", "show", reset_id)
    assert (answer["id"], answer["subject"], answer["state"]) == (reset_id, "ada", "open")
    assert (answer["opened_by"], answer["reason"], answer["due_at"]) == ("cli:grace", "ticket 4711", None)
    assert ada.json("reset", "list") == [answer]
    assert ada.json("reset", "list", "--state", "done") == []
    refused = ada.json("reset", "refuse", reset_id, "--reason", "not her")
    assert (refused["state"], refused["closed_by"], refused["closed_because"]) == (
        "refused",
        "cli:grace",
        "not her",
    )


def test_each_step_is_on_record(ada: CommandLine) -> None:
    reset_id = begun(ada, checked=True)
    ada.json("reset", "approve", reset_id, "--reason", "all fits", **MARGARET)
    ada.json("reset", "refuse", reset_id, "--reason", "not her")
    another = begun(ada)
    ada.json("reset", "abandon", another, "--reason", "found it")

    async def recorded(store: Store) -> list[tuple[str, str, str]]:
        entries = reversed(await store.audit.latest("ada"))
        return [(each.event, each.actor, each.reason) for each in entries if each.event.startswith("reset-")]

    assert ada.in_store(recorded) == [
        ("reset-opened", "cli:grace", f"{reset_id} ticket 4711"),
        *(("reset-evidence", "cli:grace", f"{reset_id} {item}") for item in ITEMS),
        ("reset-approved", "cli:margaret", f"{reset_id} all fits"),
        ("reset-refused", "cli:grace", f"{reset_id} not her"),
        ("reset-opened", "cli:grace", f"{another} ticket 4711"),
        ("reset-abandoned", "cli:grace", f"{another} found it"),
    ]


@pytest.mark.parametrize("user", ["grace", "GRACE"])
def test_one_cannot_do_it_alone(ada: CommandLine, user: str) -> None:
    reset_id = begun(ada, checked=True)
    result = ada("reset", "approve", reset_id, "--reason", "x", USER=user)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Somebody else has to approve. Whoever opened the case")
    assert ada.json("reset", "show", reset_id)["state"] == "open"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("open", "ada", "--reason", "x"), "The account has a case already."),
        (("open", "nobody", "--reason", "x"), "There is no account 'nobody'."),
        (("approve", "ID", "--reason", "x"), f"Not checked yet: {', '.join(ITEMS)}."),
        (("evidence", "ID", "smile", "nice"), "This is not on the checklist."),
        (("approve", "0" * 32, "--reason", "x"), "There is no such case."),
        (("show", "[/red]"), "There is no such case."),
        (("evidence", "", "phone", "x"), "There is no such case."),
    ],
)
def test_why_it_could_not_be_done(ada: CommandLine, arguments: tuple[str, ...], said: str) -> None:
    reset_id = begun(ada)
    named = [reset_id if argument == "ID" else argument for argument in arguments]
    result = ada("reset", *named, **MARGARET)
    assert (result.exit_code, result.stdout) == (1, "")
    assert said in result.stderr
    assert ada("reset", *named, "--json", **MARGARET).exit_code == 1
    assert ada.json("reset", "show", reset_id)["evidence"] == []


def test_times_are_the_same_in_tables_and_in_json(ada: CommandLine) -> None:
    reset_id = begun(ada, checked=True)
    due = ada.json("reset", "approve", reset_id, "--reason", "x", **MARGARET)["due_at"]
    assert re.fullmatch(r"[-0-9]{10}T[:0-9]{8}Z", due)
    shown = ada("reset", "show", reset_id).stdout
    assert ["due", due] in [line.split() for line in shown.splitlines()]
    answer = ada.json("reset", "show", reset_id)
    for moment in (answer["opened_at"], answer["approved_at"], *(each["at"] for each in answer["evidence"])):
        assert moment in shown
    assert answer["opened_at"] in ada("reset", "list").stdout


@pytest.mark.parametrize("text", ["", " ", "one\ntwo", "x" * 501, "\u202egnp.exe"])
@pytest.mark.parametrize(
    "arguments",
    [("open", "ada", "--reason"), ("refuse", "ID", "--reason"), ("evidence", "ID", "phone")],
    ids=lambda arguments: arguments[0],
)
def test_a_statement_is_one_line(ada: CommandLine, arguments: tuple[str, ...], text: str) -> None:
    reset_id = begun(ada) if "ID" in arguments else ""
    named = [reset_id if argument == "ID" else argument for argument in arguments]
    result = ada("reset", *named, text)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "one line of visible text" in result.stderr
