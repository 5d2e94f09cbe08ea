"""`watchword token` and `revoke`."""

import re

import pytest
from support.commands import CommandLine

from gateway import clock
from gateway.admin.tokens import Operator, Scope, TokenFault, verify_token
from gateway.cli.common import settings_from, with_store
from gateway.core.records import LaterDevices
from gateway.store.keyring import KeyRing
from gateway.store.opening import Store
from gateway.store.ring_file import load, load_or_create
from gateway.store.sessions import NewDevice, Started

GRACE = ("token", "grace", "--scope", "read")


@pytest.fixture
def ring(command: CommandLine) -> KeyRing:
    return load(command.folder / "data" / "keys.json")


# --- token


def judged(ring: KeyRing, token: str, days: float) -> Operator | TokenFault:
    return verify_token(token, ring, clock.now() + days * 86_400)


def test_a_token_counts_for_what_and_as_long_as_it_says(command: CommandLine, ring: KeyRing) -> None:
    result = command("token", "grace", "--scope", "read", "--scope", "revoke", "--days", "2")
    assert (result.exit_code, result.stderr) == (0, "")
    token = result.stdout.removesuffix("\n")
    operator = judged(ring, token, days=1.9)
    assert isinstance(operator, Operator)
    assert (operator.name, operator.scopes) == ("grace", {Scope.READ, Scope.REVOKE})
    assert judged(ring, token, days=2.1) is TokenFault.EXPIRED


def test_a_token_for_programs(command: CommandLine, ring: KeyRing) -> None:
    answer = command.json(*GRACE)
    operator = judged(ring, answer.pop("token"), days=29.9)
    assert isinstance(operator, Operator)
    assert answer == {"name": "grace", "scopes": ["read"], "days": 30}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("token", "grace"), "--scope"),
        (("token", "--scope", "read"), "name"),
        (("token", "grace", "--scope", "everything"), "'everything'"),
        ((*GRACE, "--days", "0"), "greater than or equal to 1"),
        (("token", "a b", "--scope", "read"), "64 letters"),
        (("token", "", "--scope", "read"), "64 letters"),
    ],
)
def test_wrong_usage_makes_no_token(command: CommandLine, arguments: tuple[str, ...], said: str) -> None:
    result = command(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_a_ring_that_is_not_the_store_s_signs_no_token(command: CommandLine, ring: KeyRing) -> None:
    """No gateway would take the token, and nobody would see why."""
    assert command("user", "list").exit_code == 0  # the store is sealed with this ring
    other = command.folder / "other.json"
    load_or_create(other)
    result = command(*GRACE, WATCHWORD_KEYS=str(other))
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{other}:1:1: the key ring is not the one that the store was sealed with" in result.stderr


def test_no_ring_is_made_for_a_token(command: CommandLine) -> None:
    nowhere = command.folder / "nowhere.json"
    result = command(*GRACE, WATCHWORD_KEYS=str(nowhere))
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{nowhere}:1:1: there is no key ring" in result.stderr
    assert not nowhere.exists()


# --- revoke


async def _signed_in(store: Store) -> Started:
    await store.accounts.add(
        subject="ada", name="", email="", groups=frozenset(), password_hash="", now=clock.now()
    )
    device = NewDevice(store.devices.id_for("ada", "laptop"), "Firefox", "")
    started = await store.sessions.start(
        subject="ada", device=device, address="", later=LaterDevices.ALLOW, now=clock.now()
    )
    assert isinstance(started, Started)
    return started


class Person:
    """Somebody who is signed in, in the store of the commands."""

    def __init__(self, command: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in command.environ.items():
            monkeypatch.setenv(name, value)
        self.started = with_store(settings_from(None), lambda store, _: _signed_in(store))

    def named(self, scope: str) -> list[str]:
        """What a revocation of `scope` names to hit this person."""
        return {
            "session": [self.started.session_id],
            "device": [self.device_id()],
            "account": ["ada"],
            "everybody": [],
        }[scope]

    def device_id(self) -> str:
        async def found(store: Store) -> str:
            (device,) = await store.devices.list("ada")
            return device.id

        return with_store(settings_from(None), lambda store, _: found(store))

    def is_live(self) -> bool:
        async def judged(store: Store) -> bool:
            now = clock.now()
            snapshot = await store.who.ask(self.started.cookie, now)
            return snapshot is not None and snapshot.fault(now) is None

        return with_store(settings_from(None), lambda store, _: judged(store))


@pytest.fixture
def ada(command: CommandLine, monkeypatch: pytest.MonkeyPatch) -> Person:
    return Person(command, monkeypatch)


@pytest.mark.parametrize("scope", ["session", "device", "account", "everybody"])
def test_every_scope_ends_the_session(command: CommandLine, ada: Person, scope: str) -> None:
    assert ada.is_live()
    named = ada.named(scope)
    result = command("revoke", scope, *named, "--reason", "a [/red] test")
    assert result.exit_code == 0
    what = re.escape(" ".join([scope, *named]))
    assert re.fullmatch(rf"Revoked {what}: no gateway runs \(\d+\.\d ms\)\.\n", result.stdout)
    assert not ada.is_live()

    async def recorded(store: Store) -> None:
        (revocation,) = await store.revocations.list()
        assert (revocation.scope, revocation.reason, revocation.actor) == (
            scope,
            "a [/red] test",
            "cli:grace",
        )
        (entry,) = await store.audit.latest("" if scope == "everybody" else "ada")
        assert (entry.event, entry.actor, entry.reason) == (f"{scope}-revoked", "cli:grace", "a [/red] test")

    with_store(settings_from(None), lambda store, _: recorded(store))


@pytest.mark.parametrize("scope", ["session", "device", "account", "everybody"])
def test_the_answer_for_programs(command: CommandLine, ada: Person, scope: str) -> None:
    answer = command.json("revoke", scope, *ada.named(scope))
    assert len(answer.pop("id")) == 32
    assert answer.pop("elapsed_ms") > 0
    subject = None if scope == "everybody" else "ada"
    assert answer == {"scope": scope, "subject": subject, "confirmed": True, "nodes": 0, "silent": 0}


@pytest.mark.parametrize("scope", ["session", "device", "account"])
@pytest.mark.parametrize("target", ["nobody", "00" + "f" * 30, "[/red]", ""])
def test_what_is_not_there_cannot_be_revoked(
    command: CommandLine, ada: Person, scope: str, target: str
) -> None:
    result = command("revoke", scope, target)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"There is no {scope} {target!r}.\n"
    assert ada.is_live()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["everybody", "ada"], "everybody takes no target"),
        (["account"], "name the account to end"),
        (["session"], "name the session to end"),
        (["planet", "earth"], "'planet'"),
        (["everybody", "--reason", "two\nlines"], "one line of visible text"),
        ([], "scope"),
    ],
)
def test_wrong_usage_revokes_nothing(
    command: CommandLine, ada: Person, arguments: list[str], said: str
) -> None:
    result = command("revoke", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert ada.is_live()
