"""The exchange put together: routes, headers, errors, start."""

import asyncio
import time
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.demo import bodies, live, overview, profile, transfers, withdrawals
from gateway.demo.history import seed
from gateway.demo.ledger import Exchange
from gateway.demo.rendering import page, problem
from gateway.demo.visit import CLOCK, EXCHANGE, Clock, visit_of

_STATIC = Path(__file__).parent / "static"
_LARGEST_FORM = 1 << 16
_SHUTDOWN_SECONDS = 2.0

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: browsers then send `Origin: null` with forms, which origin checks refuse.
    "Referrer-Policy": "same-origin",
}


def make_app(*, clock: Clock = time.time) -> web.Application:
    """The exchange, empty of customers. `clock` gives Unix seconds."""
    app = web.Application(client_max_size=_LARGEST_FORM, middlewares=[_explain_errors])
    app[CLOCK] = clock
    app[EXCHANGE] = Exchange(seed)
    app[live.CLOSING] = asyncio.Event()
    app.on_response_prepare.append(_add_headers)
    app.on_shutdown.append(_close_live)
    app.add_routes(
        [
            web.get("/", overview.show),
            web.get("/api/balances", overview.balances),
            web.get("/withdrawals", withdrawals.show),
            web.post("/withdrawals", withdrawals.create),
            web.get("/withdrawals/{id}", withdrawals.show_one),
            web.get("/transfers", transfers.show),
            web.post("/api/transfers", transfers.create),
            web.get("/profile", profile.show),
            web.post("/profile", profile.update),
            web.get("/ws", live.socket, allow_head=False),
            web.get("/events", live.events, allow_head=False),
            web.get("/download", bodies.download),
            web.post("/upload", bodies.upload),
            web.route("*", "/echo", bodies.echo),
            web.get("/favicon.ico", _favicon),
            web.static("/static", _STATIC),
        ]
    )
    return app


class Running(web.AppRunner):
    """A started exchange. `cleanup()` stops it."""

    @property
    def port(self) -> int:
        """The port that it listens on, which is the free one found if 0 was asked for."""
        port: int = self.addresses[0][1]
        return port


async def start(host: str = "127.0.0.1", port: int = 0, *, clock: Clock = time.time) -> Running:
    """Listen on `host` and `port` (0 for any free one). Raises OSError if that cannot be had."""
    running = Running(make_app(clock=clock), access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    await running.setup()
    await web.TCPSite(running, host, port).start()
    return running


async def _favicon(_: web.Request) -> web.FileResponse:
    return web.FileResponse(_STATIC / "icon.svg")


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    public = request.path.startswith("/static/") or request.path == "/favicon.ico"
    response.headers.setdefault("Cache-Control", "no-cache" if public else "no-store")


async def _close_live(app: web.Application) -> None:
    app[live.CLOSING].set()


@web.middleware
async def _explain_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Say what a status means, as a page to people and as a problem to programs."""
    try:
        return await handler(request)
    except web.HTTPClientError as error:
        answer = _explained(request, error)
        for name in {"Allow", "Content-Range"} & error.headers.keys():
            answer.headers[name] = error.headers[name]
        return answer


def _explained(request: web.Request, error: web.HTTPClientError) -> web.Response:
    if "text/html" in request.headers.get("Accept", ""):
        return page(
            visit_of(request),
            "error.html",
            status=error.status,
            title=error.reason,
            missing=error.status == 404,
        )
    return problem(error.status, f"{request.method} {request.path} was not answered: {error.reason}.")
