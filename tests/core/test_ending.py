from dataclasses import replace

import pytest

from gateway.core.ending import Ending, Scope
from gateway.core.records import Session

SESSION = Session(
    id="5" * 32,
    subject="ada",
    device_id="d" * 32,
    device_since=1.0,
    account_epoch=7,
    global_epoch=9,
    created_at=1.0,
    last_used_at=1.0,
    idle_until=100.0,
    expires_at=100.0,
    address="127.0.0.1",
)


@pytest.mark.parametrize(
    ("ending", "over"),
    [
        (Ending("r", Scope.SESSION, id=SESSION.id, subject="ada"), True),
        (Ending("r", Scope.SESSION, id="6" * 32, subject="ada"), False),
        (Ending("r", Scope.DEVICE, id=SESSION.device_id, subject="ada"), True),
        (Ending("r", Scope.DEVICE, id="e" * 32, subject="ada"), False),
        (Ending("r", Scope.ACCOUNT, subject="ada", epoch=8), True),
        (Ending("r", Scope.ACCOUNT, subject="ada", epoch=7), False),  # it began afterwards
        (Ending("r", Scope.ACCOUNT, subject="eve", epoch=8), False),
        (Ending("r", Scope.ACCOUNT, subject="ada", epoch=8, kept=SESSION.id), False),
        (Ending("r", Scope.EVERYBODY, epoch=10), True),
        (Ending("r", Scope.EVERYBODY, epoch=9), False),
    ],
)
def test_what_a_revocation_covers(ending: Ending, over: bool) -> None:
    assert ending.covers(SESSION) is over


def test_a_session_that_goes_on_is_over_by_the_next_revocation() -> None:
    later = replace(SESSION, account_epoch=8)
    assert not Ending("r", Scope.ACCOUNT, subject="ada", epoch=8).covers(later)
    assert Ending("r", Scope.ACCOUNT, subject="ada", epoch=9).covers(later)
