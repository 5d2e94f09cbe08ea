import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.profile import Unfit, is_email, is_name, unfit_name

FAMILY, HEART_ON_FIRE, NEW_FACE = "👨\u200d👩\u200d👧", "❤\ufe0f\u200d🔥", "\U0001fae9"


@pytest.mark.parametrize(
    "text",
    [
        *("", "Ada Lovelace", "Zoë 彩", "O'Neill-Smith, Jr.", "x" * 100),
        *("Ada 🚀", f"Ada {FAMILY}", f"{HEART_ON_FIRE} Ada", "👍🏽", "🇪🇺", NEW_FACE, "می\u200cروم"),
    ],
)
def test_names(text: str) -> None:
    assert is_name(text)


@pytest.mark.parametrize("text", [" Ada", "Ada ", "A\nB", "A\tB", "A\0", "\u202e", "\u200b", "x" * 101])
def test_what_is_no_name(text: str) -> None:
    assert not is_name(text)


@pytest.mark.parametrize(
    ("text", "unfit"),
    [
        ("Ada", None),
        ("", Unfit("empty")),
        ("x" * 101, Unfit("long", "100")),
        ("A\nB", Unfit("unseen", "U+000A")),
        ("A\u00a0B", Unfit("unseen", "U+00A0")),
        ("\u202eesrever", Unfit("unseen", "U+202E")),
        ("a\u200bb", Unfit("unseen", "U+200B")),
        ("\ud800", Unfit("unseen", "U+D800")),
        ("\u200dAda", Unfit("unseen", "U+200D")),
        ("Ada\u200d", Unfit("unseen", "U+200D")),
        ("Ada\u200d Lovelace", Unfit("unseen", "U+200D")),
        ("A\u200d\u200dB", Unfit("unseen", "U+200D")),
    ],
)
def test_it_is_said_why_something_is_no_name(text: str, unfit: Unfit | None) -> None:
    assert unfit_name(text) == unfit


@given(st.text(), st.integers(1, 50))
def test_a_name_is_one_line_of_characters_that_are_seen_or_join_such(text: str, longest: int) -> None:
    unfit = unfit_name(text, longest)
    if unfit is None:
        assert 0 < len(text) <= longest
        assert len(text.splitlines()) == 1
        assert text.encode() and not set(text) & set("\0\u200b\u202a\u202e\u2066\u2069\ufeff")
    elif unfit.why == "unseen":
        assert unfit.what in {f"U+{ord(c):04X}" for c in text}


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
