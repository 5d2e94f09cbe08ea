"""The judge finds what must not be in a history, and nothing else. Each story has one planted violation."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bench.faults.history import History, Loss, Request, Revocation, Session, load
from bench.faults.judge import judge, late, outage

ADA = Session("a1", "ada", "laptop", asked=0.0, began=1.0)
ADA_LATER = Session("a2", "ada", "phone", asked=20.0, began=21.0)
BOB = Session("b1", "bob", "tablet", asked=0.0, began=1.0)
ORDER = Revocation("order-1", "session", "a1", None, 0, 10.0, 11.0, 200, confirmed=11.0, known_as="r1")


def asked(session: str, began: float, status: int, *, gateway: int = 0, **more: bool) -> Request:
    return Request(session, gateway, began, began + 0.1, status, **{"reached": status == 200, **more})


LAST = [asked("b1", 90.0, 200, gateway=gateway, last=True) for gateway in (0, 1)]


def history(
    *requests: Request, orders: Sequence[Revocation] = (ORDER,), losses: Sequence[Loss] = ()
) -> History:
    return History("planted", 1, 2, [ADA, ADA_LATER, BOB], [*requests, *LAST], list(orders), list(losses))


def rules(found: History) -> list[str]:
    return [violation.rule for violation in judge(found)]


def test_a_history_as_it_should_be_has_no_violation() -> None:
    found = history(
        asked("a1", 5.0, 200),
        asked("a1", 10.5, 200),  # under way: either answer is right
        asked("a1", 10.6, 401),
        asked("a1", 11.1, 401),
        asked("a1", 12.0, 503),
        asked("a2", 30.0, 200),
        asked("b1", 30.0, 0),
    )
    assert judge(found) == []
    assert late(found) == 0


@pytest.mark.parametrize(
    "order",
    [
        ORDER,
        replace(ORDER, scope="device", id="laptop"),
        replace(ORDER, scope="account", id=None, subject="ada"),
        replace(ORDER, scope="everybody", id=None),
        replace(ORDER, status=202, answered=10.1),  # pending at first, and then confirmed
    ],
    ids=lambda order: f"{order.scope} {order.status}",
)
def test_what_is_accepted_after_its_confirmed_end_is_found(order: Revocation) -> None:
    found = replace(history(asked("a1", 11.001, 200), orders=[order]), requests=[asked("a1", 11.001, 200)])
    assert "accepted after confirmed" in rules(found)
    assert late(found) == 1


def test_what_the_app_saw_counts_though_no_answer_came_back() -> None:
    assert rules(history(asked("a1", 11.001, 0, reached=True))) == ["accepted after confirmed"]


def test_what_began_before_the_answer_may_be_accepted_after_it() -> None:
    slow = replace(asked("a1", 10.999, 200), ended=15.0)
    assert rules(history(slow)) == []


@pytest.mark.parametrize(
    ("order", "session"),
    [
        (ORDER, "b1"),
        (replace(ORDER, scope="account", id=None, subject="ada"), "a2"),  # it began afterwards
        (replace(ORDER, status=202, confirmed=None), "a1"),
        (replace(ORDER, status=404, confirmed=None, known_as=None), "a1"),
    ],
    ids=["another's", "a later one", "pending", "nothing of the kind"],
)
def test_what_was_not_confirmed_to_have_ended_may_be_accepted(order: Revocation, session: str) -> None:
    assert "accepted after confirmed" not in rules(history(asked(session, 30.0, 200), orders=[order]))


def test_who_is_signed_out_without_a_revocation_is_found() -> None:
    assert rules(history(asked("b1", 30.0, 401))) == ["signed out"]
    assert rules(history(asked("a1", 9.0, 401))) == ["signed out"]
    assert rules(history(asked("a2", 30.0, 401))) == ["signed out"]


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (Loss(since=0.0, until=5.0), []),
        (Loss(since=20.5, until=40.0), ["signed out"]),  # it began before, and had its answer
    ],
)
def test_a_store_that_lost_data_signs_out_whom_it_lost(loss: Loss, expected: list[str]) -> None:
    assert rules(history(asked("b1", 30.0, 401), losses=[loss])) == expected


def test_a_revocation_that_holds_does_so_whatever_the_store_lost() -> None:
    found = history(asked("a1", 50.0, 200), losses=[Loss(since=0.0, until=60.0)])
    assert rules(found) == ["accepted after confirmed"]


def test_what_is_pending_to_the_end_is_found_unless_the_store_lost_it() -> None:
    order = replace(ORDER, status=202, confirmed=None)
    assert rules(history(orders=[order])) == ["never confirmed"]
    assert rules(history(orders=[order], losses=[Loss(since=0.0, until=60.0)])) == []


def test_one_that_got_no_answer_has_to_be_confirmed_only_where_it_was_taken() -> None:
    order = replace(ORDER, status=0, confirmed=None, known_as=None)
    assert rules(history(orders=[order])) == []
    assert rules(history(orders=[replace(order, known_as="r1")])) == ["never confirmed"]


def test_who_is_not_let_in_again_afterwards_is_found() -> None:
    assert rules(history(asked("b1", 95.0, 503, last=True))) == ["not restored", "not restored"]
    assert rules(history(asked("a1", 95.0, 401, last=True))) == []
    only_one = replace(history(), requests=LAST[:1])
    assert [violation.what for violation in judge(only_one)] == ["gateway 1 accepts nobody"]


def test_answers_that_nobody_expects_are_found() -> None:
    assert rules(history(asked("b1", 30.0, 500))) == ["unexpected answer"]
    assert rules(history(orders=[replace(ORDER, status=500, confirmed=None, known_as=None)])) == [
        "unexpected answer"
    ]


def test_the_outage_is_the_longest_time_without_an_answer_of_the_app() -> None:
    found = replace(history(), requests=[asked("b1", at, status) for at, status in OUTAGE])
    assert outage(found) == pytest.approx(7.0)


OUTAGE = [(1.0, 200), (2.0, 503), (5.0, 503), (8.0, 200), (9.0, 200)]


def test_a_history_is_the_same_from_its_file(tmp_path: Path) -> None:
    found = history(asked("a1", 11.5, 200), losses=[Loss(0.0, 1.0)])
    found.save(tmp_path / "history.json")
    assert load(tmp_path / "history.json") == found
