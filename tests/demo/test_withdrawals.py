import re

import pytest
from aiohttp.test_utils import TestClient

ADDRESS = "bc1qexample00000000000000000000ada"


async def available(client: TestClient) -> str:
    return (await (await client.get("/api/balances")).json())["balances"]["USDC"]


async def test_a_form_is_answered_with_the_confirmation_itself(ada: TestClient) -> None:
    before = await available(ada)
    response = await ada.post(
        "/withdrawals", data={"amount": "250", "address": ADDRESS}, allow_redirects=False
    )
    html = await response.text()
    assert response.status == 200
    assert "Withdrawal on its way" in html
    assert ADDRESS in html
    assert float(await available(ada)) == float(before) - 250
    reference = re.search(r'href="(/withdrawals/W\d+)"', html)[1]
    again = await (await ada.get(reference)).text()
    assert ADDRESS in again
    assert "on its way" not in again


async def test_a_reload_of_the_address_is_the_form_with_the_list(ada: TestClient) -> None:
    await ada.post("/withdrawals", data={"amount": "250", "address": ADDRESS})
    html = await (await ada.get("/withdrawals")).text()
    assert '<form method="post" action="/withdrawals">' in html
    assert "\u2212250.00 USDC" in html
    assert "bc1qex…0ada" in html
    assert float(await available(ada)) == 24_840.30


@pytest.mark.parametrize("amount", ["0.10", 0.1, 7, "7.000"])
async def test_json_is_answered_with_the_withdrawal(ada: TestClient, amount: str | float) -> None:
    response = await ada.post("/withdrawals", json={"amount": amount, "address": ADDRESS})
    answer = await response.json()
    assert response.status == 201
    assert response.headers["Location"] == f"/withdrawals/{answer['id']}"
    assert answer | {"id": ""} == {
        "id": "",
        "amount": str(amount),
        "asset": "USDC",
        "address": ADDRESS,
        "status": "processing",
        "created_at": "2025-10-09T08:53:20+00:00",
    }


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({}, {"amount", "address"}),
        ({"amount": "-1", "address": ADDRESS}, {"amount"}),
        ({"amount": "99999999", "address": ADDRESS}, {"amount"}),
        ({"amount": "1", "address": "a b"}, {"address"}),
    ],
)
async def test_what_is_wrong_is_named_and_nothing_leaves(
    ada: TestClient, fields: dict[str, object], wrong: set[str]
) -> None:
    before = await available(ada)
    as_json = await ada.post("/withdrawals", json=fields)
    assert (as_json.status, as_json.content_type) == (422, "application/problem+json")
    errors = (await as_json.json())["errors"]
    assert set(errors) == wrong
    as_form = await ada.post("/withdrawals", data=fields)
    html = await as_form.text()
    assert (as_form.status, as_form.content_type) == (422, "text/html")
    assert html.count("aria-invalid") == len(wrong)
    for name, message in errors.items():
        assert f'id="{name}-help">{message}' in html
    for value in fields.values():
        assert f'value="{value}"' in html
    assert await available(ada) == before


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"{"),
        ("application/x-www-form-urlencoded", b"amount=1&address=\xff"),
        ("application/x-www-form-urlencoded; charset=nonsense", b"amount=1"),
        ("multipart/form-data", b"amount=1"),
        ("multipart/form-data; boundary=x", b"no boundary"),
    ],
)
async def test_a_broken_body_is_a_problem(ada: TestClient, content_type: str, body: bytes) -> None:
    response = await ada.post("/withdrawals", data=body, headers={"Content-Type": content_type})
    assert (response.status, (await response.json())["detail"]) == (
        400,
        "The body is not what its Content-Type says.",
    )


async def test_the_balance_is_the_limit(grace: TestClient) -> None:
    for status in (201, 422):
        response = await grace.post("/withdrawals", json={"amount": "4358.80", "address": ADDRESS})
        assert response.status == status
    assert await available(grace) == "0.00"


async def test_a_newcomer_has_no_list_and_nobody_sees_anothers(ada: TestClient, grace: TestClient) -> None:
    created = await (await ada.post("/withdrawals", json={"amount": "1", "address": ADDRESS})).json()
    assert "None yet." in await (await grace.get("/withdrawals")).text()
    assert (await grace.get(f"/withdrawals/{created['id']}")).status == 404
