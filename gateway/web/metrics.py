"""What a node counts, for Prometheus (text format 0.0.4).

Labels come from small closed sets: apps of the policies, outcomes, faults, scopes. Never a subject,
an address or a path, whose number nobody knows. Counting is on the way of every request, so the child
for a set of labels is looked up in a cache: `labels()` takes a lock each time.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import cache

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from gateway.core.ending import Scope
from gateway.core.reasons import Reason
from gateway.core.telling import Channel
from gateway.errors import UpstreamFault

EXPOSITION_TYPE = CONTENT_TYPE_PLAIN_0_0_4
NO_APP = ""
"""The app of a request whose host no app has."""

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class NoticeOutcome(StrEnum):
    """What became of an attempt to tell somebody. A notice that failed is tried again."""

    SENT = "sent"
    FAILED = "failed"
    GIVEN_UP = "given-up"
    DROPPED = "dropped"


class Metrics:
    """The counts of one node, in a registry of their own."""

    def __init__(self) -> None:
        # Otherwise each series comes with another one that says since when it counts.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        requests = Counter("watchword_requests", "Requests answered", ("app", "outcome"), registry=registry)
        seconds = Histogram(
            "watchword_request_seconds",
            "From a request's head to the end of its answer",
            ("app",),
            buckets=_SECONDS,
            registry=registry,
        )
        failures = Counter(
            "watchword_upstream_failures",
            "Requests that an upstream failed",
            ("app", "fault"),
            registry=registry,
        )
        codes = Counter("watchword_codes", "One-time codes judged", ("outcome",), registry=registry)
        sign_ins = Counter("watchword_sign_ins", "Attempts to sign in", ("outcome",), registry=registry)
        revocations = Counter("watchword_revocations", "Revocations", ("scope",), registry=registry)
        notices = Counter(
            "watchword_notices", "Attempts to tell people", ("channel", "outcome"), registry=registry
        )
        self._notices_waiting = Gauge(
            "watchword_notices_waiting", "Notices not sent yet, of all nodes", ("channel",), registry=registry
        )
        self._requests = cache(requests.labels)
        self._seconds = cache(seconds.labels)
        self._upstream_failures = cache(failures.labels)
        self._codes = cache(codes.labels)
        self._sign_ins = cache(sign_ins.labels)
        self._revocations = cache(revocations.labels)
        self._notices = cache(notices.labels)
        self._store_errors = Counter(
            "watchword_store_errors", "Requests that the store could not answer", registry=registry
        )
        self._tunnels = Gauge("watchword_open_tunnels", "WebSockets that are open now", registry=registry)
        self._live_connections = Gauge(
            "watchword_live_connections",
            "Exchanges of sessions that are under way now: requests, streams and WebSockets",
            registry=registry,
        )
        self._connections_cut = Counter(
            "watchword_connections_cut",
            "Exchanges that were cut because their session ended, or might have",
            registry=registry,
        )
        for scope in Scope:
            self._revocations(scope)  # a count from zero on: `rate()` misses the first of a series
        for channel in Channel:
            for outcome in NoticeOutcome:
                self._notices(channel, outcome)

    def request(self, app: str, outcome: str, seconds: float) -> None:
        """A request was answered.

        `outcome` is what was decided (`sign-in`, `step-up`, `authorise-device`, `refuse`), or for one
        that was forwarded the class of its status (`2xx`).
        """
        self._requests(app, outcome).inc()
        self._seconds(app).observe(seconds)

    def upstream_failure(self, app: str, fault: UpstreamFault) -> None:
        self._upstream_failures(app, fault).inc()

    def store_error(self) -> None:
        self._store_errors.inc()

    def code(self, refused: Reason | None) -> None:
        """A code was accepted, or refused for a reason."""
        self._codes(refused or "accepted").inc()

    def sign_in(self, refused: Reason | None) -> None:
        """Somebody signed in, or was refused for a reason."""
        self._sign_ins(refused or "accepted").inc()

    def revocation(self, scope: Scope) -> None:
        self._revocations(scope).inc()

    def notice(self, channel: Channel, outcome: NoticeOutcome) -> None:
        self._notices(channel, outcome).inc()

    def notices_waiting(self, channel: Channel, count: int) -> None:
        """How many notices wait in the store, as of now."""
        self._notices_waiting.labels(channel).set(count)

    @contextmanager
    def tunnel(self) -> Iterator[None]:
        """A tunnel is open while the block runs."""
        self._tunnels.inc()
        try:
            yield
        finally:
            self._tunnels.dec()

    def live_connections(self, count: Callable[[], int]) -> None:
        """Who is asked, whenever the counts are read, how many exchanges of sessions are under way."""
        self._live_connections.set_function(count)

    def connections_cut(self, count: int) -> None:
        """So many exchanges were cut because their session ended, or might have."""
        self._connections_cut.inc(count)

    def exposition(self) -> bytes:
        """All of it, as `EXPOSITION_TYPE`."""
        return generate_latest(self._registry)
