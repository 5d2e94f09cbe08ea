import inspect

import pytest

from gateway import errors
from gateway.errors import Fault, Faulty, StoreUnavailable, UpstreamFailed, UpstreamFault, WatchwordError

RAISED = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)]


@pytest.mark.parametrize("kind", RAISED)
def test_every_error_has_the_one_root(kind: type[Exception]) -> None:
    assert issubclass(kind, WatchwordError)


def test_a_store_that_does_not_answer_is_taken_for_nothing_else() -> None:
    """Who catches what is wrong with a request, a body or a seal must not catch "cannot tell" with it."""
    assert {kind for kind in RAISED if issubclass(StoreUnavailable, kind)} == {
        StoreUnavailable,
        WatchwordError,
    }


def test_a_fault_is_written_as_editors_read_it() -> None:
    assert str(Fault("exchange.yaml", 3, 7, "unknown key")) == "exchange.yaml:3:7: unknown key"


def test_all_faults_are_told_in_the_order_of_the_files() -> None:
    one, two, ten = Fault("a.yaml", 2, 1, "x"), Fault("a.yaml", 10, 1, "x"), Fault("b.yaml", 1, 1, "x")
    faulty = Faulty([ten, two, one])
    assert faulty.faults == (one, two, ten)
    assert str(faulty) == "a.yaml:2:1: x\na.yaml:10:1: x\nb.yaml:1:1: x"


def test_an_upstream_failure_keeps_its_kind_apart_from_its_detail() -> None:
    error = UpstreamFailed(UpstreamFault.TIMEOUT, "127.0.0.1:8001 was silent for 30 s")
    assert (error.fault, str(error)) == ("upstream-timeout", "127.0.0.1:8001 was silent for 30 s")
