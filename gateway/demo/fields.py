"""What people and programs send, read and checked. Every message says what to do next."""

import json
import re
from collections.abc import Mapping
from decimal import Decimal

from aiohttp import web

from gateway.demo.formats import quantity
from gateway.demo.prices import CASH

DECIMALS = 6
"""Places after the point that a digital dollar has."""

AMOUNT_PATTERN = rf"[0-9]{{1,12}}(\.[0-9]{{1,{DECIMALS}}})?"
"""What browsers check before they send, so that nobody is asked for a code in vain."""

_AMOUNT = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,18})?", re.ASCII)
_ADDRESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:@_+\-]{2,119}", re.ASCII)
_PHONE = re.compile(r"\+?[0-9(][0-9 ()\-]{4,22}", re.ASCII)

Fields = Mapping[str, object]


class Rejected(Exception):
    """What was sent cannot be accepted. `errors` maps a field's name to what is wrong with it."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__("; ".join(errors.values()))
        self.errors = dict(errors)


class Unreadable(Exception):
    """The body is not what its Content-Type says."""


def is_json(request: web.Request) -> bool:
    return request.content_type == "application/json"


async def read_fields(request: web.Request) -> Fields:
    """The fields of a JSON object or of a form. Raises Unreadable.

    JSON numbers come as the text that was sent, so that 0.1 stays 0.1.
    """
    try:
        if not is_json(request):
            return await request.post()
        fields = json.loads(await request.read(), parse_float=str, parse_int=str)
    except (ValueError, LookupError, RecursionError):  # LookupError: a charset that nobody knows
        raise Unreadable("The body is not what its Content-Type says.") from None
    if not isinstance(fields, dict):
        raise Unreadable("The body must be a JSON object.")
    return fields


def text(fields: Fields, name: str) -> str:
    """A field without the blanks around it; empty if it is missing or not text."""
    value = fields.get(name)
    return value.strip() if isinstance(value, str) else ""


def amount_of(fields: Fields) -> Decimal:
    """The field `amount`, more than zero. Raises ValueError with a message for the person."""
    written = text(fields, "amount")
    if not written:
        raise ValueError("Enter an amount.")
    if "," in written:
        raise ValueError("Write the amount with a point and no commas, like 1250.50.")
    if written.startswith("-") or (_AMOUNT.fullmatch(written) and Decimal(written) == 0):
        raise ValueError("The amount must be more than zero.")
    if not _AMOUNT.fullmatch(written):
        raise ValueError("Write the amount in digits, like 250 or 99.95.")
    if len(written.partition(".")[2]) > DECIMALS:
        raise ValueError(f"{CASH.symbol} has {DECIMALS} decimal places at most.")
    return Decimal(written)


def address_of(fields: Fields) -> str:
    """The field `address`. Raises ValueError with a message for the person."""
    address = text(fields, "address")
    if not address:
        raise ValueError("Enter where the money should go.")
    if not _ADDRESS.fullmatch(address):
        raise ValueError("Write 3 to 120 letters and digits without spaces; . : @ _ + - are fine too.")
    return address


def payment_of(fields: Fields, available: Decimal) -> tuple[Decimal, str]:
    """Both `amount`, up to what is available, and `address`.

    Raises Rejected with everything that is wrong, not only the first.
    """
    errors = {}
    amount, address = Decimal(0), ""
    try:
        amount = amount_of(fields)
        if amount > available:
            raise ValueError(
                f"You have {quantity(available)} {CASH.symbol} available. Enter that much or less."
            )
    except ValueError as error:
        errors["amount"] = str(error)
    try:
        address = address_of(fields)
    except ValueError as error:
        errors["address"] = str(error)
    if errors:
        raise Rejected(errors)
    return amount, address


def phone_of(fields: Fields) -> str:
    """The field `phone`, which may be empty. Raises ValueError with a message for the person."""
    phone = text(fields, "phone")
    if phone and not _PHONE.fullmatch(phone):
        raise ValueError("Write the phone number in digits, like +47 22 12 34 56.")
    return phone
