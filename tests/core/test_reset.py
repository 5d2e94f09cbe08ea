"""A reset takes more than one hand, and time: the table of what follows what, and every condition."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.resets import ADA, GRACE, KATHERINE, MARGARET, WAITING, checked, new_reset, waiting
from support.store import NOW

from gateway.core.reasons import Reason
from gateway.core.reset import (
    GATEWAY,
    LIVE,
    MOST_STATEMENTS,
    TRANSITIONS,
    Actor,
    LiveReset,
    Reset,
    ResetState,
    Step,
    approve,
    close,
    judge,
    record,
)

OPEN = new_reset()
READY = checked(OPEN)
UNDERWAY = waiting(OPEN)
DUE = UNDERWAY.due_at or 0.0
CLOSED = {
    state: replace(UNDERWAY, state=state, closed_at=NOW, closed_by=ADA)
    for state in ResetState
    if state not in LIVE
}
CLOSING = {
    Step.REFUSE: ResetState.REFUSED,
    Step.ABANDON: ResetState.ABANDONED,
    Step.STOP: ResetState.STOPPED,
    Step.LAPSE: ResetState.ABANDONED,
    Step.COMPLETE: ResetState.DONE,
}


# --- what follows what


def test_what_can_be_done_in_which_state() -> None:
    possible = {state: {step for start, step in TRANSITIONS if start is state} for state in ResetState}
    assert possible == {
        ResetState.OPEN: set(Step) - {Step.COMPLETE},
        ResetState.WAITING: {Step.REFUSE, Step.ABANDON, Step.STOP, Step.COMPLETE},
        **{state: set() for state in CLOSED},
    }


def test_only_what_waits_can_be_done() -> None:
    assert [start for (start, _), end in TRANSITIONS.items() if end is ResetState.DONE] == [
        ResetState.WAITING
    ]
    assert [start for (start, _), end in TRANSITIONS.items() if end is ResetState.WAITING] == [
        ResetState.OPEN
    ]


@pytest.mark.parametrize(("state", "step"), [*product(CLOSED, Step)], ids=str)
def test_a_closed_case_stays_closed(state: ResetState, step: Step) -> None:
    assert judge(CLOSED[state], step, KATHERINE, DUE + 1e9) is Reason.RESET_CLOSED


@pytest.mark.parametrize("step", [Step.RECORD, Step.APPROVE, Step.LAPSE])
def test_an_approved_case_is_not_open(step: Step) -> None:
    assert judge(UNDERWAY, step, KATHERINE, DUE) is Reason.RESET_NOT_OPEN


@pytest.mark.parametrize("reset", [OPEN, READY, UNDERWAY], ids=["open", "checked", "waiting"])
@pytest.mark.parametrize("step", [Step.REFUSE, Step.ABANDON, Step.STOP])
def test_closing_is_for_anybody_at_any_time(reset: Reset, step: Step) -> None:
    for by in (GRACE, MARGARET, ADA):
        closed = close(reset, step, "not her", by, DUE + 1)
        assert isinstance(closed, Reset)
        assert (closed.state, closed.closed_by, closed.closed_at) == (CLOSING[step], by, DUE + 1)
        assert (closed.closed_because, closed.live, closed.next_at) == ("not her", None, None)


def test_what_does_not_close_is_no_way_to_close() -> None:
    with pytest.raises(ValueError, match="closes nothing"):
        close(READY, Step.APPROVE, "", MARGARET, NOW + 1)


# --- evidence


def test_a_statement_says_who_checked_what_and_when() -> None:
    outcome = record(OPEN, "photo", "seen, dated today", MARGARET, NOW + 5)
    assert isinstance(outcome, Reset)
    (statement,) = outcome.evidence
    assert (statement.item, statement.text, statement.by, statement.at) == (
        "photo",
        "seen, dated today",
        MARGARET,
        NOW + 5,
    )
    assert (OPEN.missing, outcome.missing, READY.missing) == (("full-name", "photo"), ("full-name",), ())


def test_an_item_may_have_several_statements_and_none_is_changed() -> None:
    outcome = record(READY, "photo", "on second thoughts: blurred", MARGARET, NOW + 5)
    assert isinstance(outcome, Reset)
    assert outcome.evidence[:-1] == READY.evidence


def test_what_is_not_on_the_list_is_not_recorded() -> None:
    assert record(OPEN, "nice-voice", "yes", GRACE, NOW) is Reason.UNKNOWN_EVIDENCE


def test_a_case_holds_so_many_statements() -> None:
    reset: Reset | Reason = OPEN
    for number in range(MOST_STATEMENTS):
        assert isinstance(reset, Reset)
        reset = record(reset, "photo", str(number), GRACE, NOW)
    assert isinstance(reset, Reset)
    assert record(reset, "photo", "one more", GRACE, NOW) is Reason.EVIDENCE_FULL


# --- approval


def test_another_operator_approves_what_is_checked() -> None:
    outcome = approve(READY, MARGARET, NOW + 9, WAITING)
    assert isinstance(outcome, Reset)
    assert (outcome.state, outcome.approved_by, outcome.approved_at, outcome.due_at) == (
        ResetState.WAITING,
        MARGARET,
        NOW + 9,
        NOW + 9 + WAITING,
    )
    assert (READY.live, outcome.live) == (LiveReset(READY.id), LiveReset(READY.id, NOW + 9 + WAITING))
    assert (READY.next_at, outcome.next_at) == (READY.lapses_at, outcome.due_at)


BY_MARGARET = checked(OPEN, MARGARET)


@pytest.mark.parametrize(
    ("reset", "by", "reason"),
    [
        (OPEN, MARGARET, Reason.EVIDENCE_MISSING),
        (replace(READY, evidence=READY.evidence[:1]), MARGARET, Reason.EVIDENCE_MISSING),
        (READY, GRACE, Reason.SAME_OPERATOR),
        (READY, Actor("operator:grace", "another-token"), Reason.SAME_OPERATOR),
        (READY, Actor("operator:GRACE", "another-token"), Reason.SAME_OPERATOR),
        (READY, Actor("cli:grace"), Reason.SAME_OPERATOR),
        (READY, Actor("operator:somebody", GRACE.token_id), Reason.SAME_OPERATOR),
        (BY_MARGARET, MARGARET, Reason.SAME_OPERATOR),
        (BY_MARGARET, Actor("cli:margaret"), Reason.SAME_OPERATOR),
        (BY_MARGARET, GRACE, Reason.SAME_OPERATOR),
        (OPEN, GRACE, Reason.SAME_OPERATOR),
    ],
)
def test_who_may_not_approve_what(reset: Reset, by: Actor, reason: Reason) -> None:
    assert approve(reset, by, NOW + 9, WAITING) is reason


@pytest.mark.parametrize(
    ("reset", "by"),
    [(BY_MARGARET, KATHERINE), (READY, Actor("cli:margaret")), (READY, Actor("operator:grace.hopper", "t"))],
)
def test_who_may(reset: Reset, by: Actor) -> None:
    assert isinstance(approve(reset, by, NOW + 9, WAITING), Reset)


def test_two_without_a_token_are_told_apart_by_name() -> None:
    assert not Actor("cli:grace").may_be(Actor("cli:margaret"))


# --- time


def test_it_is_done_when_its_time_has_come_and_not_before() -> None:
    assert close(UNDERWAY, Step.COMPLETE, "", GATEWAY, DUE - 0.001) is Reason.RESET_EARLY
    done = close(UNDERWAY, Step.COMPLETE, "", GATEWAY, DUE)
    assert isinstance(done, Reset)
    assert done.state is ResetState.DONE


@pytest.mark.parametrize("reset", [OPEN, READY], ids=["open", "checked"])
def test_what_nobody_approves_lapses(reset: Reset) -> None:
    assert close(reset, Step.LAPSE, "", GATEWAY, reset.lapses_at - 1) is Reason.RESET_EARLY
    assert approve(checked(reset), MARGARET, reset.lapses_at, WAITING) is Reason.RESET_CLOSED
    assert record(reset, "photo", "", GRACE, reset.lapses_at) is Reason.RESET_CLOSED
    lapsed = close(reset, Step.LAPSE, "", GATEWAY, reset.lapses_at)
    assert isinstance(lapsed, Reset)
    assert lapsed.state is ResetState.ABANDONED


# --- no way around, whatever the order


PEOPLE = (GRACE, MARGARET, KATHERINE, Actor("cli:grace"), Actor("operator:Grace", "token-9"))


class AnyOrder(RuleBasedStateMachine):
    """People do with a case whatever they can, in any order and at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.reset = OPEN
        self.now = NOW
        self.was_closed: Reset | None = None

    def taken(self, outcome: Reset | Reason) -> None:
        if isinstance(outcome, Reset):
            self.reset = outcome

    @rule(seconds=st.sampled_from((1.0, 3600.0, WAITING, WAITING * 3)))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(item=st.sampled_from(("full-name", "photo", "other")), by=st.sampled_from(PEOPLE))
    def somebody_records(self, item: str, by: Actor) -> None:
        self.taken(record(self.reset, item, "seen", by, self.now))

    @rule(by=st.sampled_from(PEOPLE))
    def somebody_approves(self, by: Actor) -> None:
        self.taken(approve(self.reset, by, self.now, WAITING))

    @rule(step=st.sampled_from(list(CLOSING)), by=st.sampled_from((*PEOPLE, ADA, GATEWAY)))
    def somebody_closes(self, step: Step, by: Actor) -> None:
        self.taken(close(self.reset, step, "", by, self.now))

    @precondition(lambda self: self.reset.state is ResetState.OPEN)
    @rule()
    def all_goes_well(self) -> None:
        """Left to chance alone, too few cases would ever be done."""
        for item in self.reset.missing:
            self.somebody_records(item, GRACE)
        self.somebody_approves(KATHERINE)
        self.time_passes(WAITING)
        self.somebody_closes(Step.COMPLETE, GATEWAY)

    @invariant()
    def what_is_done_had_all_it_takes(self) -> None:
        reset = self.reset
        if reset.state is not ResetState.DONE:
            return
        assert {each.item for each in reset.evidence} == {"full-name", "photo"}
        assert reset.approved_by is not None and reset.approved_at is not None and reset.closed_at is not None
        before = {reset.opened_by.name, *(each.by.name for each in reset.evidence)}
        assert reset.approved_by.name.partition(":")[2].lower() not in {
            name.partition(":")[2].lower() for name in before
        }
        assert reset.closed_at >= reset.approved_at + WAITING
        assert all(each.at <= reset.approved_at for each in reset.evidence)

    @invariant()
    def what_is_closed_never_changes(self) -> None:
        if self.was_closed is not None:
            assert self.reset == self.was_closed
        if self.reset.state not in LIVE:
            self.was_closed = self.reset


class OneAlone(AnyOrder):
    """The same, by one person with as many names and tokens as look alike."""

    @rule(by=st.sampled_from((GRACE, Actor("cli:grace"), Actor("operator:Grace", "token-9"))))
    def somebody_approves(self, by: Actor) -> None:
        self.taken(approve(self.reset, by, self.now, WAITING))

    @rule(item=st.sampled_from(("full-name", "photo")), by=st.sampled_from((GRACE, Actor("cli:grace"))))
    def somebody_records(self, item: str, by: Actor) -> None:
        self.taken(record(self.reset, item, "seen", by, self.now))

    @rule()
    def all_goes_well(self) -> None:
        for item in self.reset.missing:
            self.somebody_records(item, GRACE)
        self.somebody_approves(GRACE)
        self.time_passes(WAITING)
        self.somebody_closes(Step.COMPLETE, GATEWAY)

    @invariant()
    def it_is_never_done(self) -> None:
        assert self.reset.state not in (ResetState.WAITING, ResetState.DONE)


TestAnyOrder = AnyOrder.TestCase
TestOneAlone = OneAlone.TestCase
