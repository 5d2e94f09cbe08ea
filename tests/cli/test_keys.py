"""`watchword keys`, at the keyboard and for programs."""

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
import redis
from support.commands import CommandLine
from typer.testing import Result

from gateway.store import rotation
from gateway.store.audit import AuditEntry
from gateway.store.ring_file import changing, load, load_or_create

SECONDS = 60
"""Until a process has ended. Slow machines are no defect."""


@pytest.fixture
def path(command: CommandLine) -> Path:
    return command.folder / "data" / "keys.json"


@pytest.fixture
def first(path: Path) -> str:
    """The name of the key that the ring begins with."""
    return load(path).active


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a minute in these tests."""
    monkeypatch.setattr(rotation, "SETTLING_SECONDS", -1.0)


@pytest.fixture
def client(command: CommandLine) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(command.environ["WATCHWORD_STORE__URL"], decode_responses=True) as client:
        yield client
        client.client_unpause()


def audited(command: CommandLine) -> list[AuditEntry]:
    return command.in_store(lambda store: store.audit.latest(""))


def rows(result: Result) -> list[list[str]]:
    return [line.split() for line in result.stdout.splitlines()]


# --- list


def test_keys_are_listed_by_name_and_nothing_else(command: CommandLine, path: Path, first: str) -> None:
    answer = command.json("keys", "list")
    (row,) = answer.pop("keys")
    assert answer == {"path": str(path), "active": first}
    since = row.pop("since")
    assert re.fullmatch(r"[-0-9]{10}T[:0-9]{8}Z", since)
    assert abs(datetime.fromisoformat(since).timestamp() - path.stat().st_mtime) < 60
    assert row == {"name": first, "state": "active", "needed_by": 1}
    result = command("keys", "list")
    assert result.stdout.splitlines()[0] == str(path)
    assert [first, "active", since] in [row[:3] for row in rows(result)]
    document = json.loads(path.read_text())
    for secret in (*document["keys"].values(), document["operator"]):
        assert secret not in result.stdout


def test_what_each_key_does_is_shown(command: CommandLine, first: str) -> None:
    command.json("keys", "rotate")
    waits = command.json("keys", "add")["added"]
    answer = command.json("keys", "list")
    assert {row["name"]: (row["state"], row["needed_by"]) for row in answer["keys"]} == {
        first: ("kept", 0),
        answer["active"]: ("active", 1),
        waits: ("waiting", 0),
    }


def test_a_key_that_the_ring_lacks_and_nothing_needs_is_shown(
    command: CommandLine, path: Path, first: str
) -> None:
    command.json("keys", "rotate")
    with changing(path) as file:
        file.put(file.ring.without(first))
    assert {row["name"]: row["state"] for row in command.json("keys", "list")["keys"]}[first] == "missing"
    command.json("keys", "rotate")


def harmed(command: CommandLine, path: Path, harm: str) -> bytes | None:
    """Do something to the ring of a store that is in use; what is left of it."""
    assert command("user", "list").exit_code == 0  # the store is sealed with this ring
    match harm:
        case "gone":
            path.unlink()
        case "mode":
            path.chmod(0o644)
        case "corrupt":
            path.write_text(path.read_text()[:-30])
        case "another":
            other = path.with_name("other.json")
            load_or_create(other)
            other.replace(path)
    return left(path)


def left(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


SAID = {
    "gone": "there is no key ring",
    "mode": "chmod 600",
    "corrupt": "not a key ring",
    "another": "not the one that the store was sealed with; the store is unix://",
}


@pytest.mark.parametrize("harm", SAID)
@pytest.mark.parametrize(
    "arguments", [["list"], ["rotate"], ["reseal"], ["retire", "k-1", "--yes"]], ids=lambda words: words[0]
)
def test_without_the_right_ring_nothing_is_done(
    command: CommandLine, path: Path, arguments: list[str], harm: str
) -> None:
    before = harmed(command, path, harm)
    result = command("keys", *arguments)
    assert (result.exit_code, result.stdout) == (1, ""), result.output
    assert SAID[harm] in result.stderr
    (fault,) = json.loads(command("keys", *arguments, "--json").stdout)["faults"]
    assert SAID[harm] in fault["message"]
    assert left(path) == before


@pytest.mark.parametrize("harm", ["gone", "mode", "corrupt"])
def test_without_a_ring_no_key_is_added(command: CommandLine, path: Path, harm: str) -> None:
    before = harmed(command, path, harm)
    result = command("keys", "add")
    assert (result.exit_code, result.stdout) == (1, "")
    assert SAID[harm] in result.stderr
    assert left(path) == before


@pytest.mark.parametrize("harm", SAID)
def test_nothing_starts_without_the_right_ring(
    command: CommandLine, path: Path, harm: str, client: redis.Redis
) -> None:
    before = harmed(command, path, harm)
    meta = client.hgetall("ww:meta")
    started = (SAID | {"gone": "there is no key ring, and the store was sealed with one"})[harm]
    for arguments, said in ((("run",), started), (("user", "list"), SAID[harm])):
        process = command.start(*arguments)
        out, err = process.communicate()
        assert (process.returncode, out) == (1, ""), err
        assert said in err
        assert left(path) == before, "nor is another one made"
    assert client.hgetall("ww:meta") == meta


# --- add, rotate, reseal


def test_a_key_is_added_and_then_activated(command: CommandLine, path: Path, first: str) -> None:
    result = command("keys", "add")
    added = load(path).waiting()
    assert added is not None
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        f"Added {added}, which waits.",
        f"Copy {path} to every machine, then: watchword keys rotate",
    ]
    assert load(path).active == first
    answer = command.json("keys", "rotate")
    assert answer.pop("seen") >= 3  # a server that rearranges its tables may show a record twice
    assert answer == {"active": added, "was": first, "resealed": 0}
    assert load(path).active == added


def test_a_rotation_tells_what_it_does(command: CommandLine, path: Path, first: str) -> None:
    result = command("keys", "rotate")
    assert result.exit_code == 0
    active = load(path).active
    assert result.stdout.splitlines() == [
        f"{active} is active now, in place of {first}.",
        "Sealed 0 values anew.",
    ]
    assert "Looking through the store's records" in result.stderr
    (entry,) = audited(command)
    assert (entry.event, entry.actor, entry.reason) == (
        "keys-rotated",
        "cli:grace",
        f"{active} in place of {first}",
    )


def test_what_is_left_is_sealed_anew(command: CommandLine, path: Path, first: str) -> None:
    half_rotated(command, path)
    assert command("keys", "reseal").stdout == "Sealed 1 value anew.\n"
    assert command("keys", "reseal").stdout == "Sealed 0 values anew.\n"


# --- retire


def test_a_key_is_retired_once_nothing_needs_it(
    command: CommandLine, path: Path, first: str, settled: None
) -> None:
    command.json("keys", "rotate")
    result = command("keys", "retire", first, "--yes")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(f"Retired {first}.")
    assert first not in path.read_text()
    entry = audited(command)[0]
    assert (entry.event, entry.actor, entry.reason) == ("keys-retired", "cli:grace", first)
    command.json("keys", "rotate")
    kept = next(row["name"] for row in command.json("keys", "list")["keys"] if row["state"] == "kept")
    assert command.json("keys", "retire", kept, "--yes") == {"retired": kept}


@pytest.mark.parametrize("options", [("--yes",), ()], ids=["told", "to be asked"])
@pytest.mark.parametrize("name", ["first", "active", "k-nope", "[/red]"])
def test_what_must_stay_stays(
    command: CommandLine, path: Path, first: str, name: str, options: tuple[str, ...]
) -> None:
    """That is said first: nobody is asked whether they mean it."""
    command.json("keys", "rotate")
    before = path.read_bytes()
    named = {"first": first, "active": load(path).active}.get(name, name)
    said = {"first": "was in use just now", "active": "is the active key"}.get(name, "There is no key")
    result = command("keys", "retire", named, *options)
    assert (result.exit_code, result.stdout) == (1, "")
    assert said in result.stderr
    assert "--yes" not in result.stderr
    assert said in json.loads(command("keys", "retire", named, *options, "--json").stdout)["error"]
    assert path.read_bytes() == before


def test_without_a_terminal_it_must_be_said_that_it_is_meant(
    command: CommandLine, path: Path, first: str, settled: None
) -> None:
    command.json("keys", "rotate")
    before = path.read_bytes()
    for arguments in (("keys", "retire", first), ("keys", "retire", first, "--json")):
        result = command(*arguments)
        assert result.exit_code == 1
        assert "--yes" in result.output
    assert path.read_bytes() == before


@pytest.mark.parametrize("answer", ["y", "n"])
def test_at_a_terminal_it_is_asked(
    command: CommandLine, path: Path, first: str, client: redis.Redis, answer: str
) -> None:
    half_rotated(command, path)
    command.json("keys", "reseal")
    client.hset("ww:meta", f"key:{first}", "0")
    code, out, err = command.at_terminal("keys", "retire", first, answer=answer)
    assert code == (0 if answer == "y" else 1), err
    assert f"{first} will be gone, and whatever is sealed with it. No copy is kept." in out
    assert (first in load(path).keys) == (answer == "n")


# --- processes


def half_rotated(command: CommandLine, path: Path) -> None:
    """As a rotation leaves it that was killed before anything was sealed anew."""
    assert command("user", "list").exit_code == 0
    with changing(path) as file:
        file.put(file.ring.with_new_key(1.0))
        file.put(file.ring.activated(file.ring.waiting() or "", 1.0))
    assert command("user", "list").exit_code == 0


def caught_writing(command: CommandLine, client: redis.Redis, *arguments: str) -> subprocess.Popen[str]:
    """A command as a process that is about to change something in the store, and cannot."""
    before = {entry["id"] for entry in client.client_list()}  # whose last command may have been the same
    client.client_pause(600_000, all=False)
    # The store is to be away for as long as it takes: its time-out must not come before the signal.
    process = command.start(*arguments, WATCHWORD_STORE__TIMEOUT="100s")
    while not any(entry["cmd"] == "evalsha" and entry["id"] not in before for entry in client.client_list()):
        assert process.poll() is None
    return process


def test_an_interrupted_pass_tells_how_it_goes_on(
    command: CommandLine, path: Path, client: redis.Redis
) -> None:
    half_rotated(command, path)
    process = caught_writing(command, client, "keys", "reseal")
    process.send_signal(signal.SIGINT)
    client.client_unpause()  # it is heard at once, or when the call is over that it came in the midst of
    out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, out) == (1, ""), err
    assert "Interrupted. watchword keys reseal goes on with it." in err
    command.json("keys", "reseal")
    needed = {row["state"]: row["needed_by"] for row in command.json("keys", "list")["keys"]}
    assert needed == {"active": 1, "kept": 0}


def test_a_pass_that_is_killed_is_gone_on_with(command: CommandLine, path: Path, client: redis.Redis) -> None:
    half_rotated(command, path)
    process = caught_writing(command, client, "keys", "reseal")
    process.kill()
    process.communicate(timeout=SECONDS)
    client.client_unpause()
    assert command.json("keys", "reseal")["resealed"] == 1
    assert command.json("keys", "reseal")["resealed"] == 0


def test_a_rotation_that_is_killed_is_gone_on_with(
    command: CommandLine, path: Path, first: str, client: redis.Redis
) -> None:
    assert command("user", "list").exit_code == 0
    process = caught_writing(command, client, "keys", "rotate")
    process.kill()
    process.communicate(timeout=SECONDS)
    client.client_unpause()
    assert load(path).active == first
    assert command("user", "list").exit_code == 0
    waits = load(path).waiting()
    assert command.json("keys", "rotate")["active"] == waits


def test_a_rotation_waits_for_the_other_one(
    command: CommandLine, path: Path, first: str, client: redis.Redis
) -> None:
    assert command("user", "list").exit_code == 0
    one = caught_writing(command, client, "keys", "rotate")
    other = command.start("keys", "rotate")
    client.client_unpause()
    for process in (one, other):
        out, err = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, out + err
    assert len(load(path).keys) == 3
    assert {row["name"]: row["needed_by"] for row in command.json("keys", "list")["keys"]}[
        load(path).active
    ] == 1
