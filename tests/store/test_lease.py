"""A lease, as states and times; what it has to do with revocations is in tests/store/test_node.py."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.store.lease import Lease, Renewal


def test_a_lease_counts_from_before_it_was_asked_for() -> None:
    lease = Lease(2.0, 1.0)
    assert not lease.holds(0.0)
    lease.renewed(Renewal(sent_at=10.0, tail=0, acknowledged=True))
    assert lease.holds(11.9)
    assert not lease.holds(12.0)


def test_a_lease_waits_until_all_that_was_told_before_is_applied() -> None:
    lease = Lease(2.0, 1.0)
    lease.applied(4)
    lease.renewed(Renewal(sent_at=10.0, tail=5, acknowledged=True))
    assert not lease.holds(10.1)
    lease.applied(5)
    assert lease.holds(10.1)


def test_what_replicas_do_not_hold_is_no_lease_but_lets_live_connections_pass() -> None:
    lease = Lease(2.0, 1.0)
    lease.renewed(Renewal(sent_at=10.0, tail=0, acknowledged=False))
    assert not lease.holds(10.1)
    assert lease.lets_pass(12.9)
    assert not lease.lets_pass(13.0)


def test_nothing_outlasts_a_lease_that_is_lost() -> None:
    lease = Lease(2.0, 0.0)
    lease.renewed(Renewal(sent_at=10.0, tail=0, acknowledged=True))
    lease.renewed(Renewal(sent_at=10.1, tail=3, acknowledged=True))
    lease.lose()
    lease.applied(3)
    assert not lease.holds(10.2)
    assert not lease.lets_pass(10.2)


@given(
    st.lists(
        st.one_of(
            st.builds(
                Renewal,
                sent_at=st.floats(0, 100),
                tail=st.integers(0, 20),
                acknowledged=st.booleans(),
            ),
            st.integers(0, 20),
        )
    ),
    st.floats(0, 110),
)
def test_it_holds_only_by_a_renewal_that_was_acknowledged_applied_and_recent(
    events: list[Renewal | int], now: float
) -> None:
    lease, seen, applied = Lease(2.0, 1.0), [], 0
    highest = 0
    for event in events:
        if isinstance(event, int):
            applied = max(applied, event)
            lease.applied(applied)
        else:
            lease.renewed(event)
            seen.append(event)
        highest = max(highest, applied)
    good = [each for each in seen if each.tail <= highest]
    assert lease.holds(now) == any(each.acknowledged and now < each.sent_at + 2.0 for each in good)
    assert lease.lets_pass(now) == (now < max((each.sent_at + 2.0 for each in good), default=0.0) + 1.0)
