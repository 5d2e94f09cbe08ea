"""Withdrawals to an address outside: the form, the list, and each one's own page."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from gateway.demo.fields import Fields, Rejected, Unreadable, is_json, payment_of, read_fields, text
from gateway.demo.formats import iso
from gateway.demo.ledger import Entry, Kind
from gateway.demo.rendering import page, problem
from gateway.demo.visit import Visit, visit_of


async def show(request: web.Request) -> web.Response:
    """`GET /withdrawals`: the form and the list."""
    return _form(visit_of(request), {}, {})


async def create(request: web.Request) -> web.Response:
    """`POST /withdrawals` with `amount` and `address`, as a form or as JSON.

    A form is answered 200 with the confirmation itself, not with a redirection to it: a gateway that
    sends a kept form later shows that answer at this address, where a reload is then a plain GET.
    JSON is answered 201, 400 or 422.
    """
    try:
        fields = await read_fields(request)
    except Unreadable as error:
        return problem(400, str(error))
    visit = visit_of(request)
    try:
        entry = withdraw(visit, fields)
    except Rejected as error:
        if is_json(request):
            return problem(422, str(error), errors=error.errors)
        return _form(visit, fields, error.errors)
    if is_json(request):
        return web.json_response(
            _as_json(entry), status=201, headers={"Location": f"/withdrawals/{entry.id}"}
        )
    return page(visit, "withdrawal.html", entry=entry, new=True)


async def show_one(request: web.Request) -> web.Response:
    """`GET /withdrawals/{id}`: one of the customer's own."""
    visit = visit_of(request)
    entry = visit.customer.withdrawal(request.match_info["id"])
    if entry is None:
        raise web.HTTPNotFound
    return page(visit, "withdrawal.html", entry=entry, new=False)


def withdraw(visit: Visit, fields: Fields) -> Entry:
    """Check the fields and take the money out. Raises Rejected."""
    amount, address = payment_of(fields, visit.customer.available)
    return visit.exchange.withdraw(visit.customer, amount, address, visit.now)


def _form(visit: Visit, fields: Fields, errors: Mapping[str, str]) -> web.Response:
    return page(
        visit,
        "withdrawals.html",
        status=422 if errors else 200,
        amount=text(fields, "amount"),
        address=text(fields, "address"),
        errors=errors,
        entries=visit.customer.latest(Kind.WITHDRAWAL, limit=50),
    )


def _as_json(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "amount": f"{-entry.amount:f}",
        "asset": entry.asset,
        "address": entry.party,
        "status": entry.status,
        "created_at": iso(entry.at),
    }
