from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.demo.ledger import Customer, Exchange, InsufficientFunds, Kind, Status


def open_with_100(customer: Customer, now: float) -> None:
    customer.record(Kind.DEPOSIT, "USDC", Decimal(100), "Bank", at=now)


@pytest.fixture
def exchange() -> Exchange:
    return Exchange(open_with_100)


def test_a_customer_is_opened_once(exchange: Exchange) -> None:
    first = exchange.customer("ada", 1.0)
    assert exchange.customer("ada", 2.0) is first
    assert [entry.at for entry in first.entries] == [1.0]
    assert exchange.customer("Ada", 2.0) is not first


def test_a_withdrawal_leaves_the_balance_and_is_found_again(exchange: Exchange) -> None:
    ada = exchange.customer("ada", 1.0)
    entry = exchange.withdraw(ada, Decimal("30.5"), "bc1q", 2.0)
    assert ada.available == Decimal("69.5")
    assert (entry.amount, entry.party, entry.status, entry.at) == (
        Decimal("-30.5"),
        "bc1q",
        Status.PROCESSING,
        2.0,
    )
    assert ada.withdrawal(entry.id) == entry
    assert exchange.customer("grace", 1.0).withdrawal(entry.id) is None


def test_only_withdrawals_are_found_as_such(exchange: Exchange) -> None:
    ada = exchange.customer("ada", 1.0)
    assert ada.withdrawal(ada.entries[0].id) is None


def test_a_transfer_arrives_at_a_member_who_has_visited(exchange: Exchange) -> None:
    ada, grace = exchange.customer("ada", 1.0), exchange.customer("grace", 1.0)
    exchange.transfer(ada, Decimal(25), "grace", "Tea", 2.0)
    assert (ada.available, grace.available) == (75, 125)
    received = grace.latest(limit=1)[0]
    assert (received.kind, received.amount, received.party, received.note) == (
        Kind.TRANSFER,
        25,
        "ada",
        "Tea",
    )


def test_a_transfer_to_a_stranger_opens_no_account(exchange: Exchange) -> None:
    ada = exchange.customer("ada", 1.0)
    exchange.transfer(ada, Decimal(25), "stranger", "", 2.0)
    assert ada.available == 75
    assert exchange.customer("stranger", 3.0).available == 100


def test_a_purchase_moves_both_balances(exchange: Exchange) -> None:
    ada = exchange.customer("ada", 1.0)
    ada.record(Kind.PURCHASE, "BTC", Decimal("0.5"), "Market", at=2.0, cash=Decimal(-60))
    assert (ada.available, ada.balance("BTC")) == (40, Decimal("0.5"))


@pytest.mark.parametrize(
    ("asset", "amount", "cash"), [("USDC", "-100.01", "0"), ("BTC", "-0.1", "50"), ("BTC", "1", "-100.01")]
)
def test_what_is_not_there_cannot_leave(exchange: Exchange, asset: str, amount: str, cash: str) -> None:
    ada = exchange.customer("ada", 1.0)
    with pytest.raises(InsufficientFunds):
        ada.record(Kind.SALE, asset, Decimal(amount), "Market", at=2.0, cash=Decimal(cash))
    assert (ada.balances, len(ada.entries)) == ({"USDC": 100}, 1)


def test_the_latest_come_first_and_by_kind(exchange: Exchange) -> None:
    ada = exchange.customer("ada", 1.0)
    one, two = (exchange.withdraw(ada, Decimal(1), "bc1q", at) for at in (2.0, 3.0))
    exchange.transfer(ada, Decimal(1), "grace", "", 4.0)
    assert ada.latest(Kind.WITHDRAWAL, limit=9) == [two, one]
    assert [entry.at for entry in ada.latest(limit=2)] == [4.0, 3.0]


@given(st.lists(st.decimals("-50", "50", places=2).filter(bool), max_size=30))
def test_balances_are_the_sum_of_entries_and_ids_are_unique(amounts: list[Decimal]) -> None:
    customer = Customer("ada")
    for amount in amounts:
        try:
            customer.record(Kind.TRANSFER, "USDC", amount, "grace", at=0.0)
        except InsufficientFunds:
            assert customer.available + amount < 0
    assert customer.available == sum((entry.amount for entry in customer.entries), Decimal(0))
    assert len({entry.id for entry in customer.entries}) == len(customer.entries)
