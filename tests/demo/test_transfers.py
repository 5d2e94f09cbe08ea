import pytest
from aiohttp.test_utils import TestClient


async def test_a_transfer_is_answered_with_the_balance_left(ada: TestClient, grace: TestClient) -> None:
    await grace.get("/")
    response = await ada.post(
        "/api/transfers", json={"amount": "40.50", "address": "grace", "note": "Tea & cake"}
    )
    answer = await response.json()
    assert response.status == 201
    assert answer | {"id": "", "balance": ""} == {
        "id": "",
        "amount": "40.50",
        "asset": "USDC",
        "address": "grace",
        "note": "Tea & cake",
        "status": "completed",
        "created_at": "2025-10-09T08:53:20+00:00",
        "balance": "",
    }
    balances = (await (await ada.get("/api/balances")).json())["balances"]
    assert answer["balance"] == balances["USDC"]
    sent = await (await ada.get("/transfers")).text()
    assert "\u221240.50 USDC" in sent
    assert "Tea &amp; cake" in sent
    assert "+40.50 USDC" in await (await grace.get("/transfers")).text()


async def test_the_page_brings_its_script_and_its_dialog(ada: TestClient) -> None:
    html = await (await ada.get("/transfers")).text()
    assert '<script type="module" src="/static/transfers.js">' in html
    assert '<dialog id="approval"' in html
    assert 'autocomplete="one-time-code"' in html
    assert 'inputmode="numeric"' in html
    assert "Never share a code" in html


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({}, {"amount", "address"}),
        ({"amount": "0", "address": "grace"}, {"amount"}),
        ({"amount": "99999999", "address": "grace"}, {"amount"}),
        ({"amount": True, "address": "grace"}, {"amount"}),
        ({"amount": "1", "address": "no such place"}, {"address"}),
        ({"amount": "1", "address": "ada"}, {"address"}),
        ({"amount": "1", "address": "grace", "note": "x" * 81}, {"note"}),
    ],
)
async def test_a_wrong_transfer_says_what_is_wrong_and_moves_nothing(
    ada: TestClient, fields: dict[str, object], wrong: set[str]
) -> None:
    before = await (await ada.get("/api/balances")).json()
    response = await ada.post("/api/transfers", json=fields)
    assert (response.status, response.content_type) == (422, "application/problem+json")
    assert set((await response.json())["errors"]) == wrong
    assert await (await ada.get("/api/balances")).json() == before


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b"{", 400),
        ("application/json", b"[]", 400),
        ("text/plain", b'{"amount": "1", "address": "grace"}', 415),
        ("application/x-www-form-urlencoded", b"amount=1&address=grace", 415),
    ],
)
async def test_only_json_is_read(ada: TestClient, content_type: str, body: bytes, status: int) -> None:
    response = await ada.post("/api/transfers", data=body, headers={"Content-Type": content_type})
    assert (response.status, response.content_type) == (status, "application/problem+json")
