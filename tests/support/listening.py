"""A listener of the test's own, around a handler of the test's own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from aiohttp import web
from support.raw_client import RawClient

from gateway.web.connection import ListenerLimits
from gateway.web.listener import Handler, Listener

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
ENDLESS = 3600.0
PATIENT = ListenerLimits(
    head_seconds=ENDLESS, body_seconds=ENDLESS, body_rate=1, stall_seconds=ENDLESS, idle_seconds=ENDLESS
)


class Recorder:
    """A handler that answers 200 with the body it got, and remembers the requests it saw."""

    def __init__(self) -> None:
        self.requests: list[web.BaseRequest] = []

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(request)
        return web.Response(body=await request.read())


@asynccontextmanager
async def listening(
    handler: Handler, limits: ListenerLimits | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[int]:
    """Serve while the block runs; gives the port."""
    listener = Listener(handler, limits or ListenerLimits())
    port = await listener.start(host, 0)
    try:
        yield port
    finally:
        await listener.stop(grace=0)


def patient(**limits: float) -> ListenerLimits:
    """Limits without any deadline but those named, so that it can only be them."""
    values = {name: getattr(PATIENT, name) for name in ListenerLimits.__dataclass_fields__}
    return ListenerLimits(**(values | limits))


def post(length: int, body: bytes = b"", *, extra: bytes = b"") -> bytes:
    return b"POST / HTTP/1.1\r\nHost: a\r\n%bContent-Length: %d\r\n\r\n%b" % (extra, length, body)


async def drip_until_cut(client: RawClient, data: bytes, pause: float = 0.01) -> bytes:
    """Send one byte of `data` after the other, over and over, for as long as the server stands it.

    `pause` is the time from one byte to the next, in seconds.
    """
    received = asyncio.create_task(client.rest())
    position = 0
    while not received.done():
        with suppress(RuntimeError):  # uvloop's, for a connection that was lost just now
            client.writer.write(data[position % len(data) :][:1])
        position += 1
        await asyncio.wait([received], timeout=pause)
    return received.result()
