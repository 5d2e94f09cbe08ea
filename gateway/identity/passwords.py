"""Passwords and look-up secrets: argon2id (RFC 9106), away from the event loop.

A password takes as long for everybody, whether there is such an account or not.
"""

import asyncio
import base64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError

from gateway import entropy

T = TypeVar("T")

SHORTEST = 8
"""Characters of a new password (NIST SP 800-63B section 3.1.1.2, as one of two factors)."""

LONGEST = 1024
"""Characters of a password; a longer one is no password but load."""


_OF_LOOKUPS = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
"""The least that OWASP's Password Storage Cheat Sheet has for argon2id: look-up secrets are random, and
ten of them are hashed at a time, while somebody waits."""


class Passwords:
    """Hashes and verifies, at most `parallel` at a time: each takes tens of megabytes."""

    def __init__(self, parallel: int = 2, hasher: PasswordHasher | None = None) -> None:
        """`hasher` is for both passwords and look-up secrets, in place of the usual ones."""
        self._hasher = hasher or PasswordHasher()
        self._of_lookups = hasher or _OF_LOOKUPS
        self._threads = ThreadPoolExecutor(parallel, thread_name_prefix="argon2")
        self._nobody = self._hasher.hash(entropy.token())

    async def hash(self, password: str) -> str:
        return await self._run(self._hasher.hash, password)

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether `password` is the one behind `stored`.

        None for an account that does not exist: that takes as long, and is never right.
        """
        matches = await self._run(self._matches, stored or self._nobody, password[:LONGEST])
        return matches and stored is not None and len(password) <= LONGEST

    async def digest(self, secret: str, *, salt: bytes) -> str:
        """The hash of a look-up secret, under a salt that it shares with others.

        So that one slow hash tells which of them somebody has, if any: see `digest_like`.
        """
        return await self._run(partial(self._of_lookups.hash, secret, salt=salt))

    async def digest_like(self, secret: str, stored: str) -> str:
        """The hash of a secret with the salt and the parameters of a stored one, which may be older ones."""
        hasher = PasswordHasher.from_parameters(extract_parameters(stored))
        return await self._run(partial(hasher.hash, secret, salt=_salt_of(stored)))

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, function: Callable[..., T], *arguments: str) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)


def _salt_of(stored: str) -> bytes:
    salt = stored.split("$")[4]
    return base64.b64decode(salt + "=" * (-len(salt) % 4))
