"""A listener of the test's own, around a handler of the test's own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from gateway.web.connection import ListenerLimits
from gateway.web.listener import Handler, Listener


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
