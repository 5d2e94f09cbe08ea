"""What is on record, for whom, how much of it, and what it makes of it: messages to send."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs
from support.store import NOW, account_added, device_of, every_size, opened_store, signed_in

from gateway.core.telling import TOLD, Channel
from gateway.errors import StoreUnavailable
from gateway.store import audit
from gateway.store.audit import MOST_HOURLY, MOST_WAITING, AuditEntry
from gateway.store.opening import Store
from gateway.store.outbox import Message

ENTRY = AuditEntry(
    at=NOW + 0.25,
    event="signed-in",
    actor="account:ada",
    subject="ada",
    session_id="s1",
    device_id="d1",
    address="192.0.2.1",
    reason="session-live",
    token_id="t1",
)
TELLING = AuditEntry(NOW, "factor-removed", "account:ada", "ada")


def entries(subject: str, count: int, event: str = "signed-in") -> list[AuditEntry]:
    return [replace(ENTRY, subject=subject, event=event, at=NOW + number) for number in range(count)]


async def to_be_sent(store: Store) -> list[Message]:
    """All that waits, first what goes by mail."""
    return [
        message
        for channel in Channel
        for message in await store.outbox.claim(channel, NOW + 1000, seconds=60, most=1000)
    ]


async def mailed_to(store: Store) -> set[str]:
    return {message.to for message in await to_be_sent(store) if message.channel == Channel.MAIL}


@every_size
async def test_an_entry_is_kept_as_it_was_recorded(store: Store) -> None:
    bare = AuditEntry(NOW, "revoked", "operator:eve")
    await store.audit.record(ENTRY)
    await store.audit.record(bare)
    assert await store.audit.latest("ada") == [ENTRY]
    assert await store.audit.latest("") == [bare]


async def test_an_entry_keeps_what_its_device_was_called(store: Store, valkey: Redis) -> None:
    session = await signed_in(store)
    device = device_of(store, "ada", "laptop").id
    await store.audit.record(replace(ENTRY, session_id=session.session_id, device_id=device))
    await valkey.delete(f"ww:{{s00}}:device:{device}")
    (entry,) = await store.audit.latest("ada")
    assert (entry.device_id, entry.device_name) == (device, "Firefox on Linux")


@every_size
async def test_the_latest_come_first_and_everybody_has_their_own(store: Store) -> None:
    for ada, bob in zip(entries("ada", 5), entries("bob", 5), strict=True):
        await store.audit.record(ada)
        await store.audit.record(bob)
    assert await store.audit.latest("ada") == entries("ada", 5)[::-1]
    assert await store.audit.latest("bob", most=2) == entries("bob", 5)[:-3:-1]
    assert await store.audit.latest("nobody") == []


async def test_what_is_told_and_what_is_not_stay_in_their_order(store: Store) -> None:
    mixed = [
        replace(entry, event=event)
        for entry, event in zip(entries("ada", 6), ["signed-in", "device-new", "code-taken"] * 2, strict=True)
    ]
    for entry in mixed:
        await store.audit.record(entry)
    assert await store.audit.latest("ada") == mixed[::-1]
    assert await store.audit.latest("ada", most=3) == mixed[:2:-1]


@pytest.mark.parametrize("subject", ["a:b", "ada:signed-in", "}{s01}", "*", "ada\n", "ädä", "'; return 1 --"])
async def test_an_odd_subject_has_a_stream_of_its_own(store: Store, subject: str) -> None:
    await account_added(store, "ada")
    await account_added(store, subject)
    odd = replace(TELLING, subject=subject, event="password-changed")
    await store.audit.record(odd)
    await store.audit.record(TELLING)
    assert await store.audit.latest(subject) == [odd]
    assert await store.audit.latest("ada") == [TELLING]
    assert {message.entry.subject for message in await to_be_sent(store)} == {subject, "ada"}


# --- how much


async def test_the_streams_stay_within_bounds(
    store: Store, valkey: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "MOST_ENTRIES", 100)
    monkeypatch.setattr(audit, "MOST_OWN_ENTRIES", 50)
    for entry in entries("ada", 500):
        await store.audit.record(entry)
    assert 100 <= await valkey.xlen("ww:{s00}:audit") < 300  # trimmed by whole nodes of 100 entries
    assert 50 <= await valkey.xlen("ww:{s00}:activity:ada") < 250
    assert await store.audit.latest("ada", most=50) == entries("ada", 500)[:-51:-1]


async def test_nothing_that_matters_is_washed_out_by_attempts(store: Store) -> None:
    """Nor by the noise of others: strangers who guess, operators who look."""
    await store.audit.record(TELLING)
    for entry in [*entries("ada", 500, "sign-in-refused"), *entries("bob", 300)]:
        await store.audit.record(entry)
    latest = await store.audit.latest("ada", most=2000)
    assert latest[-1] == TELLING
    assert 200 <= len(latest) < 500


async def test_an_entry_is_small(store: Store, valkey: Redis) -> None:
    """A name that all entries have is kept once for many of them."""
    session, device = await signed_in(store), device_of(store, "ada", "laptop").id
    usual = replace(ENTRY, session_id=session.session_id, device_id=device, token_id="")
    for _ in range(200):
        await store.audit.record(usual)
    for stream in ("audit", "activity:ada"):
        assert await valkey.memory_usage(f"ww:{{s00}}:{stream}", samples=0) / 200 < 300


# --- what is told


@every_size
@pytest.mark.parametrize("event", [*TOLD, "signed-in", "code-refused", "account-read", "unheard-of"])
async def test_people_are_told_of_some_events_on_every_channel(store: Store, event: str) -> None:
    await account_added(store, "ada")
    entry = replace(ENTRY, event=event)
    await store.audit.record(entry)
    sent = [(message.channel, message.to, message.entry) for message in await to_be_sent(store)]
    told = [(Channel.MAIL, "ada@example.org", entry), (Channel.WEBHOOK, "", entry)]
    assert sent == (told if event in TOLD else [])


async def test_without_channels_nothing_waits(valkey: Redis, valkey_url: str) -> None:
    store = await opened_store(valkey_url, channels=())
    await account_added(store, "ada")
    await store.audit.record(TELLING)
    assert await store.audit.latest("ada") == [TELLING]
    assert await valkey.keys("*message*") == await valkey.keys("*outbox*") == []
    await store.close()


async def test_mail_goes_to_the_address_of_the_moment(store: Store, valkey: Redis) -> None:
    """Whoever changes it afterwards diverts nothing."""
    await account_added(store, "ada")
    await store.audit.record(TELLING)
    await valkey.hset("ww:{s00}:account:ada", "email", "eve@evil.example")
    assert await mailed_to(store) == {"ada@example.org"}


async def test_a_change_of_the_address_is_told_at_the_old_one_too(store: Store, valkey: Redis) -> None:
    await account_added(store, "ada")
    await valkey.hset("ww:{s00}:account:ada", "email", "new@example.org")
    changed = replace(TELLING, event="profile-changed")
    await store.audit.record(changed, also_to="ada@example.org")
    assert await mailed_to(store) == {"new@example.org", "ada@example.org"}
    await store.audit.record(changed, also_to="new@example.org")
    assert [message.to for message in await to_be_sent(store)] == ["new@example.org", ""], "nobody twice"


@pytest.mark.parametrize(("email", "also_to"), [("", ""), ("", "old@example.org")])
async def test_without_an_address_there_is_no_mail(
    store: Store, valkey: Redis, email: str, also_to: str
) -> None:
    await account_added(store, "ada")
    await valkey.hset("ww:{s00}:account:ada", "email", email)
    await store.audit.record(TELLING, also_to=also_to)
    assert await mailed_to(store) == ({also_to} if also_to else set())


async def test_of_an_account_that_is_not_there_nobody_is_told(store: Store) -> None:
    await store.audit.record(TELLING)
    await store.audit.record(replace(TELLING, subject=""))
    assert await to_be_sent(store) == []


async def test_one_account_cannot_fill_the_store(store: Store, valkey: Redis) -> None:
    """And what comes by the hundred keeps nothing else from being told."""
    heard: list[tuple[Sequence[Channel], Sequence[Channel]]] = []
    store.audit.follow(lambda queued, dropped: heard.append((queued, dropped)))
    await account_added(store, "ada")
    with capture_logs() as said:
        for _ in range(MOST_WAITING + 2):
            await store.audit.record(replace(TELLING, event="device-new"))
    both = list(Channel)
    assert heard == [(both, [])] * MOST_WAITING + [([], both)] * 2
    assert [entry["kinds"] for entry in said] == [["mail:device-new", "webhook:device-new"]] * 2
    await store.audit.record(TELLING)
    sent = await to_be_sent(store)
    assert [message.entry.event for message in sent].count("device-new") == 2 * MOST_WAITING
    assert [message.entry.event for message in sent].count("factor-removed") == 2
    for message in sent:
        await store.outbox.done(message)
    await store.audit.record(replace(TELLING, event="device-new", at=NOW + 3600))
    assert heard[-1] == (both, []), "there is room again"
    assert await valkey.hgetall("ww:{s00}:waiting:ada") == {"mail:device-new": "1", "webhook:device-new": "1"}


async def test_nobody_is_sent_a_mail_a_minute(store: Store) -> None:
    """Whoever knows a password could sign in on a new device that often, and hide what matters."""
    await account_added(store, "ada")
    for second in range(2 * MOST_HOURLY):
        await store.audit.record(replace(TELLING, event="device-new", at=NOW + second))
        for message in await to_be_sent(store):
            await store.outbox.done(message)
    heard: list[Sequence[Channel]] = []
    store.audit.follow(lambda queued, _: heard.append(queued))
    for later, event, channels in (
        (3599, "device-new", [Channel.WEBHOOK]),
        (3599, "factor-removed", list(Channel)),
        (3600, "device-new", list(Channel)),
        (3601, "device-new", list(Channel)),
    ):
        await store.audit.record(replace(TELLING, event=event, at=NOW + later))
        assert heard[-1] == channels
    assert len(await store.audit.latest("ada", 1000)) == 2 * MOST_HOURLY + 4, "it is on record all the same"


async def test_word_to_the_address_from_before_is_crowded_out_by_nothing(store: Store, valkey: Redis) -> None:
    """Or whoever took an account over would change its name often first, and its address then."""
    await account_added(store, "ada")
    changed = replace(TELLING, event="profile-changed")
    for _ in range(MOST_WAITING + 1):
        await store.audit.record(changed)
    await store.audit.record(changed, also_to="before@example.org")
    sent = await to_be_sent(store)
    assert "before@example.org" in {message.to for message in sent}
    for message in sent:
        await store.outbox.done(message)
    assert await valkey.exists("ww:{s00}:waiting:ada") == 0


async def test_who_follows_hears_of_what_is_told_only(store: Store) -> None:
    heard: list[object] = []
    store.audit.follow(lambda *channels: heard.append(channels))
    await account_added(store, "ada")
    await store.audit.record(ENTRY)
    assert heard == []
    await store.audit.record(TELLING)
    assert len(heard) == 1


async def test_what_cannot_be_recorded_is_not_told(store: Store, valkey: Redis) -> None:
    await account_added(store, "ada")
    await valkey.set("ww:{s00}:audit", "not a stream")
    with pytest.raises(StoreUnavailable):
        await store.audit.record(TELLING)
    assert await to_be_sent(store) == []
