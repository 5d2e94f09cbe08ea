"""The front page: what a customer holds, what it is worth, what happened last."""

from dataclasses import dataclass
from decimal import Decimal

from aiohttp import web

from gateway.demo.ledger import Customer
from gateway.demo.prices import ASSETS, DAY, Asset, Quote, price_at, quote
from gateway.demo.rendering import page
from gateway.demo.visit import visit_of

_CHART_DAYS = 30
_CHART_POINTS = 90
_SPARK_POINTS = 32


@dataclass(frozen=True, slots=True)
class Holding:
    """A balance with its price, its value, and its prices over the last day."""

    quote: Quote
    amount: Decimal
    value: Decimal
    day: list[float]


async def show(request: web.Request) -> web.Response:
    """`GET /`: the page."""
    visit = visit_of(request)
    holdings = [_holding(visit.customer, asset, visit.now) for asset in ASSETS.values()]
    yesterday = _worth(visit.customer, visit.now - DAY)
    total = _worth(visit.customer, visit.now)
    return page(
        visit,
        "overview.html",
        holdings=holdings,
        total=total,
        change=float(total / yesterday) - 1 if yesterday else 0.0,
        month=[
            float(_worth(visit.customer, visit.now - DAY * _CHART_DAYS * (1 - place / (_CHART_POINTS - 1))))
            for place in range(_CHART_POINTS)
        ],
        entries=visit.customer.latest(limit=10),
    )


async def balances(request: web.Request) -> web.Response:
    """`GET /api/balances`: amounts as text, so that nothing is rounded on the way."""
    visit = visit_of(request)
    return web.json_response(
        {"balances": {symbol: f"{visit.customer.balance(symbol):f}" for symbol in ASSETS}, "at": visit.now}
    )


def _holding(customer: Customer, asset: Asset, now: float) -> Holding:
    amount = customer.balance(asset.symbol)
    current = quote(asset, now)
    day = [
        float(price_at(asset, now - DAY + DAY * place / (_SPARK_POINTS - 1)))
        for place in range(_SPARK_POINTS)
    ]
    return Holding(current, amount, amount * current.price, day)


def _worth(customer: Customer, at: float) -> Decimal:
    """What the balances of today were worth at a time."""
    return sum(
        (customer.balance(asset.symbol) * price_at(asset, at) for asset in ASSETS.values()), Decimal(0)
    )
