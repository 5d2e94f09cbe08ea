"""Which settings a command takes, and the store that it opens."""

from pathlib import Path

import pytest
import redis
from support.commands import CommandLine

from gateway.cli.common import configuration_from, run, settings_from, with_store
from gateway.errors import Faulty, StoreUnavailable
from gateway.store.keyring import KeyRing
from gateway.store.opening import Store


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
    for arguments in (("user", "list"), ("user", "list", "--json"), ("revoke", "everybody")):
        result = command(*arguments, WATCHWORD_STORE__URL=nowhere, WATCHWORD_STORE__TIMEOUT="1s")
        assert (result.exit_code, result.stdout) == (3, "")
        assert result.stderr.startswith("The store is not available: ")


def test_a_ring_that_does_not_fit_the_store(command: CommandLine) -> None:
    assert command("user", "list").exit_code == 0
    (command.folder / "data" / "keys.json").unlink()
    result = command("user", "list")
    assert result.exit_code in (1, 3)
    assert result.stdout == ""
    assert "the key ring is" in result.stderr


def test_what_runs_may_fail() -> None:
    async def fail() -> None:
        raise StoreUnavailable("no")

    with pytest.raises(StoreUnavailable):
        run(fail())
