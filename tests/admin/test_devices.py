"""Devices as operators see them, let them in and name them."""

from typing import Any

import pytest
from support.operators import Answer, Operators, token_of
from support.store import NOW, every_size, signed_in

from gateway.admin.tokens import Scope
from gateway.core.records import LaterDevices
from gateway.store.opening import Store

WHY = "ada showed her passport, ticket 4711"
LET_IN = {"reason": WHY}
RENAME = {"name": "Work laptop", "reason": WHY}
ORDERS = {"authorise": LET_IN, "rename": RENAME}


async def listed(operators: Operators) -> list[Any]:
    answer = await operators.read("/v1/accounts/ada/devices")
    assert answer.status == 200
    found: list[Any] = answer.body
    return found


async def order(operators: Operators, to: str, device_id: str, *scopes: Scope, **body: Any) -> Answer:
    token = token_of("grace", *(scopes or (Scope.RESET,)))
    return await operators.call("POST", f"/v1/devices/{device_id}/{to}", token, json=body)


@every_size
async def test_a_device_is_let_in_by_an_operator_who_saw_its_words(
    operators: Operators, store: Store
) -> None:
    await signed_in(store)
    waiting = await signed_in(store, browser="phone", later=LaterDevices.APPROVE, now=NOW + 1)
    phone, laptop = await listed(operators)
    assert (phone["state"], phone["confirmed"], laptop["confirmed"]) == ("pending", False, True)
    assert (len(phone["words"].split()), laptop["words"]) == (2, None)
    assert (phone["name"], phone["browser"], phone["system"]) == ("Firefox on Linux", "Firefox", "Linux")
    answer = await order(operators, "authorise", phone["id"], **LET_IN)
    assert answer.status == 200
    assert answer.body == {**phone, "state": "authorised", "confirmed": True, "words": None}
    snapshot = await store.who.ask(waiting.cookie, NOW + 1)
    assert snapshot is not None and snapshot.device is not None and snapshot.device.is_confirmed
    entry, *_ = await store.audit.latest("ada")
    assert (entry.event, entry.actor, entry.device_id, entry.reason) == (
        "device-authorised",
        "operator:grace",
        phone["id"],
        WHY,
    )
    assert entry.token_id != ""


@every_size
async def test_a_device_is_named_by_an_operator(operators: Operators, store: Store) -> None:
    await signed_in(store)
    (laptop,) = await listed(operators)
    answer = await order(operators, "rename", laptop["id"], **RENAME)
    assert (answer.status, answer.body) == (200, {**laptop, "name": "Work laptop"})
    assert await listed(operators) == [answer.body]
    entry = next(e for e in await store.audit.latest("ada") if e.event == "device-renamed")
    assert (entry.actor, entry.device_id) == ("operator:grace", laptop["id"])
    assert entry.reason == f"Work laptop: {WHY}"


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize("scope", [Scope.READ, Scope.REVOKE])
async def test_it_takes_the_scope_of_support(
    operators: Operators, store: Store, name: str, scope: Scope
) -> None:
    await signed_in(store)
    before = await listed(operators)
    refused = await order(operators, name, before[0]["id"], scope, **ORDERS[name])
    assert (refused.status, refused.body["reason"]) == (403, "insufficient-scope")
    assert await listed(operators) == before


@pytest.mark.parametrize("name", ORDERS)
async def test_a_device_that_is_not_there(operators: Operators, store: Store, name: str) -> None:
    """A revoked one is gone for good, and what is no id is not written down, as it may be a secret."""
    await signed_in(store)
    laptop = store.devices.id_for("ada", "laptop")
    await store.revocations.device(laptop, reason="lost", actor="test", now=NOW)
    for device_id in (laptop, "0" * 32, "S3cret-pasted-here"):
        refused = await order(operators, name, device_id, **ORDERS[name])
        assert (refused.status, refused.body["reason"]) == (404, "not-found")
    assert [device["state"] for device in await listed(operators)] == ["revoked"]
    entries = await store.audit.latest("")
    assert "S3cret" not in str(entries)
    assert [entry.event for entry in entries] == ["operator-refused"] * 3


@pytest.mark.parametrize(
    ("name", "body", "field"),
    [
        ("authorise", {}, "reason"),
        ("authorise", {"reason": ""}, "reason"),
        ("authorise", {**LET_IN, "name": "x"}, "name"),
        ("rename", {"reason": WHY}, "name"),
        ("rename", {**RENAME, "name": " "}, "name"),
        ("rename", {**RENAME, "name": "x" * 65}, "name"),
        ("rename", {**RENAME, "name": "two\nlines"}, "name"),
        ("rename", {**RENAME, "name": 7}, "name"),
    ],
)
async def test_an_order_is_read_strictly(
    operators: Operators, store: Store, name: str, body: dict[str, Any], field: str
) -> None:
    await signed_in(store)
    before = await listed(operators)
    refused = await order(operators, name, before[0]["id"], **body)
    assert (refused.status, refused.body["reason"]) == (422, "invalid-body")
    assert [fault["field"] for fault in refused.body["faults"]] == [field]
    assert await listed(operators) == before
