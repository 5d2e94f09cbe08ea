"""Pages (Jinja2, always escaping) and problems (RFC 9457)."""

from http import HTTPStatus
from typing import Any

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from gateway.demo import charts, formats
from gateway.demo.fields import AMOUNT_PATTERN
from gateway.demo.ledger import Kind
from gateway.demo.prices import ASSETS, CASH
from gateway.demo.visit import Visit


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("gateway.demo"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        {
            name: getattr(formats, name)
            for name in ("money", "quantity", "signed", "percent", "day", "moment", "iso", "short")
        }
    )
    made.globals.update(Kind=Kind, ASSETS=ASSETS, CASH=CASH, line=charts.line, amount_pattern=AMOUNT_PATTERN)
    return made


_ENVIRONMENT = _environment()


def page(visit: Visit, template: str, *, status: int = 200, **values: Any) -> web.Response:
    """An HTML page; every template also has `visit`."""
    html = _ENVIRONMENT.get_template(template).render(visit=visit, **values)
    return web.Response(text=html, status=status, content_type="text/html")


def problem(status: int, detail: str, **more: Any) -> web.Response:
    """A problem document (RFC 9457), titled by its status."""
    return web.json_response(
        {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": detail,
            **more,
        },
        status=status,
        content_type="application/problem+json",
    )
