"""The price ticker, by WebSocket and by server-sent events: one message at once, then each second."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from aiohttp import WSCloseCode, WSMsgType, web

from gateway.demo.prices import ticker_message
from gateway.demo.visit import CLOCK

CLOSING = web.AppKey("CLOSING", asyncio.Event)
"""Set when the app stops: every ticker then ends by itself."""

_INTERVAL = 1.0


async def _messages(app: web.Application) -> AsyncIterator[str]:
    closing = app[CLOSING]
    while not closing.is_set():
        yield ticker_message(app[CLOCK]())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(closing.wait(), _INTERVAL)


async def socket(request: web.Request) -> web.WebSocketResponse:
    """`GET /ws`: ticker messages; text and binary messages come back as they were sent.

    Speaks the sub-protocol `prices` to those who ask for it, and answers a close with its own code.
    """
    connection = web.WebSocketResponse(protocols=("prices",), heartbeat=30, autoclose=False)
    await connection.prepare(request)
    ticker = asyncio.create_task(_send_prices(request.app, connection))
    try:
        async for message in connection:
            if message.type is WSMsgType.TEXT:
                await connection.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                await connection.send_bytes(message.data)
        await connection.close(code=connection.close_code or WSCloseCode.OK)
    finally:
        ticker.cancel()
    return connection


async def _send_prices(app: web.Application, connection: web.WebSocketResponse) -> None:
    with contextlib.suppress(ConnectionError):  # the other side left: the reader sees that too, and ends
        async for message in _messages(app):
            await connection.send_str(message)
        await connection.close(code=WSCloseCode.GOING_AWAY)


async def events(request: web.Request) -> web.StreamResponse:
    """`GET /events`: ticker messages as server-sent events."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        async for message in _messages(request.app):
            await response.write(f"data: {message}\n\n".encode())
    return response
