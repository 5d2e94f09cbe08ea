"""One action of a file; that every fault is told is for test_loading to show."""

import pytest

from gateway.core.policy.actions import UNSPENT, load_action, title_of
from gateway.core.policy.model import FOR_THE_SESSION, Action, Protect
from gateway.documents import parse_document
from gateway.errors import Fault


def loaded(text: str, name: str = "approve") -> tuple[Action | None, list[str]]:
    faults: list[Fault] = []
    document = parse_document(f"actions:\n  {name}: {text}\n", "a.yaml")
    return load_action(document, "shop", name, faults), [str(fault) for fault in faults]


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("{protect: always}", Action("shop", "approve", "Approve", Protect.ALWAYS, fresh=FOR_THE_SESSION)),
        (
            "{protect: with-factor, title: Yes, fresh: 5m}",
            Action("shop", "approve", "Yes", Protect.WITH_FACTOR, fresh=300),
        ),
        (
            "{protect: always, fresh: once}",
            Action("shop", "approve", "Approve", Protect.ALWAYS, fresh=UNSPENT, single_use=True),
        ),
        (
            "{protect: by-choice, default: on, always-for: [staff, ops]}",
            Action(
                "shop",
                "approve",
                "Approve",
                Protect.BY_CHOICE,
                on_by_default=True,
                always_for=frozenset({"staff", "ops"}),
            ),
        ),
    ],
)
def test_what_it_says_is_what_it_asks_for(text: str, action: Action) -> None:
    assert loaded(text) == (action, [])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "{protect: always, always-for: [staff]}",
            "a.yaml:2:30: always-for: 'protect: always' is for everybody already",
        ),
        (
            "{protect: never, default: on}",
            "a.yaml:2:29: default: only an action with 'protect: by-choice' has one",
        ),
        ("{protect: by-choice, always-for: []}", "a.yaml:2:45: always-for: must not be empty"),
    ],
)
def test_what_contradicts_itself(text: str, fault: str) -> None:
    _, faults = loaded(text)
    assert len(faults) == 1 and faults[0].startswith(fault), faults


def test_an_unknown_protection_names_those_there_are() -> None:
    action, [fault] = loaded("{protect: sometimes}")
    assert action is None
    assert "with-factor" in fault


def test_a_name_makes_a_title() -> None:
    assert title_of("approve-transaction") == "Approve transaction"
