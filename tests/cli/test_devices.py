"""`watchword device`: the same as the operators' API, at the keyboard."""

import json
import re

import pytest
from support.commands import CommandLine
from support.store import NOW, signed_in

from gateway.admin.devices import DeviceView
from gateway.core.records import DeviceState, LaterDevices
from gateway.portal.texts import Texts
from gateway.store.opening import Store

WHY = ("--reason", "read out its words, ticket 4711")


@pytest.fixture
def ada(command: CommandLine) -> CommandLine:
    """The command line of grace, and an account with a laptop, and a phone that waits."""

    async def used(store: Store) -> None:
        await signed_in(store)
        await signed_in(store, browser="phone", later=LaterDevices.APPROVE, now=NOW + 1)

    command.in_store(used)
    return command


def id_of(ada: CommandLine, browser: str) -> str:
    async def named(store: Store) -> str:
        return store.devices.id_for("ada", browser)

    return ada.in_store(named)


def state_of(ada: CommandLine, browser: str) -> tuple[DeviceState, bool, str]:
    """State, whether it is confirmed, and name."""
    device_id = id_of(ada, browser)
    device = ada.in_store(lambda store: store.devices.find(device_id))
    assert device is not None
    return device.state, device.is_confirmed, device.name


def test_devices_are_listed_with_their_words(ada: CommandLine) -> None:
    phone, laptop = ada.json("device", "list", "ada")
    assert (phone["id"], phone["state"], phone["confirmed"]) == (id_of(ada, "phone"), "pending", False)
    assert (laptop["id"], laptop["words"], laptop["confirmed"]) == (id_of(ada, "laptop"), None, True)
    lines = ada("device", "list", "ada").stdout.splitlines()
    assert lines[0].split() == ["id", "name", "browser", "system", "state", "words", "last", "used", "from"]
    assert lines[1].startswith(phone["id"]) and lines[2].startswith(laptop["id"])
    for shown in (phone["words"], phone["last_used_at"], phone["address"], "Firefox on Linux", "pending"):
        assert shown in lines[1]
    assert "authorised, confirmed" in lines[2]


def test_the_answer_for_programs_is_that_of_the_api(ada: CommandLine) -> None:
    listed = ada.json("device", "list", "ada")
    devices = ada.in_store(lambda store: store.devices.list("ada"))
    for told, device in zip(listed, devices, strict=True):
        expected = DeviceView.shown(device, Texts.load("en").words)
        assert DeviceView.model_validate_json(json.dumps(told)) == expected
        assert re.fullmatch(r"[-0-9]{10}T[:0-9]{8}Z", told["first_used_at"])


def test_nobody_has_no_devices_and_who_never_signed_in_none_yet(ada: CommandLine) -> None:
    result = ada("device", "list", "nobody")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "There is no account 'nobody'.\n")
    ada("user", "add", "bob", "--password-stdin", input="correct horse\n")
    assert ada("device", "list", "bob").stdout == "bob has used no device yet.\n"
    assert ada.json("device", "list", "bob") == []


def test_a_device_is_confirmed_by_whoever_knows_its_words(ada: CommandLine) -> None:
    assert state_of(ada, "phone")[:2] == (DeviceState.PENDING, False)
    result = ada("device", "confirm", id_of(ada, "phone"), *WHY)
    assert (result.exit_code, result.stdout) == (0, "Firefox on Linux of ada is confirmed.\n")
    assert state_of(ada, "phone")[:2] == (DeviceState.AUTHORISED, True)
    (entry,) = ada.in_store(lambda store: store.audit.latest("ada", 1))
    assert (entry.event, entry.actor, entry.device_id, entry.reason) == (
        "device-authorised",
        "cli:grace",
        id_of(ada, "phone"),
        WHY[1],
    )
    answer = ada.json("device", "confirm", id_of(ada, "phone"), *WHY)
    assert (answer["state"], answer["confirmed"], answer["words"]) == ("authorised", True, None)


def test_a_device_is_named(ada: CommandLine) -> None:
    result = ada("device", "rename", id_of(ada, "laptop"), " Work [/red] laptop ")
    assert (result.exit_code, result.stdout) == (0, "Work [/red] laptop of ada has its new name.\n")
    assert state_of(ada, "laptop")[2] == "Work [/red] laptop"
    (entry,) = ada.in_store(lambda store: store.audit.latest("ada", 1))
    assert (entry.event, entry.actor, entry.device_id, entry.reason) == (
        "device-renamed",
        "cli:grace",
        id_of(ada, "laptop"),
        "Work [/red] laptop: renamed by an operator",
    )
    assert ada.json("device", "rename", id_of(ada, "laptop"), "Mine", *WHY)["name"] == "Mine"


@pytest.mark.parametrize("which", ["revoked", "0" * 32, "no id", "[/red]"])
@pytest.mark.parametrize("order", [("confirm", *WHY), ("rename", "Mine")], ids=lambda order: order[0])
def test_what_is_not_there_stays_so(ada: CommandLine, order: tuple[str, ...], which: str) -> None:
    """A revoked device is gone for good."""
    ada("revoke", "device", id_of(ada, "laptop"))
    events = [entry.event for entry in ada.in_store(lambda store: store.audit.latest("ada"))]
    named = id_of(ada, "laptop") if which == "revoked" else which
    result = ada("device", order[0], named, *order[1:])
    said = "There is no such device, or it was revoked."
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"{said}\n")
    as_json = ada("device", order[0], named, *order[1:], "--json")
    assert (as_json.exit_code, json.loads(as_json.stdout)) == (1, {"error": said})
    assert state_of(ada, "laptop")[0] is DeviceState.REVOKED
    assert [entry.event for entry in ada.in_store(lambda store: store.audit.latest("ada"))] == events


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("confirm", "ID"), "--reason"),
        (("confirm", "ID", "--reason", ""), "one line of visible text"),
        (("confirm", "ID", "--reason", "a\nb"), "one line of visible text"),
        (("rename", "ID"), "name"),
        (("rename", "ID", " "), "at most 64 characters"),
        (("rename", "ID", "x" * 65), "at most 64 characters"),
        (("rename", "ID", "two\nlines"), "at most 64 characters"),
        (("rename", "ID", "Mine", "--reason", "\u202egnp"), "one line of visible text"),
    ],
)
def test_wrong_usage_changes_nothing(ada: CommandLine, arguments: tuple[str, ...], said: str) -> None:
    before = state_of(ada, "phone")
    result = ada("device", *(id_of(ada, "phone") if each == "ID" else each for each in arguments))
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert state_of(ada, "phone") == before
