"""What apps are told of who asks: from the account, the session and its grants, at a given moment."""

import math
from dataclasses import replace
from typing import Any

import pytest

from gateway.core.assertion import Told, claims_of, told_of, unchanged_until
from gateway.core.decision import Forward, Permit, decide
from gateway.core.policy.model import App, Match, Need
from gateway.core.records import Account, Device, DeviceState, Grant, Session, Snapshot
from gateway.core.target import parse_target

NOW = 1_000_000.75
ADA = Account("ada", "Ada Lovelace", "ada@example.org", frozenset({"staff", "admin"}), False, 1, 1)
APP = App("notes", "notes.yaml", "Notes", ("notes.test",), ("http://127.0.0.1:1",), Need.SESSION)


def grant(at: float = NOW - 60, until: float = NOW + 60, *, full_at: float = 0.0) -> Grant:
    return Grant("notes/sign-in", at, until, None, full_at)


def asked(*grants: Grant, account: Account = ADA) -> tuple[Permit, Snapshot]:
    session = Session(
        "s" * 32, "ada", "d", 0.0, 1, 1, NOW - 3600.5, NOW - 9, NOW + 99, NOW + 999, "192.0.2.1"
    )
    device = Device("d", "ada", "", "", DeviceState.AUTHORISED, 0.0, 0.0, "")
    snapshot = Snapshot(session, account, device, global_epoch=1, grants=grants)
    target = parse_target("GET", "/", "notes.test")
    decision = decide(target, Match(APP, None, Need.SESSION, None), snapshot, NOW)
    assert isinstance(decision, Forward)
    return decision.permit, snapshot


def claims(*grants: Grant, account: Account = ADA) -> dict[str, Any]:
    told = told_of(account)
    return claims_of(*asked(*grants, account=account), told, issuer="https://n", now=NOW, lifetime=300)


def test_what_is_claimed() -> None:
    assert claims() == {
        "iss": "https://n",
        "aud": "notes",
        "sub": "ada",
        "name": "Ada Lovelace",
        "email": "ada@example.org",
        "groups": ["admin", "staff"],
        "sid": "s" * 32,
        "amr": ["pwd"],
        "acr": "pwd",
        "auth_time": 996_400,
        "iat": 1_000_000,
        "exp": 1_000_300,
    }


@pytest.mark.parametrize(
    ("change", "absent"),
    [({"name": ""}, "name"), ({"email": ""}, "email"), ({"own_email": True}, "email")],
)
def test_what_is_not_told_is_not_claimed(change: dict[str, Any], absent: str) -> None:
    assert absent not in claims(account=replace(ADA, **change))


def test_somebody_in_no_group_has_an_empty_list_of_them() -> None:
    assert claims(account=replace(ADA, groups=frozenset()))["groups"] == []


@pytest.mark.parametrize(
    ("grants", "code_given_at"),
    [
        ((grant(),), 999_940),
        ((grant(NOW - 60), grant(NOW - 5), grant(NOW - 30)), 999_995),
        ((grant(full_at=NOW),), 999_940),
        ((grant(until=NOW),), None),
        ((grant(full_at=NOW + 1),), None),
    ],
    ids=["one", "the newest", "no longer on trial", "past", "on trial"],
)
def test_a_code_is_claimed_while_proof_by_one_is_there(
    grants: tuple[Grant, ...], code_given_at: int | None
) -> None:
    said = claims(*grants)
    if code_given_at is None:
        assert (said["amr"], said["acr"], said["auth_time"]) == (["pwd"], "pwd", 996_400)
    else:
        assert (said["amr"], said["acr"], said["auth_time"]) == (["pwd", "otp", "mfa"], "otp", code_given_at)


def test_until_when_that_stays_true() -> None:
    assert unchanged_until(asked()[1], NOW) == math.inf
    grants = (grant(until=NOW + 60), grant(until=NOW + 50, full_at=NOW + 40), grant(until=NOW - 1))
    assert unchanged_until(asked(*grants)[1], NOW) == NOW + 40
    assert unchanged_until(asked(*grants)[1], NOW + 40) == NOW + 50


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"name": "Zoë 佐"}, {"name": "Zoë 佐"}),
        ({"name": " Ada\r\nRemote-User: eve\x85\udc80"}, {"name": "Ada  Remote-User: eve ?"}),
        ({"subject": "zoë@example"}, {"subject": "zoë@example"}),
        ({"groups": frozenset({"b", "a b", "é"})}, {"groups": ("a b", "b", "é")}),
        ({"own_email": True}, {"email": ""}),
    ],
)
def test_what_is_told(change: dict[str, Any], expected: dict[str, Any]) -> None:
    known = Told("ada", "Ada Lovelace", "ada@example.org", ("admin", "staff"))
    assert told_of(replace(ADA, **change)) == replace(known, **expected)


@pytest.mark.parametrize(
    "change",
    [
        {"subject": "ada\r\nRemote-Groups: admin"},
        {"subject": "ada "},
        {"subject": "ada\x00"},
        {"subject": "ada\u2003"},
        {"subject": "ada\udc80"},
        {"email": "ada@example.org\n"},
        {"groups": frozenset({"staff,admin"})},
        {"groups": frozenset({"staff\t"})},
        {"groups": frozenset({""})},
    ],
)
def test_an_account_that_no_header_can_name_is_not_altered_into_another(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        told_of(replace(ADA, **change))
