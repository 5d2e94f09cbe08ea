"""`watchword token` and `revoke`."""

import json
import re
import signal
import time
from pathlib import Path

import pytest
from support.commands import CommandLine, no_writes

from gateway import clock
from gateway.admin.tokens import Operator, Scope, TokenFault, verify_token
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

    def __init__(self, command: CommandLine) -> None:
        self._command = command
        self.started = command.in_store(_signed_in)

    def named(self, scope: str) -> list[str]:
        """What a revocation of `scope` names to hit this person."""
        return {
            "session": [self.started.session_id],
            "device": [self.device_id()],
            "account": ["ada"],
            "everybody": ["--yes"],
        }[scope]

    def device_id(self) -> str:
        async def found(store: Store) -> str:
            (device,) = await store.devices.list("ada")
            return device.id

        return self._command.in_store(found)

    def revocation_id(self) -> str:
        """That of the only one there is."""

        async def found(store: Store) -> str:
            (revocation,) = await store.revocations.list()
            return revocation.revocation_id

        return self._command.in_store(found)

    def is_live(self) -> bool:
        async def judged(store: Store) -> bool:
            now = clock.now()
            snapshot = await store.who.ask(self.started.cookie, now)
            return snapshot is not None and snapshot.fault(now) is None

        return self._command.in_store(judged)


@pytest.fixture
def ada(command: CommandLine) -> Person:
    return Person(command)


@pytest.mark.parametrize("scope", ["session", "device", "account", "everybody"])
def test_every_scope_ends_the_session(command: CommandLine, ada: Person, scope: str) -> None:
    assert ada.is_live()
    named = ada.named(scope)
    result = command("revoke", scope, *named, "--reason", "a [/red] test")
    assert result.exit_code == 0
    what = re.escape(" ".join([scope, *named]).removesuffix(" --yes"))
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

    command.in_store(recorded)


@pytest.mark.parametrize("scope", ["session", "device", "account", "everybody"])
def test_the_answer_for_programs(command: CommandLine, ada: Person, scope: str) -> None:
    answer = command.json("revoke", scope, *ada.named(scope))
    assert len(answer.pop("id")) == 32
    assert answer.pop("elapsed_ms") > 0
    subject = None if scope == "everybody" else "ada"
    assert answer == {"scope": scope, "subject": subject, "confirmed": True, "nodes": 0, "silent": 0}


# --- whether everybody is meant


@pytest.mark.parametrize("answer", ["everybody", "y", "EVERYBODY", ""])
def test_at_a_terminal_everybody_has_to_be_typed(command: CommandLine, ada: Person, answer: str) -> None:
    code, out, err = command.at_terminal("revoke", "everybody", answer=answer)
    meant = answer == "everybody"
    assert out.startswith("Everybody will have to sign in again, at every app,")
    assert (code, ada.is_live()) == (0 if meant else 1, not meant), err


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["people", "programs"])
def test_without_a_terminal_everybody_has_to_be_meant(
    command: CommandLine, ada: Person, options: tuple[str, ...]
) -> None:
    result = command("revoke", "everybody", *options, input="everybody\n")
    why = "With --json nothing is asked" if options else "There is no terminal to ask at"
    message = f"{why}; say --yes if it is meant."
    assert result.exit_code == 1
    assert (result.stderr or json.loads(result.stdout)["error"]).rstrip() == message
    assert ada.is_live()


def test_nobody_is_asked_about_what_is_not_everybody(command: CommandLine, ada: Person) -> None:
    code, _, err = command.at_terminal("revoke", "account", "ada", answer="")
    assert (code, err, ada.is_live()) == (0, "", False)


# --- what is pending


def test_whoever_is_tired_of_waiting_is_told_that_nothing_is_called_off(
    command: CommandLine, ada: Person
) -> None:
    async def silent_node(store: Store) -> None:
        await store._connection.call(store._connection.redis.hset("ww:{s00}:nodes", "silent", "7 3600"))

    command.in_store(silent_node)
    process = command.start("revoke", "account", "ada")
    while ada.is_live():
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert err.startswith("Interrupted. That calls nothing off: ")
    assert "Traceback" not in err


def test_too_few_replicas_leave_it_pending(command: CommandLine, ada: Person) -> None:
    code, said = command.without_a_replica("revoke", "account", "ada")
    assert (code, ada.is_live()) == (1, False)
    ids = re.fullmatch(
        r"Revoked account ada, but too few replicas of the store have acknowledged it\. It is pending: .+ "
        r"Its id is ([0-9a-f]{32}); GET /v1/revocations/([0-9a-f]{32}) at the operators' API tells .+\.\n",
        said,
    )
    assert ids is not None and ids[1] == ids[2] == ada.revocation_id()


def test_what_is_pending_has_its_address_for_programs(command: CommandLine, ada: Person) -> None:
    code, said = command.without_a_replica("revoke", "account", "ada", "--json")
    named = ada.revocation_id()
    assert (code, json.loads(said)) == (
        1,
        {
            "id": named,
            "scope": "account",
            "subject": "ada",
            "confirmed": False,
            "status": f"/v1/revocations/{named}",
        },
    )


@pytest.mark.parametrize("scope", ["session", "device", "account", "everybody"])
def test_a_store_that_fails_on_the_way_leaves_it_pending(
    command: CommandLine, ada: Person, valkey_url: str, scope: str
) -> None:
    """It is on the disk, and a gateway on this machine carries it out, on record like any other."""
    named = ada.named(scope)
    with no_writes(valkey_url):
        result = command("revoke", scope, *named)
    assert (result.exit_code, result.stderr, ada.is_live()) == (1, "", True)
    promised = re.search(r"It is pending: .* GET /v1/revocations/([0-9a-f]{32}) at", result.stdout)

    async def finished(store: Store) -> list[str]:
        await store.finisher.finish()
        entries = await store.audit.latest("" if scope == "everybody" else "ada")
        return [entry.event for entry in entries]

    events = command.in_store(finished)
    assert (ada.is_live(), events) == (False, [f"{scope}-revoked"])
    assert promised is not None and promised[1] == ada.revocation_id()


@pytest.mark.parametrize("scope", ["session", "device", "account", "everybody"])
def test_a_store_that_is_down_takes_nothing(
    command: CommandLine, ada: Person, tmp_path: Path, scope: str
) -> None:
    nowhere = {"WATCHWORD_STORE__URL": f"unix://{tmp_path}/nowhere.sock", "WATCHWORD_STORE__TIMEOUT": "1s"}
    result = command("revoke", scope, *ada.named(scope), **nowhere)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith("The store is not available: ")
    assert "Nothing was ended, as far as can be told: ask again." in result.stderr
    told = command("revoke", scope, *ada.named(scope), "--json", **nowhere)
    assert (told.exit_code, list(json.loads(told.stdout)), told.stderr) == (3, ["error"], "")
    assert not list(tmp_path.glob("data/journal/*"))
    assert ada.is_live()


# --- what cannot be revoked


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
