"""Messages that wait: who gets them, for how long, and that none is lost or stays behind."""

from collections.abc import AsyncIterator
from itertools import chain

import pytest
from redis.asyncio import Redis
from support.race import Race, ids_claimed
from support.resets import approved, completed
from support.store import NOW, account_added, device_of, every_size, opened_store, signed_in

from gateway.core.telling import TOLD, Channel
from gateway.store import audit as audit_module
from gateway.store.audit import AuditEntry
from gateway.store.opening import Store
from gateway.store.outbox import Message

EVENTS = list(TOLD)


async def told(store: Store, subject: str = "ada", count: int = 1) -> None:
    """An account that somebody is to be told of, `count` times on each channel."""
    await account_added(store, subject)
    for number in range(count):
        event = EVENTS[number % len(EVENTS)]
        await store.audit.record(AuditEntry(NOW + number / 1000, event, f"account:{subject}", subject))


async def claimed(store: Store, now: float = NOW + 1, most: int = 100) -> list[Message]:
    return await store.outbox.claim(Channel.MAIL, now, seconds=60, most=most)


async def test_a_message_has_all_that_is_to_be_told(store: Store) -> None:
    await signed_in(store)
    device = device_of(store, "ada", "laptop").id
    entry = AuditEntry(NOW, "device-new", "account:ada", "ada", "s1", device, "192.0.2.1", "Firefox on Linux")
    await store.audit.record(entry)
    (message,) = await claimed(store)
    assert (message.to, message.channel, message.attempts) == ("ada@example.org", Channel.MAIL, 1)
    assert (message.entry.event, message.entry.at, message.entry.device_id) == ("device-new", NOW, device)
    assert (message.entry.device_name, message.user_agent) == ("Firefox on Linux", "Mozilla/5.0")


@every_size
async def test_a_claimed_message_is_nobody_else_s_until_the_claim_ends(store: Store) -> None:
    await told(store)
    (first,) = await claimed(store)
    assert await claimed(store, NOW + 60.9) == []
    (second,) = await claimed(store, NOW + 61)
    assert (second.id, second.attempts) == (first.id, 2)


async def test_each_channel_has_its_own(store: Store) -> None:
    await told(store)
    (mail,) = await claimed(store)
    (other,) = await store.outbox.claim(Channel.WEBHOOK, NOW + 1, seconds=60, most=9)
    assert (mail.channel, other.channel) == (Channel.MAIL, Channel.WEBHOOK)
    assert mail.id != other.id


async def test_nothing_is_sent_before_its_time(store: Store) -> None:
    await told(store)
    assert await claimed(store, NOW - 1) == []


@every_size
async def test_what_is_done_leaves_nothing_behind(store: Store, valkey: Redis) -> None:
    before = set(await valkey.keys())
    await told(store, count=50)
    for channel in Channel:
        for message in await store.outbox.claim(channel, NOW + 1, seconds=60, most=100):
            assert await store.outbox.done(message)
            assert not await store.outbox.done(message)
    left = {key.partition("}:")[2].partition(":")[0] for key in set(await valkey.keys()) - before}
    assert left == {"account", "accounts", "audit", "told", "activity", "hourly"}


async def test_a_message_waits_as_long_as_it_is_told_to(store: Store) -> None:
    await told(store)
    (message,) = await claimed(store)
    assert await store.outbox.again(message, NOW + 30)
    assert await claimed(store, NOW + 29) == []
    (retried,) = await claimed(store, NOW + 30)
    assert (retried.id, retried.attempts) == (message.id, 2)


async def test_who_lost_a_claim_does_not_disturb_who_has_it(store: Store) -> None:
    await told(store)
    (stale,) = await claimed(store)
    (current,) = await claimed(store, NOW + 61)
    assert not await store.outbox.again(stale, NOW + 61)
    assert await claimed(store, NOW + 62) == []
    assert await store.outbox.done(stale), "it was sent: once is enough"
    assert not await store.outbox.again(current, NOW + 63)
    assert await claimed(store, NOW + 999) == []


async def test_a_message_of_no_store_is_not_settled(store: Store) -> None:
    await told(store)
    (message,) = await claimed(store)
    for unknown in ("ff" + message.id[2:], "00" + "0" * 30, "x"):
        stranger = Message(unknown, message.channel, "", message.entry, "", 1)
        assert not await store.outbox.done(stranger)
        assert not await store.outbox.again(stranger, NOW)
    assert await store.outbox.waiting(Channel.MAIL) == 1


async def test_an_id_without_its_message_is_cleared_away(store: Store, valkey: Redis) -> None:
    await told(store)
    await valkey.delete(*await valkey.keys("*:message:*"))
    assert await claimed(store) == []
    assert await store.outbox.waiting(Channel.MAIL) == 0


@every_size
async def test_what_waits_is_counted(store: Store) -> None:
    assert await store.outbox.waiting(Channel.MAIL) == 0
    for subject in ("ada", "bob", "eve"):
        await told(store, subject, count=2)
    await claimed(store, most=3)
    assert await store.outbox.waiting(Channel.MAIL) == await store.outbox.waiting(Channel.WEBHOOK) == 6


@every_size
async def test_no_more_is_claimed_than_asked_for_and_every_shard_has_its_turn(store: Store) -> None:
    for number in range(10):
        await told(store, f"account-{number}", count=2)
    rounds = []
    while batch := await claimed(store, most=3):
        rounds.append(batch)
    assert {len(batch) for batch in rounds[:-1]} == {3}
    assert sum(map(len, rounds)) == 20


@pytest.mark.parametrize("store", [64], indirect=True)
async def test_a_full_shard_does_not_starve_the_others(store: Store) -> None:
    """What is always due there, as it fails each time, leaves every other shard its turn."""
    for number in range(40):
        await told(store, f"account-{number}")
    seen = set()
    for _ in range(64):
        for message in await claimed(store, most=1):
            seen.add(message.entry.subject)
            await store.outbox.again(message, NOW)
    assert len(seen) > 20


async def test_four_processes_never_claim_the_same(store: Store, valkey_url: str, race: Race) -> None:
    await told(store, count=60)
    ids = list(chain.from_iterable(race(ids_claimed, valkey_url, NOW + 1)))
    assert len(ids) == len(set(ids)) == 60


# --- word of revocations, for other programs

RECEIVERS = ("payments", "chat")


@pytest.fixture
async def telling(valkey: Redis, valkey_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """A store whose revocations are told to two receivers."""
    opened = await opened_store(valkey_url, shards=getattr(request, "param", 1), receivers=RECEIVERS)
    yield opened
    await opened.close()


of_every_size = pytest.mark.parametrize("telling", [1, 64], indirect=True, ids=["1 shard", "64 shards"])

WHY = {"reason": "test", "actor": "cli:root", "now": NOW + 1}


async def events_of(store: Store, receiver: str = "payments") -> list[Message]:
    return await store.outbox.claim(f"events:{receiver}", NOW + 1e6, seconds=60, most=5000)


@of_every_size
async def test_each_receiver_is_told_of_each_revocation_once(telling: Store) -> None:
    session = await signed_in(telling)
    snapshot = await telling.who.ask(session.cookie, NOW)
    assert snapshot is not None
    device = snapshot.session.device_id
    done = [
        await telling.revocations.session(session.session_id, **WHY),
        await telling.revocations.device(device, **WHY),
        await telling.revocations.account("ada", **WHY),
        await telling.revocations.account("ada", disable=True, **WHY),
        await telling.revocations.everybody(**WHY),
    ]
    for receiver in RECEIVERS:
        all_events = await events_of(telling, receiver)
        assert len(all_events) == len(done), "also of everybody, which takes a step in each shard"
        events = {event.revocation_id: event for event in all_events}
        assert set(events) == {each.revocation_id for each in done if each}
        about = [events[each.revocation_id].entry for each in done if each]
        assert [(entry.subject, entry.session_id, entry.device_id) for entry in about] == [
            ("ada", session.session_id, ""),
            ("ada", "", device),
            ("ada", "", ""),
            ("ada", "", ""),
            ("", "", ""),
        ]
        assert {(entry.event, entry.actor, entry.reason, entry.at) for entry in about} == {
            ("session-revoked", "cli:root", "test", NOW + 1)
        }


@of_every_size
async def test_an_event_that_is_done_is_forgotten(telling: Store, valkey: Redis) -> None:
    await signed_in(telling)
    await telling.revocations.account("ada", **WHY)
    await telling.revocations.everybody(**WHY)
    for receiver in RECEIVERS:
        for event in await events_of(telling, receiver):
            assert await telling.outbox.again(event, NOW + 2e6)
            assert await telling.outbox.done(event)
        assert await telling.outbox.waiting(f"events:{receiver}") == 0
    assert await valkey.keys("*:waiting:*") == []


async def test_what_changes_nothing_is_not_told(telling: Store) -> None:
    assert await telling.revocations.account("nobody", **WHY) is None
    assert await telling.revocations.session("0" * 32, **WHY) is None
    assert await events_of(telling) == []


async def test_what_another_party_told_us_is_not_told_on(telling: Store) -> None:
    """Of two gateways that tell each other, each would end for ever what the other one just ended."""
    await signed_in(telling)
    await telling.revocations.account("ada", reason="told", actor="transmitter:https://a", now=NOW)
    assert await events_of(telling) == []


async def test_a_reset_is_told(telling: Store) -> None:
    reset = await approved(telling)
    assert await completed(telling, reset)
    (event,) = await events_of(telling)
    entry = event.entry
    assert (entry.subject, entry.session_id, entry.reason) == ("ada", "", f"reset {reset.id}")


async def test_one_account_cannot_fill_the_store(telling: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_module, "MOST_EVENTS_WAITING", 2)
    heard: list[tuple[list[str], list[str]]] = []
    telling.audit.follow(lambda queued, dropped: heard.append((list(queued), list(dropped))))
    for _ in range(3):
        session = await signed_in(telling)
        await telling.revocations.session(session.session_id, **WHY)
    channels = [f"events:{receiver}" for receiver in RECEIVERS]
    assert [pair for pair in heard if "events:chat" in (*pair[0], *pair[1])] == [
        (channels, []),
        (channels, []),
        ([], channels),
    ]
    assert len(await events_of(telling)) == 2
    await telling.revocations.account("ada", **WHY)
    assert len(await events_of(telling)) == 1, "another scope is counted apart"


async def test_receivers_of_before_are_known(telling: Store, valkey_url: str) -> None:
    other = await opened_store(valkey_url, receivers=("new",))
    assert set(other.outbox.receivers) == {"payments", "chat", "new"}
    await other.close()
    assert set(telling.outbox.receivers) == set(RECEIVERS)
