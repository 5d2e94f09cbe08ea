"""The yardstick of our own kind: aiohttp's server and aiohttp's client, put together the obvious way.

    python -m bench.speed.naive PORT UPSTREAM_PORT

It checks nothing. What it must do, it does: stream both ways, keep connections, drop hop-by-hop headers.
"""

import asyncio
import sys

import uvloop
from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, web

_HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade")
)


async def serve(port: int, upstream_port: int) -> None:
    async with ClientSession(
        connector=TCPConnector(limit=0),
        cookie_jar=DummyCookieJar(),
        auto_decompress=False,
        timeout=ClientTimeout(total=None),
    ) as client:

        async def forward(request: web.BaseRequest) -> web.StreamResponse:
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await _relay(client, upstream_port, request)
            async with client.request(
                request.method,
                f"http://127.0.0.1:{upstream_port}{request.path_qs}",
                headers=[each for each in request.headers.items() if each[0].lower() not in _HOP_BY_HOP],
                data=request.content if request.body_exists else None,
                allow_redirects=False,
            ) as answer:
                response = web.StreamResponse(status=answer.status, reason=answer.reason)
                for name, value in answer.headers.items():
                    if name.lower() not in _HOP_BY_HOP:
                        response.headers.add(name, value)
                await response.prepare(request)
                async for piece in answer.content.iter_any():
                    await response.write(piece)
                await response.write_eof()
                return response

        runner = web.ServerRunner(web.Server(forward, access_log=None))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
        await asyncio.Event().wait()


async def _relay(client: ClientSession, upstream_port: int, request: web.BaseRequest) -> web.StreamResponse:
    response = web.WebSocketResponse()
    await response.prepare(request)
    async with client.ws_connect(f"http://127.0.0.1:{upstream_port}{request.path_qs}") as app:

        async def to_app() -> None:
            async for message in response:
                await app.send_str(message.data)
            await app.close()

        async with asyncio.TaskGroup() as group:
            group.create_task(to_app())
            async for message in app:
                await response.send_str(message.data)
            await response.close()
    return response


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2])))
