"""Recovery codes as people keep them: 80 bits, written so that they survive paper and a tired reader.

Sixteen characters of Crockford's base32, which has no letter that looks like a digit, in four groups of
four. Reading is forgiving about what does not matter; whether a code is right is the store's business.
"""

import base64
import re

COUNT = 10
"""Codes that an account is given at a time."""

OCTETS = 10
"""80 bits each: look-up secrets under 112 bits are salted and hashed slowly (NIST SP 800-63B 3.1.2.2)."""

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_AS_CROCKFORD = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", _DIGITS)
_LENGTH = OCTETS * 8 // 5
_GROUP = 4
_SEPARATORS = re.compile(r"[\s\u2010-\u2015-]+")
_READ_AS = str.maketrans("OIL", "011")
_CODE = re.compile(f"[{_DIGITS}]{{{_LENGTH}}}")


def code_of(bits: bytes) -> str:
    """The sixteen characters that stand for `OCTETS` bytes."""
    return base64.b32encode(bits).decode("ascii").translate(_AS_CROCKFORD)


def written(code: str) -> str:
    """A code as it is shown, and written down: `K7QM-2X9P-HV3D-8TNA`."""
    return "-".join(code[start : start + _GROUP] for start in range(0, _LENGTH, _GROUP))


def read(text: str) -> str | None:
    """The sixteen characters that somebody means, or None for text that is no recovery code.

    Case, spaces and dashes do not matter; the letters that Crockford left out are read as the digits
    that they look like.
    """
    if len(text) > 4 * _LENGTH:
        return None
    joined = _SEPARATORS.sub("", text)
    if not joined.isascii():  # some letters elsewhere become ours in capitals
        return None
    code = joined.upper().translate(_READ_AS)
    return code if _CODE.fullmatch(code) else None
