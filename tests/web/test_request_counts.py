"""What is handed on is what the library would have counted itself, one request after the other.

All times here are sums of powers of two: adding them in another order makes no difference.
"""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from gateway.web.request_counts import RequestCounts

BOUNDS = (0.125, 0.25, 1.0)
REQUESTS = st.lists(
    st.tuples(
        st.sampled_from(["shop", "wiki", ""]),
        st.sampled_from(["2xx", "refuse"]),
        st.sampled_from([0.0, 0.125, 0.1875, 0.25, 0.5, 1.0, 7.0]),
    ),
    max_size=20,
)


class Library:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        requests = Counter("r", "r", ("app", "outcome"), registry=self.registry)
        seconds = Histogram("s", "s", ("app",), buckets=BOUNDS, registry=self.registry)
        self.requests = requests.labels
        self.seconds = seconds.labels

    def page(self) -> bytes:
        return b"\n".join(
            line for line in generate_latest(self.registry).split(b"\n") if b"_created" not in line
        )


@given(st.lists(REQUESTS, max_size=3))
def test_what_is_handed_on_is_what_was_counted(rounds: list[list[tuple[str, str, float]]]) -> None:
    one_by_one, together = Library(), Library()
    counts = RequestCounts(together.requests, together.seconds, BOUNDS)
    for requests in rounds:
        for app, outcome, seconds in requests:
            counts.add(app, outcome, seconds)
            one_by_one.requests(app, outcome).inc()
            one_by_one.seconds(app).observe(seconds)
        counts.hand_on()
    assert together.page() == one_by_one.page()
