"""The operators' API as an application, to be served on a listener of its own."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from pydantic_core import to_json

from gateway.admin.devices import DeviceOperations, Words
from gateway.admin.endpoints import DEVICES, ENDPOINTS, PROBES, RESETS, Endpoint
from gateway.admin.guard import Guard
from gateway.admin.openapi import describe
from gateway.admin.operations import Operations
from gateway.admin.orders import LARGEST_BODY
from gateway.admin.probes import Probes
from gateway.admin.resets import ResetOperations
from gateway.core.reasons import Reason
from gateway.errors import Fault, StoreUnavailable
from gateway.identity.passwords import Passwords
from gateway.identity.resets import ResetCases
from gateway.store.keyring import Seals
from gateway.store.opening import Store
from gateway.web.metrics import Metrics
from gateway.web.problems import problem

T = TypeVar("T")

_RETRY_AFTER = {"Retry-After": "5"}

_log = structlog.get_logger("gateway.admin")


def make_admin_app(
    store: Store,
    ring: Seals,
    *,
    words: Words,
    resets: ResetCases,
    passwords: Passwords,
    metrics: Metrics,
    policy_faults: Callable[[], Sequence[Fault]],
) -> web.Application:
    """The application. `policy_faults` tells what is wrong with the policies on disk, nothing if all is well.

    `words` gives the words of a seed as the portal's pages show them.

    The probes are open to everybody who can connect, so this belongs on loopback or an inner network.
    """
    guard = Guard(ring, store.audit)
    description = describe((*ENDPOINTS, *DEVICES, *RESETS), PROBES)
    probes = Probes(store, metrics, policy_faults, to_json(description))
    app = web.Application(middlewares=[_failures(metrics), guard.unrouted], client_max_size=LARGEST_BODY)
    app.on_response_prepare.append(_harden)
    _serve(app, guard, ENDPOINTS, Operations(store, passwords, metrics))
    _serve(app, guard, DEVICES, DeviceOperations(store, words))
    _serve(app, guard, RESETS, ResetOperations(store, resets))
    for probe in PROBES:
        app.router.add_get(probe.path, partial(probe.respond, probes))
    return app


def _serve(app: web.Application, guard: Guard, endpoints: Iterable[Endpoint[T]], operations: T) -> None:
    for endpoint in endpoints:
        handler = guard.protect(endpoint.scope, partial(endpoint.operation, operations))
        (app.router.add_get if endpoint.method == "GET" else app.router.add_post)(endpoint.path, handler)


def _failures(metrics: Metrics) -> Middleware:
    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        """Without the store, whether a revocation took place is not known; it is to be asked again."""
        try:
            return await handler(request)
        except StoreUnavailable as error:
            metrics.store_error()
            _log.error("store unavailable", error=str(error))
            detail = "The store did not answer, so nothing here is certain. Ask again."
            return problem(Reason.STORE_UNAVAILABLE, detail, headers=_RETRY_AFTER)
        except Exception:
            _log.exception("this should not happen")
            return problem(Reason.INTERNAL_ERROR)

    return answer


async def _harden(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
