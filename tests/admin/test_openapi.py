"""The description is true: every address is in it and nothing else, and every answer is as it says."""

import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from support.operators import Answer, Operators, token_of
from support.store import LIKE_OURS, NOW, enrolled, opened_store, running_server, signed_in

from gateway.admin.endpoints import DEVICES, ENDPOINTS, PROBES, RESETS
from gateway.admin.openapi import describe
from gateway.admin.tokens import Scope
from gateway.core.ending import Scope as RevocationScope
from gateway.store.opening import Store
from gateway.store.orders import Order
from gateway.store.standing import NodeOptions

DOCUMENT = describe((*ENDPOINTS, *DEVICES, *RESETS), PROBES)
ALL = token_of("grace", *Scope)
ACCOUNT_PARTS = ("", "/sessions", "/devices", "/factors", "/activity")
ACCOUNT = "/v1/accounts/{subject}"
REVOCATIONS = "/v1/revocations"
DEVICE = "/v1/devices/{id}"
DEVICE_ORDERS = {
    "authorise": {"reason": "a drill"},
    "rename": {"name": "Work laptop", "reason": "a drill"},
}
RESETS_PATH, RESET = "/v1/resets", "/v1/resets/{id}"
RESET_CALLS = [(endpoint.method, endpoint.path) for endpoint in RESETS]
ACCOUNT_ORDERS = {
    "/v1/accounts/{subject}/unlock-codes": {"reason": "a drill"},
    "/v1/accounts/{subject}/password": {"reason": "a drill", "password": "correct horse"},
}
CLOSING = ("approve", "refuse", "abandon")
UNKNOWN = "00" + "f" * 30

Told = set[tuple[str, str, int]]
"""A path, a method, a status."""


def described() -> Iterator[tuple[str, str, int, str, dict[str, Any]]]:
    """Each answer that the document knows: its path, method, status, media type and schema."""
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            for status, response in operation["responses"].items():
                for media, content in response["content"].items():
                    yield path, method.upper(), int(status), media, content["schema"]


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    """References lead into the document."""
    return Draft202012Validator(
        {**schema, "components": DOCUMENT["components"]}, format_checker=FormatChecker()
    )


def check(path: str, method: str, answer: Answer) -> tuple[str, str, int]:
    """Hold an answer against the document."""
    (found,) = [
        (media, schema)
        for described_path, described_method, status, media, schema in described()
        if (described_path, described_method, status) == (path, method, answer.status)
    ]
    media, schema = found
    assert answer.headers["Content-Type"].partition(";")[0] == media
    if media.endswith("json"):
        validator(schema).validate(answer.body)
    return path, method, answer.status


async def answers_of_a_working_store(operators: Operators, store: Store) -> Told:
    session = await signed_in(store)
    await enrolled(store, session)
    told: Told = set()

    async def get(path: str, url: str, token: str | None = ALL) -> None:
        told.add(check(path, "GET", await operators.call("GET", url, token)))

    async def revoke(token: str | None = ALL, **options: Any) -> None:
        told.add(check(REVOCATIONS, "POST", await operators.call("POST", REVOCATIONS, token, **options)))

    for part in ACCOUNT_PARTS:
        for subject in ("ada", "nobody"):
            await get(ACCOUNT + part, f"/v1/accounts/{subject}{part}")
        await get(ACCOUNT + part, f"/v1/accounts/ada{part}", None)
        await get(ACCOUNT + part, f"/v1/accounts/ada{part}", token_of("grace", Scope.REVOKE))
    too_large = {"data": b" " * 70_000, "headers": [("Content-Type", "application/json")]}
    for path, order in ACCOUNT_ORDERS.items():
        for subject, token, options in (
            ("ada", ALL, {"json": order}),
            ("nobody", ALL, {"json": order}),
            ("ada", ALL, {"json": {}}),
            ("ada", ALL, too_large),
            ("ada", None, {"json": order}),
            ("ada", token_of("grace", Scope.READ, Scope.REVOKE), {"json": order}),
        ):
            answer = await operators.call("POST", path.replace("{subject}", subject), token, **options)
            told.add(check(path, "POST", answer))
    told |= await answers_about_a_device(operators, store.devices.id_for("ada", "laptop"))
    order = {"scope": "session", "id": session.session_id, "reason": "a drill"}
    for _ in ("there", "gone"):
        await revoke(json=order)
    await revoke(json={"scope": "everybody", "reason": "a drill"})
    await revoke(json={"else": 1})
    await revoke(**too_large)
    made = (await operators.read(REVOCATIONS)).body[0]["id"]
    store.promises._journal.begin(Order("0" * 32, RevocationScope.ACCOUNT, None, "ada", "x", "cli:x", NOW))
    for revocation_id in (made, "0" * 32, UNKNOWN):
        await get(f"{REVOCATIONS}/{{id}}", f"{REVOCATIONS}/{revocation_id}")
    for token in (None, token_of("grace", Scope.READ)):
        await get(f"{REVOCATIONS}/{{id}}", f"{REVOCATIONS}/{made}", token)
        await revoke(token, json=order)
        await get(REVOCATIONS, REVOCATIONS, token)
    await get(REVOCATIONS, f"{REVOCATIONS}?limit=0")
    await get(f"{ACCOUNT}/activity", "/v1/accounts/ada/activity?limit=0")
    await get(REVOCATIONS, REVOCATIONS, token_of("grace", Scope.REVOKE))
    await get(ACCOUNT + "/sessions", "/v1/accounts/ada/sessions")  # now with dead ones
    for probe in PROBES:
        await get(probe.path, probe.path, None)
    return told


async def answers_about_a_device(operators: Operators, device_id: str) -> Told:
    told: Told = set()
    for name, order in DEVICE_ORDERS.items():
        path = f"{DEVICE}/{name}"

        async def order_by(
            token: str | None, device: str = device_id, path: str = path, **options: Any
        ) -> None:
            answer = await operators.call("POST", path.replace("{id}", device), token, **options)
            told.add(check(path, "POST", answer))

        for token in (ALL, None, token_of("grace", Scope.REVOKE)):
            await order_by(token, json=order)
        await order_by(ALL, "0" * 32, json=order)
        await order_by(ALL, json={"else": 1})
        await order_by(ALL, data=b" " * 70_000, headers=[("Content-Type", "application/json")])
    return told


async def answers_about_resets(operators: Operators, store: Store) -> Told:
    await enrolled(store, await signed_in(store, "eve"), "eve")
    told: Told = set()

    async def call(method: str, path: str, reset_id: str, token: str | None = ALL, **options: Any) -> Answer:
        answer = await operators.call(method, path.replace("{id}", reset_id), token, **options)
        told.add(check(path, method, answer))
        return answer

    order = {"subject": "eve", "reason": "a drill"}
    opened = await call("POST", RESETS_PATH, "", json=order)
    await call("POST", RESETS_PATH, "", json=order)
    await call("POST", RESETS_PATH, "", json={**order, "subject": "nobody"})
    for query in ("", "?state=nowhere"):
        answer = await operators.call("GET", f"{RESETS_PATH}{query}", ALL)
        told.add(check(RESETS_PATH, "GET", answer))
    for reset_id in (opened.body["id"], UNKNOWN):
        await call("GET", RESET, reset_id)
    bodies = {"evidence": {"item": "photo", "statement": "x"}, **{step: {"reason": "x"} for step in CLOSING}}
    for step, body in bodies.items():
        await call("POST", f"{RESET}/{step}", UNKNOWN, json=body)
        await call("POST", f"{RESET}/{step}", opened.body["id"], json=body)
    for step, body in bodies.items():  # by now it is closed
        await call("POST", f"{RESET}/{step}", opened.body["id"], json=body)
    another = await call("POST", RESETS_PATH, "", json=order)
    for item in another.body["checklist"]:
        await call("POST", f"{RESET}/evidence", another.body["id"], json={"item": item, "statement": "x"})
    approving = token_of("margaret", Scope.RESET)
    await call("POST", f"{RESET}/approve", another.body["id"], approving, json={"reason": "x"})
    await call("POST", f"{RESET}/abandon", another.body["id"], json={"reason": "x"})
    for method, path in RESET_CALLS:
        for token in (None, token_of("grace", Scope.READ)):
            await call(method, path, UNKNOWN, token)
        if method == "POST":
            await call(method, path, UNKNOWN, json={"else": 1})
            await call(
                method, path, UNKNOWN, data=b" " * 70_000, headers=[("Content-Type", "application/json")]
            )
    return told


async def answers_without_replicas(operators: Operators, store: Store) -> Told:
    """A password is set, and nobody knows yet whether that outlives the server."""
    alone, store.promises._options = store.promises._options, NodeOptions(replicas=1, acknowledge=1)
    path = f"{ACCOUNT}/password"
    answer = await operators.call("POST", path.replace("{subject}", "ada"), ALL, json=ACCOUNT_ORDERS[path])
    store.promises._options = alone
    assert answer.headers["Location"].startswith("/v1/revocations/")
    return {check(path, "POST", answer)}


async def answers_without_a_store(operators: Operators) -> Told:
    told = set()
    for method, path in RESET_CALLS:
        body = {"item": "photo", "statement": "x"} if path.endswith("evidence") else {"reason": "x"}
        order = body if path != RESETS_PATH else {"subject": "ada", "reason": "x"}
        answer = await operators.call(
            method, path.replace("{id}", UNKNOWN), ALL, json=order if method == "POST" else None
        )
        told.add(check(path, method, answer))
    for path in [ACCOUNT + part for part in ACCOUNT_PARTS] + [
        REVOCATIONS,
        f"{REVOCATIONS}/{{id}}",
        "/readyz",
    ]:
        answer = await operators.call("GET", path.replace("{subject}", "ada").replace("{id}", UNKNOWN), ALL)
        told.add(check(path, "GET", answer))
    orders = {f"{DEVICE}/{name}": order for name, order in DEVICE_ORDERS.items()}
    orders[REVOCATIONS] = {"scope": "everybody", "reason": "a drill"}
    orders |= ACCOUNT_ORDERS
    for path, order in orders.items():
        address = path.replace("{id}", "0" * 32).replace("{subject}", "ada")
        for body in (order, {}):  # a revocation is promised; what is wrong with one cannot be put on record
            answer = await operators.call("POST", address, ALL, json=body)
            told.add(check(path, "POST", answer))
    return told


async def test_every_answer_is_described_and_every_description_is_answered(
    operators: Operators,
    store: Store,
    start_operators: Callable[[Store], Awaitable[Operators]],
    short_path: Path,
) -> None:
    told = await answers_of_a_working_store(operators, store)
    told |= await answers_about_resets(operators, store)
    told |= await answers_without_replicas(operators, store)
    with running_server(short_path, *LIKE_OURS) as server:
        doomed = await opened_store(server.url)
    told |= await answers_without_a_store(await start_operators(doomed))
    await doomed.close()
    assert told == {(path, method, status) for path, method, status, _, _ in described()}


async def test_every_route_is_described_and_nothing_else(operators: Operators) -> None:
    routes = {
        (route.resource.canonical, route.method)
        for route in operators.client.app.router.routes()
        if route.resource is not None
    }
    operations = {(path, method) for path, method, *_ in described()}
    heads = {(path, "HEAD") for path, method in operations if method == "GET"}  # RFC 9110 section 9.3.2
    assert routes == operations | heads


async def test_the_document_is_served_to_everybody(operators: Operators) -> None:
    answer = await operators.call("GET", "/openapi.json")
    assert answer.body == json.loads(json.dumps(DOCUMENT))
    assert answer.body["openapi"] == "3.1.0"


def test_every_schema_is_one() -> None:
    """Draft 2020-12 is the dialect of OpenAPI 3.1."""
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_every_reference_leads_somewhere() -> None:
    text = json.dumps(DOCUMENT)
    used = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert used == DOCUMENT["components"]["schemas"].keys()


def test_every_operation_has_its_own_name_and_its_scope() -> None:
    operations = [each for path in DOCUMENT["paths"].values() for each in path.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    scopes = {operation["operationId"]: operation["security"] for operation in operations}
    assert scopes == {
        **{name: [{"operator": ["read"]}] for name in ("account", "sessions", "devices", "factors")},
        **{name: [{"operator": ["reset"]}] for name in ("unlock_codes", "set_password")},
        **{name: [{"operator": ["read"]}] for name in ("activity", "revocations")},
        **{name: [{"operator": ["revoke"]}] for name in ("revoke", "revocation")},
        **{name: [{"operator": ["reset"]}] for name in ("authorise_device", "rename_device")},
        **{name: [{"operator": ["reset"]}] for name in ("open_reset", "resets", "reset", "record_evidence")},
        **{f"{step}_reset": [{"operator": ["reset"]}] for step in CLOSING},
        **{name: [] for name in ("healthz", "readyz", "metrics", "openapi")},
    }


ORDER = validator(
    DOCUMENT["paths"][REVOCATIONS]["post"]["requestBody"]["content"]["application/json"]["schema"]
)


@pytest.mark.parametrize(
    "order",
    [
        {"scope": "everybody", "reason": "x"},
        {"scope": "account", "subject": "ada", "reason": "x"},
        {"scope": "account", "subject": "a" * 129, "reason": "x"},
        {"scope": "session", "id": "00" + "a" * 30, "reason": "x"},
        {"scope": "session", "id": "00", "reason": "x"},
        {"scope": "device", "subject": "ada", "reason": "x"},
        {"scope": "device", "id": "00" + "a" * 30, "subject": "ada", "reason": "x"},
        {"scope": "everybody", "reason": ""},
        {"scope": "everybody", "reason": "x" * 501},
        {"scope": "everybody", "reason": 1},
        {"scope": "everybody"},
        {"scope": "planet", "reason": "x"},
        {},
    ],
)
async def test_an_order_is_taken_as_described(operators: Operators, order: dict[str, Any]) -> None:
    answer = await operators.call("POST", REVOCATIONS, ALL, json=order)
    assert ORDER.is_valid(order) == (answer.status != 422)


@pytest.mark.parametrize("limit", [-1, 0, 1, 1000, 1001])
async def test_a_limit_is_taken_as_described(operators: Operators, limit: int) -> None:
    (parameter,) = DOCUMENT["paths"][REVOCATIONS]["get"]["parameters"]
    answer = await operators.read(f"{REVOCATIONS}?{parameter['name']}={limit}")
    assert validator(parameter["schema"]).is_valid(limit) == (answer.status == 200)
