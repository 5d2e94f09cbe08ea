"""What a person ended, as they are told of it: whether that is certain everywhere already."""

from collections.abc import Awaitable
from dataclasses import dataclass

import structlog

from gateway.core.ending import Scope
from gateway.errors import RevocationPending
from gateway.store.confirming import Confirmation
from gateway.store.orders import Revocation
from gateway.web.metrics import Metrics

_log = structlog.get_logger("gateway.portal")


@dataclass(frozen=True, slots=True)
class Ended:
    """A revocation by an account holder.

    Without a `confirmation` it is not certain yet, and the work goes on. `answered`: the store has taken
    it; if not, it may take place only later.
    """

    id: str
    scope: Scope
    confirmation: Confirmation | None
    answered: bool = True


async def seen_through(revoking: Awaitable[Revocation | None], metrics: Metrics) -> Ended | None:
    """Wait for a revocation. None for no such thing; one that was only promised is no failure."""
    try:
        revocation = await revoking
    except RevocationPending as pending:
        metrics.store_error()
        _log.warning("a revocation waits for the store", id=pending.revocation_id, error=str(pending))
        return Ended(pending.revocation_id, Scope(pending.scope), None, answered=False)
    if revocation is None:
        return None
    metrics.revocation(revocation.scope)
    return Ended(revocation.revocation_id, revocation.scope, revocation.confirmation)
