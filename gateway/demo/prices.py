"""A made-up market: prices are a pure function of time, so every page, socket and test agrees.

All prices are in USDC. Times are Unix seconds.
"""

import json
import math
from dataclasses import dataclass
from decimal import Decimal

DAY = 86_400.0
_CENT = Decimal("0.01")

# Periods in seconds and depths: slow swings for the charts, quick ones so that the ticker ticks. The
# periods share no factor, so the market does not visibly repeat itself.
_WAVES = (
    (1_468_800.0, 0.050),
    (262_000.0, 0.022),
    (97_300.0, 0.011),
    (23_900.0, 0.005),
    (5_300.0, 0.002),
    (611.0, 0.0007),
    (47.0, 0.0003),
    (7.3, 0.00012),
)


@dataclass(frozen=True, slots=True)
class Asset:
    """Something to hold. `phase` shifts its waves; a `swing` of 0 never moves."""

    symbol: str
    name: str
    mean: float
    phase: float
    swing: float


CASH = Asset("USDC", "Digital dollar", 1.0, 0.0, 0.0)
ASSETS = {
    asset.symbol: asset
    for asset in (
        Asset("BTC", "Bitcoin", 64_200.0, 0.7, 1.0),
        Asset("ETH", "Ethereum", 3_140.0, 1.9, 1.3),
        Asset("SOL", "Solana", 148.0, 3.1, 1.8),
        CASH,
    )
}


@dataclass(frozen=True, slots=True)
class Quote:
    """A price now, and its change over a day as a fraction (0.01 is one per cent)."""

    asset: Asset
    price: Decimal
    change: float


def price_at(asset: Asset, at: float) -> Decimal:
    """The price at a time, in whole cents."""
    waves = (
        depth * math.sin(math.tau * at / period + asset.phase * (place + 1))
        for place, (period, depth) in enumerate(_WAVES)
    )
    return Decimal(asset.mean * (1 + asset.swing * sum(waves))).quantize(_CENT)


def quote(asset: Asset, at: float) -> Quote:
    price = price_at(asset, at)
    return Quote(asset, price, float(price / price_at(asset, at - DAY)) - 1)


def ticker_message(at: float) -> str:
    """What the ticker says at a time: JSON, with prices and changes as numbers for scripts."""
    quotes = [quote(asset, at) for asset in ASSETS.values()]
    prices = [
        {"symbol": one.asset.symbol, "price": float(one.price), "change": round(one.change, 6)}
        for one in quotes
    ]
    return json.dumps({"type": "prices", "at": at, "prices": prices}, separators=(",", ":"))
