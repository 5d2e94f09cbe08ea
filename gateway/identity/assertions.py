"""Signing what apps are told of who asks (`gateway.core.assertion`), with the key that signs events too.

The two cannot be taken for each other: their `typ` differs (RFC 8725 section 3.11).
"""

from collections.abc import Mapping
from typing import Any

import jwt

from gateway.core.assertion import TYPE
from gateway.identity.event_key import ALGORITHM, key_id
from gateway.store.keyring import Seals


class Assertions:
    """Signs with the key that `follow` found."""

    def __init__(self, ring: Seals) -> None:
        self._ring = ring
        self._key = ring.event_key()
        self._header = {"typ": TYPE, "kid": key_id(self._key.public_key())}

    def follow(self) -> bool:
        """Look which key signs now; whether it is another one than before."""
        key = self._ring.event_key()
        if key is self._key:
            return False
        self._key = key
        self._header = {"typ": TYPE, "kid": key_id(key.public_key())}
        return True

    def sign(self, claims: Mapping[str, Any]) -> bytes:
        """The token, in ASCII."""
        return jwt.encode(dict(claims), self._key, algorithm=ALGORITHM, headers=self._header).encode("ascii")
