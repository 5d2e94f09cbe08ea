"""Who is let in, who is not, and what is recorded of both."""

from dataclasses import replace

import pytest
from redis.asyncio import Redis
from support.operators import Operators, token_of
from support.store import RING, contents, signed_in

from gateway import clock
from gateway.admin.guard import MOST_STRANGERS, Budget
from gateway.admin.tokens import Operator, Scope, issue_token, verify_token
from gateway.store.opening import Store

REVOCATIONS = "/v1/revocations"
EVERYBODY = {"scope": "everybody", "reason": "a drill"}


def expired() -> str:
    return issue_token(RING, "grace", frozenset(Scope), 3600, clock.now() - 7200)


def forged() -> str:
    return issue_token(replace(RING, operator_seed=b"x" * 32), "grace", frozenset(Scope), 3600, clock.now())


# --- strangers


@pytest.mark.parametrize("path", ["/v1/accounts/ada", "/v1/accounts/ada/sessions", REVOCATIONS])
async def test_without_a_token_nobody_is_let_in(operators: Operators, path: str) -> None:
    answer = await operators.call("GET", path)
    assert (answer.status, answer.body["reason"]) == (401, "invalid-token")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="watchword-operators"'


@pytest.mark.parametrize(
    ("authorization", "detail"),
    [
        (f"Bearer {expired()}", "The token is expired."),
        (f"Bearer {forged()}", "The token is not signed by this gateway."),
        ("Bearer x", "The token is malformed."),
        ("Bearer", "The token is malformed."),
        ("Bearer \udcff", "The token is malformed."),
        ("", "The token is malformed."),
        (f"Basic {token_of('grace', Scope.READ)}", "The token is malformed."),
        (token_of("grace", Scope.READ), "The token is malformed."),
        (f"Bearer Bearer {token_of('grace', Scope.READ)}", "The token is malformed."),
        (f"Bearer {token_of('grace', Scope.READ)}, Bearer x", "The token is malformed."),
    ],
)
async def test_a_wrong_token_is_told_what_is_wrong_with_it(
    operators: Operators, authorization: str, detail: str
) -> None:
    answer = await operators.call("GET", REVOCATIONS, headers=[("Authorization", authorization)])
    assert (answer.status, answer.body["detail"]) == (401, detail)
    assert answer.headers["WWW-Authenticate"] == (
        f'Bearer realm="watchword-operators", error="invalid_token", error_description="{detail}"'
    )


async def test_two_tokens_are_none(operators: Operators) -> None:
    """One program would read the first of two headers, and the next one the last."""
    good = ("Authorization", f"Bearer {token_of('grace', Scope.READ)}")
    for headers in (
        [good, good],
        [good, ("Authorization", "Bearer x")],
        [("Authorization", "Bearer x"), good],
    ):
        answer = await operators.call("GET", REVOCATIONS, headers=headers)
        assert answer.status == 401


async def test_a_token_counts_nowhere_but_in_its_header(operators: Operators) -> None:
    token = token_of("grace", Scope.READ)
    answer = await operators.call(
        "GET", f"{REVOCATIONS}?access_token={token}", headers=[("Cookie", f"token={token}")]
    )
    assert answer.status == 401


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_scheme_has_no_case(operators: Operators, scheme: str) -> None:
    header = ("Authorization", f"{scheme} {token_of('grace', Scope.READ)}")
    assert (await operators.call("GET", REVOCATIONS, headers=[header])).status == 200


async def test_strangers_are_recorded(operators: Operators, store: Store) -> None:
    await operators.call("GET", "/v1/accounts/ada", expired())
    (entry,) = await store.audit.latest("")
    assert (entry.event, entry.actor, entry.address) == ("token-refused", "operator:?", "127.0.0.1")
    assert entry.reason == "GET /v1/accounts/{subject}: The token is expired."


async def test_a_flood_of_strangers_is_recorded_in_part(operators: Operators, store: Store) -> None:
    for _ in range(MOST_STRANGERS + 5):
        assert (await operators.call("GET", REVOCATIONS)).status == 401
    assert len(await store.audit.latest("", most=1000)) == MOST_STRANGERS


def test_a_budget_is_renewed_and_tells_what_it_missed() -> None:
    budget = Budget(2, seconds=60)
    spent = [budget.spend(at) for at in (0, 1, 2, 59.9, 60, 61, 62, 1000)]
    assert spent == [0, 0, None, None, 2, 0, None, 1]


# --- scopes


@pytest.mark.parametrize("path", ["/v1/accounts/ada", "/v1/accounts/ada/factors", REVOCATIONS])
async def test_looking_takes_the_scope_read(operators: Operators, store: Store, path: str) -> None:
    await signed_in(store)
    refused = await operators.call("GET", path, token_of("grace", Scope.REVOKE, Scope.RESET))
    assert (refused.status, refused.body["reason"]) == (403, "insufficient-scope")
    assert refused.headers["WWW-Authenticate"] == (
        'Bearer realm="watchword-operators", error="insufficient_scope", scope="read"'
    )
    assert (await operators.call("GET", path, token_of("grace", Scope.READ))).status == 200


async def test_revoking_takes_the_scope_revoke(operators: Operators, store: Store) -> None:
    session = await signed_in(store)
    refused = await operators.call(
        "POST", REVOCATIONS, token_of("grace", Scope.READ, Scope.RESET), json=EVERYBODY
    )
    assert (refused.status, refused.body["reason"]) == (403, "insufficient-scope")
    assert (await operators.read("/v1/accounts/ada/sessions")).body[0]["id"] == session.session_id
    assert (await operators.read("/v1/accounts/ada/sessions")).body[0]["live"] is True
    allowed = await operators.call("POST", REVOCATIONS, token_of("grace", Scope.REVOKE), json=EVERYBODY)
    assert allowed.status == 200


async def test_a_body_is_not_judged_for_who_may_not_send_it(operators: Operators) -> None:
    for token, status in ((None, 401), (token_of("grace", Scope.READ), 403)):
        answer = await operators.call("POST", REVOCATIONS, token, data=b"{")
        assert answer.status == status


# --- the record


async def test_an_entry_tells_which_token_it_was(operators: Operators, store: Store) -> None:
    await signed_in(store)
    token = token_of("grace", Scope.READ)
    operator = verify_token(token, RING, clock.now())
    assert isinstance(operator, Operator)
    await operators.call("GET", "/v1/accounts/ada", token)
    (entry,) = await store.audit.latest("ada")
    assert (entry.actor, entry.token_id) == ("operator:grace", operator.token_id)
    assert (entry.address, entry.event) == ("127.0.0.1", "account-read")


async def test_refused_calls_are_recorded(operators: Operators, store: Store) -> None:
    reader = token_of("grace", Scope.READ)
    await operators.call("POST", REVOCATIONS, reader, json=EVERYBODY)
    await operators.call("GET", f"{REVOCATIONS}?limit=0", reader)
    await operators.revoke(scope="everybody")
    await operators.call("DELETE", "/v1/accounts/ada", reader)
    await operators.call("GET", "/v2/secret-looking-path", reader)
    entries = await store.audit.latest("")
    assert {entry.event for entry in entries} == {"operator-refused"}
    assert {entry.actor for entry in entries} == {"operator:grace"}
    assert [entry.reason for entry in reversed(entries)] == [
        "POST /v1/revocations: insufficient-scope (revoke)",
        "GET /v1/revocations: bad-request",
        "POST /v1/revocations: invalid-body",
        "DELETE an unknown address: method-refused",
        "GET an unknown address: not-found",
    ]


async def test_no_secret_is_recorded(operators: Operators, store: Store, valkey: Redis) -> None:
    """Not the token, and nothing that somebody pasted into the wrong place."""
    session, token = await signed_in(store), token_of("grace", *Scope)
    for pasted in (token, session.cookie):
        await operators.call("GET", f"/v1/{pasted}", token)
        await operators.call("GET", f"/v1/accounts/{pasted}", token)
        await operators.call("GET", f"{REVOCATIONS}?limit={pasted}", token)
        await operators.call("GET", REVOCATIONS, pasted)
        for order in ({"scope": "session", "id": pasted}, {"scope": "account", "subject": pasted}):
            await operators.call("POST", REVOCATIONS, token, json={**order, "reason": "x"})
    entries = (await contents(valkey))["ww:{s00}:audit"]
    assert len(entries) == 12
    assert not [entry for entry in entries if token in str(entry) or session.cookie in str(entry)]
