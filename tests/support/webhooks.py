"""A real receiver of webhooks."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestServer

KEY = b"w" * 32
SECRET = "whsec_" + b64encode(KEY).decode()


@dataclass(frozen=True)
class Call:
    method: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Receiver:
    """`status` is what it answers, until a test changes that."""

    status: int
    url: str = ""
    calls: list[Call] = field(default_factory=list)
    _called: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def keep(self, call: Call) -> None:
        async with self._called:
            self.calls.append(call)
            self._called.notify_all()

    async def until(self, count: int) -> list[Call]:
        """Wait for so many calls; pytest's timeout ends what never comes."""
        async with self._called:
            await self._called.wait_for(lambda: len(self.calls) >= count)
        return self.calls


@asynccontextmanager
async def receiving(
    status: int = 204,
    *,
    headers: Mapping[str, str] = {},
    respond: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None,
) -> AsyncIterator[Receiver]:
    """Serve while the block runs."""
    receiver = Receiver(status)

    async def answer(request: web.Request) -> web.StreamResponse:
        await receiver.keep(Call(request.method, request.headers.copy(), await request.read()))
        return await respond(request) if respond else web.Response(status=receiver.status, headers=headers)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        receiver.url = str(server.make_url("/in"))
        yield receiver
