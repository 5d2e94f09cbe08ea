"""An event from another party is acted on once."""

from redis.asyncio import Redis
from support.race import PROCESSES, Race, mixed_calls
from support.store import NOW, every_size

from gateway.store.opening import Store
from gateway.store.received_events import CLAIM_SECONDS, Claim

LATER = {"forget_at": NOW + 600}


@every_size
async def test_it_is_taken_once(store: Store) -> None:
    received = store.received_events
    assert await received.claim("https://a", "1", NOW, **LATER) is Claim.TAKEN
    assert await received.claim("https://a", "1", NOW + 1, **LATER) is Claim.CLAIMED
    await received.settle("https://a", "1", NOW + 1, **LATER)
    assert await received.claim("https://a", "1", NOW + 1 + CLAIM_SECONDS, **LATER) is Claim.DONE


async def test_a_claim_ends_where_nobody_settles_it(store: Store) -> None:
    received = store.received_events
    assert await received.claim("https://a", "1", NOW, **LATER) is Claim.TAKEN
    assert await received.claim("https://a", "1", NOW + CLAIM_SECONDS, **LATER) is Claim.TAKEN


async def test_another_issuer_has_names_of_its_own(store: Store) -> None:
    received = store.received_events
    for issuer, token_id in (("https://a", "1"), ("https://a", "2"), ("https://b", "1"), ("https://a1", "")):
        assert await received.claim(issuer, token_id, NOW, **LATER) is Claim.TAKEN


async def test_nothing_stays_for_ever(store: Store, valkey: Redis) -> None:
    await store.received_events.claim("https://a", "1", NOW, **LATER)
    (key,) = await valkey.keys("*:event:*")
    assert await valkey.pexpiretime(key) == (NOW + 600) * 1000
    await store.received_events.settle("https://a", "1", NOW, forget_at=NOW + 700)
    assert await valkey.pexpiretime(key) == (NOW + 700) * 1000


async def test_of_many_processes_one_takes_it(store: Store, valkey_url: str, race: Race) -> None:
    call = ("received_events.claim", ("https://a", "1", NOW), LATER)
    outcomes = [claim for process in race(mixed_calls, valkey_url, [call] * 5) for claim in process]
    assert sorted(outcomes) == sorted([Claim.TAKEN] + [Claim.CLAIMED] * (5 * PROCESSES - 1))
