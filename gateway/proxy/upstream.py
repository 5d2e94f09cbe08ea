"""The only way out of the gateway: a permit, headers and a body go to an upstream, its answer comes back.

No request is ever sent twice. As long as not one byte of it was written, another connection or address
may be tried; from then on, a failure is the caller's to know, whatever the method.
"""

import asyncio
from collections.abc import AsyncIterable, Callable, Sequence

from gateway.core.decision import Permit
from gateway.proxy.connection import Connection, Receiver
from gateway.proxy.customers import Customer
from gateway.proxy.exchange import Exchange, UpstreamResponse
from gateway.proxy.pool import Address, Pool, UpstreamLimits
from gateway.proxy.wire import Lines, RawHeaders, ResponseReader, request_head

__all__ = ["RawHeaders", "Upstream", "UpstreamLimits", "UpstreamResponse"]


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
