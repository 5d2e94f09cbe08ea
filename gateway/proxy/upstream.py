"""The only way out of the gateway: a permit, headers and a body go to an upstream, its answer comes back."""

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from dataclasses import dataclass

from gateway.core.decision import Permit

RawHeaders = Sequence[tuple[bytes, bytes]]
"""Names and values as on the wire, order and case kept."""


@dataclass(frozen=True, slots=True)
class UpstreamLimits:
    """What one app's upstream may cost. Times are in seconds.

    `connections` is per address, tunnels included. A request waits at most `connect` for a free
    connection, and again at most `connect` for a new one to be made. `first_byte` runs from the end of
    the request to the end of the answer's headers, `idle` between pieces of a body. An address that
    failed rests for `retry_after_failure` while there is another.
    """

    connections: int = 256
    connect: float = 5.0
    first_byte: float = 60.0
    idle: float = 60.0
    retry_after_failure: float = 10.0


class UpstreamResponse:
    """An upstream's answer; its body is still to come.

    `headers` are all that it sent, hop-by-hop included, trailers never. `length` is the declared length
    of the body that follows; None when that is unknown, or when there is none (`has_body`).
    """

    status: int
    reason: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    has_body: bool
    length: int | None

    def whole(self) -> bytes | None:
        """The complete body, if all of it is here already: the short cut for small answers."""
        raise NotImplementedError

    def chunks(self) -> AsyncIterator[bytes]:
        """The body without its framing. Raises UpstreamFailed: BROKEN, TIMEOUT."""
        raise NotImplementedError

    def tunnel(self) -> "Tunnel":
        raise NotImplementedError

    async def close(self) -> None:
        """Give up early: the connection is closed, never reused. Harmless after the end."""
        raise NotImplementedError


class Tunnel:
    """Raw bytes both ways, after a 101."""

    async def read(self) -> bytes:
        """The next bytes; b"" at the end."""
        raise NotImplementedError

    async def write(self, data: bytes) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


class Upstream:
    """Where one app answers, at one or more addresses like `http://127.0.0.1:8001`."""

    def __init__(self, addresses: Sequence[str], limits: UpstreamLimits) -> None:
        raise NotImplementedError

    async def send(
        self,
        permit: Permit,
        headers: RawHeaders,
        body: AsyncIterable[bytes] | bytes | None,
        *,
        length: int | None = None,
        upgrade: bool = False,
    ) -> UpstreamResponse:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError
