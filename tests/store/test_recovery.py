"""A store that was set back, trimmed, or tampered with: what had ended stays over."""

from collections.abc import Sequence

import pytest
from redis.asyncio import Redis
from support.nodes import SHORT, WHY, Heard, Join, remembered, until
from support.store import NOW, account_added, put_back, signed_in

from gateway.core.ending import Scope
from gateway.core.reasons import Reason
from gateway.core.records import Session
from gateway.errors import StoreUnavailable
from gateway.store import recovery
from gateway.store.opening import Store
from gateway.store.standing import NodeOptions

# --- a store that was set back


async def test_a_lost_revocation_takes_place_again(store: Store, valkey: Redis, join: Join) -> None:
    """Case 35: the store came back as it was before the last revocations."""
    session, other = await signed_in(store), await signed_in(store, "bob")
    third = await signed_in(store, "eve")
    node, heard = await join(SHORT)
    before = {key: await valkey.dump(key) for key in await raw_keys(valkey)}
    await store.revocations.account("ada", **WHY)
    await store.revocations.session(other.session_id, **WHY)
    await put_back(valkey, before)
    assert (
        await store.who.ask(session.cookie, NOW + 2)
    ) is not None  # it lives again, for whoever knows no better
    refused = await node.who.ask(session.cookie, NOW + 2)
    assert refused is not None and refused.fault(NOW + 2) is Reason.EPOCH_MISSING
    await until(lambda: "the store has lost what it told before" in heard.alarms)
    await until(lambda: node.node.leases()[0] == 1)
    for ended in (session, other):
        found = await store.who.ask(ended.cookie, NOW + 2)
        assert found is None or found.fault(NOW + 2) is Reason.SESSION_REVOKED
    left = await store.who.ask(third.cookie, NOW + 2)
    assert left is not None and left.fault(NOW + 2) is None


async def test_what_nobody_can_repeat_ends_for_everybody(
    store: Store, valkey: Redis, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "_LOOK_BACK", 1)
    session = await signed_in(store)
    before = {key: await valkey.dump(key) for key in await raw_keys(valkey)}
    await store.revocations.account("nobody at all", **WHY)
    await account_added(store, "bob")
    for _ in range(2):
        await store.revocations.account("bob", **WHY)
    node, heard = await join(SHORT)  # it has not seen what is lost now
    await put_back(valkey, before)
    await until(lambda: "the store has lost what it told before" in heard.alarms)
    await until(lambda: node.node.leases()[0] == 1)
    found = await store.who.ask(session.cookie, NOW + 2)
    assert found is not None and found.fault(NOW + 2) is Reason.SESSION_REVOKED


async def test_what_nobody_can_repeat_ends_for_everybody_once(
    store: Store, valkey: Redis, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many nodes find it out, and whoever has signed in since is left alone."""
    monkeypatch.setattr(recovery, "_LOOK_BACK", 1)
    await signed_in(store)
    before = {key: await valkey.dump(key) for key in await raw_keys(valkey)}
    for _ in range(3):
        await store.revocations.account("ada", **WHY)
    (first, told), (second, heard) = await join(SHORT), await join(SHORT)
    await second.node._end_tasks()
    await put_back(valkey, before)
    await until(lambda: "the store has lost what it told before" in told.alarms)
    await until(lambda: first.node.leases()[0] == 1)
    session = await signed_in(store, "bob")
    await second.node.start(heard)
    await until(lambda: second.node.leases()[0] == 1)
    assert "the store has lost what it told before" in heard.alarms
    assert [each.scope for each in await store.revocations.list()] == [Scope.EVERYBODY]
    found = await second.who.ask(session.cookie, NOW + 2)
    assert found is not None and found.fault(NOW + 2) is None


async def test_an_account_that_was_disabled_is_disabled_again(
    store: Store, valkey: Redis, join: Join
) -> None:
    await signed_in(store)
    node, heard = await join(SHORT)
    before = {key: await valkey.dump(key) for key in await raw_keys(valkey)}
    await store.revocations.account("ada", **WHY, disable=True)
    await put_back(valkey, before)
    await until(lambda: "the store has lost what it told before" in heard.alarms)
    await until(lambda: node.node.leases()[0] == 1)
    account = await store.accounts.find("ada")
    assert account is not None and account.disabled


async def test_case_36_an_epoch_that_is_missing_or_lower_is_an_alarm(
    store: Store, valkey: Redis, join: Join
) -> None:
    session, (node, heard) = await signed_in(store), await join(SHORT)
    await remembered(node, session)
    await valkey.decr("ww:{s00}:epoch")
    await until(lambda: bool(heard.alarms))
    assert node.who.remembered(node.who.place_of(session.cookie), NOW) is None
    found = await node.who.ask(session.cookie, NOW)
    assert found is not None and found.fault(NOW) is not None
    heard.alarms.clear()
    await valkey.delete("ww:{s00}:epoch")
    await until(lambda: bool(heard.alarms))
    found = await node.who.ask(session.cookie, NOW)
    assert found is not None and found.fault(NOW) is Reason.EPOCH_MISSING


async def test_a_feed_that_was_trimmed_has_live_sessions_looked_at(
    store: Store, valkey: Redis, join: Join
) -> None:
    session, other = await signed_in(store), await signed_in(store, "bob")
    node, heard = await join(NodeOptions(lease=2.0, grace=0.1))
    for each in (session, other):
        snapshot = await node.who.ask(each.cookie, NOW)
        assert snapshot is not None
        heard.live.append(snapshot.session)
    await node.node._end_tasks()
    await store.revocations.account("ada", **WHY)
    await store.accounts.set_email("bob", "b@example.org")
    await valkey.xtrim("ww:{s00}:feed", maxlen=1, approximate=False)
    await node.node.start(heard)
    await until(lambda: heard.cuts == [session.session_id])
    assert heard.endings == []


class Interrupted(Heard):
    """The store is lost again just when live sessions are looked at, so many times."""

    times = 2

    def sessions(self) -> Sequence[Session]:
        if self.live and self.times:
            self.times -= 1
            raise StoreUnavailable("gone again")
        return self.live


async def test_no_renewal_lets_live_sessions_pass_before_they_were_looked_at(
    store: Store, valkey: Redis, join: Join
) -> None:
    """A revocation was in the gap, and the store failed in the middle of finding out what the gap was."""
    session = await signed_in(store)
    await account_added(store, "bob")
    await store.accounts.set_email("bob", "first@example.org")
    node, _ = await join(NodeOptions(lease=0.4, grace=0.1))
    await until(lambda: node.node.standings[0].proven > 2)
    snapshot = await node.who.ask(session.cookie, NOW)
    assert snapshot is not None
    await node.node._end_tasks()
    await store.revocations.account("ada", **WHY)
    await store.accounts.set_email("bob", "b@example.org")
    await valkey.xtrim("ww:{s00}:feed", maxlen=1, approximate=False)
    heard = Interrupted([snapshot.session])
    await node.node.start(heard)
    await until(lambda: node.node.leases()[0] == 1)
    assert heard.times == 0
    assert heard.cuts == [session.session_id]


async def test_a_gap_in_the_feed_does_not_cut_what_goes_on(store: Store, valkey: Redis, join: Join) -> None:
    session = await signed_in(store)
    node, heard = await join(NodeOptions(lease=60.0, grace=1.0))
    snapshot = await node.who.ask(session.cookie, NOW)
    assert snapshot is not None
    heard.live.append(snapshot.session)
    await until(lambda: node.node.lets_pass(session.session_id))
    node.node.standings[0].distrust()
    assert node.node.leases() == (0, 1)
    assert node.node.lets_pass(session.session_id)


async def test_a_node_that_has_just_joined_can_repeat_what_is_lost_then(
    store: Store, valkey: Redis, join: Join
) -> None:
    session, other = await signed_in(store), await signed_in(store, "bob")
    before = {key: await valkey.dump(key) for key in await raw_keys(valkey)}
    await store.revocations.account("bob", **WHY)
    node, heard = await join(SHORT)
    await put_back(valkey, before)
    await until(lambda: "the store has lost what it told before" in heard.alarms)
    await until(lambda: node.node.leases()[0] == 1)
    kept = await store.who.ask(session.cookie, NOW + 2)
    assert kept is not None and kept.fault(NOW + 2) is None  # nobody else is signed out for it
    ended = await store.who.ask(other.cookie, NOW + 2)
    assert ended is not None and ended.fault(NOW + 2) is Reason.SESSION_REVOKED


async def test_whoever_signs_in_after_everybodys_end_is_let_in_whatever_was_known(
    store: Store, valkey: Redis, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    await signed_in(store)
    before = {key: await valkey.dump(key) for key in await raw_keys(valkey)}
    monkeypatch.setattr(recovery, "_LOOK_BACK", 1)
    for _ in range(2):
        await store.revocations.account("ada", **WHY)
    node, heard = await join(SHORT)
    await store.revocations.account("ada", **WHY)  # the node knows of an epoch that the store will not have
    await put_back(valkey, before)
    await until(lambda: "the store has lost what it told before" in heard.alarms)
    await until(lambda: node.node.leases()[0] == 1)
    again = await node.who.ask((await signed_in(store)).cookie, NOW + 2)
    assert again is not None and again.fault(NOW + 2) is None


async def raw_keys(valkey: Redis) -> list[str]:
    return [key for key in await valkey.keys() if not key.endswith(":nodes")]


@pytest.mark.parametrize(
    "fields",
    [
        {"what": "of a newer version"},
        {"seq": "2", "after": "0-1", "kind": "ended", "scope": "moon", "id": "", "subject": "", "reason": ""},
    ],
    ids=["no entry", "unknown scope"],
)
async def test_an_entry_that_cannot_be_read_is_passed_over_and_nothing_is_trusted_from_before(
    store: Store, valkey: Redis, join: Join, fields: dict[str, str]
) -> None:
    """Whatever it says has ended is looked for among what is live, and no more in memory."""
    session, other = await signed_in(store), await signed_in(store, "bob")
    node, heard = await join(NodeOptions(lease=60.0))
    await remembered(node, session)
    await remembered(node, other)
    snapshot = await node.who.ask(session.cookie, NOW)
    assert snapshot is not None
    heard.live.append(snapshot.session)
    await valkey.hincrby("ww:{s00}:account:ada", "epoch", 1)
    await valkey.xadd("ww:{s00}:feed", fields)  # type: ignore[arg-type]
    await until(lambda: heard.cuts != [])
    assert heard.alarms == ["the feed has an entry that cannot be read"]
    assert set(heard.cuts) == {session.session_id}
    await until(lambda: len(node.node.standings[0].near) == 0)
    for _ in range(2):
        done = await store.revocations.account("ada", **WHY)
        assert done is not None and done.confirmation is not None
        assert (done.confirmation.nodes, done.confirmation.silent) == (1, 0)
    assert await node.who.ask(other.cookie, NOW) is not None
    assert heard.alarms == ["the feed has an entry that cannot be read"]
