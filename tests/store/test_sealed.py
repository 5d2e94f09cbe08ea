"""Sealing everything anew: each value once, none lost, whoever else is at work."""

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs
from support.servers import LIKE_OURS, Process, valkey_path
from support.store import (
    NOW,
    RING,
    STEP,
    challenge_of,
    commands_during,
    contents,
    enrolled,
    every_size,
    new_factor,
    opened_store,
    signed_in,
    spent,
)

from gateway.errors import KeyMissing, StoreUnavailable
from gateway.store.challenges import Challenge
from gateway.store.keyring import KeyRing, KeyTimes
from gateway.store.keys import META
from gateway.store.opening import Store
from gateway.store.sealed import PARKED_REQUESTS, SEALED_FIELDS, SEEDS, Progress
from gateway.store.sessions import Started

ROTATED = replace(
    RING,
    active="newer",
    keys={**RING.keys, "newer": b"n" * 32},
    times={"newer": KeyTimes(made_at=NOW, active_from=NOW)},
)
"""The ring of these tests, once another key became the active one."""


async def resealed(store: Store, ring: KeyRing = ROTATED) -> Progress:
    done = Progress()
    async for progress in store.sealed.reseal(lambda: ring):
        assert progress.seen >= done.seen and progress.seen <= progress.total
        done = progress
    return done


async def with_secrets(store: Store, subject: str) -> tuple[Started, Challenge]:
    """A session of an account with a confirmed factor, a pending one, and a parked request."""
    session = await signed_in(store, subject)
    for confirm in (True, False):
        factor = new_factor(store, subject)
        seed = RING.seal(f"seed of {subject}".encode(), bound_to=SEEDS.bound_to(subject, factor.id))
        await store.factors.add(replace(factor, sealed_seed=seed), NOW, code_given=True)
        if confirm:
            assert await spent(store, session, factor.id, STEP, confirms=True) is None
    challenge = challenge_of(store, session)
    bound_to = PARKED_REQUESTS.bound_to(session.session_id, challenge.id)
    challenge = replace(challenge, sealed_request=RING.seal(b"a request", bound_to=bound_to))
    assert await store.challenges.open(challenge, NOW)
    return session, challenge


async def seeds(store: Store, subject: str, ring: KeyRing = ROTATED) -> list[bytes]:
    factors = await store.factors.list(subject)
    return [ring.open(f.sealed_seed, bound_to=SEEDS.bound_to(subject, f.id)) for f in factors]


def names(kept: dict[str, Any]) -> Counter[str]:
    """Under which keys something is sealed, by what is in the store; META's check counts as well."""
    sealed = re.findall(r"'(test|newer)\.[A-Za-z0-9_=-]{38,}'", repr(kept))
    return Counter(sealed)


PEOPLE = [f"person-{number}" for number in range(30)]


# --- a pass


@every_size
async def test_everything_is_sealed_anew_and_nothing_else_changes(store: Store, valkey: Redis) -> None:
    people = {subject: await with_secrets(store, subject) for subject in PEOPLE}
    before = await contents(valkey)
    lifetimes = {key: await valkey.pexpiretime(key) for key in before}
    assert names(before) == {"test": 91}
    assert await store.sealed.needs() == {"test": 91}

    done = await resealed(store)
    assert (done.resealed, done.broken, done.seen) == (91, 0, done.total)
    assert await store.sealed.needs() == {"newer": 91}
    after = await contents(valkey)
    assert names(after) == {"newer": 91}
    for key, was in before.items():
        changed = {"sealed_seed", "parked", "check"}
        if isinstance(was, dict):
            assert {n: v for n, v in after[key].items() if n not in changed} == {
                n: v for n, v in was.items() if n not in changed
            }
        else:
            assert after[key] == was
    assert {key: await valkey.pexpiretime(key) for key in after} == lifetimes
    for subject, (session, challenge) in people.items():
        assert await seeds(store, subject) == [f"seed of {subject}".encode()] * 2
        found = await store.challenges.find(challenge.id, session.session_id, NOW)
        assert found is not None and found.sealed_request is not None
        bound_to = PARKED_REQUESTS.bound_to(session.session_id, challenge.id)
        assert ROTATED.open(found.sealed_request, bound_to=bound_to) == b"a request"


async def test_a_pass_under_which_the_server_changed_is_none(short_path: Path) -> None:
    """Another process has another order: what it would have met next, it may leave out."""
    server = Process(valkey_path(), short_path, LIKE_OURS).start()
    try:
        store = await opened_store(f"redis://{server.place}")
        await with_secrets(store, "ada")
        passing = store.sealed.reseal(lambda: ROTATED)
        await anext(passing)  # the check value
        await anext(passing)  # what the server met
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        with pytest.raises(StoreUnavailable, match="changed while it was looked through"):
            async for _ in passing:
                pass
        assert (await resealed(store)).broken == 0
        await store.close()
    finally:
        server.kill()


async def test_a_second_pass_finds_nothing_to_do(store: Store, valkey: Redis) -> None:
    await with_secrets(store, "ada")
    assert (await resealed(store)).resealed == 4
    before = await contents(valkey)
    done = await resealed(store)
    assert (done.resealed, done.seen > 0) == (0, True)
    assert await contents(valkey) == before


@pytest.mark.parametrize("steps", [1, 2, 5])
async def test_a_pass_that_was_cut_off_is_gone_on_with(store: Store, steps: int) -> None:
    for subject in PEOPLE:
        await with_secrets(store, subject)
    cut = store.sealed.reseal(lambda: ROTATED)
    for _ in range(steps):
        progress = await anext(cut)
    await cut.aclose()
    needs = await store.sealed.needs()
    assert (needs["newer"], needs.total()) == (progress.resealed, 91)
    assert progress.resealed + (await resealed(store)).resealed == 91
    assert await store.sealed.needs() == {"newer": 91}


async def test_passes_of_many_at_once_seal_each_value_anew_once(store: Store) -> None:
    for subject in PEOPLE:
        await with_secrets(store, subject)
    done = await asyncio.gather(*(resealed(store) for _ in range(5)))
    assert sum(each.resealed for each in done) == 91
    assert await store.sealed.needs() == {"newer": 91}


async def test_an_older_ring_takes_nothing_back(store: Store) -> None:
    """A machine that has the new key, and does not know yet that it is the active one."""
    await with_secrets(store, "ada")
    await resealed(store)
    waits = replace(ROTATED, active="test", times={"newer": KeyTimes(made_at=NOW)})
    assert (await resealed(store, waits)).resealed == 0
    lacks = await resealed(store, RING)
    assert (lacks.resealed, lacks.broken) == (0, 4)
    assert await store.sealed.needs() == {"newer": 4}


async def test_what_opens_under_no_key_stays_and_is_told(store: Store, valkey: Redis) -> None:
    await with_secrets(store, "ada")
    factors = await store.factors.list("ada")
    for factor, text in zip(factors, ("test.AAAA", "k-lost.AAAA"), strict=True):
        await valkey.hset(f"ww:{{s00}}:factor:{factor.id}", "sealed_seed", text)
    with capture_logs() as said:
        done = await resealed(store)
    assert (done.resealed, done.broken) == (2, 2)
    assert {entry["record"] for entry in said} == {f"factor:{factor.id}" for factor in factors}
    assert await store.sealed.needs() == {"newer": 2, "test": 1, "k-lost": 1}


async def test_a_pass_reads_a_few_records_at_a_time(store: Store, valkey: Redis) -> None:
    """No command but the script takes longer the more there is, and it changes one record."""
    for subject in PEOPLE:
        await with_secrets(store, subject)
    seen = Counter(await commands_during(valkey, resealed(store)))
    assert not {"KEYS", "HGETALL", "SMEMBERS"} & seen.keys()
    assert seen["EVALSHA"] == 91 and seen["SCAN"] >= 1


# --- while others are at work


Change = Callable[[str], Awaitable[object]]


async def changed_meanwhile(store: Store, ring: KeyRing, change: Change) -> Progress:
    """A pass during which something happens to a factor between its reading and its writing."""
    run = store.sealed._connection.run

    async def disturbed(script: str, place: Any, **arguments: Any) -> Any:
        if script == "reseal" and arguments["record"].startswith("factor:"):
            await change(arguments["record"].removeprefix("factor:"))
        return await run(script, place, **arguments)

    store.sealed._connection.run = disturbed  # type: ignore[method-assign]
    return await resealed(store, ring)


async def test_a_factor_that_is_removed_meanwhile_does_not_come_back(store: Store, valkey: Redis) -> None:
    session = await signed_in(store)
    factor_id = await enrolled(store, session)
    sealed = RING.seal(b"seed", bound_to=SEEDS.bound_to("ada", factor_id))
    await valkey.hset(f"ww:{{s00}}:factor:{factor_id}", "sealed_seed", sealed.decode())

    async def removed(factor_id: str) -> None:
        await store.factors.remove("ada", factor_id)

    done = await changed_meanwhile(store, ROTATED, removed)
    assert (done.resealed, done.broken) == (1, 0), "only the check value"
    assert not await valkey.exists(f"ww:{{s00}}:factor:{factor_id}")
    assert await store.factors.list("ada") == []


async def test_a_factor_that_is_confirmed_meanwhile_stays_confirmed(store: Store, valkey: Redis) -> None:
    session = await signed_in(store)
    factor = new_factor(store)
    sealed = RING.seal(b"seed", bound_to=SEEDS.bound_to("ada", factor.id))
    await store.factors.add(replace(factor, sealed_seed=sealed), NOW, code_given=True)

    async def confirmed(factor_id: str) -> None:
        assert await spent(store, session, factor_id, STEP, confirms=True) is None

    done = await changed_meanwhile(store, ROTATED, confirmed)
    assert (done.resealed, done.broken) == (2, 0)
    (kept,) = await store.factors.list("ada")
    assert (kept.state, await seeds(store, "ada")) == ("confirmed", [b"seed"])
    assert await valkey.pexpiretime(f"ww:{{s00}}:factor:{factor.id}") == -1


async def test_what_another_pass_wrote_meanwhile_is_looked_at_again(store: Store, valkey: Redis) -> None:
    """Two rotations, one after the other: what the first one's pass writes late is the second one's to do."""
    factor_id = await enrolled(store, await signed_in(store))
    record, bound_to = f"ww:{{s00}}:factor:{factor_id}", SEEDS.bound_to("ada", factor_id)
    await valkey.hset(record, "sealed_seed", RING.seal(b"seed", bound_to=bound_to).decode())
    newest = replace(
        ROTATED,
        active="newest",
        keys={**ROTATED.keys, "newest": b"m" * 32},
        times={**ROTATED.times, "newest": KeyTimes(NOW, NOW)},
    )
    late = [ROTATED.seal(b"seed", bound_to=bound_to).decode()]

    async def overtaken(_: str) -> None:
        if late:
            await valkey.hset(record, "sealed_seed", late.pop())

    assert (await changed_meanwhile(store, newest, overtaken)).resealed == 2
    assert await store.sealed.needs() == {"newest": 2}
    assert await seeds(store, "ada", newest) == [b"seed"]


# --- keys that are known


async def test_a_key_is_known_before_it_is_used(store: Store, valkey: Redis) -> None:
    await store.sealed.expect(ROTATED, NOW)
    assert await store.sealed.needs() == {"newer": 1}, "the check value"
    known = await store.sealed.known_keys()
    assert (known.used["newer"], known.used.keys(), known.retired) == (NOW, {"test", "newer"}, {})
    before = await contents(valkey)
    await store.sealed.expect(ROTATED, NOW)
    assert await contents(valkey) == before, "and it is no matter how often it is told"


async def test_a_ring_without_the_key_of_the_check_value_makes_nothing_known(
    store: Store, valkey: Redis
) -> None:
    await store.sealed.expect(ROTATED, NOW)
    before = await contents(valkey)
    other = replace(RING, active="other", keys={**RING.keys, "other": b"o" * 32})
    with pytest.raises(KeyMissing):
        await store.sealed.expect(other, NOW)
    assert await contents(valkey) == before


async def test_a_key_that_is_forgotten_is_known_to_be_retired(store: Store, valkey: Redis) -> None:
    await store.sealed.note_use("old", NOW)
    await store.sealed.forget("old", NOW + 5)
    known = await store.sealed.known_keys()
    assert (known.used.keys(), known.retired) == ({"test"}, {"old": NOW + 5})


# --- what there is


async def test_whatever_is_sealed_is_in_the_table(store: Store, valkey: Redis) -> None:
    """Else it would be lost with the key that it is sealed with."""
    await with_secrets(store, "ada")
    found = {
        (key.partition("}:")[2].partition(":")[0], field)
        for key, row in (await contents(valkey)).items()
        if isinstance(row, dict) and key != META
        for field, value in row.items()
        if re.fullmatch(r"test\.[A-Za-z0-9_=-]+", value)
    }
    assert found == {(sealed.kind, sealed.field) for sealed in SEALED_FIELDS.values()}


async def test_keys_that_are_not_ours_are_passed_over(store: Store, valkey: Redis) -> None:
    for key in ("ww:{sxx}:factor:1", "ww:{s00}:factor", "ww:{other", "other"):
        await valkey.set(key, "test.AAAA")
    assert await store.sealed.needs() == {"test": 1}
