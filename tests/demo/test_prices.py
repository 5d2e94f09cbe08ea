import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.demo.prices import ASSETS, CASH, DAY, Asset, price_at, quote, ticker_message

MOVING = [asset for asset in ASSETS.values() if asset.swing]


@given(st.sampled_from(MOVING), st.floats(0, 4e9))
def test_prices_stay_near_their_mean_in_whole_cents(asset: Asset, at: float) -> None:
    price = price_at(asset, at)
    assert 0.8 < float(price) / asset.mean < 1.2
    assert price == price.quantize(Decimal("0.01"))


@given(st.floats(0, 4e9))
def test_a_digital_dollar_is_a_dollar(at: float) -> None:
    assert quote(CASH, at) == quote(CASH, 0)
    assert (quote(CASH, at).price, quote(CASH, at).change) == (1, 0)


@pytest.mark.parametrize("asset", MOVING, ids=lambda asset: asset.symbol)
def test_a_ticker_ticks(asset: Asset, now: float) -> None:
    assert len({price_at(asset, now + second) for second in range(10)}) > 5


def test_a_change_is_over_a_day(now: float) -> None:
    bitcoin = ASSETS["BTC"]
    expected = price_at(bitcoin, now) / price_at(bitcoin, now - DAY) - 1
    assert quote(bitcoin, now).change == pytest.approx(float(expected))


def test_the_ticker_names_every_asset(now: float) -> None:
    message = json.loads(ticker_message(now))
    assert (message["type"], message["at"]) == ("prices", now)
    assert [one["symbol"] for one in message["prices"]] == list(ASSETS)
    assert message["prices"][0]["price"] == float(price_at(ASSETS["BTC"], now))
