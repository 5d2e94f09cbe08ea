"""Passwords: right or wrong, and the same work for everybody."""

import asyncio
import threading

import pytest
from argon2 import PasswordHasher
from argon2.low_level import Type, hash_secret
from support.identity import CountingHasher

from gateway.identity.passwords import LONGEST, Passwords


@pytest.mark.parametrize(
    "password", ["correct horse", "", " spaces ", "pässwörd 🔑", "x" * LONGEST, "line\nbreak", "nul\0nul"]
)
async def test_a_password_is_right_for_its_own_hash_only(passwords: Passwords, password: str) -> None:
    stored = await passwords.hash(password)
    assert await passwords.verify(stored, password)
    for other in (password[:-1] or "x", password + "x", password.swapcase() + " "):
        assert not await passwords.verify(stored, other)


async def test_hashes_are_argon2id_and_salted(passwords: Passwords) -> None:
    first, second = await passwords.hash("correct horse"), await passwords.hash("correct horse")
    assert first.startswith("$argon2id$")
    assert first != second


async def test_the_usual_parameters_are_those_of_rfc_9106() -> None:
    passwords = Passwords()
    try:
        stored = await passwords.hash("correct horse")
    finally:
        passwords.close()
    assert stored.split("$")[1:4] == ["argon2id", "v=19", "m=65536,t=3,p=4"]  # section 4, second option


@pytest.mark.parametrize(
    "stored",
    [
        None,
        "",
        "disabled",
        "$argon2id$",
        "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$",
        "correct horse",
        hash_secret(b"correct horse", b"saltsalt", 1, 8, 1, 16, Type.ID).decode()[:-1] + "!",
    ],
)
async def test_what_is_no_hash_matches_no_password(passwords: Passwords, stored: str | None) -> None:
    assert not await passwords.verify(stored, "correct horse")
    assert not await passwords.verify(stored, "")


async def test_a_long_password_is_wrong_even_if_it_begins_with_the_right_one(passwords: Passwords) -> None:
    stored = await passwords.hash("x" * LONGEST)
    assert not await passwords.verify(stored, "x" * (LONGEST + 1))


class Gated(PasswordHasher):
    """A hasher that waits to be let go, and knows how many threads were in it at once."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.gate = threading.Semaphore(0)
        self.inside = threading.Semaphore(0)
        self.now = self.most = 0

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # noqa: A002 - the parent's name for it
        self.now += 1
        self.most = max(self.most, self.now)
        self.inside.release()
        self.gate.acquire()
        self.now -= 1
        return super().verify(hash, password)


async def test_few_are_checked_at_a_time_and_the_event_loop_goes_on() -> None:
    hasher = Gated()
    passwords = Passwords(parallel=2, hasher=hasher)
    stored = hasher.hash("correct horse")
    checks = [asyncio.create_task(passwords.verify(stored, "correct horse")) for _ in range(5)]
    try:
        for _ in range(2):
            await asyncio.to_thread(hasher.inside.acquire)
        assert not any(check.done() for check in checks)
        hasher.gate.release(5)
        assert await asyncio.gather(*checks) == [True] * 5
    finally:
        hasher.gate.release(5)
        passwords.close()
    assert hasher.most == 2


async def test_nobody_costs_as_much_as_somebody(passwords: Passwords, hasher: CountingHasher) -> None:
    stored = await passwords.hash("correct horse")
    for known, password in [
        (stored, "correct horse"),
        (stored, "wrong"),
        (None, "wrong"),
        (None, "x" * 2000),
    ]:
        before = hasher.verified
        await passwords.verify(known, password)
        assert hasher.verified == before + 1


# --- look-up secrets


async def test_a_digest_is_the_same_again_under_the_same_salt_only(passwords: Passwords) -> None:
    stored = await passwords.digest("K7QM2X9PHV3D8TNA", salt=b"s" * 16)
    assert stored.startswith("$argon2id$")
    assert await passwords.digest("K7QM2X9PHV3D8TNA", salt=b"s" * 16) == stored
    assert await passwords.digest_like("K7QM2X9PHV3D8TNA", stored) == stored
    assert await passwords.digest("K7QM2X9PHV3D8TNA", salt=b"t" * 16) != stored
    assert await passwords.digest_like("K7QM2X9PHV3D8TNB", stored) != stored


async def test_one_digest_tells_which_of_many_secrets_somebody_has(passwords: Passwords) -> None:
    stored = [await passwords.digest(secret, salt=b"s" * 16) for secret in ("one", "two", "three")]
    assert stored.index(await passwords.digest_like("two", stored[0])) == 1


async def test_a_digest_keeps_the_parameters_that_it_was_made_with(passwords: Passwords) -> None:
    stored = await passwords.digest("secret", salt=b"s" * 16)
    slower = Passwords(hasher=PasswordHasher(time_cost=2, memory_cost=16, parallelism=2))
    try:
        assert await slower.digest_like("secret", stored) == stored
        assert await slower.digest("secret", salt=b"s" * 16) != stored
    finally:
        slower.close()


async def test_look_up_secrets_are_hashed_with_the_least_that_owasp_has() -> None:
    passwords = Passwords()
    try:
        stored = await passwords.digest("secret", salt=b"s" * 16)
    finally:
        passwords.close()
    assert stored.split("$")[1:5] == ["argon2id", "v=19", "m=19456,t=2,p=1", "c3Nzc3Nzc3Nzc3Nzc3Nzcw"]
