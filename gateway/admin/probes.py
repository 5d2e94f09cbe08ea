"""What machines ask without a token: is it alive, is it ready, what did it count, how is it called."""

from collections.abc import Callable, Sequence

from aiohttp import web

from gateway.admin.views import Liveness, Readiness
from gateway.errors import Fault, StoreUnavailable
from gateway.store.opening import Store
from gateway.web.metrics import EXPOSITION_TYPE, Metrics


class Probes:
    """`policy_faults` tells what is wrong with the policies on disk; `description` is OpenAPI, in JSON."""

    def __init__(
        self,
        store: Store,
        metrics: Metrics,
        policy_faults: Callable[[], Sequence[Fault]],
        description: bytes,
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._policy_faults = policy_faults
        self._description = description

    async def healthz(self, _: web.Request) -> web.Response:
        return _json(Liveness().model_dump_json().encode())

    async def readyz(self, _: web.Request) -> web.Response:
        """A faulty policy on disk is a trouble, but the last good one goes on serving."""
        troubles = [f"policy: {fault}" for fault in self._policy_faults()]
        ready = True
        try:
            await self._store.ping()
        except StoreUnavailable:
            self._metrics.store_error()
            troubles.append("store: it does not answer")
            ready = False
        held, leases = self._store.node.leases()
        if ready and held < leases:
            missing = f"{leases - held} of {leases} leases are missing"
            troubles.append(f"store: {missing}, so requests are slower, and revocations may stay pending")
        readiness = Readiness(ready=ready, troubles=troubles)
        return _json(readiness.model_dump_json().encode(), status=200 if ready else 503)

    async def metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics.exposition(), headers={"Content-Type": EXPOSITION_TYPE})

    async def openapi(self, _: web.Request) -> web.Response:
        return _json(self._description)


def _json(body: bytes, *, status: int = 200) -> web.Response:
    return web.Response(status=status, body=body, content_type="application/json")
