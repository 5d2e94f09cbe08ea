"""What a node counts, for Prometheus (text format 0.0.4).

Labels come from small closed sets: apps of the policies, outcomes, faults, scopes. Never a subject,
an address or a path, whose number nobody knows. Counting is on the way of every request, so the child
for a set of labels is looked up in a cache: `labels()` takes a lock each time.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import cache
from pathlib import Path

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
from gateway.core.security_event import Outcome
from gateway.core.telling import Channel
from gateway.errors import UpstreamFault
from gateway.web.request_counts import RequestCounts
from gateway.web.shared_metrics import shared_exposition

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
    """The counts of one node, in a registry of their own; or of all that share a folder."""

    def __init__(self, shared: Path | None = None) -> None:
        """`shared` is the folder that this process counts in, after `shared_metrics.count_in`."""
        self._shared = shared
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
        events = Counter(
            "watchword_events", "Events that other parties sent", ("outcome",), registry=registry
        )
        self._counts = RequestCounts(
            cache(requests.labels), cache(seconds.labels), _SECONDS, at_once=shared is not None
        )
        self.request = self._counts.add
        self._upstream_failures = cache(failures.labels)
        self._codes = cache(codes.labels)
        self._sign_ins = cache(sign_ins.labels)
        self._revocations = cache(revocations.labels)
        self._notices = cache(notices.labels)
        self._events = cache(events.labels)
        self._count_of_the_store(registry)
        self._count_of_what_is_live(registry)
        self._notices_waiting, self._tunnels = _gauges(registry)
        self._begin_at_zero()

    def _count_of_what_is_live(self, registry: CollectorRegistry) -> None:
        self._live_connections = Gauge(
            "watchword_live_connections",
            "Exchanges of sessions that are under way now: requests, streams and WebSockets",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._connections_cut = Counter(
            "watchword_connections_cut",
            "Exchanges that were cut because their session ended, or might have",
            registry=registry,
        )
        self._count_live: Callable[[], int] = lambda: 0

    def _begin_at_zero(self) -> None:
        for scope in Scope:
            self._revocations(scope)  # a count from zero on: `rate()` misses the first of a series
        for event_outcome in Outcome:
            self._events(event_outcome)
        for channel in Channel:
            for outcome in NoticeOutcome:
                self._notices(channel, outcome)

    def _count_of_the_store(self, registry: CollectorRegistry) -> None:
        self._store_errors = Counter(
            "watchword_store_errors", "Requests that the store could not answer", registry=registry
        )
        self._store_alarms = Counter(
            "watchword_store_alarms",
            "Times that the store told less than before: an epoch or a revocation was lost",
            registry=registry,
        )
        self._leases_held = Gauge(
            "watchword_leases_held",
            "Shards whose sessions may be kept in memory now",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._leases = Gauge(
            "watchword_leases", "Shards of the store", registry=registry, multiprocess_mode="livesum"
        )

    def upstream_failure(self, app: str, fault: UpstreamFault) -> None:
        self._upstream_failures(app, fault).inc()

    def store_error(self) -> None:
        self._store_errors.inc()

    def store_alarm(self) -> None:
        self._store_alarms.inc()

    def leases(self, held: int, of: int) -> None:
        """So many leases hold now, of so many."""
        self._leases_held.set(held)
        self._leases.set(of)

    def code(self, refused: Reason | None) -> None:
        """A code was accepted, or refused for a reason."""
        self._codes(refused or "accepted").inc()

    def sign_in(self, refused: Reason | None) -> None:
        """Somebody signed in, or was refused for a reason."""
        self._sign_ins(refused or "accepted").inc()

    def revocation(self, scope: Scope) -> None:
        self._revocations(scope).inc()

    def event(self, outcome: Outcome) -> None:
        """Another party sent an event, or what was none."""
        self._events(outcome).inc()

    def notice(self, channel: str, outcome: NoticeOutcome) -> None:
        self._notices(channel, outcome).inc()

    def notices_waiting(self, channel: str, count: int) -> None:
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
        self._count_live = count

    def connections_cut(self, count: int) -> None:
        """So many exchanges were cut because their session ended, or might have."""
        self._connections_cut.inc(count)

    def refresh(self) -> None:
        """Take down what was counted, and what is under way, for a page that another process shows."""
        self._counts.hand_on()
        self._live_connections.set(self._count_live())

    def exposition(self) -> bytes:
        """All of it, as `EXPOSITION_TYPE`."""
        self.refresh()
        return generate_latest(self._registry) if self._shared is None else shared_exposition(self._shared)


def _gauges(registry: CollectorRegistry) -> tuple[Gauge, Gauge]:
    """Notices that wait, and tunnels; how several processes' values make one is said here."""
    waiting = Gauge(
        "watchword_notices_waiting",
        "Notices not sent yet, of all nodes",
        ("channel",),
        registry=registry,
        multiprocess_mode="livemostrecent",
    )
    tunnels = Gauge(
        "watchword_open_tunnels",
        "WebSockets that are open now",
        registry=registry,
        multiprocess_mode="livesum",
    )
    return waiting, tunnels
