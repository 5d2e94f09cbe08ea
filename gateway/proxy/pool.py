"""Which connection carries the next request: addresses, their health, and a bounded number of connections.

A request takes the newest free connection of an address, or makes one, or waits until one of these is
possible. Who waits is served in order and handed a connection directly, so nobody can take it in between.
A `Customer` needs no task to wait: connections are made for it, a few at a time, and it gets the first that
is free, whether made or released.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway.errors import UpstreamFailed, UpstreamFault
from gateway.proxy.connection import Connection
from gateway.proxy.customers import Customer, Customers


@dataclass(frozen=True, slots=True)
class UpstreamLimits:
    """What an app's upstream may cost. Times are in seconds.

    `connections` is for each address, tunnels included, and `waiting` the requests that may queue up
    there for at most `connect`. `connect` also limits the making of a connection, and `keep` how long
    one stays unused: less than the 5 seconds after which many servers hang up. `first_byte` runs from
    the end of the request to the end of the answer's headers, `idle` between pieces of a body. An
    address that failed rests for `retry_after_failure`, unless all do.
    """

    connections: int = 256
    waiting: int = 1024
    connect: float = 5.0
    first_byte: float = 60.0
    idle: float = 60.0
    keep: float = 4.0
    retry_after_failure: float = 10.0


_MADE_AT_ONCE = 8
"""Connections under way for customers: in a burst most are served sooner by what others release."""


class Address:
    """One place where an app answers, and the connections to it."""

    def __init__(self, address: str, limits: UpstreamLimits) -> None:
        """`address` is like `http://127.0.0.1:8001`; ValueError for what else it might be."""
        parts = urlsplit(address)
        if parts.scheme != "http" or not parts.hostname or f"http://{parts.netloc}" != address.rstrip("/"):
            raise ValueError(f"an upstream's address is http://host:port, not {address}")
        if "@" in parts.netloc:
            raise ValueError("an upstream's address holds no user")
        self.rests_until = float("-inf")
        parts.hostname.encode("idna")  # a name that cannot be looked up is a ValueError as well
        self._host = parts.hostname
        self._port = parts.port or 80
        self._limits = limits
        self._open: set[Connection] = set()  # free, in use, or being made
        self._free: list[Connection] = []  # the newest last
        self._waiting: dict[asyncio.Future[Connection], asyncio.TimerHandle] = {}  # the oldest first
        self._customers = Customers(limits.waiting, limits.connect, self._send_away_customer)
        self._making: dict[asyncio.Task[None], Connection] = {}
        self._closed = False

    @property
    def open(self) -> int:
        return len(self._open)

    @property
    def free(self) -> int:
        return len(self._free)

    @property
    def busy(self) -> bool:
        """Whether a request would have to wait."""
        return not self._free and len(self._open) >= self._limits.connections

    def free_now(self) -> Connection | None:
        """A usable connection that nobody uses, without waiting; None if there is none at the moment."""
        if self._closed or not self._free:
            return None
        while self._free:
            connection = self._free.pop()
            if connection.idle_seconds() <= self._limits.keep and connection.usable():
                return connection
            connection.abort()
        return None

    def enqueue(self, customer: Customer) -> bool:
        """Serve a customer as soon as there is a connection, or send it away within `connect`.

        Not where the address has just failed, or too many wait.
        """
        rests = self.rests_until > asyncio.get_running_loop().time()
        if self._closed or rests or not self._customers.add(customer):
            return False
        self._make_for_customers()
        return True

    def leave(self, customer: Customer) -> None:
        """It waits no more. Harmless when it did not."""
        self._customers.leave(customer)

    async def reserve(self) -> Connection:
        """A connection for one request: a usable one, or one that `connect` has to make.

        Raises UpstreamFailed(TIMEOUT) when none becomes free in time, or too many requests wait already.
        """
        while True:
            connection = self._take() or await self._wait()
            if connection.is_new or connection.usable():
                return connection
            connection.abort()

    async def connect(self, connection: Connection) -> None:
        """Make a reserved connection. Raises UpstreamFailed: REFUSED, TIMEOUT."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._limits.connect):
                await loop.create_connection(lambda: connection, self._host, self._port)
            if not connection.usable():
                raise ConnectionResetError("closed before the request")
        except BaseException as error:
            connection.abort()
            self.lost(connection)
            if not isinstance(error, OSError):
                raise
            self.failed()
            fault = UpstreamFault.TIMEOUT if isinstance(error, TimeoutError) else UpstreamFault.REFUSED
            raise UpstreamFailed(fault, f"no connection to {self._host}:{self._port}: {error}") from error

    def close(self) -> None:
        """Close every connection, whatever it carries, and send away who waits."""
        self._closed = True
        while customer := self._customers.first():
            customer.sent_away(None)
        for making in tuple(self._making):
            making.cancel()
        for connection in tuple(self._open):
            connection.abort()
        for waiter in tuple(self._waiting):
            self._send_away(waiter)

    # Home, as connections know it

    def released(self, connection: Connection) -> None:
        if self._customers:
            if not connection.usable():
                connection.abort()
                return
            while customer := self._customer_in_turn():
                if customer.served(connection):
                    return
        waiter = self._first_waiter()
        if waiter is not None:
            waiter.set_result(connection)
            return
        self._free.append(connection)
        if self._free[0].idle_seconds() > self._limits.keep:
            self._free.pop(0).abort()

    def lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        if connection in self._free:
            self._free.remove(connection)
        self._make_for_customers()
        if len(self._open) < self._limits.connections and (waiter := self._first_waiter()):
            waiter.set_result(self._admit())

    def failed(self) -> None:
        self.rests_until = asyncio.get_running_loop().time() + self._limits.retry_after_failure

    def _make_for_customers(self) -> None:
        most = min(len(self._customers), _MADE_AT_ONCE)
        while len(self._making) < most and len(self._open) < self._limits.connections and not self._closed:
            connection = self._admit()  # at once: the task begins when others may have been counted
            making = asyncio.get_running_loop().create_task(self._make(connection))
            self._making[making] = connection
            making.add_done_callback(self._made)

    async def _make(self, connection: Connection) -> None:
        try:
            await self.connect(connection)
        except UpstreamFailed:
            if customer := self._customers.first():
                customer.sent_away(None)
        else:
            connection.release()

    def _made(self, making: "asyncio.Task[None]") -> None:
        connection = self._making.pop(making)
        if making.cancelled():  # perhaps before it began
            self._open.discard(connection)
        self._make_for_customers()

    def _send_away_customer(self, customer: Customer) -> None:
        all_are_being_made = len(self._open) <= len(self._making)
        customer.sent_away(None if all_are_being_made else _none_in_time())

    def _take(self) -> Connection | None:
        """Decide without waiting; None when all connections are in use."""
        if self._closed:
            raise UpstreamFailed(UpstreamFault.REFUSED, "the gateway is stopping")
        if connection := self.free_now():
            return connection
        return self._admit() if len(self._open) < self._limits.connections else None

    def _admit(self) -> Connection:
        connection = Connection(self)
        self._open.add(connection)
        return connection

    async def _wait(self) -> Connection:
        loop = asyncio.get_running_loop()
        if len(self._waiting) >= self._limits.waiting:
            raise UpstreamFailed(UpstreamFault.TIMEOUT, "too many requests wait for the upstream")
        waiter: asyncio.Future[Connection] = loop.create_future()
        timer = loop.call_later(self._limits.connect, self._send_away, waiter)
        self._waiting[waiter] = timer
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._take_back(waiter.result())
            raise
        finally:
            timer.cancel()
            self._waiting.pop(waiter, None)

    def _customer_in_turn(self) -> Customer | None:
        """The customer who waits longest, if nobody waits longer in a task. All wait for the same time."""
        for waiter, timer in self._waiting.items():
            if not waiter.done():
                return self._customers.first(timer.when())
        return self._customers.first()

    def _first_waiter(self) -> "asyncio.Future[Connection] | None":
        """Who waits longest, taken out of the queue."""
        while self._waiting:
            waiter = next(iter(self._waiting))
            del self._waiting[waiter]
            if not waiter.done():
                return waiter
        return None

    def _send_away(self, waiter: "asyncio.Future[Connection]") -> None:
        if not waiter.done():
            waiter.set_exception(_none_in_time())

    def _take_back(self, connection: Connection) -> None:
        """A connection was handed to somebody who gave up in the same moment."""
        if connection.is_new:
            self.lost(connection)
        else:
            connection.release()


def _none_in_time() -> UpstreamFailed:
    return UpstreamFailed(UpstreamFault.TIMEOUT, "no connection became free in time")


class Pool:
    """The addresses of one app."""

    def __init__(self, addresses: Sequence[str], limits: UpstreamLimits) -> None:
        if not addresses:
            raise ValueError("an upstream needs an address")
        self.addresses = tuple(Address(address, limits) for address in addresses)
        self._turn = 0

    def free_now(self) -> Connection | None:
        """A connection for one request that can be had without waiting; None if there is none.

        Then it stays the same address's turn, so that one is made there.
        """
        turn = self._turn
        connection = self._in_order()[0].free_now()
        if connection is None:
            self._turn = turn
        return connection

    def enqueue(self, customer: Customer) -> Address | None:
        """Have a customer wait at the address whose turn it is; None where it had better not wait."""
        address = self._in_order()[0]
        return address if address.enqueue(customer) else None

    async def connection(self) -> Connection:
        """A connection for one request, made and usable at this moment.

        Nothing has been sent yet, so one address after another may be tried. Raises UpstreamFailed:
        REFUSED or TIMEOUT as the last of them answered, TIMEOUT when every connection stays in use.
        """
        failure = None
        for address in self._in_order():
            connection = await address.reserve()
            if not connection.is_new:
                return connection
            try:
                await address.connect(connection)
            except UpstreamFailed as failed:
                failure = failed
            else:
                return connection
        assert failure is not None  # noqa: S101 - there is at least one address
        raise failure

    def _in_order(self) -> Sequence[Address]:
        """All addresses in turn: the healthy before the resting, the free before the busy."""
        if len(self.addresses) == 1:
            return self.addresses
        self._turn = (self._turn + 1) % len(self.addresses)
        now = asyncio.get_running_loop().time()
        in_turn = self.addresses[self._turn :] + self.addresses[: self._turn]
        return sorted(in_turn, key=lambda address: (address.rests_until > now, address.busy))

    def close(self) -> None:
        for address in self.addresses:
            address.close()
