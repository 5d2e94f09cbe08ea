"""Sending to another member: a page whose script calls a JSON API."""

from aiohttp import web

from gateway.demo.fields import Fields, Rejected, Unreadable, is_json, payment_of, read_fields, text
from gateway.demo.formats import iso
from gateway.demo.ledger import Entry, Kind
from gateway.demo.rendering import page, problem
from gateway.demo.visit import Visit, visit_of

NOTE_LENGTH = 80
"""Characters that a note to the receiver may have."""


async def show(request: web.Request) -> web.Response:
    """`GET /transfers`: the page that calls the API below."""
    visit = visit_of(request)
    entries = visit.customer.latest(Kind.TRANSFER, limit=20)
    return page(visit, "transfers.html", entries=entries, note_length=NOTE_LENGTH)


async def create(request: web.Request) -> web.Response:
    """`POST /api/transfers` with `amount`, `address` (a member's name) and, if wanted, `note`.

    JSON only. Answers 201 with the transfer and the balance left, or 400, 415 or 422 with a problem.
    """
    if not is_json(request):
        return problem(415, "Send application/json.")
    visit = visit_of(request)
    try:
        entry = transfer(visit, await read_fields(request))
    except Unreadable as error:
        return problem(400, str(error))
    except Rejected as error:
        return problem(422, str(error), errors=error.errors)
    answer = {
        "id": entry.id,
        "amount": f"{-entry.amount:f}",
        "asset": entry.asset,
        "address": entry.party,
        "note": entry.note,
        "status": entry.status,
        "created_at": iso(entry.at),
        "balance": f"{visit.customer.available:f}",
    }
    return web.json_response(answer, status=201)


def transfer(visit: Visit, fields: Fields) -> Entry:
    """Check the fields and send the money. Raises Rejected."""
    amount, member = payment_of(fields, visit.customer.available)
    note = text(fields, "note")
    if len(note) > NOTE_LENGTH:
        raise Rejected({"note": f"Keep the note to {NOTE_LENGTH} characters."})
    if member == visit.customer.subject:
        raise Rejected({"address": "That is you. Enter another member."})
    return visit.exchange.transfer(visit.customer, amount, member, note, visit.now)
