"""Codes against RFC 6238, and against everything that looks like one."""

import base64
from urllib.parse import parse_qs, unquote, urlsplit

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import totp

RFC_SEED = b"12345678901234567890"
# RFC 6238 appendix B, SHA-1: its eight digits end in the six that authenticator apps show.
VECTORS = [
    (59, "94287082"),
    (1111111109, "07081804"),
    (1111111111, "14050471"),
    (1234567890, "89005924"),
    (2000000000, "69279037"),
    (20000000000, "65353130"),
]

NOW = 1_800_000_000.0  # the first second of a step
STEP = 60_000_000

SEEDS = st.binary(min_size=totp.SEED_BYTES, max_size=totp.SEED_BYTES)
TIMES = st.floats(min_value=1e9, max_value=4e9)


def code_at(step: int, seed: bytes = RFC_SEED) -> str:
    return pyotp.HOTP(base64.b32encode(seed).decode()).at(step)


@pytest.mark.parametrize(("now", "digits"), VECTORS)
def test_the_vectors_of_rfc_6238(now: int, digits: str) -> None:
    assert totp.matching_step(RFC_SEED, digits[-6:], now, drift=0) == now // 30


@pytest.mark.parametrize(
    ("now", "step", "left"),
    [
        (NOW - 0.01, STEP - 1, 1),
        (NOW, STEP, 30),
        (NOW + 0.9, STEP, 30),
        (NOW + 1, STEP, 29),
        (NOW + 29.99, STEP, 1),
        (NOW + 30, STEP + 1, 30),
    ],
)
def test_where_a_step_begins_and_ends(now: float, step: int, left: int) -> None:
    assert totp.step_at(now) == step
    assert totp.seconds_to_next_code(now) == left


@pytest.mark.parametrize(
    ("steps_away", "drift", "found"),
    [(-2, 1, False), (-1, 1, True), (0, 1, True), (1, 1, True), (2, 1, False), (-1, 0, False), (1, 0, False)],
)
@pytest.mark.parametrize("now", [NOW, NOW + 29.99])
def test_how_far_a_clock_may_be_off(now: float, steps_away: int, drift: int, found: bool) -> None:
    step = STEP + steps_away
    assert totp.matching_step(RFC_SEED, code_at(step), now, drift=drift) == (step if found else None)


def test_one_step_either_way_is_the_rule() -> None:
    found = [totp.matching_step(RFC_SEED, code_at(STEP + away), NOW) for away in (-2, -1, 0, 1, 2)]
    assert found == [None, STEP - 1, STEP, STEP + 1, None]


DIGITS = "0123456789"
FULL_WIDTH = str.maketrans(DIGITS, "".join(chr(0xFF10 + digit) for digit in range(10)))
SUPERSCRIPT = str.maketrans(DIGITS, "⁰¹²³⁴⁵⁶⁷⁸⁹")

LOOKALIKES = {
    "full-width": "123456".translate(FULL_WIDTH),
    "superscript": "123456".translate(SUPERSCRIPT),
    "Arabic-Indic": "١٢٣٤٥٦",
    "spaced": "123 456",
    "space before": " 12345",
    "space after": "12345 ",
    "line break after": "123456\n",
    "five digits": "12345",
    "seven digits": "1234567",
    "a sign": "+12345",
    "a letter": "12345a",
    "NUL": "12345\0",
    "nothing": "",
}


@pytest.mark.parametrize("text", LOOKALIKES.values(), ids=LOOKALIKES.keys())
def test_case_20_what_only_looks_like_a_code(text: str) -> None:
    assert not totp.is_code(text)
    assert totp.matching_step(RFC_SEED, text, NOW) is None


@pytest.mark.parametrize("digits", [FULL_WIDTH, SUPERSCRIPT])
def test_case_20_the_right_code_in_other_digits(digits: dict[int, int]) -> None:
    assert totp.matching_step(RFC_SEED, code_at(STEP).translate(digits), NOW) is None


@given(seed=SEEDS, now=TIMES, steps_away=st.integers(-5, 5), drift=st.integers(0, 2))
def test_an_accepted_step_is_within_drift_and_has_that_code(
    seed: bytes, now: float, steps_away: int, drift: int
) -> None:
    code = code_at(totp.step_at(now) + steps_away, seed)
    found = totp.matching_step(seed, code, now, drift=drift)
    if abs(steps_away) <= drift:
        assert found is not None
    if found is not None:
        assert abs(found - totp.step_at(now)) <= drift
        assert code_at(found, seed) == code


@given(st.text())
def test_a_code_is_six_ascii_digits(text: str) -> None:
    assert totp.is_code(text) == (len(text) == 6 and set(text) <= set(DIGITS))


@given(st.binary(min_size=1, max_size=40))
def test_a_setup_key_is_the_seed_for_typing(seed: bytes) -> None:
    key = totp.setup_key(seed)
    assert set(key) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
    assert base64.b32decode(key + "=" * (-len(key) % 8)) == seed


def test_an_otpauth_uri_as_every_app_reads_it() -> None:
    uri = totp.otpauth_uri(RFC_SEED, issuer="Watchword Demo", account="ada@example.org")
    assert uri == (
        "otpauth://totp/Watchword%20Demo:ada%40example.org"
        "?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Watchword%20Demo"
    )


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(seed=SEEDS, issuer=NAMES, account=NAMES)
def test_an_otpauth_uri_survives_any_names(seed: bytes, issuer: str, account: str) -> None:
    uri = urlsplit(totp.otpauth_uri(seed, issuer=issuer, account=account))
    parameters = parse_qs(uri.query, strict_parsing=True, keep_blank_values=True)
    label_issuer, label_account = unquote(uri.path).removeprefix("/").split(":")
    assert (uri.scheme, uri.netloc) == ("otpauth", "totp")
    assert label_issuer == parameters["issuer"][0] == issuer.replace(":", " ")
    assert label_account == account.replace(":", " ")
    assert parameters["secret"] == [totp.setup_key(seed)]
    assert "+" not in uri.query
    assert "=" not in parameters["secret"][0]
    # SHA-1, six digits and 30 s are what an app takes for granted when nothing is said.
    assert set(parameters) == {"secret", "issuer"}
