"""A request to one of our own addresses."""

import pytest
from support.portal import call_of, inbound


@pytest.mark.parametrize(
    ("target", "value"),
    [
        ("/x", None),
        ("/x?", None),
        ("/x?other=1", None),
        ("/x?name", ""),
        ("/x?name=", ""),
        ("/x?name=a%20b+c%26", "a b c&"),
        ("/x?other=1&name=2", "2"),
        ("/x?name=1&name=2", None),
        ("/x?name=1&%6eame=2", None),
        ("/x?Name=1", None),
        ("/x?name=%ff", "\ufffd"),
    ],
)
def test_a_parameter_of_the_query_has_one_value_or_none(target: str, value: str | None) -> None:
    assert call_of(inbound(f"GET {target}"), None).query("name") == value


def test_a_handler_that_is_open_to_everybody_cannot_take_somebody_for_granted() -> None:
    with pytest.raises(TypeError, match="open to everybody"):
        _ = call_of(inbound(), None).person
