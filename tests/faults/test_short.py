"""Cases 29 to 37 and 40, on real processes: while things break, what was confirmed holds.

`make faults` runs each fault by itself, with several seeds; here each comes once.
"""

from pathlib import Path

import pytest

from bench.faults.faults import FAULTS, SHORT
from bench.faults.history import CONFIRMED
from bench.faults.judge import judge
from bench.faults.running import run

LONGEST = 110.0
"""Seconds, so that whatever hangs tells itself where."""


@pytest.mark.parametrize("name", SHORT)
async def test_what_was_confirmed_holds_whatever_breaks(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    group = SHORT[name]
    if group.plan.wrong_clock:
        request.getfixturevalue("libfaketime")
    history = await run(group.faults, 1, group.plan, logs=tmp_path, longest=LONGEST)
    assert judge(history) == [], f"the logs are in {tmp_path}"
    # It was a trial: people were served, and revocations confirmed.
    assert any(request.accepted for request in history.requests)
    assert any(order.status == CONFIRMED for order in history.revocations)


def test_each_fault_is_tried() -> None:
    tried = {fault for group in SHORT.values() for fault in group.faults}
    assert tried == FAULTS.keys() - {"no-fault"}
