"""Who waits for a connection without a task: in order, and for so long at most."""

import asyncio
import math
from collections.abc import Callable
from typing import Protocol

from gateway.errors import UpstreamFailed
from gateway.proxy.connection import Connection


class Customer(Protocol):
    """Is told one of these, once; nothing after it has left."""

    def served(self, connection: Connection) -> bool:
        """A connection for it, usable at this moment; False if it is not wanted any more."""

    def sent_away(self, failure: UpstreamFailed | None) -> None:
        """There is none: it took too long; None where none could be made here, but perhaps elsewhere."""


class Customers:
    """`most` may wait, each for `seconds`; `impatient` is called with one that has left as its time is up."""

    def __init__(self, most: int, seconds: float, impatient: Callable[[Customer], None]) -> None:
        self._most = most
        self._seconds = seconds
        self._impatient = impatient
        self._timers: dict[Customer, asyncio.TimerHandle] = {}  # the oldest first

    def __len__(self) -> int:
        return len(self._timers)

    def add(self, customer: Customer) -> bool:
        if len(self._timers) >= self._most:
            return False
        self._timers[customer] = asyncio.get_running_loop().call_later(
            self._seconds, self._lose_patience, customer
        )
        return True

    def leave(self, customer: Customer) -> None:
        """It waits no more. Harmless when it did not."""
        if (timer := self._timers.pop(customer, None)) is not None:
            timer.cancel()

    def first(self, until: float = math.inf) -> Customer | None:
        """Who waits longest, and does no more; None for one who may wait beyond that moment of the loop's."""
        for customer, timer in self._timers.items():
            if timer.when() > until:
                return None
            self.leave(customer)
            return customer
        return None

    def _lose_patience(self, customer: Customer) -> None:
        self.leave(customer)
        self._impatient(customer)
