"""Seeing through what was promised: revocations that were accepted and are not confirmed yet."""

import asyncio

import structlog

from gateway.errors import StoreUnavailable
from gateway.store.journal import Journal
from gateway.store.orders import Order
from gateway.store.promises import Promises
from gateway.store.tasks import end

_EVERY_SECONDS = 1.0
_AT_ONCE = 16

_log = structlog.get_logger("gateway.store")


class Finisher:
    """Tries again, for as long as a gateway runs, what it or a process before it has left unfinished."""

    def __init__(self, promises: Promises, journal: Journal, every: float = _EVERY_SECONDS) -> None:
        self._promises = promises
        self._journal = journal
        self._every = every
        self._finishing: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._finishing = asyncio.create_task(self._finish_on())

    async def stop(self) -> None:
        if self._finishing is not None:
            await end([self._finishing])

    async def finish(self) -> None:
        """Try each once, also where one before it cannot be finished. Raises StoreUnavailable."""
        await asyncio.to_thread(self._journal.adopt)
        orders = self._journal.unfinished()
        failures: list[BaseException] = []
        for start in range(0, len(orders), _AT_ONCE):
            some = [self._finish(order) for order in orders[start : start + _AT_ONCE]]
            outcomes = await asyncio.gather(*some, return_exceptions=True)
            failures += [outcome for outcome in outcomes if outcome is not None]
        if failures:
            raise failures[0]

    async def _finish(self, order: Order) -> None:
        if await self._promises.finish(order):
            _log.info("a revocation was finished", id=order.revocation_id, scope=order.scope)

    async def _finish_on(self) -> None:
        while True:
            try:
                await self.finish()
            except StoreUnavailable as error:
                if self._journal.unfinished():
                    _log.warning("revocations wait for the store", error=str(error))
            except Exception:
                _log.exception("this should not happen")
            await asyncio.sleep(self._every)
