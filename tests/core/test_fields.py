"""What a person is shown is what the app will read: a body that could be read in two ways is rejected."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.fields import pick, read_fields
from gateway.errors import BadRequest

FORM, JSON = "application/x-www-form-urlencoded", "application/json"


@pytest.mark.parametrize(
    ("body", "content_type", "fields"),
    [
        (b"amount=5&address=a+b%21", FORM, {"amount": "5", "address": "a b!"}),
        (b"a=1", f"{FORM}; charset=UTF-8", {"a": "1"}),
        (b"", FORM, {}),
        (b"a", FORM, {"a": ""}),
        (b'{"amount": 5}', JSON, {"amount": 5}),
        (b'{"a": "\\ud83d\\ude00"}', JSON, {"a": "\U0001f600"}),
        (b'{"a": {"b": [1]}}', "application/vnd.x+json; charset=utf-8", {"a": {"b": [1]}}),
    ],
)
def test_a_clear_body_is_read(body: bytes, content_type: str, fields: dict[str, object]) -> None:
    assert read_fields(body, content_type) == fields


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"amount=1&amount=1000", FORM),
        (b"amount=1&%61mount=1000", FORM),
        (b"amount=1;amount=1000", FORM),
        (b"a=%ff", FORM),
        (b"a=\xff", FORM),
        (b'{"amount": 1, "amount": 1000}', JSON),
        (b'{"amount": 1, "\\u0061mount": 1000}', JSON),
        (b'{"a": {"b": 1, "b": 2}}', JSON),
        (b'{"a": "\\ud800"}', JSON),
        (b'{"a": [{"\\udc00": 1}]}', JSON),
        (b"[1]", JSON),
        (b"{", JSON),
        (b'{"a": NaN}', JSON),
        (b"[" * 100_000, JSON),
        ('{"a": 1}'.encode("utf-16"), JSON),
        (b'{"a": 1}', "application/json; charset=utf-16"),
        (b'{"amount": 1e9999999999999999999}', JSON),
        (b'{"amount": 1}', "text/plain"),
        (b"amount=1", "multipart/form-data; boundary=x"),
        (b"amount=1", None),
    ],
)
def test_what_could_be_read_in_two_ways_is_rejected(body: bytes, content_type: str | None) -> None:
    with pytest.raises(BadRequest):
        read_fields(body, content_type)


def test_a_number_is_shown_with_all_its_digits() -> None:
    fields = read_fields(b'{"amount": 100000000000000000.01, "huge": 1e400, "n": 12}', JSON)
    shown = [pick(fields, name) for name in ("amount", "huge", "n")]
    assert shown == ["100000000000000000.01", "1E+400", "12"]


@pytest.mark.parametrize(
    ("path", "text"),
    [("a", "x"), ("b.c", "1.50"), ("b.d", "true"), ("b.e", '["é"]'), ("missing", None), ("a.x", None)],
)
def test_a_field_is_picked_as_text(path: str, text: str | None) -> None:
    fields = {"a": "x", "b": {"c": "1.50", "d": True, "e": ["é"]}}
    assert pick(fields, path) == text


@given(st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=5), max_size=5))
def test_any_json_object_of_texts_is_read_as_it_is(fields: dict[str, str]) -> None:
    assert read_fields(json.dumps(fields).encode(), JSON) == fields
