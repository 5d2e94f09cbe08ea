"""Attempts: counted before they are checked, in a row or within a window."""

import asyncio
from dataclasses import dataclass
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from support.race import Race, store_calls
from support.store import NOW, every_size, opened_store

from gateway.store.attempts import CODES, Attempt, AttemptLimit, GrowingDelay
from gateway.store.opening import Store

LIMIT = AttemptLimit(most=3, window=60)
DELAY = GrowingDelay(free=3, first=30, longest=200, lock=9)
PASSING = GrowingDelay(free=3, first=30, longest=200, forget_after=3600)
DAYS = 86_400 * 365

# --- in a row


async def begun(
    store: Store, times: int, now: float = NOW, kind: str = CODES, name: str = "ada"
) -> list[bool]:
    return [(await store.attempts.begin(kind, name, DELAY, now)).allowed for _ in range(times)]


@every_size
async def test_so_many_are_free_and_then_they_wait(store: Store) -> None:
    assert await begun(store, 6) == [True, True, True, False, False, False]


async def test_each_further_failure_makes_the_next_one_wait_twice_as_long(store: Store) -> None:
    await begun(store, DELAY.free)
    now, waits = NOW, []
    for _ in range(5):
        wait = (await store.attempts.begin(CODES, "ada", DELAY, now)).retry_after
        waits.append(wait)
        assert await begun(store, 1, now + wait - 0.01) == [False]
        now += wait
        assert await begun(store, 2, now) == [True, False]
    assert waits == [30, 60, 120, 200, 200]


async def test_what_is_refused_unchecked_neither_counts_nor_prolongs_the_wait(store: Store) -> None:
    await begun(store, DELAY.free)
    assert await begun(store, 50, NOW + 29) == [False] * 50
    assert await store.attempts.begin(CODES, "ada", DELAY, NOW + 29.5) == Attempt(
        allowed=False, retry_after=1
    )
    assert await begun(store, 1, NOW + 30) == [True]
    refused = await store.attempts.begin(CODES, "ada", DELAY, NOW + 30)
    assert refused == Attempt(allowed=False, retry_after=60)


@every_size
async def test_each_kind_and_each_name_has_its_own_failures(store: Store) -> None:
    await begun(store, 4)
    for kind, name in ((CODES, "bob"), ("sign-in", "ada"), (CODES, "Ada"), (CODES, ""), ("code:ada", "")):
        assert await begun(store, 1, kind=kind, name=name) == [True]


@every_size
async def test_a_success_starts_afresh(store: Store) -> None:
    for name in ("ada", "bob"):
        await begun(store, 4, name=name)
    await store.attempts.succeed(CODES, "ada")
    assert await begun(store, 4) == [True, True, True, False]
    assert await begun(store, 1, name="bob") == [False]


async def locked_out(store: Store, name: str = "ada") -> float:
    """Fail until nothing more is allowed; when that was."""
    now = NOW
    for count in range(1, 10):
        attempt = await store.attempts.begin(CODES, name, DELAY, now)
        assert (attempt.allowed, attempt.locked) == (True, count == 9), "the last one knows that it is"
        now += DELAY.longest
    return now


@every_size
async def test_after_so_many_in_a_row_there_is_no_next_one(store: Store) -> None:
    now = await locked_out(store)
    for later in (now, now + DAYS):
        attempt = await store.attempts.begin(CODES, "ada", DELAY, later)
        assert attempt == Attempt(allowed=False, retry_after=0, locked=True)
    assert await begun(store, 1, name="bob") == [True]


async def test_a_lock_outlasts_a_setting_that_would_have_come_later(store: Store) -> None:
    now = await locked_out(store)
    generous = GrowingDelay(free=50, first=30, longest=200, lock=100)
    assert (await store.attempts.begin(CODES, "ada", generous, now)).locked


@every_size
async def test_a_lock_is_seen_and_lifted(store: Store) -> None:
    subjects = ["ada", "bob", "eve"]
    assert await store.attempts.locked(subjects) == frozenset()
    for name in ("ada", "eve"):
        await locked_out(store, name)
    await begun(store, 3, name="bob")
    assert await store.attempts.locked(subjects) == {"ada", "eve"}
    assert await store.attempts.locked([]) == frozenset()
    await store.attempts.unlock("ada")
    assert await store.attempts.locked(subjects) == {"eve"}
    assert await begun(store, 4) == [True, True, True, False]


async def test_failures_are_forgotten_only_where_that_was_asked_for(store: Store, valkey: Redis) -> None:
    for name, delay in (("ada", DELAY), ("nobody", PASSING)):
        for _ in range(3):
            assert (await store.attempts.begin("password", name, delay, NOW)).allowed
    (kept,) = await valkey.keys("*:failures:password:ada")
    (passing,) = await valkey.keys("*:failures:password:nobody")
    assert (await valkey.pttl(kept), await valkey.pexpiretime(passing)) == (-1, (NOW + 3600) * 1000)

    async def attempt(name: str, delay: GrowingDelay, now: float) -> list[bool]:
        return [(await store.attempts.begin("password", name, delay, now)).allowed for _ in range(3)]

    assert await attempt("nobody", PASSING, NOW + 3600) == [True, True, True]
    assert await attempt("ada", DELAY, NOW + 3600) == [True, False, False]


async def test_an_attempt_puts_the_forgetting_off(store: Store) -> None:
    for hours in (0, 0.9, 1.8):
        assert (await store.attempts.begin("password", "ada", PASSING, NOW + hours * 3600)).allowed
    assert not (await store.attempts.begin("password", "ada", PASSING, NOW + 1.8 * 3600)).allowed


async def test_names_that_strangers_type_make_no_long_keys(store: Store, valkey: Redis) -> None:
    names = ["x" * 5000, "x" * 5001, "é" * 200]
    for name in names:
        assert await begun(store, 4, name=name) == [True, True, True, False]
        await store.attempts.succeed(CODES, name)
        assert await begun(store, 1, name=name) == [True]
    assert max(map(len, await valkey.keys())) < 200


async def test_what_is_free_is_free_once_over_processes(store: Store, valkey_url: str, race: Race) -> None:
    attempts = race(store_calls, valkey_url, "attempts.begin", 25, CODES, "ada", DELAY, NOW)
    assert sum(attempt.allowed for attempt in chain(*attempts)) == DELAY.free


async def test_one_attempt_is_the_last_over_processes(store: Store, valkey_url: str, race: Race) -> None:
    """Whoever says so once it has failed says so once."""
    all_free = GrowingDelay(free=1000, first=30, longest=200, lock=60)
    attempts = list(chain(*race(store_calls, valkey_url, "attempts.begin", 25, CODES, "ada", all_free, NOW)))
    assert sum(attempt.allowed for attempt in attempts) == 60
    assert sum(attempt.allowed and attempt.locked for attempt in attempts) == 1


@dataclass
class Model:
    """The same in the plainest way: what happened so far."""

    delay: GrowingDelay
    failures: int = 0
    next_at: float = 0.0
    last_at: float = 0.0

    def begin(self, now: float) -> bool:
        delay = self.delay
        if delay.forget_after is not None and now - self.last_at >= delay.forget_after:
            self.failures, self.next_at = 0, 0.0
        if now < self.next_at or (delay.lock is not None and self.failures >= delay.lock):
            return False
        self.failures, self.last_at = self.failures + 1, now
        if self.failures >= delay.free:
            self.next_at = now + min(delay.longest, delay.first * 2 ** (self.failures - delay.free))
        return True

    def succeed(self) -> None:
        self.failures, self.next_at = 0, 0.0


DELAYS = st.builds(
    GrowingDelay,
    free=st.integers(1, 4),
    first=st.integers(1, 4).map(float),
    longest=st.integers(4, 20).map(float),
    lock=st.none() | st.integers(1, 8),
    forget_after=st.none() | st.integers(5, 40).map(float),
)
HISTORIES = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 5)), max_size=40)
"""Seconds that pass before each attempt, and whether it succeeds: one in six does."""


@pytest.mark.usefixtures("valkey")
@settings(max_examples=40)
@given(delay=DELAYS, history=HISTORIES)
def test_whatever_the_order_no_more_are_checked_than_the_delays_allow(
    valkey_url: str, delay: GrowingDelay, history: list[tuple[int, int]]
) -> None:
    async def play() -> None:
        store = await opened_store(valkey_url)
        try:
            await store.attempts.unlock("ada")
            model, now, in_a_row = Model(delay), NOW, 0
            for seconds, luck in history:
                now += seconds
                attempt = await store.attempts.begin(CODES, "ada", delay, now)
                assert attempt.allowed == model.begin(now)
                if attempt.allowed:
                    in_a_row += 1
                if attempt.allowed and luck == 0:
                    await store.attempts.succeed(CODES, "ada")
                    model.succeed()
                    in_a_row = 0
                if delay.lock is not None and delay.forget_after is None:
                    assert in_a_row <= delay.lock
        finally:
            await store.close()

    asyncio.run(play())


# --- within a window


async def allowed(store: Store, name: str, times: int) -> list[bool]:
    return [(await store.attempts.count("address", name, LIMIT)).allowed for _ in range(times)]


@every_size
async def test_so_many_attempts_and_no_more(store: Store) -> None:
    assert await allowed(store, "::1", 6) == [True, True, True, False, False, False]
    assert await allowed(store, "::2", 1) == [True]


async def test_the_window_begins_with_the_first_attempt_and_is_not_prolonged(
    store: Store, valkey: Redis
) -> None:
    await allowed(store, "::1", 1)
    (counter,) = await valkey.keys("*:attempts:*")
    assert 0 < await valkey.ttl(counter) <= 60
    await valkey.expire(counter, 7)  # as if 53 seconds had passed
    attempt = await store.attempts.count("address", "::1", LIMIT)
    assert attempt.allowed
    assert 1 <= attempt.retry_after <= 7
    await allowed(store, "::1", 5)
    refused = await store.attempts.count("address", "::1", LIMIT)
    assert not refused.allowed
    assert 1 <= refused.retry_after <= 7
    await valkey.expireat(counter, 1)  # the window has ended
    assert await allowed(store, "::1", 4) == [True, True, True, False]


async def test_a_limit_holds_over_processes(store: Store, valkey_url: str, race: Race) -> None:
    attempts = race(store_calls, valkey_url, "attempts.count", 25, "address", "::1", LIMIT)
    assert sum(attempt.allowed for attempt in chain(*attempts)) == LIMIT.most


@every_size
async def test_an_attempt_can_be_taken_back(store: Store, valkey: Redis) -> None:
    await allowed(store, "::1", 3)
    await store.attempts.uncount("address", "::1")
    assert await allowed(store, "::1", 2) == [True, False]
    for _ in range(9):
        await store.attempts.uncount("address", "::1")
    assert await allowed(store, "::1", 4) == [True, True, True, False]
    (counter,) = await valkey.keys("*:attempts:*")
    assert 0 < await valkey.ttl(counter) <= 60


async def test_no_attempt_no_counter(store: Store, valkey: Redis) -> None:
    await store.attempts.uncount("address", "::1")
    assert await valkey.keys("*:attempts:*") == []
