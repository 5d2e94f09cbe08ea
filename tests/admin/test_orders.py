"""The body of a revocation: what is taken, and every fault of what is not."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from support.operators import Operators, token_of

from gateway.admin.call import Refused
from gateway.admin.orders import (
    LARGEST_BODY,
    LONGEST_REASON,
    ORDERS,
    RevokeAccount,
    RevokeDevice,
    RevokeEverybody,
    RevokeSession,
    parse_order,
)
from gateway.admin.tokens import Scope
from gateway.core.ending import Scope as RevocationScope
from gateway.core.reasons import Reason
from gateway.identity.sign_in import LONGEST_SUBJECT

ID = "00" + "a" * 30
"""The form of an id."""


MISSING = "is missing"
SURPLUS = "does not belong here"
NO_TEXT = "must be text"
NO_ID = "must be 32 hexadecimal digits"
NO_SCOPE = "must be 'session', 'device', 'account' or 'everybody'"
LONG_SUBJECT = "must have at most 128 characters"
EMPTY = "must not be empty"
UNSEEN = "must be one line of visible text"


def faults_of(fields: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(Refused) as refused:
        parse_order(fields)
    assert refused.value.reason is Reason.INVALID_BODY
    return {fault["field"]: fault["message"] for fault in refused.value.members["faults"]}


@pytest.mark.parametrize(
    "order",
    [
        RevokeSession(scope="session", id=ID, reason="stolen"),
        RevokeDevice(scope="device", id=ID, reason="stolen"),
        RevokeAccount(scope="account", subject="ada", reason="x" * LONGEST_REASON),
        RevokeAccount(scope="account", subject="a" * LONGEST_SUBJECT, reason="Telefon gestohlen, München 🗝"),
        RevokeEverybody(scope="everybody", reason="x"),
    ],
)
def test_an_order_is_read(order: BaseModel) -> None:
    assert parse_order(order.model_dump()) == order


def test_there_is_an_order_for_each_scope() -> None:
    assert set(ORDERS) == set(RevocationScope)


@pytest.mark.parametrize(
    ("fields", "faults"),
    [
        ({}, {"scope": MISSING, "reason": MISSING}),
        ({"scope": "session", "reason": "x"}, {"id": MISSING}),
        ({"scope": "account", "reason": "x"}, {"subject": MISSING}),
        ({"scope": "session", "subject": "ada", "reason": "x"}, {"id": MISSING, "subject": SURPLUS}),
        ({"scope": "session", "id": ID, "subject": "ada", "reason": "x"}, {"subject": SURPLUS}),
        ({"scope": "everybody", "id": ID, "subject": "", "reason": "x"}, {"id": SURPLUS, "subject": SURPLUS}),
        ({"scope": "account", "subject": "ada", "reason": "x", "disable": True}, {"disable": SURPLUS}),
        (
            {"scope": "planet", "id": 1, "subject": ["ada"], "reason": "", "force": True},
            {"scope": NO_SCOPE, "id": NO_TEXT, "subject": NO_TEXT, "reason": EMPTY, "force": SURPLUS},
        ),
        ({"scope": ["session"], "id": ID, "reason": "x"}, {"scope": NO_SCOPE}),
        ({"scope": None, "reason": "x"}, {"scope": NO_SCOPE}),
        ({"scope": "session", "id": ID.upper(), "reason": "x"}, {"id": NO_ID}),
        ({"scope": "session", "id": ID + "\n", "reason": "x"}, {"id": NO_ID}),
        ({"scope": "device", "id": "00." + "x" * 43, "reason": "x"}, {"id": NO_ID}),
        ({"scope": "device", "id": True, "reason": 7}, {"id": NO_TEXT, "reason": NO_TEXT}),
        ({"scope": "account", "subject": "", "reason": None}, {"subject": EMPTY, "reason": NO_TEXT}),
        ({"scope": "account", "subject": "a" * 129, "reason": "x"}, {"subject": LONG_SUBJECT}),
        ({"scope": "account", "subject": "a\x00", "reason": "x"}, {"subject": UNSEEN}),
        ({"scope": "everybody", "reason": "x" * 501}, {"reason": "must have at most 500 characters"}),
        ({"scope": "everybody", "reason": " \t"}, {"reason": UNSEEN}),
        ({"scope": "everybody", "reason": "one\ntwo"}, {"reason": UNSEEN}),
        ({"scope": "everybody", "reason": "\u202egnp.exe"}, {"reason": UNSEEN}),
    ],
)  # fmt: skip
def test_every_fault_is_told(fields: dict[str, Any], faults: dict[str, str]) -> None:
    assert faults_of(fields) == faults


@given(
    st.dictionaries(
        st.sampled_from(["scope", "id", "subject", "reason", "else"]),
        st.sampled_from([*ORDERS, ID, "", "x", None, 1, True, [], {}]),
    )
)
def test_an_order_names_exactly_one_thing(fields: dict[str, Any]) -> None:
    try:
        order = parse_order(fields)
    except Refused as refused:
        assert refused.members["faults"]
    else:
        named = {"session": {"id"}, "device": {"id"}, "account": {"subject"}, "everybody": set()}
        assert fields.keys() == {"scope", "reason"} | named[order.scope]


EVERYBODY = json.dumps({"scope": "everybody", "reason": "a drill"})


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        ("", "application/json", "the body is not JSON"),
        ("{", "application/json", "the body is not JSON"),
        ("[" * 30_000, "application/json", "the body is not JSON"),
        ('{"\\ud800": 1}', "application/json", "the body is not JSON"),
        ("[]", "application/json", "the body must be a JSON object"),
        ("null", "application/json", "the body must be a JSON object"),
        (EVERYBODY.replace("}", ', "reason": "x"}'), "application/json", "a field of the body comes twice"),
        (EVERYBODY.replace('"a drill"', "NaN"), "application/json", "NaN is not JSON"),
        (EVERYBODY.encode("utf-16"), "application/json", "the body is not UTF-8"),
        (EVERYBODY, "application/json; charset=utf-16", "the body must be UTF-8"),
        (EVERYBODY, "text/plain", "the body must be application/json"),
        ("scope=everybody", "application/x-www-form-urlencoded", "the body must be application/json"),
    ],
)  # fmt: skip
async def test_a_body_that_is_no_json_object_is_refused(
    operators: Operators, body: str | bytes, content_type: str, message: str
) -> None:
    answer = await operators.call(
        "POST",
        "/v1/revocations",
        token_of("grace", Scope.REVOKE),
        data=body,
        headers=[("Content-Type", content_type)],
    )
    assert (answer.status, answer.body["faults"]) == (422, [{"field": "", "message": message}])


async def test_a_body_without_a_type_is_refused(operators: Operators) -> None:
    answer = await operators.call(
        "POST",
        "/v1/revocations",
        token_of("grace", Scope.REVOKE),
        data=EVERYBODY.encode(),
        skip_auto_headers=["Content-Type"],
    )
    assert answer.status == 422


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_has_64_kib_at_most(operators: Operators, chunked: bool) -> None:
    for size, status in ((LARGEST_BODY, 200), (LARGEST_BODY + 1, 413)):
        answer = await operators.call(
            "POST",
            "/v1/revocations",
            token_of("grace", Scope.REVOKE),
            data=EVERYBODY.ljust(size).encode(),
            headers=[("Content-Type", "application/json")],
            chunked=chunked or None,
        )
        assert answer.status == status


async def test_a_small_body_does_not_unpack_to_a_large_one(operators: Operators) -> None:
    """aiohttp undoes Content-Encoding before anybody looks."""
    answer = await operators.call(
        "POST",
        "/v1/revocations",
        token_of("grace", Scope.REVOKE),
        data=EVERYBODY.ljust(50_000_000).encode(),
        headers=[("Content-Type", "application/json")],
        compress="deflate",
    )
    assert (answer.status, answer.body["reason"]) == (413, "body-too-large")
