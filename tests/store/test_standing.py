import pytest
from support.nodes import Heard
from support.snapshots import UNTIL, snapshot_of
from support.store import NOW

from gateway.core.ending import Ending, Scope
from gateway.store.feed import FeedEntry, Position
from gateway.store.keys import Shard
from gateway.store.lease import Renewal
from gateway.store.standing import NodeOptions, Standing

ENDING = Ending("r", Scope.ACCOUNT, subject="ada", epoch=2)
FIRST = FeedEntry("1-0", 1, "0-0", "ada", ENDING, NOW)


def test_an_entry_is_applied_to_all_before_the_lease_counts() -> None:
    standing, heard = Standing(Shard(0), NodeOptions()), Heard()
    standing.near.put(b"1", snapshot_of("ada", 1), UNTIL, turn=0)
    standing.lease.renewed(Renewal(sent_at=1.0, tail=Position(1, "1-0"), acknowledged=True))
    assert not standing.lease.holds(1.5)
    assert standing.apply(FIRST, heard)
    assert standing.near.get(b"1", NOW) is None
    assert standing.known.contradicts(snapshot_of("ada", 1))
    assert heard.endings == [ENDING]
    assert standing.lease.holds(1.5)


def test_an_entry_that_is_not_the_next_changes_nothing() -> None:
    standing, heard = Standing(Shard(0), NodeOptions()), Heard()
    standing.near.put(b"1", snapshot_of("ada", 1), UNTIL, turn=0)
    assert not standing.apply(FeedEntry("2-0", 2, "1-0", "ada", ENDING), heard)
    assert standing.position == Position()
    assert standing.near.get(b"1", NOW) is not None
    assert heard.endings == []


def test_what_goes_on_from_elsewhere_keeps_nothing() -> None:
    standing = Standing(Shard(0), NodeOptions())
    standing.near.put(b"1", snapshot_of("ada", 1), UNTIL, turn=0)
    standing.lease.renewed(Renewal(sent_at=1.0, tail=Position(), acknowledged=True))
    standing.go_on_from(Position(7, "7-0"))
    assert not standing.lease.holds(1.5)
    assert standing.near.get(b"1", NOW) is None
    assert standing.apply(FeedEntry("8-0", 8, "7-0", "ada", None), Heard())


@pytest.mark.parametrize(("replicas", "acknowledge"), [(0, 0), (1, 1), (2, 1), (3, 2), (4, 2)])
def test_a_proof_and_a_confirmation_have_a_server_in_common(replicas: int, acknowledge: int) -> None:
    options = NodeOptions(replicas=replicas, acknowledge=acknowledge)
    servers = replicas + 1
    assert (1 + acknowledge) + (1 + options.prove) > servers
    assert (1 + acknowledge) + (1 + acknowledge) > servers  # a lease is acknowledged like a revocation


def test_under_a_lease_counts_what_the_process_says_that_acknowledged_it() -> None:
    standing = Standing(Shard(0), NodeOptions(lease=2.0, replicas=2, acknowledge=1))
    standing.primary = "this one"
    standing.lease.renewed(Renewal(1.0, Position(), acknowledged=True))
    assert standing.leased_by("this one", 1.5)
    assert not standing.leased_by("another one", 1.5)
    assert not standing.leased_by("this one", 3.5)
