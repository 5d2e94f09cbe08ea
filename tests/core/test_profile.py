import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.profile import is_email, is_name


@pytest.mark.parametrize("text", ["", "Ada Lovelace", "Zoë 彩", "O'Neill-Smith, Jr.", "x" * 100])
def test_names(text: str) -> None:
    assert is_name(text)


@pytest.mark.parametrize("text", [" Ada", "Ada ", "A\nB", "A\tB", "A\0", "\u202e", "\u200b", "x" * 101])
def test_what_is_no_name(text: str) -> None:
    assert not is_name(text)


@pytest.mark.parametrize(
    "text", ["ada@example.org", "a+b@mail.example.org", "a.b-c_d@localhost", "ü@exämple.org", "a'b@x.io"]
)
def test_addresses(text: str) -> None:
    assert is_email(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "ada", "@example.org", "ada@", "ada@@example.org", "a b@example.org", "ada@exa mple.org"),
        *("ada@example..org", "ada@.org", "ada@example.org.", "Ada <ada@example.org>", "a@b.org,c@d.org"),
        *("a@b.org\nBcc: c@d.org", "a@b.org\r", '"a"@b.org', "a(x)@b.org", "a@[192.0.2.1]", "a;b@c.org"),
        *("x" * 65 + "@example.org", "a@" + "x" * 64 + ".org", "a@" + "x." * 130 + "org"),
    ],
)
def test_what_is_no_address(text: str) -> None:
    assert not is_email(text)


@given(st.text())
def test_an_address_has_one_at_and_could_stand_in_a_header(text: str) -> None:
    if is_email(text):
        assert text.count("@") == 1
        assert text.isprintable() and " " not in text and "," not in text
