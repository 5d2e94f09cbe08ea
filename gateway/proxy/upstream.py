"""The only way out of the gateway: a permit, headers and a body go to an upstream, its answer comes back.

No request is ever sent twice. As long as not one byte of it was written, another connection or address
may be tried; from then on, a failure is the caller's to know, whatever the method.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Sequence

from gateway.core.decision import Permit
from gateway.proxy.connection import Connection, Receiver
from gateway.proxy.customers import Customer
from gateway.proxy.exchange import Exchange
from gateway.proxy.pool import Address, Pool, UpstreamLimits
from gateway.proxy.wire import Lines, RawHeaders, ResponseReader, request_head

__all__ = ["RawHeaders", "Tunnel", "Upstream", "UpstreamLimits", "UpstreamResponse"]


class Tunnel:
    """Raw bytes both ways, after a 101. A cancelled read or write loses nothing; `close` ends it."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def read(self) -> bytes:
        """The next bytes; b"" at the end. Raises UpstreamFailed(BROKEN) when the connection breaks."""
        return await self._exchange.next()

    def pass_on(self, to: Callable[[bytes], bool]) -> None:
        """Offer what arrives while nothing waits to be read; `to` takes all of it or nothing."""
        self._exchange.passes_on = to

    def write_now(self, data: bytes) -> bool:
        """Write, if the upstream reads as fast as that; else nothing is done, and False."""
        return self._exchange.write_now(data)

    async def write(self, data: bytes) -> None:
        """Returns when the upstream has read enough to take more. Raises UpstreamFailed(BROKEN)."""
        await self._exchange.write(data)

    def part(self, last: bytes) -> None:
        """Cut it off, with `last` as the last word if the upstream listens. Harmless when closed already."""
        self._exchange.part(last)

    def leave(self, last: bytes) -> None:
        """End it with a last word, behind what was written before. Harmless when closed already."""
        self._exchange.leave(last)

    async def close(self) -> None:
        """What was written still leaves. Harmless when closed already."""
        self._exchange.close_tunnel()


class UpstreamResponse:
    """An upstream's answer, whose body is still to be read.

    `head` is all that it sent of one, hop-by-hop headers included, trailers never.
    """

    def __init__(self, exchange: Exchange) -> None:
        if exchange.reader.head is None:
            raise ValueError("the head of the answer is not there yet")
        self.reader = exchange.reader
        self.head = exchange.reader.head
        self.status = self.head.status
        self._exchange = exchange

    def whole(self) -> bytes | None:
        """The complete body if all of it has arrived, as small ones have; None if `chunks` is needed."""
        return self._exchange.take() if self._exchange.reader.complete else None

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body without its framing; for one reader, once.

        Raises UpstreamFailed: BROKEN when it ends early, TIMEOUT when it pauses for too long; and what the
        request's body raises, if that is still being sent.
        """
        try:
            while data := await self._exchange.next():
                yield data
        finally:
            self._exchange.abort()  # cancelled or closed halfway; nothing to do at the end

    def tunnel(self) -> Tunnel:
        """The connection itself, after a requested upgrade was answered with 101."""
        if not self._exchange.is_tunnel:
            raise RuntimeError("the upstream did not switch protocols")
        return Tunnel(self._exchange)

    async def close(self) -> None:
        """Give up: the connection is closed, never reused. Harmless after the end."""
        self._exchange.abort()


class Upstream:
    """Where one app answers, at one or more addresses like `http://127.0.0.1:8001`."""

    def __init__(self, addresses: Sequence[str], limits: UpstreamLimits) -> None:
        """Raises ValueError for an address of another form."""
        self.limits = limits
        self._pool = Pool(addresses, limits)

    @property
    def open_connections(self) -> int:
        """Connections in use, free, or being made."""
        return sum(address.open for address in self._pool.addresses)

    @property
    def free_connections(self) -> int:
        return sum(address.free for address in self._pool.addresses)

    async def send(
        self,
        permit: Permit,
        headers: RawHeaders | Lines,
        body: AsyncIterable[bytes] | bytes | None,
        *,
        length: int | None = None,
        upgrade: bool = False,
        begins: Callable[[Callable[[], None]], None] | None = None,
    ) -> UpstreamResponse:
        """Send the request that `permit` allows; return when the head of its answer is here.

        Method, path and query are the permit's. `headers` are the other ones, complete but for the
        framing, which follows from `body` and `length`; `upgrade` asks for a WebSocket. The body goes on
        being read while the answer comes. The caller reads `chunks` to the end or calls `close`.

        `begins` is called when the request is about to leave, with what aborts the exchange at once, from
        then on and for as long as it lasts. What it raises ends the exchange.

        Raises UpstreamFailed; ValueError for headers that may not be sent; what `body` raises.
        """
        if not isinstance(permit, Permit):
            raise TypeError("forwarding needs a permit")
        if isinstance(body, bytes):
            length = len(body)
        if (body is None and length) or (upgrade and (body is not None or permit.target.method != "GET")):
            raise ValueError("a length needs a body; an upgrade is a GET without one")
        head = request_head(
            permit.target,
            headers,
            length=length,
            chunked=body is not None and length is None,
            upgrade=upgrade,
        )
        connection = await self._pool.connection()
        exchange = Exchange(connection, ResponseReader(permit.target.method, upgrade=upgrade), self.limits)
        try:
            if begins is not None:
                begins(exchange.abort)
            await exchange.request(head, body, length)
        except BaseException:
            exchange.abort()
            raise
        return UpstreamResponse(exchange)

    def free_now(self) -> Connection | None:
        """A connection that is free at this moment; None if there is none. It is to be used, or released."""
        return self._pool.free_now()

    def enqueue(self, customer: Customer) -> Address | None:
        """Have a customer wait for a connection: where it does, and may `leave`; None where it does not."""
        return self._pool.enqueue(customer)

    def send_now(
        self,
        permit: Permit,
        headers: Lines,
        connection: Connection,
        receiver: Receiver,
        *,
        length: int | None = None,
        body: bytes = b"",
    ) -> None:
        """Send a request over a connection that is free; `receiver` gets what comes.

        `length` is that of its whole body, None for one without; `body` the part of it that is here. The
        caller writes the rest to the connection, and looks after the deadlines (`UpstreamLimits`). Raises
        ValueError for headers that may not be sent.
        """
        if not isinstance(permit, Permit):
            raise TypeError("forwarding needs a permit")
        head = request_head(permit.target, headers, length=length)
        connection.receiver = receiver
        connection.write(head + body if body else head)

    async def close(self) -> None:
        """Close every connection; whoever is in the middle of an exchange gets UpstreamFailed(BROKEN)."""
        self._pool.close()
        await asyncio.sleep(0)  # the event loop closes the sockets in its next round
