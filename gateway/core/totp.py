"""Time-based codes (RFC 6238): a code, a seed and a time give the step that the code belongs to.

A code counts within one step of where the clock of its factor is known to be. What lies further
off is diagnosed, never accepted: a code that was typed too slowly, a clock that is wrong. Spending a
step, once, is the store's business. SHA-1, six digits and 30 seconds are what every authenticator
app supports.
"""

import base64
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass

import pyotp

from gateway.core.reasons import Reason

PERIOD = 30
"""Seconds in a step."""

SEED_BYTES = 20
"""160 bits, as RFC 4226 section 4 R6 recommends."""

TOLERANCE = 1
"""Steps to each side of a factor's own clock at which its codes count (RFC 6238 section 5.2)."""

LATE = 2
"""Steps before those, at which a code was read in time and typed too slowly."""

FAR = 20
"""Steps to each side of our clock that a diagnosis looks at: ten minutes."""

_CODE = re.compile(r"[0-9]{6}", re.ASCII)

_MOST_TELLING = (
    None,
    # What the store may find of a code that was right.
    Reason.SESSION_REVOKED,
    Reason.CHALLENGE_EXPIRED,
    Reason.FACTOR_MISSING,
    Reason.FACTOR_ON_TRIAL,
    Reason.USED_CODE,
    Reason.EXPIRED_CODE,
    Reason.WRONG_CLOCK,
    Reason.WRONG_CODE,
)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a code is to one factor: right, and its `step` to be spent, when there is no `reason`.

    `clock_off_by` is in seconds, half a minute more or less: below zero when the factor's clock is
    behind. It is zero unless the reason is WRONG_CLOCK.
    """

    reason: Reason | None
    step: int = 0
    clock_off_by: int = 0


WRONG = Judgement(Reason.WRONG_CODE)


def is_code(text: str) -> bool:
    """Whether `text` is six ASCII digits; PyOTP alone would accept full-width ones as well."""
    return _CODE.fullmatch(text) is not None


def step_at(now: float) -> int:
    """The step that `now` (Unix seconds) falls into."""
    return int(now) // PERIOD


def seconds_to_next_code(now: float) -> int:
    """Whole seconds, 1 to 30, until the next code comes."""
    return PERIOD - int(now) % PERIOD


def judge(seed: bytes, code: str, now: float, *, drift: int = 0, last_step: int | None = None) -> Judgement:
    """What `code` is to the factor with this seed.

    `drift` is where its clock is known to be, in steps from ours. `last_step` is the last one spent:
    it and all before it never count again. A factor without one was never used, so nothing is known of
    its clock, and nothing is diagnosed.

    That the seed was used somewhere else a moment ago says nothing of a clock that is off: a step from
    before the last one is called used only where it would have counted now.

    Every candidate is made and compared, in constant time, so the answer's timing tells nothing.
    """
    if not is_code(code):
        return WRONG
    generator = pyotp.HOTP(setup_key(seed))
    current = step_at(now)
    steps = range(max(0, current - FAR), current + FAR + 1)
    fitting = [step for step in steps if hmac.compare_digest(generator.at(step), code)]
    nearest_first = sorted(fitting, key=lambda step: abs(step - current - drift))
    return most_telling(_judge_step(step, current, drift, last_step) for step in nearest_first)


def _judge_step(step: int, current: int, drift: int, last_step: int | None) -> Judgement:
    off = step - current
    in_time = abs(off - drift) <= TOLERANCE
    if last_step is None:
        return Judgement(None, step) if in_time else WRONG
    if step == last_step or (in_time and step < last_step):
        return Judgement(Reason.USED_CODE, step)
    if in_time:
        return Judgement(None, step)
    if -TOLERANCE - LATE <= off - drift < 0:
        return Judgement(Reason.EXPIRED_CODE, step)
    # Also for a step before the last one: who has set a clock back finds all codes there for a while.
    return Judgement(Reason.WRONG_CLOCK, step, clock_off_by=off * PERIOD)


def most_telling(judgements: Iterable[Judgement]) -> Judgement:
    """Of several, the one to act on or to tell: what comes closest to a code that counts.

    The first of equals; without any, the code is wrong.
    """
    return min(judgements, key=lambda judged: _MOST_TELLING.index(judged.reason), default=WRONG)


def setup_key(seed: bytes) -> str:
    """The seed as a person types it: base32 without padding."""
    return base64.b32encode(seed).decode("ascii").rstrip("=")


def otpauth_uri(seed: bytes, *, issuer: str, account: str) -> str:
    """The key URI that authenticator apps read from a QR code.

    A colon would split the label wrongly in some apps, so it is taken out of both names.
    """
    return pyotp.TOTP(setup_key(seed)).provisioning_uri(
        name=account.replace(":", " "), issuer_name=issuer.replace(":", " ")
    )
