"""The past that a customer has on their first visit: the same at every start.

`ada`, who is who `watchword demo` signs in, has lived with her account for months; everybody else
has just made a first deposit.
"""

from decimal import Decimal

from gateway.demo.ledger import Customer, Kind, Status
from gateway.demo.prices import DAY

_COLD_WALLET = "bc1q7x2cold4v8lt0northbank9example5ada"
_HARDWARE_WALLET = "0x52a7eXampLe00000000000000000000000ada1"

# (days ago, kind, asset, amount, party, USDC moved by a purchase or a sale, note)
_ADA = (
    ("84.31", Kind.DEPOSIT, "USDC", "25000", "Fjord Bank", "0", ""),
    ("84.12", Kind.PURCHASE, "BTC", "0.25", "Market order", "-15875.00", ""),
    ("79.55", Kind.PURCHASE, "ETH", "2", "Market order", "-6120.40", ""),
    ("71.08", Kind.DEPOSIT, "USDC", "12000", "Fjord Bank", "0", ""),
    ("70.92", Kind.PURCHASE, "SOL", "60", "Limit order", "-8640.00", ""),
    ("63.40", Kind.TRANSFER, "USDC", "-180", "grace", "0", "Concert tickets"),
    ("58.77", Kind.REWARD, "SOL", "0.3125", "Staking", "0", ""),
    ("52.16", Kind.DEPOSIT, "USDC", "18000", "Fjord Bank", "0", ""),
    ("51.98", Kind.PURCHASE, "BTC", "0.16", "Limit order", "-9968.00", ""),
    ("44.35", Kind.WITHDRAWAL, "USDC", "-1500", _HARDWARE_WALLET, "0", ""),
    ("40.61", Kind.SALE, "SOL", "-12", "Market order", "1834.80", ""),
    ("33.27", Kind.TRANSFER, "USDC", "420", "charles", "0", "Rent, my half"),
    ("28.77", Kind.REWARD, "SOL", "0.2988", "Staking", "0", ""),
    ("26.04", Kind.DEPOSIT, "USDC", "9500", "Fjord Bank", "0", ""),
    ("21.44", Kind.PURCHASE, "ETH", "1.35", "Limit order", "-4185.00", ""),
    ("17.83", Kind.WITHDRAWAL, "USDC", "-750.50", _COLD_WALLET, "0", ""),
    ("12.29", Kind.TRANSFER, "USDC", "-64.20", "grace", "0", "Dinner on Friday"),
    ("9.15", Kind.DEPOSIT, "USDC", "6000", "Fjord Bank", "0", ""),
    ("6.52", Kind.PURCHASE, "BTC", "0.04", "Market order", "-2596.40", ""),
    ("4.77", Kind.REWARD, "SOL", "0.3040", "Staking", "0", ""),
    ("3.38", Kind.TRANSFER, "USDC", "35", "grace", "0", "Book club"),
    ("1.21", Kind.WITHDRAWAL, "USDC", "-320", _HARDWARE_WALLET, "0", ""),
    ("0.34", Kind.DEPOSIT, "USDC", "2500", "Fjord Bank", "0", ""),
)
_NEWCOMER = (
    ("2.43", Kind.DEPOSIT, "USDC", "5000", "Bank transfer", "0", ""),
    ("2.41", Kind.PURCHASE, "BTC", "0.01", "Market order", "-641.20", ""),
)


def seed(customer: Customer, now: float) -> None:
    """Give a new customer a past that ends shortly before `now`."""
    for days_ago, kind, asset, amount, party, cash, note in _ADA if customer.subject == "ada" else _NEWCOMER:
        customer.record(
            kind,
            asset,
            Decimal(amount),
            party,
            at=now - float(days_ago) * DAY,
            status=Status.COMPLETED,
            cash=Decimal(cash),
            note=note,
        )
