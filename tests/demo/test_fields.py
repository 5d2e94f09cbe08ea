import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.demo.fields import (
    AMOUNT_PATTERN,
    Rejected,
    Unreadable,
    address_of,
    amount_of,
    payment_of,
    phone_of,
    read_fields,
    text,
)


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        ("250", "250"),
        (" 99.95 ", "99.95"),
        ("0.000001", "0.000001"),
        ("007.50", "7.50"),
        ("999999999999", "999999999999"),
    ],
)
def test_amounts_that_count(written: str, amount: str | float) -> None:
    assert str(amount_of({"amount": written})) == amount


@pytest.mark.parametrize(
    ("written", "advice"),
    [
        (None, "Enter an amount."),
        ("", "Enter an amount."),
        ("  ", "Enter an amount."),
        (True, "Enter an amount."),
        ([1], "Enter an amount."),
        ("0", "more than zero"),
        ("0.00", "more than zero"),
        ("-5", "more than zero"),
        ("-Infinity", "more than zero"),
        ("1,250.50", "a point and no commas"),
        ("12,5", "a point and no commas"),
        ("abc", "in digits"),
        ("1e5", "in digits"),
        ("NaN", "in digits"),
        ("+5", "in digits"),
        (".5", "in digits"),
        ("5.", "in digits"),
        ("\uff11\uff12", "in digits"),
        ("1 000", "in digits"),
        ("1" * 13, "in digits"),
        ("0.0000001", "6 decimal places"),
    ],
)
def test_amounts_that_do_not_count(written: str, advice: str) -> None:
    with pytest.raises(ValueError, match=re.escape(advice)):
        amount_of({"amount": written})


@given(st.from_regex(AMOUNT_PATTERN, fullmatch=True).filter(lambda written: Decimal(written) > 0))
def test_what_browsers_let_through_is_an_amount(written: str) -> None:
    assert amount_of({"amount": written}) == Decimal(written)


@pytest.mark.parametrize(
    "address", ["bc1qexample", "0x52aE", "grace", "grace@example.test", "a.b:c_d+e-f", "x" * 120]
)
def test_addresses(address: str) -> None:
    assert address_of({"address": f" {address} "}) == address


@pytest.mark.parametrize(
    ("written", "advice"),
    [
        (None, "where the money should go"),
        ("", "where the money should go"),
        ("ab", "3 to 120"),
        ("x" * 121, "3 to 120"),
        ("two words", "without spaces"),
        ("<script>", "letters and digits"),
        ("grâce", "letters and digits"),
        ("line\nbreak", "without spaces"),
        (".dot", "letters and digits"),
    ],
)
def test_no_addresses(written: str, advice: str) -> None:
    with pytest.raises(ValueError, match=advice):
        address_of({"address": written})


def test_a_payment_names_all_that_is_wrong_at_once() -> None:
    with pytest.raises(Rejected) as caught:
        payment_of({"amount": "10.01", "address": "x"}, Decimal(10))
    assert caught.value.errors["amount"] == "You have 10.00 USDC available. Enter that much or less."
    assert "3 to 120" in caught.value.errors["address"]


def test_a_payment_may_take_everything() -> None:
    assert payment_of({"amount": "10.00", "address": "grace"}, Decimal(10)) == (Decimal(10), "grace")


@pytest.mark.parametrize("phone", ["", "+47 22 12 34 56", "(030) 1234-567"])
def test_phones(phone: str) -> None:
    assert phone_of({"phone": phone}) == phone


@pytest.mark.parametrize("phone", ["12", "call me", "+", "1" * 30])
def test_no_phones(phone: str) -> None:
    with pytest.raises(ValueError, match="in digits"):
        phone_of({"phone": phone})


def test_only_text_is_text() -> None:
    assert [text({"a": value}, "a") for value in (" b ", 1, None, ["b"], {})] == ["b", "", "", "", ""]


class Sent:
    """As much of a request as reading its JSON takes."""

    content_type = "application/json"

    def __init__(self, body: bytes) -> None:
        self.body = body

    async def read(self) -> bytes:
        return self.body


async def test_json_numbers_keep_their_digits() -> None:
    assert await read_fields(Sent(b'{"amount": 0.10, "more": 1e400, "whole": 5}')) == {
        "amount": "0.10",
        "more": "1e400",
        "whole": "5",
    }


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b"[" * 60_000])
async def test_a_body_that_is_no_json_object_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        await read_fields(Sent(body))
