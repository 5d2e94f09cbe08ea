"""Every address of the operators' API: what it takes, who answers, and with what.

From these two tables come the routes, and their description in OpenAPI.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from aiohttp import web

from gateway.admin.call import Call, Outcome
from gateway.admin.devices import DeviceOperations, DeviceView, LetIn, Rename
from gateway.admin.operations import MOST_LISTED, USUALLY_LISTED, Operations
from gateway.admin.orders import ORDERS, Body, SetPassword, UnlockCodes
from gateway.admin.probes import Probes
from gateway.admin.resets import JudgeReset, OpenReset, RecordEvidence, ResetOperations, ResetView
from gateway.admin.tokens import Scope
from gateway.admin.views import (
    AccountView,
    ActivityView,
    Confirmation,
    FactorView,
    Liveness,
    Pending,
    Readiness,
    RevocationView,
    SessionView,
    View,
)
from gateway.core.reasons import Reason
from gateway.core.reset import ResetState

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Endpoint(Generic[T]):
    """What operators call with a token that has `scope`; `T` are the operations that it belongs to.

    `takes` is what the body may be: one model, or one for each `scope` that it names. The answer is one
    `answer`, or with `many` an array of them; `refusals` are the problems that it may be instead, beyond
    those that every endpoint has. `pending` may come instead, with 202. `query` has a JSON Schema for each
    parameter.
    """

    method: str
    path: str
    summary: str
    scope: Scope
    operation: Callable[[T, Call], Awaitable[Outcome]]
    answer: type[View]
    many: bool = False
    refusals: tuple[Reason, ...] = ()
    takes: tuple[type[Body], ...] = ()
    pending: type[View] | None = None
    query: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Probe:
    """What anybody may GET. `answers` has, for each status, a model or else a media type."""

    path: str
    summary: str
    respond: Callable[[Probes, web.Request], Awaitable[web.Response]]
    answers: Mapping[int, type[View] | str]


_ACCOUNT = "/v1/accounts/{subject}"
_REVOCATIONS = "/v1/revocations"
_MISSING = (Reason.NOT_FOUND,)
_MISSING_OR_FAULTY = (Reason.NOT_FOUND, Reason.BODY_TOO_LARGE, Reason.INVALID_BODY)
_LIMIT = {"type": "integer", "minimum": 1, "maximum": MOST_LISTED, "default": USUALLY_LISTED}

ENDPOINTS = (
    Endpoint("GET", _ACCOUNT, "An account", Scope.READ, Operations.account, AccountView, refusals=_MISSING),
    Endpoint(
        "GET",
        f"{_ACCOUNT}/sessions",
        "Its sessions, newest use first",
        Scope.READ,
        Operations.sessions,
        SessionView,
        many=True,
        refusals=_MISSING,
    ),
    Endpoint(
        "GET",
        f"{_ACCOUNT}/factors",
        "Its factors, oldest first",
        Scope.READ,
        Operations.factors,
        FactorView,
        many=True,
        refusals=_MISSING,
    ),
    Endpoint(
        "POST",
        f"{_ACCOUNT}/unlock-codes",
        "Let its codes count again, after too many wrong ones",
        Scope.RESET,
        Operations.unlock_codes,
        AccountView,
        refusals=_MISSING_OR_FAULTY,
        takes=(UnlockCodes,),
    ),
    Endpoint(
        "POST",
        f"{_ACCOUNT}/password",
        "Give it a new password, and end all its sessions",
        Scope.RESET,
        Operations.set_password,
        AccountView,
        pending=AccountView,
        refusals=_MISSING_OR_FAULTY,
        takes=(SetPassword,),
    ),
    Endpoint(
        "GET",
        f"{_ACCOUNT}/activity",
        "What happened to it, newest first",
        Scope.READ,
        Operations.activity,
        ActivityView,
        many=True,
        refusals=(Reason.BAD_REQUEST, *_MISSING),
        query={"limit": _LIMIT},
    ),
    Endpoint(
        "GET",
        _REVOCATIONS,
        "The latest revocations, newest first",
        Scope.READ,
        Operations.revocations,
        RevocationView,
        many=True,
        refusals=(Reason.BAD_REQUEST,),
        query={"limit": _LIMIT},
    ),
    Endpoint(
        "POST",
        _REVOCATIONS,
        "End a session, a device, an account's sessions, or everybody's",
        Scope.REVOKE,
        Operations.revoke,
        Confirmation,
        pending=Pending,
        refusals=_MISSING_OR_FAULTY,
        takes=tuple(ORDERS.values()),
    ),
    Endpoint(
        "GET",
        f"{_REVOCATIONS}/{{id}}",
        "What became of a revocation",
        Scope.REVOKE,
        Operations.revocation,
        Confirmation,
        pending=Pending,
        refusals=_MISSING,
    ),
)

_DEVICE = "/v1/devices/{id}"

DEVICES = (
    Endpoint(
        "GET",
        f"{_ACCOUNT}/devices",
        "Its devices, newest use first",
        Scope.READ,
        DeviceOperations.devices,
        DeviceView,
        many=True,
        refusals=_MISSING,
    ),
    Endpoint(
        "POST",
        f"{_DEVICE}/authorise",
        "Let a device in, as one that its owner confirmed",
        Scope.RESET,
        DeviceOperations.authorise_device,
        DeviceView,
        refusals=_MISSING_OR_FAULTY,
        takes=(LetIn,),
    ),
    Endpoint(
        "POST",
        f"{_DEVICE}/rename",
        "Give a device another name",
        Scope.RESET,
        DeviceOperations.rename_device,
        DeviceView,
        refusals=_MISSING_OR_FAULTY,
        takes=(Rename,),
    ),
)

_RESETS = "/v1/resets"
_RESET = f"{_RESETS}/{{id}}"
_BAD_BODY = (Reason.BODY_TOO_LARGE, Reason.INVALID_BODY)


def _step(
    name: str,
    summary: str,
    operation: Callable[[ResetOperations, Call], Awaitable[Outcome]],
    takes: type[Body],
    *refusals: Reason,
) -> Endpoint[ResetOperations]:
    return Endpoint(
        "POST",
        f"{_RESET}/{name}",
        summary,
        Scope.RESET,
        operation,
        ResetView,
        refusals=(*_MISSING, Reason.RESET_CLOSED, *refusals, *_BAD_BODY),
        takes=(takes,),
    )


RESETS = (
    Endpoint(
        "POST",
        _RESETS,
        "Open a case",
        Scope.RESET,
        ResetOperations.open_reset,
        ResetView,
        refusals=(*_MISSING, Reason.NOT_RESETTABLE, Reason.RESET_LIVE, *_BAD_BODY),
        takes=(OpenReset,),
    ),
    Endpoint(
        "GET",
        _RESETS,
        "The latest cases, newest first",
        Scope.RESET,
        ResetOperations.resets,
        ResetView,
        many=True,
        refusals=(Reason.BAD_REQUEST,),
        query={"state": {"type": "string", "enum": list(ResetState)}, "limit": _LIMIT},
    ),
    Endpoint("GET", _RESET, "A case", Scope.RESET, ResetOperations.reset, ResetView, refusals=_MISSING),
    _step(
        "evidence",
        "State what was checked",
        ResetOperations.record_evidence,
        RecordEvidence,
        Reason.RESET_NOT_OPEN,
        Reason.EVIDENCE_FULL,
    ),
    _step(
        "approve",
        "Let it happen, after the waiting time",
        ResetOperations.approve_reset,
        JudgeReset,
        Reason.RESET_NOT_OPEN,
        Reason.EVIDENCE_MISSING,
        Reason.SAME_OPERATOR,
    ),
    _step("refuse", "Close it: the evidence does not do", ResetOperations.refuse_reset, JudgeReset),
    _step("abandon", "Close it: it is not wanted any more", ResetOperations.abandon_reset, JudgeReset),
)

PROBES = (
    Probe("/healthz", "Whether the process runs", Probes.healthz, {200: Liveness}),
    Probe("/readyz", "Whether it can do its work", Probes.readyz, {200: Readiness, 503: Readiness}),
    Probe("/metrics", "Counts, for Prometheus", Probes.metrics, {200: "text/plain"}),
    Probe("/openapi.json", "This description", Probes.openapi, {200: "application/json"}),
)
