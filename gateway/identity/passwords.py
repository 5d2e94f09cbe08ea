"""Passwords: argon2id (RFC 9106), away from the event loop, and equally slow for everybody."""

import asyncio
import base64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from argon2 import Parameters, PasswordHasher, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import hash_secret

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

    async def digest(self, secret: str, *, salt: bytes) -> str:
        """The hash of a look-up secret, under a salt that it shares with others.

        So that one slow hash tells which of them somebody has, if any: see `digest_like`.
        """
        return await self._run(self._digest, secret, salt, extract_parameters(self._nobody))

    async def digest_like(self, secret: str, stored: str) -> str:
        """The hash of a secret with the salt and the parameters of a stored one, which may be older ones."""
        return await self._run(self._digest, secret, _salt_of(stored), extract_parameters(stored))

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    @staticmethod
    def _digest(secret: str, salt: bytes, parameters: Parameters) -> str:
        return hash_secret(
            secret.encode(),
            salt,
            time_cost=parameters.time_cost,
            memory_cost=parameters.memory_cost,
            parallelism=parameters.parallelism,
            hash_len=parameters.hash_len,
            type=parameters.type,
            version=parameters.version,
        ).decode("ascii")

    async def _run(self, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)


def _salt_of(stored: str) -> bytes:
    salt = stored.split("$")[4]
    return base64.b64decode(salt + "=" * (-len(salt) % 4))
