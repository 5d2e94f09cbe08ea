"""`watchword user`: accounts, made and switched off at the keyboard."""

import json
import os
import pty
import pwd
import re
import subprocess

import pytest
from support.commands import CommandLine, no_writes
from support.running_demo import WATCHWORD
from support.store import signed_in

from gateway import clock
from gateway.cli.people import actor
from gateway.core.reasons import Reason
from gateway.identity.passwords import LONGEST, Passwords
from gateway.store.attempts import CODES, Attempt, GrowingDelay
from gateway.store.opening import Store

PASSWORD = "correct horse battery staple"
ADA = ("user", "add", "ada", "--password-stdin")


def has_password(command: CommandLine, subject: str, password: str) -> bool:
    async def verified(store: Store) -> bool:
        known = await store.accounts.credentials(subject)
        passwords = Passwords()
        try:
            return await passwords.verify(known and known.password_hash, password)
        finally:
            passwords.close()

    return command.in_store(verified)


def added(command: CommandLine, subject: str = "ada", *options: str) -> None:
    result = command("user", "add", subject, "--password-stdin", *options, input=f"{PASSWORD}\n")
    assert (result.exit_code, result.stdout) == (0, f"Added {subject}.\n"), result.output


def test_an_account_is_added_and_listed(command: CommandLine) -> None:
    options = ("--name", "Ada Lovelace", "--email", "ada@example.org", "--group", "staff", "--group", "a b")
    added(command, "ada", *options)
    added(command, "bob@example.org")
    assert command.json("user", "list") == [
        {
            "subject": "ada",
            "name": "Ada Lovelace",
            "email": "ada@example.org",
            "groups": ["a b", "staff"],
            "factors": 0,
            "disabled": False,
            "codes_locked": False,
        },
        {
            "subject": "bob@example.org",
            "name": "",
            "email": "",
            "groups": [],
            "factors": 0,
            "disabled": False,
            "codes_locked": False,
        },
    ]
    lines = command("user", "list").stdout.splitlines()
    assert lines[0].split() == ["subject", "name", "e-mail", "groups", "factors", "state"]
    assert lines[1].split() == [
        "ada",
        "Ada",
        "Lovelace",
        "ada@example.org",
        "a",
        "b,",
        "staff",
        "0",
        "active",
    ]
    assert has_password(command, "ada", PASSWORD)


def test_the_answer_for_programs(command: CommandLine) -> None:
    assert command.json(*ADA, input=PASSWORD) == {"subject": "ada"}
    assert has_password(command, "ada", PASSWORD)


@pytest.mark.parametrize("name", ["Ada [/red]", "[bold]Ada", "[x](y)"])
def test_names_are_shown_as_they_are(command: CommandLine, name: str) -> None:
    added(command, "ada", "--name", name)
    assert name in command("user", "list").stdout


def test_nobody_yet(command: CommandLine) -> None:
    assert command.json("user", "list") == []
    assert "watchword user add" in command("user", "list").stdout


def test_a_name_is_taken_once(command: CommandLine) -> None:
    added(command)
    result = command(*ADA, input="another password\n")
    assert (result.exit_code, result.stderr) == (1, "There is an account 'ada' already.\n")
    assert has_password(command, "ada", PASSWORD)


@pytest.mark.parametrize(
    "subject", ["Ada", "a b", "", "-ada", "ada\n", "adä", "a" * 129, "a/b", "a:b", "[/red]", "٣"]
)
def test_a_name_to_sign_in_with_is_plain(command: CommandLine, subject: str) -> None:
    result = command("user", "add", "--password-stdin", "--", subject, input=PASSWORD)
    assert result.exit_code == 2
    assert "lower-case letters" in result.stderr
    assert command.json("user", "list") == []


@pytest.mark.parametrize(
    "options",
    [
        ("--name", "A\nB"),
        ("--email", "a\r@b"),
        ("--group", "a,b"),
        ("--group", "a\0"),
        ("--name", "\x1b[31m"),
        ("--group", ""),
        ("--group", " a"),
        ("--email", "a@b "),
    ],
)
def test_what_apps_see_is_plain_text(command: CommandLine, options: tuple[str, str]) -> None:
    result = command(*ADA, *options, input=PASSWORD)
    assert result.exit_code == 2
    assert "plain text" in result.stderr
    assert command.json("user", "list") == []


@pytest.mark.parametrize(
    ("password", "code"),
    [("x" * 7, 1), ("x" * 8, 0), ("x" * LONGEST, 0), ("x" * (LONGEST + 1), 1), ("", 1)],
)
def test_a_password_has_a_length(command: CommandLine, password: str, code: int) -> None:
    result = command(*ADA, input=f"{password}\n")
    assert result.exit_code == code, result.output
    if code:
        assert "8 to 1024 characters" in result.stderr


def test_a_password_is_text(command: CommandLine) -> None:
    result = command(*ADA, input=b"correct \xff horse\n")
    assert (result.exit_code, result.stderr) == (1, "The password is not UTF-8.\n")
    told = command(*ADA, "--json", input=b"correct \xff horse\n")
    assert (told.exit_code, told.stdout) == (1, '{"error": "The password is not UTF-8."}\n')


def test_spaces_belong_to_a_password(command: CommandLine) -> None:
    assert command(*ADA, input="  x x x  \r\n").exit_code == 0
    assert has_password(command, "ada", "  x x x  ")


def test_without_a_terminal_nobody_can_be_asked(command: CommandLine) -> None:
    result = command("user", "add", "ada", input="")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "--password-stdin" in result.stderr


# --- a new password

ANOTHER = "troubador and 4 staples"


def test_a_password_is_set_and_every_session_ends(command: CommandLine) -> None:
    added(command)
    session = command.in_store(lambda store: signed_in(store, now=clock.now()))
    result = command("user", "password", "ada", "--password-stdin", input=f"{ANOTHER}\n")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "ada has a new password, and no session any more.\n"
    assert has_password(command, "ada", ANOTHER)
    assert not has_password(command, "ada", PASSWORD)

    async def fault(store: Store) -> Reason | None:
        snapshot = await store.who.ask(session.cookie, clock.now())
        assert snapshot is not None
        return snapshot.fault(clock.now())

    assert command.in_store(fault) is Reason.SESSION_REVOKED
    options = ("--password-stdin", "--reason", "ticket 4711")
    told = command.json("user", "password", "ada", *options, input=PASSWORD)
    assert {name: told[name] for name in ("subject", "scope", "confirmed")} == {
        "subject": "ada",
        "scope": "account",
        "confirmed": True,
    }
    entries = command.in_store(lambda store: store.audit.latest("ada", 2))
    assert [(entry.event, entry.actor, entry.reason) for entry in entries] == [
        ("password-set", "cli:grace", "ticket 4711"),
        ("password-set", "cli:grace", "set by an operator"),
    ]
    revoked = command.in_store(lambda store: store.revocations.list())
    assert {(each.scope, each.subject, each.actor) for each in revoked} == {("account", "ada", "cli:grace")}


@pytest.mark.parametrize(
    ("subject", "password", "said"),
    [
        ("ada", "x" * 7, "A password has 8 to 1024 characters.\n"),
        ("ada", "x" * (LONGEST + 1), "A password has 8 to 1024 characters.\n"),
        ("ada", b"correct \xff horse", "The password is not UTF-8.\n"),
        ("nobody", ANOTHER, "There is no account 'nobody'.\n"),
    ],
)
def test_a_password_that_is_not_set_changes_nothing(
    command: CommandLine, subject: str, password: str | bytes, said: str
) -> None:
    added(command)
    result = command("user", "password", subject, "--password-stdin", input=password)
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", said)
    assert has_password(command, "ada", PASSWORD)
    assert [entry.event for entry in command.in_store(lambda store: store.audit.latest("ada"))] == [
        "account-added"
    ]


@pytest.mark.parametrize(
    "action", [("unlock",), ("password", "--password-stdin")], ids=lambda words: words[0]
)
def test_a_reason_is_one_line(command: CommandLine, action: tuple[str, ...]) -> None:
    added(command)
    result = command("user", action[0], "ada", *action[1:], "--reason", "two\nlines", input=ANOTHER)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "one line of visible text" in result.stderr
    assert has_password(command, "ada", PASSWORD)


def test_without_a_terminal_nobody_can_be_asked_for_a_new_one(command: CommandLine) -> None:
    added(command)
    result = command("user", "password", "ada", input="")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "--password-stdin" in result.stderr


@pytest.mark.parametrize("second", [PASSWORD, "another password"])
def test_at_a_terminal_the_password_is_asked_for_twice(command: CommandLine, second: str) -> None:
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [WATCHWORD, "user", "add", "ada"],
        env={**os.environ, **command.environ},
        cwd=command.folder,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,  # without this, getpass would ask at the terminal of whoever runs the tests
    )
    os.close(terminal)
    shown = b""
    answers = {b"Password: ": PASSWORD, b"confirmation: ": second}
    try:
        while process.poll() is None and answers:
            shown += os.read(controller, 1024)
            for question in [question for question in answers if shown.endswith(question)]:
                os.write(controller, answers.pop(question).encode() + b"\n")
        if second != PASSWORD:
            process.terminate()
        process.wait(60)
    finally:
        process.kill()
        process.wait()
        os.close(controller)
    assert PASSWORD.encode() not in shown
    assert [account["subject"] for account in command.json("user", "list")] == (
        ["ada"] if second == PASSWORD else []
    )


def test_disabling_ends_sessions_and_enabling_brings_none_back(command: CommandLine) -> None:
    added(command)
    epochs = []
    for action, disabled in (("disable", True), ("enable", False)):
        told = command.json("user", action, "ada")
        assert (told["subject"], told["disabled"]) == ("ada", disabled)
        assert told.get("confirmed") is (True if disabled else None)
        assert command("user", action, "ada").stdout == f"ada is {action}d.\n"
        account = command.in_store(lambda store: store.accounts.find("ada"))
        assert account is not None
        assert account.disabled == disabled
        epochs.append(account.epoch)
        assert command.json("user", "list")[0]["disabled"] == disabled
    assert epochs[0] == epochs[1]  # raised by disabling, and never lowered


# --- whose end of sessions is pending

DISABLING = ("user", "disable", "ada")
SETTING = ("user", "password", "ada", "--password-stdin")


@pytest.mark.parametrize(
    ("ending", "done"),
    [
        (DISABLING, "ada is disabled"),
        (SETTING, "ada has a new password, and no session any more"),
    ],
    ids=["disable", "password"],
)
def test_too_few_replicas_leave_the_end_of_sessions_pending(
    command: CommandLine, ending: tuple[str, ...], done: str
) -> None:
    added(command)
    code, said = command.without_a_replica(*ending, input=ANOTHER)
    revoked = command.in_store(lambda store: store.revocations.list())
    assert code == 1
    assert said.startswith(f"{done}, but too few replicas of the store have acknowledged it. It is pending: ")
    assert f"Its id is {revoked[0].revocation_id}; GET /v1/revocations/{revoked[0].revocation_id} at" in said
    code, said = command.without_a_replica(*ending, "--json", input=ANOTHER)
    told = json.loads(said)
    assert (code, told["confirmed"], told["subject"]) == (1, False, "ada")
    assert told["status"] == f"/v1/revocations/{told['id']}"
    assert told.get("disabled") is (True if ending == DISABLING else None)


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["people", "programs"])
def test_what_a_store_that_fails_leaves_pending_is_on_record_once_it_takes_place(
    command: CommandLine, valkey_url: str, options: tuple[str, ...]
) -> None:
    added(command)
    with no_writes(valkey_url):
        result = command(*DISABLING, *options)
    promised = re.search(r"/v1/revocations/([0-9a-f]{32})", result.stdout)
    assert (result.exit_code, result.stderr) == (1, "")
    assert promised is not None

    async def finished(store: Store) -> tuple[bool, list[tuple[str, str]]]:
        await store.finisher.finish()
        account = await store.accounts.find("ada")
        assert account is not None
        (revocation,) = await store.revocations.list()
        assert revocation.revocation_id == promised[1]
        return account.disabled, [(each.event, each.actor) for each in await store.audit.latest("ada")]

    assert command.in_store(finished) == (
        True,
        [("account-disabled", "cli:grace"), ("account-added", "cli:grace")],
    )


def test_a_store_that_takes_nothing_sets_no_password(command: CommandLine, valkey_url: str) -> None:
    added(command)
    with no_writes(valkey_url):
        result = command(*SETTING, input=ANOTHER)
    assert (result.exit_code, result.stdout) == (3, "")
    assert has_password(command, "ada", PASSWORD)


# --- locked codes


def locked(command: CommandLine, subject: str) -> None:
    """Too many wrong codes in a row."""
    delay = GrowingDelay(free=9, first=30, longest=900, lock=3)

    async def failed(store: Store) -> list[Attempt]:
        return [await store.attempts.begin(CODES, subject, delay, 0.0) for _ in range(3)]

    assert command.in_store(failed)[-1] == Attempt(allowed=True, locked=True)


def test_locked_codes_are_seen_and_unlocked(command: CommandLine) -> None:
    for subject in ("ada", "bob"):
        added(command, subject)
        locked(command, subject)
    assert [account["codes_locked"] for account in command.json("user", "list")] == [True, True]
    assert command("user", "list").stdout.count("active, codes locked") == 2
    result = command("user", "unlock", "ada", "--reason", "ticket 4711")
    assert (result.exit_code, result.stdout) == (0, "The codes of ada count again.\n")
    assert [account["codes_locked"] for account in command.json("user", "list")] == [False, True]
    unlocked = {"subject": "bob", "codes_locked": False}
    assert command.json("user", "unlock", "bob") == {**unlocked, "were_locked": True}
    assert command("user", "list").stdout.count("codes locked") == 0
    for subject, reason in (("ada", "ticket 4711"), ("bob", "unlocked by an operator")):
        entry = command.in_store(lambda store, subject=subject: store.audit.latest(subject, 1))[0]
        assert (entry.event, entry.actor, entry.reason) == ("codes-unlocked", "cli:grace", reason)


def test_what_was_not_locked_is_not_said_to_be_unlocked(command: CommandLine) -> None:
    """What made the next code wait is gone all the same, and that is on record."""
    added(command)
    delay = GrowingDelay(free=1, first=30, longest=900, lock=3)

    async def failed(store: Store) -> Attempt:
        return await store.attempts.begin(CODES, "ada", delay, 0.0)

    assert [command.in_store(failed).allowed for _ in range(2)] == [True, False]
    result = command("user", "unlock", "ada")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("The codes of ada were not locked.")
    assert command.in_store(failed).allowed
    assert command.json("user", "unlock", "ada")["were_locked"] is False
    (entry,) = command.in_store(lambda store: store.audit.latest("ada", 1))
    assert entry.event == "codes-unlocked"


@pytest.mark.parametrize("action", ["disable", "enable", "unlock"])
@pytest.mark.parametrize("subject", ["nobody", "[/red]", ""])
def test_nobody_is_there_to_switch(command: CommandLine, action: str, subject: str) -> None:
    result = command("user", action, subject)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"There is no account {subject!r}.\n"
    as_json = command("user", action, subject, "--json")
    assert (as_json.exit_code, as_json.stderr) == (1, "")
    assert json.loads(as_json.stdout) == {"error": f"There is no account {subject!r}."}


def test_it_is_on_record_who_was_at_the_keyboard(command: CommandLine) -> None:
    added(command)
    for action in ("disable", "enable"):
        command("user", action, "ada")
    entries = command.in_store(lambda store: store.audit.latest("ada"))
    assert [(entry.event, entry.actor) for entry in entries] == [
        ("account-enabled", "cli:grace"),
        ("account-disabled", "cli:grace"),
        ("account-added", "cli:grace"),
    ]


def test_without_the_variable_the_login_name_is_on_record(
    command: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("USER", raising=False)
    environ = {name: value for name, value in command.environ.items() if name != "USER"}
    added(CommandLine(command.folder, environ))
    (entry,) = command.in_store(lambda store: store.audit.latest("ada"))
    assert entry.actor == f"cli:{pwd.getpwuid(os.getuid()).pw_name}"


def test_who_has_no_login_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "")
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_001)  # as in a container that runs under any number
    assert actor() == "cli:4000000001"


def test_an_operator_vouches_for_an_address(command: CommandLine) -> None:
    added(command, "ada", "--email", "ada@example.org")
    assert command.json("user", "email", "ada", "king@example.org") == {
        "subject": "ada",
        "email": "king@example.org",
    }
    assert command.json("user", "list")[0]["email"] == "king@example.org"
    entries = command.in_store(lambda store: store.audit.latest("ada"))
    assert (entries[0].event, entries[0].reason) == ("profile-changed", "e-mail")
    assert entries[0].actor.startswith("cli:")


def test_what_is_no_address_and_no_account(command: CommandLine) -> None:
    assert command("user", "email", "ada", "nowhere").exit_code == 2
    result = command("user", "email", "nobody", "king@example.org")
    assert (result.exit_code, "no account 'nobody'" in result.stderr) == (1, True)
