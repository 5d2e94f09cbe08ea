"""The only source of randomness."""

import secrets


def token() -> str:
    """256 random bits as 43 URL-safe characters: cookies and other bearer values."""
    return secrets.token_urlsafe(32)


def identifier() -> str:
    """128 random bits as 32 hexadecimal digits: public names of records."""
    return secrets.token_hex(16)


def octets(count: int) -> bytes:
    """`count` random bytes: keys, nonces and seeds."""
    return secrets.token_bytes(count)
