"""A request as the gateway's edge reads it from a real socket."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiohttp import web
from support.listening import listening
from support.raw_client import RawClient
from support.store import NOW

from gateway.web.cookies import CookieJar
from gateway.web.inbound import Inbound
from gateway.web.reading import Reader

T = TypeVar("T")

READER = Reader("http", (), CookieJar(secure=False))


async def received(raw: bytes, use: Callable[[Inbound], Awaitable[T]], reader: Reader = READER) -> T:
    """Send `raw`, and give what `use` made of the request. Raises what reading or using it raised."""
    outcomes: list[T] = []
    failures: list[Exception] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        try:
            outcomes.append(await use(reader.read(request, NOW)))
        except Exception as error:
            failures.append(error)
        return web.Response()

    async with listening(handler) as port, await RawClient.connect(port) as client:
        await client.send(raw)
        assert (await client.answer()).status == 200
    if failures:
        raise failures[0]
    return outcomes[0]


async def read(raw: bytes, reader: Reader = READER) -> Inbound:
    async def as_it_is(inbound: Inbound) -> Inbound:
        return inbound

    return await received(raw, as_it_is, reader)


def head(*lines: str, line: str = "GET /") -> bytes:
    """The bytes of a request to localhost with these header lines."""
    return "\r\n".join((f"{line} HTTP/1.1", "Host: localhost", *lines, "", "")).encode()
