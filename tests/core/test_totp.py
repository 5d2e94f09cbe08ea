"""Codes against RFC 6238, and against everything that looks like one."""

import base64
from urllib.parse import parse_qs, unquote, urlsplit

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import totp
from gateway.core.reasons import Reason
from gateway.core.totp import Judgement

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
    assert totp.judge(RFC_SEED, digits[-6:], now) == Judgement(None, now // 30)


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


RIGHT, USED, OLD, CLOCK, WRONG = (
    None,
    Reason.USED_CODE,
    Reason.EXPIRED_CODE,
    Reason.WRONG_CLOCK,
    Reason.WRONG_CODE,
)


@pytest.mark.parametrize("now", [NOW, NOW + 29.99])
@pytest.mark.parametrize(
    ("drift", "told"),
    [
        (0, {-21: WRONG, -20: CLOCK, -4: CLOCK, -3: OLD, -2: OLD, -1: RIGHT, 0: RIGHT, 1: RIGHT, 2: CLOCK}),
        (-1, {-5: CLOCK, -4: OLD, -3: OLD, -2: RIGHT, -1: RIGHT, 0: RIGHT, 1: CLOCK, 20: CLOCK, 21: WRONG}),
        (1, {-3: CLOCK, -2: OLD, -1: OLD, 0: RIGHT, 1: RIGHT, 2: RIGHT, 3: CLOCK, 20: CLOCK, 21: WRONG}),
    ],
)
def test_what_a_code_is_by_how_far_it_is_off(drift: int, told: dict[int, Reason | None], now: float) -> None:
    judged = {off: totp.judge(RFC_SEED, code_at(STEP + off), now, drift=drift, last_step=1) for off in told}
    assert {off: judgement.reason for off, judgement in judged.items()} == told
    for off, judgement in judged.items():
        if judgement.reason is not WRONG:
            assert judgement.step == STEP + off
        assert judgement.clock_off_by == (off * 30 if judgement.reason is CLOCK else 0)


@pytest.mark.parametrize("off", [-20, -4, -2, 2, 20])
def test_nothing_is_diagnosed_before_the_first_right_code(off: int) -> None:
    assert totp.judge(RFC_SEED, code_at(STEP + off), NOW) == totp.WRONG


@pytest.mark.parametrize("off", [-1, 0, 1])
def test_the_last_step_and_all_before_it_that_would_count_are_used(off: int) -> None:
    judged = totp.judge(RFC_SEED, code_at(STEP + off), NOW, last_step=STEP + 1)
    assert judged == Judgement(USED, STEP + off)


@pytest.mark.parametrize("off", [-20, -4, -3, -2, 2, 20])
def test_the_very_step_that_was_spent_is_used_however_long_ago(off: int) -> None:
    judged = totp.judge(RFC_SEED, code_at(STEP + off), NOW, last_step=STEP + off)
    assert judged == Judgement(USED, STEP + off)


@pytest.mark.parametrize("last_step", [STEP - 1, STEP, STEP + 1])
def test_a_clock_that_is_behind_is_told_so_although_the_seed_was_just_used_elsewhere(last_step: int) -> None:
    """Two phones with the same seed, one of them right: the other hears what is wrong with it."""
    behind = {off: totp.judge(RFC_SEED, code_at(STEP + off), NOW, last_step=last_step) for off in (-20, -6)}
    assert behind == {off: Judgement(CLOCK, STEP + off, off * 30) for off in behind}
    late = totp.judge(RFC_SEED, code_at(STEP - 3), NOW, last_step=last_step)
    assert late == Judgement(OLD, STEP - 3), "typed too slowly"


def test_of_several_answers_the_one_closest_to_right_is_told() -> None:
    in_order = [
        Judgement(RIGHT, 5),
        Judgement(USED, 4),
        Judgement(OLD, 3),
        Judgement(CLOCK, 2, -180),
        Judgement(WRONG),
    ]
    for best, *others in (in_order[start:] for start in range(len(in_order))):
        assert totp.most_telling([*others[::-1], best, *others]) == best
    assert totp.most_telling([]) == totp.WRONG


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
    assert totp.judge(RFC_SEED, text, NOW, last_step=1) == totp.WRONG


@pytest.mark.parametrize("digits", [FULL_WIDTH, SUPERSCRIPT])
def test_case_20_the_right_code_in_other_digits(digits: dict[int, int]) -> None:
    assert totp.judge(RFC_SEED, code_at(STEP).translate(digits), NOW, last_step=1) == totp.WRONG


DRIFTS = st.integers(-1, 1)
LAST_STEPS = st.none() | st.integers(-25, 25)


@given(seed=SEEDS, now=TIMES, off=st.integers(-25, 25), drift=DRIFTS, last=LAST_STEPS)
def test_what_is_right_is_within_three_steps_and_above_the_last(
    seed: bytes, now: float, off: int, drift: int, last: int | None
) -> None:
    """`off` and `last` are counted from the step of now; a diagnosis is never called right."""
    current = totp.step_at(now)
    last_step = None if last is None else current + last
    judged = totp.judge(seed, code_at(current + off, seed), now, drift=drift, last_step=last_step)
    spendable = abs(off - drift) <= 1 and (last is None or off > last)
    if spendable:
        assert judged.reason is RIGHT
    if judged.reason is RIGHT:
        assert code_at(judged.step, seed) == code_at(current + off, seed)
        assert judged.step in range(current + drift - 1, current + drift + 2)
        assert last_step is None or judged.step > last_step
    assert bool(judged.clock_off_by) == (judged.reason is CLOCK)
    if last is None:
        assert judged.reason in (RIGHT, WRONG)


@given(seed=SEEDS, now=TIMES, off=st.integers(-20, 20), drift=DRIFTS, last=st.integers(-25, 25))
def test_what_is_called_used_is_the_last_step_or_would_have_counted_but_for_it(
    seed: bytes, now: float, off: int, drift: int, last: int
) -> None:
    current = totp.step_at(now)
    judged = totp.judge(seed, code_at(current + off, seed), now, drift=drift, last_step=current + last)
    if judged.reason is USED:
        assert judged.step <= current + last
        assert judged.step == current + last or abs(judged.step - current - drift) <= 1
    if off == last:
        assert judged.reason in (RIGHT, USED), "right only where another step has the same code"
    if judged.reason in (OLD, CLOCK):
        assert abs(judged.step - current - drift) > 1, "within the drift it is no matter of the clock"
        assert judged.step != current + last


@given(seed=SEEDS, now=TIMES, drift=DRIFTS, last=LAST_STEPS)
def test_no_more_than_three_codes_are_right_at_a_time(
    seed: bytes, now: float, drift: int, last: int | None
) -> None:
    current = totp.step_at(now)
    last_step = None if last is None else current + last
    codes = {code_at(current + off, seed) for off in range(-25, 26)}
    judged = [totp.judge(seed, code, now, drift=drift, last_step=last_step) for code in codes]
    assert sum(judgement.reason is RIGHT for judgement in judged) <= 3


@pytest.mark.parametrize("drift", [-1, 0, 1])
@pytest.mark.parametrize("last_step", [None, 1, STEP, STEP + 30])
def test_every_code_costs_the_same_work(
    monkeypatch: pytest.MonkeyPatch, drift: int, last_step: int | None
) -> None:
    made = []
    for code in ("000000", *(code_at(STEP + off) for off in (-30, -20, -2, 0, 1, 2, 20))):
        steps: list[int] = []

        class Counting(pyotp.HOTP):
            def at(self, count: int, made: list[int] = steps) -> str:
                made.append(count)
                return super().at(count)

        monkeypatch.setattr(totp.pyotp, "HOTP", Counting)
        totp.judge(RFC_SEED, code, NOW, drift=drift, last_step=last_step)
        monkeypatch.undo()
        made.append(steps)
    assert all(steps == list(range(STEP - 20, STEP + 21)) for steps in made)


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
