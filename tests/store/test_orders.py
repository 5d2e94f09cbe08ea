import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.store import NOW

from gateway.core.ending import Scope
from gateway.store.audit import AuditEntry
from gateway.store.confirming import Confirmation
from gateway.store.orders import Order

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
ENTRIES = st.builds(AuditEntry, at=st.floats(0, 1e10), event=TEXTS, actor=TEXTS, subject=TEXTS, reason=TEXTS)
ORDERS = st.builds(
    Order,
    TEXTS,
    st.sampled_from(Scope),
    st.none() | TEXTS,
    st.none() | TEXTS,
    TEXTS,
    TEXTS,
    st.floats(0, 1e10),
    st.booleans(),
    st.lists(ENTRIES, max_size=2).map(tuple),
    st.booleans(),
    st.none() | st.builds(Confirmation, st.integers(0), st.integers(0), st.floats(0, 1e10)),
)


@given(ORDERS)
def test_an_order_is_read_as_it_was_written(order: Order) -> None:
    text = order.to_json()
    assert "\n" not in text
    assert Order.of(json.loads(text)) == order


def test_an_order_of_a_version_before_is_read() -> None:
    value = json.loads(Order("r", Scope.ACCOUNT, None, "ada", "lost", "cli:root", NOW).to_json())
    del value["took_place"], value["confirmation"]
    assert not Order.of(value).took_place
    assert Order.of(value).confirmation is None


@pytest.mark.parametrize("value", [{}, {"scope": "account"}, {"entries": []}])
def test_what_is_no_order(value: dict[str, object]) -> None:
    with pytest.raises((TypeError, KeyError, ValueError)):
        Order.of(value)
