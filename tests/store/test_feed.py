import pytest
from redis.asyncio import Redis
from support.store import NOW, account_added, signed_in

from gateway.core.ending import Ending, Scope
from gateway.store.feed import START, FeedEntry, Position, entry_from
from gateway.store.opening import Store


async def entries(valkey: Redis) -> list[FeedEntry]:
    return [entry_from(*row) for row in await valkey.xrange("ww:{s00}:feed")]


async def test_what_a_revocation_tells(store: Store, valkey: Redis) -> None:
    await account_added(store, "ada")
    made = await store.revocations.account("ada", reason="lost", actor="cli:root", now=NOW)
    assert made is not None
    account = await store.accounts.find("ada")
    (entry,) = await entries(valkey)
    assert account is not None
    by = store.promises._confirmer._id
    epoch = account.epoch or 0
    ending = Ending(made.revocation_id, Scope.ACCOUNT, subject="ada", epoch=epoch, reason="lost", by=by)
    assert entry == FeedEntry(entry.id, 1, START, "ada", ending, NOW)


async def test_entries_are_counted_and_each_names_the_one_before(store: Store, valkey: Redis) -> None:
    session = await signed_in(store)
    await store.revocations.session(session.session_id, reason="lost", actor="cli:root", now=NOW)
    await store.accounts.set_email("ada", "a@example.org")
    await store.revocations.everybody(reason="all", actor="cli:root", now=NOW)
    position = Position()
    for entry in await entries(valkey):
        assert position.precedes(entry)
        position = Position(entry.seq, entry.id)
    assert position.seq == 3


async def test_a_change_ends_nothing(store: Store, valkey: Redis) -> None:
    await account_added(store, "ada")
    await store.accounts.set_email("ada", "a@example.org")
    (entry,) = await entries(valkey)
    assert (entry.subject, entry.ending) == ("ada", None)


@pytest.mark.parametrize(
    "entry",
    [
        FeedEntry("9-0", 5, "7-0", "ada", None),  # one is missing
        FeedEntry("9-0", 4, "8-0", "ada", None),  # the numbers fit, but it follows another one
        FeedEntry("9-0", 3, "7-0", "ada", None),
    ],
)
def test_what_does_not_follow(entry: FeedEntry) -> None:
    assert not Position(3, "7-0").precedes(entry)
    assert Position(3, "7-0").precedes(FeedEntry("9-0", 4, "7-0", "ada", None))
