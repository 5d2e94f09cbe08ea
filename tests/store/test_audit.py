from dataclasses import replace

import pytest
from redis.asyncio import Redis
from support.store import NOW, every_size

from gateway.store import audit
from gateway.store.audit import AuditEntry
from gateway.store.opening import Store

ENTRY = AuditEntry(
    at=NOW + 0.25,
    event="sign-in",
    actor="account:ada",
    subject="ada",
    session_id="s1",
    device_id="d1",
    address="192.0.2.1",
    reason="session-live",
    token_id="t1",
)


def entries(subject: str, count: int) -> list[AuditEntry]:
    return [replace(ENTRY, subject=subject, at=NOW + number) for number in range(count)]


@every_size
async def test_an_entry_is_kept_as_it_was_recorded(store: Store) -> None:
    bare = AuditEntry(NOW, "revoked", "operator:eve")
    await store.audit.record(ENTRY)
    await store.audit.record(bare)
    assert await store.audit.latest("ada") == [ENTRY]
    assert await store.audit.latest("") == [bare]


@every_size
async def test_the_latest_come_first_and_everybody_has_their_own(store: Store) -> None:
    for ada, bob in zip(entries("ada", 5), entries("bob", 5), strict=True):
        await store.audit.record(ada)
        await store.audit.record(bob)
    assert await store.audit.latest("ada") == entries("ada", 5)[::-1]
    assert await store.audit.latest("bob", most=2) == entries("bob", 5)[:-3:-1]
    assert await store.audit.latest("nobody") == []


async def test_nothing_is_hidden_by_the_noise_of_others(store: Store) -> None:
    for entry in [ENTRY, *entries("bob", 1200)]:
        await store.audit.record(entry)
    assert await store.audit.latest("ada", most=1) == [ENTRY]


async def test_the_stream_stays_within_bounds(
    store: Store, valkey: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "MOST_ENTRIES", 100)
    for entry in entries("ada", 500):
        await store.audit.record(entry)
    assert 100 <= await valkey.xlen("ww:{s00}:audit") < 300  # trimmed by whole nodes of 100 entries
    assert await store.audit.latest("ada", most=100) == entries("ada", 500)[:-101:-1]
