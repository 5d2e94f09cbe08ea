"""Resets as operators work on them: what they send, what they are shown, and what of it goes on record.

The audit stream tells of each step, with the case's id first in `reason`. What was stated stays in the
case, which is forgotten some time after it was closed; the audit stream is not.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Self

from pydantic import StringConstraints

from gateway.admin.call import Call, Outcome, Refused
from gateway.admin.operations import limit_of, recordable
from gateway.admin.orders import Body, Subject, Why, invalid_body, read_body
from gateway.admin.views import View, moment_of
from gateway.core.reasons import Reason
from gateway.core.reset import Actor, Reset, ResetState, Step
from gateway.identity.resets import ResetCases, objection
from gateway.store.audit import AuditEntry
from gateway.store.opening import Store


class OpenReset(Body):
    """Open a case for an account; the reason says who asked, and how."""

    subject: Subject
    reason: Why


class RecordEvidence(Body):
    """State what was checked, and what was found. A statement, never a copy of what was looked at."""

    item: Annotated[str, StringConstraints(min_length=1)]
    statement: Why


class JudgeReset(Body):
    """Approve, refuse or abandon a case."""

    reason: Why


class StatementView(View):
    """Who checked what, when, and what they found."""

    item: str
    statement: str
    by: str
    at: datetime


class ResetView(View):
    """A case. `missing` are the items of the checklist that nobody has checked yet."""

    id: str
    subject: str
    state: ResetState
    opened_at: datetime
    opened_by: str
    reason: str
    checklist: list[str]
    missing: list[str]
    evidence: list[StatementView]
    approved_at: datetime | None
    approved_by: str | None
    due_at: datetime | None
    closed_at: datetime | None
    closed_by: str | None
    closed_because: str | None

    @classmethod
    def shown(cls, reset: Reset) -> Self:
        return cls(
            id=reset.id,
            subject=reset.subject,
            state=reset.state,
            opened_at=moment_of(reset.opened_at),
            opened_by=reset.opened_by.name,
            reason=reset.why,
            checklist=list(reset.checklist),
            missing=list(reset.missing),
            evidence=[
                StatementView(item=each.item, statement=each.text, by=each.by.name, at=moment_of(each.at))
                for each in reset.evidence
            ],
            approved_at=_moment_or_none(reset.approved_at),
            approved_by=_name_or_none(reset.approved_by),
            due_at=_moment_or_none(reset.due_at),
            closed_at=_moment_or_none(reset.closed_at),
            closed_by=_name_or_none(reset.closed_by),
            closed_because=reset.closed_because or None,
        )


class ResetOperations:
    """Each takes a call and returns its outcome; each raises Refused and StoreUnavailable."""

    def __init__(self, store: Store, cases: ResetCases) -> None:
        self._store = store
        self._cases = cases

    async def open_reset(self, call: Call) -> Outcome:
        order = await read_body(call.request, OpenReset)
        described = _described(call, "reset-opened", order.reason)
        opened = await self._cases.open(
            order.subject, order.reason, _actor(call), call.now, described=described
        )
        if isinstance(opened, Reason):
            detail = "There is no such account." if opened is Reason.NOT_FOUND else objection(opened)
            raise Refused(opened, detail, subject=recordable(order.subject))
        return Outcome(ResetView.shown(opened), None)

    async def resets(self, call: Call) -> Outcome:
        resets = await self._store.resets.list(_states(call), limit_of(call))
        return Outcome([ResetView.shown(reset) for reset in resets], call.entry("resets-read"))

    async def reset(self, call: Call) -> Outcome:
        reset = await self._find(call)
        return Outcome(ResetView.shown(reset), _described(call, "reset-read")(reset)[0])

    async def record_evidence(self, call: Call) -> Outcome:
        order = await read_body(call.request, RecordEvidence)
        reset_id, item = call.request.match_info["id"], order.item
        described = _described(call, "reset-evidence", item)
        outcome = await self._cases.record(
            reset_id, item, order.statement, _actor(call), call.now, described=described
        )
        if outcome is Reason.UNKNOWN_EVIDENCE:
            checklist = (await self._find(call)).checklist
            raise invalid_body([("item", f"must be {_either(checklist)}")])
        return Outcome(ResetView.shown(await self._taken(call, outcome)), None)

    async def approve_reset(self, call: Call) -> Outcome:
        order = await read_body(call.request, JudgeReset)
        reset_id, described = call.request.match_info["id"], _described(call, "reset-approved", order.reason)
        outcome = await self._cases.approve(reset_id, _actor(call), call.now, described=described)
        return Outcome(ResetView.shown(await self._taken(call, outcome)), None)

    async def refuse_reset(self, call: Call) -> Outcome:
        return await self._close(call, Step.REFUSE, "reset-refused")

    async def abandon_reset(self, call: Call) -> Outcome:
        return await self._close(call, Step.ABANDON, "reset-abandoned")

    async def _close(self, call: Call, step: Step, event: str) -> Outcome:
        order = await read_body(call.request, JudgeReset)
        reset_id = call.request.match_info["id"]
        described = _described(call, event, order.reason)
        outcome = await self._cases.close(
            reset_id, step, order.reason, _actor(call), call.now, described=described
        )
        return Outcome(ResetView.shown(await self._taken(call, outcome)), None)

    async def _find(self, call: Call) -> Reset:
        reset = await self._store.resets.find(call.request.match_info["id"])
        if reset is None:
            raise Refused(Reason.NOT_FOUND, "There is no such case.")
        return reset

    async def _taken(self, call: Call, outcome: Reset | Reason) -> Reset:
        """The case after a step; raises Refused for one that was not taken."""
        if isinstance(outcome, Reset):
            return outcome
        reset = await self._find(call)
        raise Refused(outcome, objection(outcome, reset), subject=reset.subject, about=f"reset {reset.id}")


def _described(call: Call, event: str, about: str = "") -> Callable[[Reset], list[AuditEntry]]:
    """How what a call does with a case is put on record."""

    def described(reset: Reset) -> list[AuditEntry]:
        return [call.entry(event, reset.subject, reason=f"{reset.id} {about}".rstrip())]

    return described


def _actor(call: Call) -> Actor:
    return Actor(call.actor, call.operator.token_id)


def _states(call: Call) -> frozenset[ResetState]:
    """The states that are asked for, all if none is named. Raises Refused."""
    asked = call.request.query.getall("state", [])
    if len(asked) > 1 or not set(asked) <= set(ResetState):
        raise Refused(Reason.BAD_REQUEST, f"state must be {_either(ResetState)}.")
    return frozenset(map(ResetState, asked or ResetState))


def _either(names: Sequence[str] | type[ResetState]) -> str:
    *most, last = (f"'{name}'" for name in names)
    return f"{', '.join(most)} or {last}" if most else last


def _moment_or_none(seconds: float | None) -> datetime | None:
    return None if seconds is None else moment_of(seconds)


def _name_or_none(actor: Actor | None) -> str | None:
    return None if actor is None else actor.name
