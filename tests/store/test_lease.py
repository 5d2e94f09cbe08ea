"""A lease, as states and times; what it has to do with revocations is in tests/store/test_node.py."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.store.feed import Position
from gateway.store.lease import MOST_RECENT, Lease, Renewal


def place(seq: int, feed: int = 0) -> Position:
    """Where one of several feeds has its entry of this number; they differ from the first one on."""
    return Position(seq, f"{seq}-{feed}") if seq else Position()


def test_a_lease_counts_from_before_it_was_asked_for() -> None:
    lease = Lease(2.0, 1.0)
    assert not lease.holds(0.0)
    lease.renewed(Renewal(sent_at=10.0, tail=place(0), acknowledged=True))
    assert lease.holds(11.9)
    assert not lease.holds(12.0)


def test_a_lease_waits_until_all_that_was_told_before_is_applied() -> None:
    lease = Lease(2.0, 1.0)
    lease.applied(place(4))
    lease.renewed(Renewal(sent_at=10.0, tail=place(5), acknowledged=True))
    assert not lease.holds(10.1)
    lease.applied(place(5))
    assert lease.holds(10.1)


def test_what_replicas_do_not_hold_is_no_lease_but_lets_live_connections_pass() -> None:
    lease = Lease(2.0, 1.0)
    lease.renewed(Renewal(sent_at=10.0, tail=place(0), acknowledged=False))
    assert not lease.holds(10.1)
    assert lease.lets_pass(12.9)
    assert not lease.lets_pass(13.0)


def test_no_memory_outlasts_a_lease_that_is_lost_and_live_connections_only_their_time() -> None:
    lease = Lease(2.0, 1.0)
    lease.renewed(Renewal(sent_at=10.0, tail=place(0), acknowledged=True))
    lease.renewed(Renewal(sent_at=10.1, tail=place(3), acknowledged=True))
    lease.lose()
    lease.applied(place(3))
    assert not lease.holds(10.2)
    assert lease.lets_pass(12.9)
    assert not lease.lets_pass(13.0)


def test_an_entry_of_another_feed_is_not_the_one_that_was_told() -> None:
    lease = Lease(2.0, 1.0)
    lease.renewed(Renewal(sent_at=10.0, tail=place(1), acknowledged=True))
    lease.applied(place(1, feed=1))
    assert not lease.holds(10.1)
    assert not lease.lets_pass(10.1)
    lease.renewed(Renewal(sent_at=10.0, tail=place(1), acknowledged=True))
    lease.applied(place(2, feed=1))
    assert not lease.holds(10.1)


def test_what_was_passed_before_the_answer_counts_as_long_as_it_is_remembered() -> None:
    lease = Lease(2.0, 1.0)
    for seq in range(1, MOST_RECENT + 10):
        lease.applied(place(seq))
    lease.renewed(Renewal(sent_at=10.0, tail=place(9), acknowledged=True))
    assert not lease.holds(10.1)
    lease.renewed(Renewal(sent_at=10.0, tail=place(10), acknowledged=True))
    assert lease.holds(10.1)


def test_where_the_feed_is_followed_from_anew_what_was_passed_no_longer_counts() -> None:
    lease = Lease(2.0, 1.0)
    lease.applied(place(1))
    lease.begin(place(5, feed=1))
    lease.renewed(Renewal(sent_at=10.0, tail=place(1), acknowledged=True))
    assert not lease.holds(10.1)
    lease.renewed(Renewal(sent_at=10.0, tail=place(5, feed=1), acknowledged=True))
    assert lease.holds(10.1)


@given(
    st.lists(
        st.one_of(
            st.builds(
                Renewal,
                sent_at=st.floats(0, 100),
                tail=st.builds(place, st.integers(0, 20), st.integers(0, 1)),
                acknowledged=st.booleans(),
            ),
            st.integers(0, 1),  # the next entry comes, of this feed
        )
    ),
    st.floats(0, 110),
)
def test_it_holds_only_by_a_renewal_that_was_acknowledged_applied_and_recent(
    events: list[Renewal | int], now: float
) -> None:
    lease, seen, passed = Lease(2.0, 1.0), [], [Position()]
    for event in events:
        if isinstance(event, int):
            passed.append(place(len(passed), event))
            lease.applied(passed[-1])
        else:
            lease.renewed(event)
            seen.append(event)
    good = [each for each in seen if each.tail in passed]
    assert lease.holds(now) == any(each.acknowledged and now < each.sent_at + 2.0 for each in good)
    assert lease.lets_pass(now) == (now < max((each.sent_at + 2.0 for each in good), default=0.0) + 1.0)
