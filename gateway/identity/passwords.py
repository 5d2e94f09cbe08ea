"""Passwords: argon2id (RFC 9106), away from the event loop, and equally slow for everybody."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from gateway import entropy

T = TypeVar("T")

SHORTEST = 8
"""Characters of a new password (NIST SP 800-63B section 3.1.1.2, as one of two factors)."""

LONGEST = 1024
"""Characters of a password; a longer one is no password but load."""


class Passwords:
    """Hashes and verifies, at most `parallel` at a time: each takes tens of megabytes."""

    def __init__(self, parallel: int = 2, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
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

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, function: Callable[..., T], *arguments: str) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)
