"""The only source of randomness."""

import re
import secrets

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


def token() -> str:
    """256 random bits as 43 URL-safe characters: cookies and other bearer values."""
    return secrets.token_urlsafe(32)


def is_token(text: str) -> bool:
    """Whether `text` could be one that `token` made."""
    return _TOKEN.fullmatch(text) is not None


def identifier() -> str:
    """128 random bits as 32 hexadecimal digits: public names of records."""
    return secrets.token_hex(16)


def octets(count: int) -> bytes:
    """`count` random bytes: keys, nonces and seeds."""
    return secrets.token_bytes(count)
