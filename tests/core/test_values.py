"""What may be written for a duration, a size, a switch, a name, and what it becomes."""

from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from gateway.core.values import (
    NOT_EMPTY,
    ONE_OR_MANY,
    Count,
    Duration,
    Name,
    Port,
    Size,
    Switch,
    Text,
    one_of,
    parse_duration,
    parse_size,
)

READING: dict[str, Any] = {}
FEW = Annotated[tuple[str, ...], ONE_OR_MANY, NOT_EMPTY]
WORD = Annotated[str, one_of(("GET", "POST"), "a word")]


@pytest.mark.parametrize(
    ("kind", "written", "value"),
    [
        (Duration, "500ms", 0.5),
        (Duration, "30s", 30.0),
        (Duration, "5m", 300.0),
        (Duration, "1h", 3600.0),
        (Duration, "7d", 604_800.0),
        (Size, "0B", 0),
        (Size, "64KiB", 65_536),
        (Size, "10MiB", 10_485_760),
        (Size, "1GB", 10**9),
        (Size, "1GiB", 2**30),
        (Switch, "on", True),
        (Switch, "yes", True),
        (Switch, "No", False),
        (Switch, "off", False),
        (Switch, True, True),
        (Switch, "false", False),
        (Count, 1, 1),
        (Count, "12", 12),
        (Port, 0, 0),
        (Port, "8080", 8080),
        (Text, " Ädas app ", "Ädas app"),
        (Name, "approve-transaction-2", "approve-transaction-2"),
        (FEW, "x", ("x",)),
        (FEW, ["x", "y"], ("x", "y")),
        (WORD, "GET", "GET"),
    ],
)
def test_what_is_written_becomes(kind: Any, written: object, value: object) -> None:
    found = TypeAdapter(kind).validate_python(written, context=READING)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("kind", "written", "message"),
    [
        (Duration, 30, "'30' is not a duration; write one such as 30s, 5m, 1h or 7d"),
        (Duration, "30", "'30' is not a duration"),
        (Duration, "0s", "'0s' is not a duration"),
        (Duration, "-5s", "'-5s' is not a duration"),
        (Duration, "1.5h", "'1.5h' is not a duration"),
        (Duration, "5 m", "'5 m' is not a duration"),
        (Duration, "5M", "'5M' is not a duration"),
        (Duration, "٣s", "is not a duration"),
        (Duration, "5s\n", "is not a duration"),
        (Duration, True, "'True' is not a duration"),
        (Size, 1024, "'1024' is not a size; write one such as 512B, 64KiB, 10MiB or 1GB"),
        (Size, "1gb", "'1gb' is not a size"),
        (Size, "1K", "'1K' is not a size"),
        (Switch, "maybe", "must be on or off, not 'maybe'"),
        (Switch, 1, "must be on or off, not 1"),
        (Switch, None, "must be on or off, not None"),
        (Count, True, "must be a whole number, not true or false"),
        (Port, True, "must be a whole number, not true or false"),
        (Text, " ", "must be one line of visible text"),
        (Text, "a\nb", "must be one line of visible text"),
        (Text, "a\u202eb", "must be one line of visible text"),
        (Name, "Approve", "'Approve' is not a name; use small letters, digits and single hyphens"),
        (Name, "a--b", "is not a name"),
        (Name, "-a", "is not a name"),
        (Name, "a/b", "is not a name"),
        (Name, "a\n", "is not a name"),
        (FEW, [], "must not be empty; leave the key out instead"),
        (WORD, "get", "'get' is not a word; did you mean 'GET'?"),
        (WORD, "x", "'x' is not a word"),
    ],
)
def test_what_is_not_accepted_says_what_to_write(kind: Any, written: object, message: str) -> None:
    with pytest.raises(ValidationError) as raised:
        TypeAdapter(kind).validate_python(written, context=READING)
    [error] = raised.value.errors()
    assert message in str(error["ctx"]["error"])


@pytest.mark.parametrize(("kind", "written"), [(Count, 0), (Port, -1), (Port, 65536)])
def test_numbers_have_bounds(kind: Any, written: int) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(written, context=READING)


def test_code_may_use_bare_numbers() -> None:
    """A document must give a unit; a value made in Python is in seconds or bytes."""
    assert TypeAdapter(Duration).validate_python(1.5) == 1.5
    assert TypeAdapter(Size).validate_python(100) == 100


@given(st.text(max_size=8))
def test_any_other_text_is_a_fault_and_nothing_else(text: str) -> None:
    for parse in (parse_duration, parse_size):
        try:
            assert parse(text) >= 0
        except ValueError as error:
            assert repr(text) in str(error)
