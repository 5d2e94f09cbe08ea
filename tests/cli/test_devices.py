"""`watchword device`: what the operators' API does, at the keyboard."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from support.commands import CommandLine
from support.store import NOW, signed_in

from gateway.cli.common import settings_from, with_store
from gateway.core.records import LaterDevices
from gateway.portal.texts import Texts
from gateway.store.opening import Store

T = TypeVar("T")
WHY = ("--reason", "called back")


def in_store(use: Callable[[Store], Awaitable[T]]) -> T:
    return with_store(settings_from(None), lambda store, _: use(store))


@pytest.fixture
def waiting(command: CommandLine, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of a device of ada's that waits, beside one that does not."""
    for name, value in command.environ.items():
        monkeypatch.setenv(name, value)

    async def added(store: Store) -> str:
        await signed_in(store, browser="laptop")
        await signed_in(store, browser="phone", later=LaterDevices.APPROVE, now=NOW + 1)
        return store.devices.id_for("ada", "phone")

    return in_store(added)


def test_devices_are_listed_with_their_words(command: CommandLine, waiting: str) -> None:
    phone, laptop = command.json("device", "list", "ada")
    assert (phone["id"], phone["state"], phone["confirmed"]) == (waiting, "pending", False)
    assert (laptop["state"], laptop["confirmed"], laptop["words"]) == ("authorised", True, None)
    found = in_store(lambda store: store.devices.find(waiting))
    assert found is not None
    assert phone["words"] == Texts.load("en").words(found.word_seed)
    header, first, second = command("device", "list", "ada").stdout.splitlines()
    assert header.split() == ["id", "name", "state", "words", "address"]
    assert waiting in first and "pending" in first and phone["words"] in first
    assert "confirmed" in second


def test_a_device_is_let_in_and_named(command: CommandLine, waiting: str) -> None:
    result = command("device", "confirm", waiting, *WHY)
    assert (result.exit_code, result.stdout) == (0, "Firefox on Linux of ada is confirmed.\n")
    renamed = command.json("device", "rename", waiting, " New [b]phone ", *WHY)
    assert (renamed["name"], renamed["confirmed"], renamed["words"]) == ("New [b]phone", True, None)
    entries = in_store(lambda store: store.audit.latest("ada"))
    assert [(entry.event, entry.actor, entry.device_id, entry.reason) for entry in entries] == [
        ("device-renamed", "cli:grace", waiting, "New [b]phone: called back"),
        ("device-authorised", "cli:grace", waiting, "called back"),
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("list", "nobody"), 1, "There is no account 'nobody'."),
        (("confirm", "0" * 32, *WHY), 1, "There is no such device"),
        (("confirm", "x", *WHY), 1, "There is no such device"),
        (("rename", "0" * 32, "Phone", *WHY), 1, "There is no such device"),
        (("rename", "ID", "", *WHY), 2, "one line of visible text"),
        (("confirm", "ID"), 2, "--reason"),
    ],
)
def test_why_it_could_not_be_done(
    command: CommandLine, waiting: str, arguments: tuple[str, ...], code: int, said: str
) -> None:
    result = command("device", *(waiting if argument == "ID" else argument for argument in arguments))
    assert (result.exit_code, result.stdout) == (code, "")
    assert said in result.stderr


def test_a_revoked_device_stays_revoked(command: CommandLine, waiting: str) -> None:
    assert command("revoke", "device", waiting).exit_code == 0
    result = command("device", "confirm", waiting, *WHY)
    assert (result.exit_code, result.stderr) == (1, "There is no such device, or it was revoked.\n")
