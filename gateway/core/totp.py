"""Time-based codes (RFC 6238): a code, a seed and a time give the step that the code belongs to.

Matching says nothing about whether a step was used before; spending it, once, is the store's
business. SHA-1, six digits and 30 seconds are what every authenticator app supports.
"""

import base64
import hmac
import re

import pyotp

PERIOD = 30
"""Seconds in a step."""

SEED_BYTES = 20
"""160 bits, as RFC 4226 section 4 R6 recommends."""

_CODE = re.compile(r"[0-9]{6}", re.ASCII)


def is_code(text: str) -> bool:
    """Whether `text` is six ASCII digits; PyOTP alone would accept full-width ones as well."""
    return _CODE.fullmatch(text) is not None


def step_at(now: float) -> int:
    """The step that `now` (Unix seconds) falls into."""
    return int(now) // PERIOD


def seconds_to_next_code(now: float) -> int:
    """Whole seconds, 1 to 30, until the next code comes."""
    return PERIOD - int(now) % PERIOD


def matching_step(seed: bytes, code: str, now: float, *, drift: int = 1) -> int | None:
    """The step within `drift` steps of `now` whose code is `code`, or None.

    Every candidate is compared, in constant time, so the answer's timing tells nothing.
    """
    if not is_code(code):
        return None
    generator = pyotp.HOTP(setup_key(seed))
    current = step_at(now)
    found = None
    for step in range(current - drift, current + drift + 1):
        if hmac.compare_digest(generator.at(step), code):
            found = step
    return found


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
