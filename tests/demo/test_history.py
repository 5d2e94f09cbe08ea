from decimal import Decimal

import pytest

from gateway.demo.history import seed
from gateway.demo.ledger import Customer, Kind


def seeded(subject: str, now: float) -> Customer:
    customer = Customer(subject)
    seed(customer, now)
    return customer


@pytest.mark.parametrize("subject", ["ada", "grace"])
def test_a_past_is_the_same_at_every_start(subject: str, now: float) -> None:
    assert seeded(subject, now) == seeded(subject, now)


@pytest.mark.parametrize("subject", ["ada", "grace"])
def test_a_past_is_in_order_and_over(subject: str, now: float) -> None:
    times = [entry.at for entry in seeded(subject, now).entries]
    assert times == sorted(times)
    assert times[-1] < now


def test_ada_has_lived_with_her_account(now: float) -> None:
    ada = seeded("ada", now)
    assert {entry.kind for entry in ada.entries} == set(Kind)
    assert len(ada.entries) > 20
    assert ada.available > 10_000


def test_a_newcomer_has_a_first_deposit(now: float) -> None:
    assert seeded("grace", now).available == Decimal("4358.80")
