"""Reasons are read by people and by programs: in problems, in logs, in the audit stream."""

import re

import pytest

from gateway.core.reasons import Reason


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_is_written_as_it_is_called(reason: Reason) -> None:
    assert reason == reason.name.lower().replace("_", "-")
    assert re.fullmatch("[a-z]+(-[a-z]+)*", reason)
