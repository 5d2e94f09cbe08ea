"""What operators see of each record: never a seed, a password hash or a cookie.

These models are the answers, and their description in OpenAPI. Each names what it takes, so what a
record gains shows only once somebody adds it here. Times, Unix seconds in records, are RFC 3339 in UTC.
"""

from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict

from gateway.core.ending import Scope
from gateway.core.reasons import Reason
from gateway.core.records import Account, FactorState, Snapshot
from gateway.store.audit import AuditEntry
from gateway.store.confirming import Confirmation as Confirmed
from gateway.store.orders import Revocation


class View(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def of(cls, record: object) -> Self:
        """A record's attributes of the same names."""
        return cls.model_validate(record, from_attributes=True)


class AccountView(View):
    """A person. Without an epoch, none of the account's sessions is accepted.

    Locked codes count nowhere, right or wrong, until a recovery code or support lifts that.
    `must_enrol`: the factors were reset, and there is no new one yet.
    """

    subject: str
    name: str
    email: str
    groups: Annotated[list[str], BeforeValidator(sorted)]
    disabled: bool
    epoch: int | None
    confirmed_factors: int
    codes_locked: bool
    must_enrol: bool

    @classmethod
    def seen(cls, account: Account, *, codes_locked: bool) -> Self:
        return cls(
            subject=account.subject,
            name=account.name,
            email=account.email,
            groups=list(account.groups),
            disabled=account.disabled,
            epoch=account.epoch,
            confirmed_factors=account.confirmed_factors,
            codes_locked=codes_locked,
            must_enrol=account.must_enrol,
        )


class SessionView(View):
    """One signed-in browser or client: whether it is accepted now, and if not, why."""

    id: str
    device: str
    address: str
    created_at: datetime
    last_used_at: datetime
    idle_until: datetime
    expires_at: datetime
    live: bool
    fault: Reason | None

    @classmethod
    def judged(cls, snapshot: Snapshot, now: float) -> Self:
        session, fault = snapshot.session, snapshot.fault(now)
        return cls(
            id=session.id,
            device=session.device_id,
            address=session.address,
            created_at=moment_of(session.created_at),
            last_used_at=moment_of(session.last_used_at),
            idle_until=moment_of(session.idle_until),
            expires_at=moment_of(session.expires_at),
            live=fault is None,
            fault=fault,
        )


class FactorView(View):
    """An authenticator app."""

    id: str
    label: str
    state: FactorState
    created_at: datetime
    last_used_at: datetime | None


class ActivityView(View):
    """One thing that happened to an account; null is what there is none of."""

    at: datetime
    event: str
    actor: str
    session: str | None
    device: str | None
    device_name: str | None
    address: str | None
    reason: str | None

    @classmethod
    def recorded(cls, entry: AuditEntry) -> Self:
        return cls(
            at=moment_of(entry.at),
            event=entry.event,
            actor=entry.actor,
            session=entry.session_id or None,
            device=entry.device_id or None,
            device_name=entry.device_name or None,
            address=entry.address or None,
            reason=entry.reason or None,
        )


class RevocationView(View):
    """What was ended, by whom, and why; null where the scope has no such thing.

    `confirmed` is false while it is pending, and null once that is not known any more, after a day.
    """

    id: str
    scope: Scope
    subject: str | None
    session: str | None
    device: str | None
    reason: str
    actor: str
    at: datetime
    confirmed: bool | None

    @classmethod
    def listed(cls, revocation: Revocation, confirmed: bool | None) -> Self:
        return cls(
            id=revocation.revocation_id,
            scope=revocation.scope,
            subject=revocation.subject,
            session=revocation.id if revocation.scope is Scope.SESSION else None,
            device=revocation.id if revocation.scope is Scope.DEVICE else None,
            reason=revocation.reason,
            actor=revocation.actor,
            at=moment_of(revocation.at),
            confirmed=confirmed,
        )


class Confirmation(View):
    """A revocation that holds: no request that begins after this answer is accepted, by no node, and what was
    live is closed.

    So many `nodes` have said so; the leases of `silent` ones, which did not answer, are over.
    """

    id: str
    scope: Scope
    confirmed: Literal[True] = True
    nodes: int
    silent: int
    elapsed_ms: float

    @classmethod
    def said(cls, revocation_id: str, scope: Scope, confirmed: Confirmed) -> Self:
        return cls(
            id=revocation_id,
            scope=scope,
            nodes=confirmed.nodes,
            silent=confirmed.silent,
            elapsed_ms=confirmed.elapsed_ms,
        )


class Pending(View):
    """A revocation that was accepted and is not certain yet; `status` is where to ask what became of it."""

    id: str
    scope: Scope
    confirmed: Literal[False] = False
    status: str

    @classmethod
    def said(cls, revocation_id: str, scope: Scope) -> Self:
        return cls(id=revocation_id, scope=scope, status=f"/v1/revocations/{revocation_id}")


class Liveness(View):
    alive: Literal[True] = True


class Readiness(View):
    """Whether the store answers and the policies on disk are those in use; if not, what is wrong."""

    ready: bool
    troubles: list[str]


def moment_of(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
