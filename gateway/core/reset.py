"""A reset: the case file with which support gives somebody back an account whose factors are lost (F5).

It takes more than one hand, and time:

1. What was checked is recorded item by item, as statements of who checked what.
2. Somebody else approves: not the one who opened the case, and nobody who recorded evidence.
3. A waiting time runs, in which the account holder is told everywhere and can stop it.
4. Only then are the factors removed. A case that is closed stays closed.

`TRANSITIONS` says what can follow what, `_CONDITIONS` when. The shell carries a case from one frozen
value to the next; the store takes a step only if the case is still the one that was judged.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from gateway.core.reasons import Reason

LONGEST_STATEMENT = 500
"""Characters of a statement or a reason."""

MOST_STATEMENTS = 50
"""Statements that one case may hold; an item may have several, since none is ever changed."""


class ResetState(StrEnum):
    OPEN = "open"
    WAITING = "waiting"
    DONE = "done"
    REFUSED = "refused"
    STOPPED = "stopped"
    ABANDONED = "abandoned"


LIVE = frozenset({ResetState.OPEN, ResetState.WAITING})
"""An account has at most one case in these states."""


class Step(StrEnum):
    """What can be done with a case. To lapse is to be abandoned by itself."""

    RECORD = "record"
    APPROVE = "approve"
    REFUSE = "refuse"
    ABANDON = "abandon"
    STOP = "stop"
    LAPSE = "lapse"
    COMPLETE = "complete"


TRANSITIONS: Mapping[tuple[ResetState, Step], ResetState] = {
    (ResetState.OPEN, Step.RECORD): ResetState.OPEN,
    (ResetState.OPEN, Step.APPROVE): ResetState.WAITING,
    (ResetState.OPEN, Step.REFUSE): ResetState.REFUSED,
    (ResetState.OPEN, Step.ABANDON): ResetState.ABANDONED,
    (ResetState.OPEN, Step.STOP): ResetState.STOPPED,
    (ResetState.OPEN, Step.LAPSE): ResetState.ABANDONED,
    (ResetState.WAITING, Step.REFUSE): ResetState.REFUSED,
    (ResetState.WAITING, Step.ABANDON): ResetState.ABANDONED,
    (ResetState.WAITING, Step.STOP): ResetState.STOPPED,
    (ResetState.WAITING, Step.COMPLETE): ResetState.DONE,
}
"""Whatever is not in here cannot be."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something, named as in the audit stream; `token_id` tells an operator's tokens apart."""

    name: str
    token_id: str = ""

    def may_be(self, other: "Actor") -> bool:
        """Whether both may be one person: by name, whatever door they came through, or by token."""
        if self.token_id and self.token_id == other.token_id:
            return True
        return _bare(self.name) == _bare(other.name)


def _bare(name: str) -> str:
    """`Grace` of `operator:Grace` and of `cli:Grace`, without regard to capitals."""
    return name.partition(":")[2].casefold()


GATEWAY = Actor("gateway")
"""Who lapses and completes."""


@dataclass(frozen=True, slots=True)
class Statement:
    """That somebody checked an item of the list, and what they found."""

    item: str
    text: str
    by: Actor
    at: float


@dataclass(frozen=True, slots=True)
class LiveReset:
    """What an account says of its live case. `due_at` is None until the case is approved."""

    id: str
    due_at: float | None = None


@dataclass(frozen=True, slots=True)
class Reset:
    """A case. `checklist` is what has to be checked, as it was demanded when the case was opened.

    An open case lapses at `lapses_at`; a waiting one may be completed from `due_at` on.
    """

    id: str
    subject: str
    opened_at: float
    opened_by: Actor
    why: str
    checklist: tuple[str, ...]
    lapses_at: float
    state: ResetState = ResetState.OPEN
    evidence: tuple[Statement, ...] = ()
    approved_at: float | None = None
    approved_by: Actor | None = None
    due_at: float | None = None
    closed_at: float | None = None
    closed_by: Actor | None = None
    closed_because: str = ""

    @property
    def missing(self) -> tuple[str, ...]:
        """The items that nobody has checked yet."""
        checked = {statement.item for statement in self.evidence}
        return tuple(item for item in self.checklist if item not in checked)

    @property
    def live(self) -> LiveReset | None:
        return LiveReset(self.id, self.due_at) if self.state in LIVE else None

    @property
    def next_at(self) -> float | None:
        """When the gateway has something to do with it; None once it is closed."""
        return {ResetState.OPEN: self.lapses_at, ResetState.WAITING: self.due_at}.get(self.state)


def record(reset: Reset, item: str, text: str, by: Actor, now: float) -> Reset | Reason:
    """The case with one more statement."""
    if fault := judge(reset, Step.RECORD, by, now):
        return fault
    if item not in reset.checklist:
        return Reason.UNKNOWN_EVIDENCE
    return replace(reset, evidence=(*reset.evidence, Statement(item, text, by, now)))


def approve(reset: Reset, by: Actor, now: float, waiting: float) -> Reset | Reason:
    """The case with its waiting time begun, which lasts `waiting` seconds."""
    if fault := judge(reset, Step.APPROVE, by, now):
        return fault
    return replace(reset, state=ResetState.WAITING, approved_at=now, approved_by=by, due_at=now + waiting)


def close(reset: Reset, step: Step, why: str, by: Actor, now: float) -> Reset | Reason:
    """The case closed by a step that closes."""
    if fault := judge(reset, step, by, now):
        return fault
    state = TRANSITIONS[reset.state, step]
    if state in LIVE:
        raise ValueError(f"{step} closes nothing")
    return replace(reset, state=state, closed_at=now, closed_by=by, closed_because=why)


def judge(reset: Reset, step: Step, by: Actor, now: float) -> Reason | None:
    """Why this cannot be done with this case now; None if it can."""
    if (reset.state, step) not in TRANSITIONS:
        return Reason.RESET_NOT_OPEN if reset.state in LIVE else Reason.RESET_CLOSED
    for condition in _CONDITIONS.get(step, ()):
        if fault := condition(reset, by, now):
            return fault
    return None


def _has_not_lapsed(reset: Reset, _: Actor, now: float) -> Reason | None:
    """What nobody approved in time is over, whether or not the gateway has closed it already."""
    return Reason.RESET_CLOSED if now >= reset.lapses_at else None


def _has_room(reset: Reset, _: Actor, __: float) -> Reason | None:
    return Reason.EVIDENCE_FULL if len(reset.evidence) >= MOST_STATEMENTS else None


def _is_checked(reset: Reset, _: Actor, __: float) -> Reason | None:
    return Reason.EVIDENCE_MISSING if reset.missing else None


def _is_another(reset: Reset, by: Actor, _: float) -> Reason | None:
    hands = (reset.opened_by, *(statement.by for statement in reset.evidence))
    return Reason.SAME_OPERATOR if any(by.may_be(hand) for hand in hands) else None


def _has_lapsed(reset: Reset, _: Actor, now: float) -> Reason | None:
    return Reason.RESET_EARLY if now < reset.lapses_at else None


def _is_due(reset: Reset, _: Actor, now: float) -> Reason | None:
    return Reason.RESET_EARLY if reset.due_at is None or now < reset.due_at else None


Condition = Callable[[Reset, Actor, float], Reason | None]

_CONDITIONS: Mapping[Step, tuple[Condition, ...]] = {
    Step.RECORD: (_has_not_lapsed, _has_room),
    Step.APPROVE: (_has_not_lapsed, _is_another, _is_checked),
    Step.LAPSE: (_has_lapsed,),
    Step.COMPLETE: (_is_due,),
}
"""What must hold besides; refusing, abandoning and stopping are for anybody who may at all."""
