"""The table says what the histories do."""

from bench.faults.history import History, Request, Revocation, Session
from bench.faults.table import markdown, plain, row_of

SESSION = Session("a1", "ada", "laptop", 0.0, 1.0)
CONFIRMED = Revocation("order-1", "session", "a1", None, 0, 10.0, 11.0, 200, confirmed=11.0, known_as="r1")
PENDING = Revocation("order-2", "account", None, "bob", 0, 10.0, 11.0, 202, confirmed=12.0, known_as="r2")


def test_runs_are_counted_together() -> None:
    requests = [
        Request("a1", 0, began, began + 0.5, status, reached=status == 200)
        for began, status in [(2.0, 200), (3.0, 503), (6.0, 200), (12.0, 200)]
    ]
    one = History("cut", 1, 1, [SESSION], requests, [CONFIRMED, PENDING])
    row = row_of("cut", [one, one])
    assert row.cells() == ("cut", "2", "4", "4", "2", "8", "2", "2", "6.0 s")
    assert markdown([row]).splitlines()[2] == "| cut | 2 | 4 | 4 | 2 | 8 | 2 | 2 | 6.0 s |"
    assert plain([row]).splitlines()[1].split() == list(" ".join(row.cells()).split())
