"""Resets by support (F5): no single token can do it alone, and every step is on record."""

from datetime import datetime
from typing import Any

import pytest
from redis.asyncio import Redis
from support.operators import Answer, Operators, token_of
from support.resets import RESET_RULES
from support.store import NOW, account_added, contents, enrolled, every_size, signed_in

from gateway.admin.resets import ResetView
from gateway.admin.tokens import Scope
from gateway.core.reset import MOST_STATEMENTS, ResetState
from gateway.errors import StoreUnavailable
from gateway.identity.resets import ResetCases
from gateway.store.opening import Store

GRACE, MARGARET, KATHERINE = (token_of(name, Scope.RESET) for name in ("grace", "margaret", "katherine"))
NOBODYS_ID = "00" + "f" * 30
STEPS = ("evidence", "approve", "refuse", "abandon")


@pytest.fixture
async def desk(operators: Operators, store: Store) -> Operators:
    """The operators' API, and ada, who has a factor."""
    await enrolled(store, await signed_in(store))
    return operators


async def post(operators: Operators, token: str, path: str, **body: Any) -> Answer:
    return await operators.call("POST", f"/v1/resets{path}", token, json=body)


async def begun(operators: Operators, token: str = GRACE, subject: str = "ada") -> str:
    """The id of a case that was opened."""
    answer = await post(operators, token, "", subject=subject, reason="ticket 4711")
    assert answer.status == 200, answer
    reset_id: str = answer.body["id"]
    return reset_id


async def recorded(operators: Operators, reset_id: str, token: str = GRACE) -> None:
    for item in RESET_RULES.checklist:
        answer = await post(operators, token, f"/{reset_id}/evidence", item=item, statement="seen, it fits")
        assert answer.status == 200, answer


async def shown(operators: Operators, reset_id: str) -> dict[str, Any]:
    answer = await operators.call("GET", f"/v1/resets/{reset_id}", GRACE)
    assert answer.status == 200
    body: dict[str, Any] = answer.body
    return body


def refusal(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.body["reason"]


async def test_no_step_is_taken_that_is_not_on_record(
    desk: Operators, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a case would run of which nobody is told, should the store fail in between."""

    async def away(*_: object) -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(store.audit, "record", away)
    reset_id = await begun(desk)
    await recorded(desk, reset_id)
    assert (await post(desk, MARGARET, f"/{reset_id}/approve", reason="fits")).status == 200
    assert (await post(desk, GRACE, f"/{reset_id}/refuse", reason="it does not")).status == 200
    events = [entry.event for entry in await store.audit.latest("ada")][::-1]
    assert [event for event in events if event.startswith("reset-")] == [
        "reset-opened",
        *["reset-evidence"] * len(RESET_RULES.checklist),
        *("reset-approved", "reset-refused"),
    ]


# --- the way of a case


@every_size
async def test_two_operators_and_a_checklist(desk: Operators, store: Store) -> None:
    reset_id = await begun(desk)
    case = await shown(desk, reset_id)
    opened_at = _seconds(case.pop("opened_at"))
    assert case == {
        "id": reset_id,
        "subject": "ada",
        "state": "open",
        "opened_by": "operator:grace",
        "reason": "ticket 4711",
        "checklist": ["full-name", "photo"],
        "missing": ["full-name", "photo"],
        "evidence": [],
        **dict.fromkeys(("approved_at", "approved_by", "due_at", "closed_at", "closed_by", "closed_because")),
    }
    await recorded(desk, reset_id)
    answer = await post(desk, MARGARET, f"/{reset_id}/approve", reason="all fits")
    assert (answer.status, answer.body["state"]) == (200, "waiting")
    assert (answer.body["approved_by"], answer.body["missing"]) == ("operator:margaret", [])
    statement = answer.body["evidence"][0]
    assert opened_at <= _seconds(statement.pop("at")) <= _seconds(answer.body["approved_at"])
    assert statement == {"item": "full-name", "statement": "seen, it fits", "by": "operator:grace"}
    due_at = _seconds(answer.body["due_at"])
    assert due_at == pytest.approx(_seconds(answer.body["approved_at"]) + RESET_RULES.waiting)

    await ResetCases(store, RESET_RULES).settle(due_at + 1)
    done = await shown(desk, reset_id)
    assert (done["state"], done["closed_by"], done["closed_because"]) == (
        "done",
        "gateway",
        "the waiting time was over",
    )
    account = await desk.read("/v1/accounts/ada")
    assert (account.body["confirmed_factors"], account.body["must_enrol"]) == (0, True)


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


@pytest.mark.parametrize(("step", "state"), [("refuse", "refused"), ("abandon", "abandoned")])
@pytest.mark.parametrize("when", ["open", "waiting"])
@pytest.mark.parametrize("token", [GRACE, KATHERINE], ids=["the same operator", "another"])
async def test_a_case_is_closed_by_anybody_of_support(
    desk: Operators, store: Store, step: str, state: str, when: str, token: str
) -> None:
    reset_id = await begun(desk)
    if when == "waiting":
        await recorded(desk, reset_id)
        await post(desk, MARGARET, f"/{reset_id}/approve", reason="all fits")
    answer = await post(desk, token, f"/{reset_id}/{step}", reason="the photo is not of her")
    assert (answer.status, answer.body["state"]) == (200, state)
    assert answer.body["closed_because"] == "the photo is not of her"
    account = await store.accounts.find("ada")
    assert account is not None and (account.confirmed_factors, account.reset) == (1, None)
    for path in STEPS:
        body = {"item": "photo", "statement": "x"} if path == "evidence" else {"reason": "x"}
        assert refusal(await post(desk, KATHERINE, f"/{reset_id}/{path}", **body)) == (409, "reset-closed")
    assert await begun(desk) != reset_id, "and a new one can be opened"


# --- attacks


async def test_one_token_alone_gets_nowhere(desk: Operators) -> None:
    reset_id = await begun(desk)
    await recorded(desk, reset_id)
    assert refusal(await post(desk, GRACE, f"/{reset_id}/approve", reason="x")) == (403, "same-operator")
    assert (await shown(desk, reset_id))["state"] == "open"


@pytest.mark.parametrize("name", ["grace", "GRACE"])
async def test_another_token_of_the_same_operator_gets_nowhere(desk: Operators, name: str) -> None:
    reset_id = await begun(desk)
    await recorded(desk, reset_id)
    another = token_of(name, *Scope)
    assert another != GRACE
    assert refusal(await post(desk, another, f"/{reset_id}/approve", reason="x")) == (403, "same-operator")


async def test_whoever_recorded_evidence_does_not_approve(desk: Operators) -> None:
    reset_id = await begun(desk)
    await recorded(desk, reset_id)
    await post(desk, MARGARET, f"/{reset_id}/evidence", item="photo", statement="seen by me as well")
    assert refusal(await post(desk, MARGARET, f"/{reset_id}/approve", reason="x")) == (403, "same-operator")
    assert (await post(desk, KATHERINE, f"/{reset_id}/approve", reason="x")).status == 200


async def test_what_is_not_all_checked_is_not_approved(desk: Operators) -> None:
    reset_id = await begun(desk)
    await post(desk, GRACE, f"/{reset_id}/evidence", item="photo", statement="seen")
    answer = await post(desk, MARGARET, f"/{reset_id}/approve", reason="x")
    assert refusal(answer) == (409, "evidence-missing")
    assert answer.body["detail"] == "Not checked yet: full-name."


async def test_what_waits_is_neither_approved_again_nor_added_to(desk: Operators) -> None:
    reset_id = await begun(desk)
    await recorded(desk, reset_id)
    first = await post(desk, MARGARET, f"/{reset_id}/approve", reason="x")
    again = await post(desk, KATHERINE, f"/{reset_id}/approve", reason="x")
    more = await post(desk, GRACE, f"/{reset_id}/evidence", item="photo", statement="x")
    assert refusal(again) == refusal(more) == (409, "reset-not-open")
    assert (await shown(desk, reset_id))["due_at"] == first.body["due_at"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("POST", ""), ("GET", f"/{NOBODYS_ID}"), *(("POST", f"/{NOBODYS_ID}/{s}") for s in STEPS)],
)
async def test_it_takes_the_scope(desk: Operators, method: str, path: str) -> None:
    other = token_of("grace", Scope.READ, Scope.REVOKE)
    answer = await desk.call(method, f"/v1/resets{path}", other, json={} if method == "POST" else None)
    assert refusal(answer) == (403, "insufficient-scope")
    assert (await desk.call(method, f"/v1/resets{path}")).status == 401


# --- what cannot be opened, and what is not there


async def test_where_there_is_nothing_to_reset(desk: Operators, store: Store) -> None:
    await account_added(store, "bob")
    await enrolled(store, await signed_in(store, "eve"), "eve")
    await store.revocations.account("eve", reason="left", actor="cli:root", now=NOW, disable=True)
    for subject, told in (
        ("bob", (409, "not-resettable")),
        ("eve", (409, "not-resettable")),
        ("nobody", (404, "not-found")),
    ):
        answer = await post(desk, GRACE, "", subject=subject, reason="x")
        assert refusal(answer) == told
        assert answer.body["detail"]
    await begun(desk)
    assert refusal(await post(desk, MARGARET, "", subject="ada", reason="x")) == (409, "reset-live")


@pytest.mark.parametrize("reset_id", [NOBODYS_ID, "ff" + "0" * 30, "x", "00.Aa" + "b" * 38, "%00"])
async def test_a_case_that_is_not_there(desk: Operators, store: Store, reset_id: str) -> None:
    await begun(desk)
    assert (await desk.call("GET", f"/v1/resets/{reset_id}", GRACE)).status == 404
    for step in STEPS:
        body = {"item": "photo", "statement": "x"} if step == "evidence" else {"reason": "x"}
        assert refusal(await post(desk, MARGARET, f"/{reset_id}/{step}", **body)) == (404, "not-found")
    for entry in await store.audit.latest(""):
        assert reset_id not in repr(entry), "it might be a secret that somebody pasted there"


# --- bodies


SURPLUS, MISSING = "does not belong here", "is missing"
EMPTY, NO_TEXT, LONG = "must not be empty", "must be text", "must have at most 500 characters"
UNSEEN = "must be one line of visible text"


@pytest.mark.parametrize(
    ("path", "body", "faults"),
    [
        ("", {}, {"subject": MISSING, "reason": MISSING}),
        ("", {"subject": "", "reason": "", "id": 1}, {"subject": EMPTY, "reason": EMPTY, "id": SURPLUS}),
        ("", {"subject": "ada", "reason": "one\ntwo"}, {"reason": UNSEEN}),
        ("/evidence", {}, {"item": MISSING, "statement": MISSING}),
        ("/evidence", {"item": "photo", "statement": "x" * 501}, {"statement": LONG}),
        ("/evidence", {"item": "photo", "statement": "\u202egnp.exe"}, {"statement": UNSEEN}),
        ("/evidence", {"item": "photo", "statement": "data:\tx"}, {"statement": UNSEEN}),
        ("/evidence", {"item": 1, "statement": []}, {"item": NO_TEXT, "statement": NO_TEXT}),
        ("/evidence", {"item": "photo", "statement": "x", "file": "..."}, {"file": SURPLUS}),
        ("/evidence", {"item": "smile", "statement": "x"}, {"item": "must be 'full-name' or 'photo'"}),
        ("/approve", {}, {"reason": MISSING}),
        ("/refuse", {"reason": " "}, {"reason": UNSEEN}),
        ("/abandon", {"reason": 7, "why": "x"}, {"reason": NO_TEXT, "why": SURPLUS}),
    ],
)  # fmt: skip
async def test_every_fault_of_a_body_is_told(
    desk: Operators, path: str, body: dict[str, Any], faults: dict[str, str]
) -> None:
    reset_id = "" if path == "" else "/" + await begun(desk)
    answer = await post(desk, MARGARET, reset_id + path, **body)
    assert refusal(answer) == (422, "invalid-body")
    assert {fault["field"]: fault["message"] for fault in answer.body["faults"]} == faults


async def test_a_case_holds_so_many_statements(desk: Operators) -> None:
    reset_id = await begun(desk)
    for _ in range(MOST_STATEMENTS):
        assert (await post(desk, GRACE, f"/{reset_id}/evidence", item="photo", statement="x")).status == 200
    answer = await post(desk, GRACE, f"/{reset_id}/evidence", item="photo", statement="x")
    assert refusal(answer) == (409, "evidence-full")


# --- the list


async def test_cases_are_listed_by_state(desk: Operators, store: Store) -> None:
    await enrolled(store, await signed_in(store, "bob"), "bob")
    ada, bob = await begun(desk), await begun(desk, subject="bob")
    await post(desk, GRACE, f"/{bob}/refuse", reason="x")

    async def listed(query: str) -> set[str]:
        answer = await desk.call("GET", f"/v1/resets{query}", GRACE)
        assert answer.status == 200
        return {each["id"] for each in answer.body}

    assert await listed("") == {ada, bob}
    assert await listed("?state=open") == {ada}
    assert await listed("?state=refused&limit=1") == {bob}
    for state in set(ResetState) - {"open", "refused"}:
        assert await listed(f"?state={state}") == set()
    for query in ("?state=", "?state=closed", "?state=open&state=done", "?limit=0"):
        assert refusal(await desk.call("GET", f"/v1/resets{query}", GRACE)) == (400, "bad-request")


# --- on record


async def test_each_step_is_on_record_and_no_statement_is(
    desk: Operators, store: Store, valkey: Redis
) -> None:
    reset_id = await begun(desk)
    secret = "lives at 12 Elm Street"
    await post(desk, GRACE, f"/{reset_id}/evidence", item="full-name", statement=secret)
    await post(desk, GRACE, f"/{reset_id}/evidence", item="photo", statement=secret)
    await post(desk, GRACE, f"/{reset_id}/approve", reason="me again")
    await post(desk, MARGARET, f"/{reset_id}/approve", reason="all fits")
    await post(desk, MARGARET, f"/{reset_id}/refuse", reason="on second thoughts")
    another = await begun(desk, MARGARET)
    await post(desk, MARGARET, f"/{another}/abandon", reason="she found it")
    await shown(desk, another)
    entries = [each for each in await store.audit.latest("ada") if each.actor.startswith("operator")]
    assert [(each.event, each.actor, each.reason) for each in reversed(entries)] == [
        ("reset-opened", "operator:grace", f"{reset_id} ticket 4711"),
        ("reset-evidence", "operator:grace", f"{reset_id} full-name"),
        ("reset-evidence", "operator:grace", f"{reset_id} photo"),
        (
            "operator-refused",
            "operator:grace",
            f"POST /v1/resets/{{id}}/approve: same-operator (reset {reset_id})",
        ),
        ("reset-approved", "operator:margaret", f"{reset_id} all fits"),
        ("reset-refused", "operator:margaret", f"{reset_id} on second thoughts"),
        ("reset-opened", "operator:margaret", f"{another} ticket 4711"),
        ("reset-abandoned", "operator:margaret", f"{another} she found it"),
        ("reset-read", "operator:grace", another),
    ]
    assert {each.subject for each in entries} == {"ada"}
    assert all(each.token_id for each in entries)
    audit = repr((await contents(valkey))["ww:{s00}:audit"])
    assert secret not in audit


async def test_what_is_shown_is_what_the_case_has(desk: Operators) -> None:
    """Whatever a case gains shows only once somebody adds it to the view."""
    reset_id = await begun(desk)
    assert (await shown(desk, reset_id)).keys() == ResetView.model_fields.keys()
