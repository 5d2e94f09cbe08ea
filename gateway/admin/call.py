"""A call of an operator, and the two ways in which it ends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from gateway.admin.tokens import Operator
from gateway.admin.views import View
from gateway.core.reasons import Reason
from gateway.errors import WatchwordError
from gateway.store.audit import AuditEntry
from gateway.web.addresses import UNKNOWN


@dataclass(frozen=True, slots=True)
class Call:
    """A request with a valid token."""

    request: web.Request
    operator: Operator
    now: float

    @property
    def actor(self) -> str:
        return f"operator:{self.operator.name}"

    def entry(
        self,
        event: str,
        subject: str | None = None,
        *,
        session_id: str = "",
        device_id: str = "",
        reason: str = "",
    ) -> AuditEntry:
        """What the audit stream is to say of this call."""
        return AuditEntry(
            at=self.now,
            event=event,
            actor=self.actor,
            subject=subject or "",
            session_id=session_id,
            device_id=device_id,
            address=address_of(self.request),
            reason=reason,
            token_id=self.operator.token_id,
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done: the answer, and the audit stream's entry, without which no answer leaves.

    None for one that is on record already, by the step that did it. `status` is 202 for what goes on after
    the answer, and `location` is where to ask for it.
    """

    answer: View | Sequence[View]
    entry: AuditEntry | None
    status: int = 200
    location: str = ""


class Refused(WatchwordError):
    """A call that is answered with a problem. `subject` and `about` are for the audit stream."""

    def __init__(
        self,
        reason: Reason,
        detail: str = "",
        *,
        subject: str = "",
        about: str = "",
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.subject = subject
        self.about = about
        self.headers = headers or {}
        self.members = members or {}


def address_of(request: web.Request) -> str:
    """Where a call comes from. No proxy's word is taken for it: the listener is for operators only."""
    return request.remote or UNKNOWN
