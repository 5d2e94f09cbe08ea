"""Which settings a command takes, and the store that it opens."""

import json
from pathlib import Path

import pytest
import redis
from support.commands import CommandLine

from gateway.cli.common import configuration_from, run, settings_from, settings_with_ring, with_store
from gateway.errors import Faulty, StoreUnavailable
from gateway.store.keyring import KeyRing
from gateway.store.opening import Store
from gateway.store.ring_file import load_or_create


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_the_usual_file_is_taken_if_it_is_there(folder: Path) -> None:
    assert settings_from(None).issuer == "Watchword"
    write(folder / "config" / "gateway.yaml", "issuer: Usual")
    assert settings_from(None).issuer == "Usual"
    other = write(folder / "other.yaml", "issuer: Other")
    assert settings_from(other).issuer == "Other"


def test_the_environment_wins(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHWORD_ISSUER", "Environment")
    assert settings_from(write(folder / "other.yaml", "issuer: Other")).issuer == "Environment"


def test_a_file_that_was_named_must_be_there(folder: Path) -> None:
    with pytest.raises(Faulty, match=r"nowhere\.yaml"):
        settings_from(Path("nowhere.yaml"))


def test_faults_of_settings_and_policies_are_told_together(folder: Path) -> None:
    config = write(folder / "gateway.yaml", "isuer: x")
    write(folder / "policies" / "a.yaml", "ap: x")
    with pytest.raises(Faulty) as raised:
        configuration_from(config)
    assert {Path(fault.file).name for fault in raised.value.faults} == {"gateway.yaml", "a.yaml"}
    with pytest.raises(Faulty, match="elsewhere"):
        configuration_from(config, folder / "elsewhere")


def test_the_store_is_open_for_a_command_and_closed_behind_it(
    command: CommandLine, monkeypatch: pytest.MonkeyPatch, valkey_url: str
) -> None:
    for name, value in command.environ.items():
        monkeypatch.setenv(name, value)
    seen = []

    async def use(store: Store, ring: KeyRing) -> str:
        await store.ping()
        seen.append((store, ring))
        return "used"

    with redis.Redis.from_url(valkey_url) as client:
        before = len(client.client_list())
        assert with_store(settings_from(None), use) == "used"
        assert len(client.client_list()) == before
    assert seen[0][1].active


def test_a_failure_in_between_closes_it_too(
    command: CommandLine, monkeypatch: pytest.MonkeyPatch, valkey_url: str
) -> None:
    for name, value in command.environ.items():
        monkeypatch.setenv(name, value)

    async def fail(store: Store, _: KeyRing) -> None:
        await store.ping()
        raise LookupError

    with redis.Redis.from_url(valkey_url) as client:
        before = len(client.client_list())
        with pytest.raises(LookupError):
            with_store(settings_from(None), fail)
        assert len(client.client_list()) == before


def test_a_store_that_does_not_answer(command: CommandLine) -> None:
    nowhere = f"unix://{command.folder}/nowhere.sock"
    settings = {"WATCHWORD_STORE__URL": nowhere, "WATCHWORD_STORE__TIMEOUT": "1s"}
    for arguments in (("user", "list"), ("revoke", "everybody", "--yes")):
        result = command(*arguments, **settings)
        assert (result.exit_code, result.stdout) == (3, "")
        assert result.stderr.startswith("The store is not available: ")
    told = command("user", "list", "--json", **settings)
    assert (told.exit_code, told.stderr) == (3, "")
    assert json.loads(told.stdout)["error"].startswith("The store is not available: ")


def test_a_ring_that_is_gone(command: CommandLine) -> None:
    assert command("user", "list").exit_code == 0
    ring = command.folder / "data" / "keys.json"
    ring.unlink()
    for arguments, said in (
        (("user", "list"), "there is no key ring, so no gateway is set up here"),
        (
            ("user", "add", "ada", "--password-stdin"),
            "there is no key ring, and the store was sealed with one",
        ),
    ):
        result = command(*arguments, input="correct horse")
        assert (result.exit_code, result.stdout) == (1, "")
        assert f"{ring}:1:1: {said}" in result.stderr
        assert not ring.exists()


COMMANDS = [
    ("user", "list"),
    ("user", "password", "ada", "--password-stdin"),
    ("user", "disable", "ada"),
    ("user", "enable", "ada"),
    ("user", "email", "ada", "ada@example.org"),
    ("user", "unlock", "ada"),
    ("user", "add", "ada", "--password-stdin"),
    ("device", "list", "ada"),
    ("device", "confirm", "d", "--reason", "x"),
    ("device", "rename", "d", "x"),
    ("revoke", "account", "ada"),
    ("revoke", "everybody", "--yes"),
    ("token", "grace", "--scope", "read"),
    ("reset", "list"),
    ("reset", "show", "r"),
    ("reset", "open", "ada", "--reason", "x"),
    ("keys", "list"),
    ("keys", "add"),
    ("keys", "rotate"),
    ("keys", "reseal"),
    ("keys", "retire", "k", "--yes"),
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_in_a_wrong_folder_a_command_says_so_and_leaves_nothing_behind(
    folder: Path, arguments: tuple[str, ...]
) -> None:
    result = CommandLine(folder)(*arguments, input="correct horse")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"{folder}/data/keys.json:1:1: there is no key ring")
    assert str(folder) in result.stderr and "--config" in result.stderr
    assert list(folder.iterdir()) == []
    told = CommandLine(folder)(*arguments, "--json", input="correct horse")
    assert [fault["file"] for fault in json.loads(told.stdout)["faults"]] == [f"{folder}/data/keys.json"]
    assert list(folder.iterdir()) == []


def test_the_first_account_comes_before_the_first_start(
    short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the guide has it: beside the policies of a gateway that never ran, and its settings elsewhere."""
    (short_path / "policies").mkdir()
    config = write(short_path / "config" / "gateway.yaml", "public-scheme: http")
    monkeypatch.chdir("/")
    command = CommandLine(short_path)
    settings = ("--config", str(config))
    assert command("user", "add", "ada", "--password-stdin", *settings, input="correct horse").exit_code == 0
    assert [each["subject"] for each in command.json("user", "list", *settings)] == ["ada"]


def test_a_ring_that_does_not_fit_the_store_may_be_the_wrong_file(
    command: CommandLine, short_path: Path
) -> None:
    """The message has the file, the store, and where to look, before it speaks of backups."""
    environ = {"WATCHWORD_STORE__URL": "embedded", "WATCHWORD_STORE__DATA_DIR": str(short_path)}
    assert command("user", "add", "ada", "--password-stdin", input="correct horse", **environ).exit_code == 0
    ring = command.folder / "data" / "keys.json"
    said = command("user", "list", WATCHWORD_KEYS=str(ring), **environ).stderr
    assert said.startswith(f"{ring}:1:1: the key ring is not the one that the store was sealed with; ")
    assert f"the store is embedded in {short_path}." in said
    assert said.index("--config, WATCHWORD_STORE__DATA_DIR") < said.index("restore it from a backup")


def test_settings_of_commands_that_make_no_ring(folder: Path) -> None:
    with pytest.raises(Faulty, match=r"keys\.json:1:1: there is no key ring"):
        settings_with_ring(None)
    assert not (folder / "data").exists()
    load_or_create(folder / "data" / "keys.json")
    assert settings_with_ring(None) == settings_from(None)


def test_the_shipped_file_lets_the_ring_follow_the_data(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever points the commands at other data, such as a demo's, needs no second variable."""
    shipped = Path(__file__).parents[2] / "config" / "gateway.yaml"
    monkeypatch.setenv("WATCHWORD_STORE__DATA_DIR", str(folder))
    assert settings_from(shipped).keys == folder / "keys.json"


def test_what_runs_may_fail() -> None:
    async def fail() -> None:
        raise StoreUnavailable("no")

    with pytest.raises(StoreUnavailable):
        run(fail())
