import re
from collections.abc import Callable

import pytest

from gateway import entropy


@pytest.mark.parametrize(
    ("make", "form"),
    [(entropy.token, "[A-Za-z0-9_-]{43}"), (entropy.identifier, "[0-9a-f]{32}")],
)
def test_what_is_random_has_its_form_and_never_returns(make: Callable[[], str], form: str) -> None:
    made = [make() for _ in range(1000)]
    assert all(re.fullmatch(form, text) for text in made)
    assert len(set(made)) == len(made)


@pytest.mark.parametrize("count", [0, 1, 12, 32])
def test_octets_are_as_many_as_asked_for(count: int) -> None:
    assert len(entropy.octets(count)) == count


def test_octets_never_return() -> None:
    assert entropy.octets(16) != entropy.octets(16)


@pytest.mark.parametrize("text", ["", "a", "a" * 42, "a" * 44, "é" * 43, "a" * 42 + "\n", "a" * 42 + ";"])
def test_what_is_no_token_is_told_apart(text: str) -> None:
    assert not entropy.is_token(text)
    assert entropy.is_token(entropy.token())
