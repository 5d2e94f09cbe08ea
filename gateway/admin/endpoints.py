"""Every address of the operators' API: what it takes, who answers, and with what.

From these two tables come the routes, and their description in OpenAPI.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from gateway.admin.call import Call, Outcome
from gateway.admin.operations import MOST_LISTED, USUALLY_LISTED, Operations
from gateway.admin.orders import ORDERS, UnlockCodes
from gateway.admin.probes import Probes
from gateway.admin.tokens import Scope
from gateway.admin.views import (
    AccountView,
    ActivityView,
    Confirmation,
    DeviceView,
    FactorView,
    Liveness,
    Readiness,
    RevocationView,
    SessionView,
    View,
)
from gateway.core.reasons import Reason


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What operators call with a token that has `scope`.

    The answer is one `answer`, or with `many` an array of them; `refusals` are the problems that it may
    be instead, beyond those that every endpoint has. `order` is the body that it takes, or several by
    their `scope`. `query` has a JSON Schema for each parameter.
    """

    method: str
    path: str
    summary: str
    scope: Scope
    operation: Callable[[Operations, Call], Awaitable[Outcome]]
    answer: type[View]
    many: bool = False
    refusals: tuple[Reason, ...] = ()
    order: type[BaseModel] | Mapping[str, type[BaseModel]] | None = None
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
_LIMIT = {"limit": {"type": "integer", "minimum": 1, "maximum": MOST_LISTED, "default": USUALLY_LISTED}}

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
        f"{_ACCOUNT}/devices",
        "Its devices, newest use first",
        Scope.READ,
        Operations.devices,
        DeviceView,
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
        order=UnlockCodes,
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
        query=_LIMIT,
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
        query=_LIMIT,
    ),
    Endpoint(
        "POST",
        _REVOCATIONS,
        "End a session, a device, an account's sessions, or everybody's",
        Scope.REVOKE,
        Operations.revoke,
        Confirmation,
        refusals=_MISSING_OR_FAULTY,
        order=ORDERS,
    ),
)

PROBES = (
    Probe("/healthz", "Whether the process runs", Probes.healthz, {200: Liveness}),
    Probe("/readyz", "Whether it can do its work", Probes.readyz, {200: Readiness, 503: Readiness}),
    Probe("/metrics", "Counts, for Prometheus", Probes.metrics, {200: "text/plain"}),
    Probe("/openapi.json", "This description", Probes.openapi, {200: "application/json"}),
)
