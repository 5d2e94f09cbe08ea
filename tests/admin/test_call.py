"""What the audit stream is told of a call."""

import pytest
from support.operators import Operators, token_of
from support.store import RING, device_of, signed_in

from gateway import clock
from gateway.admin.tokens import Operator, Scope, verify_token
from gateway.store.audit import AuditEntry
from gateway.store.opening import Store


async def test_an_entry_says_who_did_what_from_where_and_why(operators: Operators, store: Store) -> None:
    await signed_in(store)
    device, token = device_of(store, "ada", "laptop").id, token_of("grace", Scope.REVOKE)
    grace = verify_token(token, RING, clock.now())
    assert isinstance(grace, Operator)
    before = clock.now()
    order = {"scope": "device", "id": device, "reason": "stolen"}
    await operators.call("POST", "/v1/revocations", token, json=order)
    (entry,) = await store.audit.latest("ada")
    assert entry == AuditEntry(
        at=entry.at,
        event="device-revoked",
        actor="operator:grace",
        subject="ada",
        device_id=device,
        address="127.0.0.1",
        reason="stolen",
        token_id=grace.token_id,
        device_name="Firefox on Linux",
    )
    assert before - 1e-6 <= entry.at <= clock.now()


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Forwarded"])
async def test_nobody_chooses_the_address_in_an_entry(
    operators: Operators, store: Store, header: str
) -> None:
    token = token_of("grace", Scope.READ)
    await operators.call("GET", "/v1/revocations", token, headers=[(header, "192.0.2.9")])
    (entry,) = await store.audit.latest("")
    assert entry.address == "127.0.0.1"
