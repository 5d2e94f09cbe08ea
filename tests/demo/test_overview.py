from decimal import Decimal

from aiohttp.test_utils import TestClient

from gateway.demo.formats import money, percent
from gateway.demo.prices import ASSETS, DAY, price_at


async def test_the_front_page_shows_what_the_balances_are_worth(ada: TestClient, now: float) -> None:
    balances = (await (await ada.get("/api/balances")).json())["balances"]
    total = sum(Decimal(balances[asset.symbol]) * price_at(asset, now) for asset in ASSETS.values())
    yesterday = sum(Decimal(balances[asset.symbol]) * price_at(asset, now - DAY) for asset in ASSETS.values())
    html = await (await ada.get("/")).text()
    assert f"{percent(float(total / yesterday) - 1)} <" in html
    assert f"data-total>{money(total)}<" in html
    assert "Hello, Ada Lovelace" in html
    for asset in ASSETS.values():
        assert f'data-symbol="{asset.symbol}" data-amount="{balances[asset.symbol]}"' in html


async def test_the_front_page_shows_the_latest_entries(ada: TestClient) -> None:
    await ada.post("/withdrawals", json={"amount": "12.34", "address": "bc1qlatest"})
    html = await (await ada.get("/")).text()
    assert "\u221212.34 USDC" in html
    assert html.count('class="entry"') == 10


async def test_balances_are_exact_and_fall(ada: TestClient) -> None:
    async def available() -> Decimal:
        return Decimal((await (await ada.get("/api/balances")).json())["balances"]["USDC"])

    before = await available()
    await ada.post("/withdrawals", json={"amount": "0.000001", "address": "bc1qexact"})
    assert await available() == before - Decimal("0.000001")


async def test_everybody_has_balances_of_their_own(ada: TestClient, grace: TestClient) -> None:
    await ada.post("/withdrawals", json={"amount": "100", "address": "bc1qada"})
    balances = (await (await grace.get("/api/balances")).json())["balances"]
    assert balances == {"BTC": "0.01", "ETH": "0", "SOL": "0", "USDC": "4358.80"}
