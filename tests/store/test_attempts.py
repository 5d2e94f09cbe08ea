from itertools import chain

from redis.asyncio import Redis
from support.race import Race, store_calls
from support.store import every_size

from gateway.store.attempts import AttemptLimit
from gateway.store.opening import Store

LIMIT = AttemptLimit(most=3, window=60)


async def allowed(store: Store, kind: str, name: str, times: int) -> list[bool]:
    return [(await store.attempts.count(kind, name, LIMIT)).allowed for _ in range(times)]


@every_size
async def test_so_many_attempts_and_no_more(store: Store) -> None:
    assert await allowed(store, "code", "ada", 6) == [True, True, True, False, False, False]


@every_size
async def test_each_kind_and_each_name_has_its_own_count(store: Store) -> None:
    await allowed(store, "code", "ada", 4)
    for kind, name in (("code", "bob"), ("sign-in", "ada"), ("code", "Ada"), ("code", ""), ("code:ada", "")):
        assert await allowed(store, kind, name, 1) == [True]


async def test_the_window_begins_with_the_first_attempt_and_is_not_prolonged(
    store: Store, valkey: Redis
) -> None:
    await allowed(store, "code", "ada", 1)
    (counter,) = await valkey.keys("*:attempts:*")
    assert 0 < await valkey.ttl(counter) <= 60
    await valkey.expire(counter, 7)  # as if 53 seconds had passed
    attempt = await store.attempts.count("code", "ada", LIMIT)
    assert attempt.allowed
    assert 1 <= attempt.retry_after <= 7
    await allowed(store, "code", "ada", 5)
    refused = await store.attempts.count("code", "ada", LIMIT)
    assert not refused.allowed
    assert 1 <= refused.retry_after <= 7
    await valkey.expireat(counter, 1)  # the window has ended
    assert await allowed(store, "code", "ada", 4) == [True, True, True, False]


@every_size
async def test_a_success_starts_afresh(store: Store) -> None:
    await allowed(store, "sign-in", "ada", 4)
    await allowed(store, "sign-in", "bob", 4)
    await store.attempts.forget("sign-in", "ada")
    assert await allowed(store, "sign-in", "ada", 1) == [True]
    assert await allowed(store, "sign-in", "bob", 1) == [False]


async def test_names_that_strangers_type_make_no_long_keys(store: Store, valkey: Redis) -> None:
    names = ["x" * 5000, "x" * 5001, "é" * 200]
    for name in names:
        assert await allowed(store, "sign-in", name, 4) == [True, True, True, False]
        await store.attempts.forget("sign-in", name)
        assert await allowed(store, "sign-in", name, 1) == [True]
    assert max(map(len, await valkey.keys())) < 200


async def test_a_limit_holds_over_processes(store: Store, valkey_url: str, race: Race) -> None:
    attempts = race(store_calls, valkey_url, "attempts.count", 25, "code", "ada", LIMIT)
    assert sum(attempt.allowed for attempt in chain(*attempts)) == LIMIT.most


@every_size
async def test_an_attempt_can_be_taken_back(store: Store, valkey: Redis) -> None:
    await allowed(store, "address", "::1", 3)
    await store.attempts.uncount("address", "::1")
    assert await allowed(store, "address", "::1", 2) == [True, False]
    for _ in range(9):
        await store.attempts.uncount("address", "::1")
    assert await allowed(store, "address", "::1", 4) == [True, True, True, False]
    (counter,) = await valkey.keys("*:attempts:*")
    assert 0 < await valkey.ttl(counter) <= 60


async def test_no_attempt_no_counter(store: Store, valkey: Redis) -> None:
    await store.attempts.uncount("address", "::1")
    assert await valkey.keys("*:attempts:*") == []
