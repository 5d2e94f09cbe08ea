"""Recovery codes: written so that they can be read, and read as they were meant."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.recovery_codes import OCTETS, code_of, read, written

BITS = st.binary(min_size=OCTETS, max_size=OCTETS)
LOOK_ALIKE = {"0": "0oO", "1": "1iIlL"}
SEPARATORS = ["", " ", "-", " - ", "\n", "\t", "\u00a0", "\u2011", "\u2013", "\u2014"]
ANY_SEPARATOR = st.sampled_from(SEPARATORS)


def test_a_code_is_four_groups_of_four_without_look_alikes() -> None:
    assert written(code_of(bytes.fromhex("00443214c74254b635cf"))) == "0123-4567-89AB-CDEF"
    assert code_of(b"\0" * OCTETS) == "0" * 16
    assert code_of(b"\xff" * OCTETS) == "Z" * 16


@given(BITS)
def test_what_is_written_can_be_read(bits: bytes) -> None:
    code = code_of(bits)
    assert re.fullmatch("[0-9A-HJKMNP-TV-Z]{16}", code)
    assert read(written(code)) == read(code) == code


@given(BITS, BITS)
def test_no_two_codes_are_written_alike(one: bytes, other: bytes) -> None:
    assert (code_of(one) == code_of(other)) == (one == other)


@given(BITS, st.data())
def test_what_does_not_matter_does_not_matter(bits: bytes, data: st.DataObject) -> None:
    code = code_of(bits)
    typed = "".join(
        data.draw(st.sampled_from(LOOK_ALIKE.get(character, character + character.lower())))
        for character in code
    )
    assert read(typed) == code
    groups = [typed[start : start + 4] for start in range(0, 16, 4)]
    separated = "".join(group + data.draw(ANY_SEPARATOR) for group in groups)
    assert read(data.draw(ANY_SEPARATOR) + separated) == code


@given(st.text(alphabet="0123456789abcdefghjkmnpqrstvwxyzABCDEFGHJKMNPQRSTVWXYZ- "))
def test_only_sixteen_characters_are_a_code(text: str) -> None:
    meant = text.replace("-", "").replace(" ", "")
    found = read(text)
    assert (found is not None) <= (len(meant) == 16)
    if len(text) <= 64:
        assert (found is not None) == (len(meant) == 16)


@given(st.text())
def test_whatever_is_read_is_a_code(text: str) -> None:
    found = read(text)
    assert found is None or (read(written(found)) == found and len(found) == 16)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "123456",
        "0" * 15,
        "0" * 17,
        "U" * 16,  # Crockford leaves U out, and it looks like no digit
        "K7QM_2X9P_HV3D_8TNA",
        "K7QM-2X9P-HV3D-8TN\u212a",  # the Kelvin sign, which is a K in small letters
        "K7QM-2X9P-HV3D-8TN\uff21",  # full width
        "\u0660" * 16,  # Arabic-Indic digits
        "K7QM-2X9P-HV3D-8TNA" + " " * 100,
    ],
)
def test_what_is_no_code_is_none(text: str) -> None:
    assert read(text) is None
