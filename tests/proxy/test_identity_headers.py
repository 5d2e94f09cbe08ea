"""Who asks, as headers: made once, kept while all that they were made from is in force."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.store import RING

from gateway.core.decision import Forward, Permit, decide
from gateway.core.policy.model import App, Match, Need
from gateway.core.records import Account, Device, DeviceState, Grant, Session, Snapshot
from gateway.core.target import parse_target
from gateway.identity.assertions import Assertions
from gateway.proxy.identity_headers import IdentityHeaders, fields_of
from gateway.proxy.wire import NO_LINES, Lines
from gateway.store.keyring import KeyRing, new_keyring

NOW = 1_000_000.0
LIFETIME = 300.0
ORIGIN = "https://app.test"
ADA = Account("ada", "Ada Lovelace", "ada@example.org", frozenset({"staff", "admin"}), False, 1, 1)
SESSION = Session("s", "ada", "d", 0.0, 1, 1, NOW - 9, NOW - 9, NOW + 9999, NOW + 9999, "127.0.0.1")
GRANT = Grant("app/sign-in", NOW - 5, NOW + 60)


class Ring:
    """A live ring whose file is changed by hand: `ring` is what it holds."""

    def __init__(self) -> None:
        self.ring: KeyRing = RING

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ring, name)


class Asking:
    """Somebody's requests to an app; `lines` are what the next one carries."""

    def __init__(self, *, most: int = 10) -> None:
        self.ring = Ring()
        self.headers = IdentityHeaders(Assertions(self.ring), LIFETIME, most)
        self.account = ADA
        self.grants: tuple[Grant, ...] = ()
        self.session = SESSION
        self.app = App("app", "app.yaml", "App", ("app.test",), ("http://127.0.0.1:1",), Need.SESSION)
        self.now = NOW
        self.origin = ORIGIN

    def asked(self) -> tuple[Permit, Snapshot]:
        device = Device("d", "ada", "", "", DeviceState.AUTHORISED, 0.0, 0.0, "")
        snapshot = Snapshot(self.session, self.account, device, global_epoch=1, grants=self.grants)
        target = parse_target("GET", "/", "app.test")
        decision = decide(target, Match(self.app, None, Need.SESSION, None), snapshot, self.now)
        assert isinstance(decision, Forward)
        return decision.permit, snapshot

    def lines(self) -> Lines:
        return self.headers.lines(*self.asked(), self.origin, self.now)

    def claims(self) -> dict[str, Any]:
        token = dict(fields_of(self.lines()))[b"Watchword-Assertion"]
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
        return claims


@pytest.fixture
def asking() -> Asking:
    return Asking()


def test_the_lines_and_the_fields_are_the_same(asking: Asking) -> None:
    identity = asking.lines()
    *said, (name, token) = fields_of(identity)
    assert said == [
        (b"Remote-User", b"ada"),
        (b"Remote-Name", b"Ada Lovelace"),
        (b"Remote-Email", b"ada@example.org"),
        (b"Remote-Groups", b"admin,staff"),
    ]
    assert name == b"Watchword-Assertion"
    assert identity.data == (
        b"Remote-User: ada\r\nRemote-Name: Ada Lovelace\r\nRemote-Email: ada@example.org\r\n"
        b"Remote-Groups: admin,staff\r\nWatchword-Assertion: " + token + b"\r\n"
    )


names = st.text(st.characters(codec="utf-8"), max_size=30)


@given(names, st.lists(names.map(lambda name: "g" + name.replace(",", "") + "g"), max_size=3))
def test_no_name_makes_a_line_of_its_own(name: str, groups: list[str]) -> None:
    asking = Asking()
    asking.account = replace(ADA, name=name, groups=frozenset(groups))
    try:
        identity = asking.lines()
    except ValueError:
        return  # a group with a control character
    assert identity.data == b"".join(b"%b: %b\r\n" % field for field in fields_of(identity))
    assert identity.data.count(b"\n") == identity.data.count(b"\r") == len(fields_of(identity))
    said = {field: value.decode() for field, value in fields_of(identity)}
    assert asking.claims().get("name", "") == said.get(b"Remote-Name", "")
    assert ",".join(asking.claims()["groups"]) == said.get(b"Remote-Groups", "")


@pytest.mark.parametrize(
    ("change", "absent"),
    [
        ({"name": ""}, b"Remote-Name"),
        ({"email": ""}, b"Remote-Email"),
        ({"own_email": True}, b"Remote-Email"),
        ({"groups": frozenset()}, b"Remote-Groups"),
    ],
)
def test_what_is_empty_is_left_out(asking: Asking, change: dict[str, Any], absent: bytes) -> None:
    asking.account = replace(ADA, **change)
    assert absent not in dict(fields_of(asking.lines()))


def test_nobody_is_named_on_a_public_path(asking: Asking) -> None:
    _, snapshot = asking.asked()
    decision = decide(
        parse_target("GET", "/", "app.test"), Match(asking.app, None, Need.PUBLIC, None), None, NOW
    )
    assert isinstance(decision, Forward)
    assert asking.headers.lines(decision.permit, snapshot, ORIGIN, NOW) is NO_LINES
    assert (fields_of(NO_LINES), NO_LINES.data, len(asking.headers)) == ((), b"", 0)


def test_a_person_of_whom_nothing_is_known_is_not_taken_for_nobody(asking: Asking) -> None:
    with pytest.raises(TypeError):
        asking.headers.lines(asking.asked()[0], None, ORIGIN, NOW)


# --- keeping


def test_they_are_made_once(asking: Asking) -> None:
    first = asking.lines()
    asking.account = replace(ADA, groups=frozenset({"admin", "staff"}))
    asking.now += 200
    assert asking.lines() is first, "equal records, read anew from the store, are the same"


Change = Callable[[Asking], None]


def _changes(**values: object) -> Change:
    def change(asking: Asking) -> None:
        for name, value in values.items():
            setattr(asking, name, value)

    return change


def _another_key(asking: Asking) -> None:
    asking.ring.ring = new_keyring()
    asking.now += 1


@pytest.mark.parametrize(
    "change",
    [
        _changes(account=replace(ADA, name="Ada King")),
        _changes(account=replace(ADA, groups=frozenset({"staff"}))),
        _changes(account=replace(ADA, own_email=True)),
        _changes(grants=(GRANT,)),
        _changes(origin="https://app.test:8443"),
        _changes(session=replace(SESSION, id="t")),
        _another_key,
    ],
)
def test_what_changed_is_said_at_once(asking: Asking, change: Change) -> None:
    first = asking.lines()
    change(asking)
    second = asking.lines()
    assert second != first
    assert asking.lines() is second


def test_another_key_shows_when_anything_new_is_signed(asking: Asking) -> None:
    """Whoever comes next, in the very same moment, even if it is somebody who was here already."""
    first = asking.lines()
    asking.ring.ring = new_keyring()
    asking.session = replace(SESSION, id="t")
    other = dict(fields_of(asking.lines()))[b"Watchword-Assertion"]
    asking.session = SESSION
    again = asking.lines()
    assert again != first
    kids = [
        jwt.get_unverified_header(token)["kid"]
        for token in (other, dict(fields_of(again))[b"Watchword-Assertion"])
    ]
    assert (
        kids[0] == kids[1] != jwt.get_unverified_header(dict(fields_of(first))[b"Watchword-Assertion"])["kid"]
    )


def test_each_app_has_its_own(asking: Asking) -> None:
    first = asking.claims()
    asking.app = replace(asking.app, name="other")
    assert (first["aud"], asking.claims()["aud"]) == ("app", "other")
    assert len(asking.headers) == 2


def test_a_fifth_of_the_life_is_always_left(asking: Asking) -> None:
    first = asking.claims()
    assert (first["iat"], first["exp"]) == (NOW, NOW + LIFETIME)
    asking.now = NOW + LIFETIME * 0.8 - 1
    assert asking.claims() == first
    asking.now = NOW + LIFETIME * 0.8
    assert asking.claims()["exp"] == asking.now + LIFETIME


def test_a_code_is_claimed_no_longer_than_it_counts(asking: Asking) -> None:
    asking.grants = (GRANT,)
    assert asking.claims()["acr"] == "otp"
    asking.now = GRANT.expires_at - 1
    assert asking.claims()["acr"] == "otp"
    asking.now = GRANT.expires_at
    assert asking.claims()["acr"] == "pwd"


def test_a_clock_that_was_set_back_leaves_nothing_from_the_future(asking: Asking) -> None:
    asking.lines()
    asking.now -= 3600
    assert asking.claims()["iat"] == NOW - 3600


def test_those_used_least_recently_give_way() -> None:
    asking = Asking(most=2)
    made = {}
    for id_ in ("a", "b", "a", "c"):
        asking.now += 61  # uses of one minute count as one
        asking.session = replace(SESSION, id=id_)
        made[id_] = asking.lines()
    assert len(asking.headers) == 2
    asking.session = replace(SESSION, id="a")
    assert asking.lines() is made["a"]
    asking.session = replace(SESSION, id="b")
    assert asking.lines() is not made["b"]


def test_two_addresses_of_an_app_do_not_take_each_others_place(asking: Asking) -> None:
    first = asking.lines()
    asking.origin = "https://other.test"
    second = asking.lines()
    asking.origin = ORIGIN
    assert asking.lines() is first
    asking.origin = "https://other.test"
    assert asking.lines() is second
