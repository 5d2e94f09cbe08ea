"""Requests and how long they took, counted without a lock and handed on now and then.

Counting is on the way of every request, and each of the library's counters takes a lock, or writes to a
shared file. Here it is plain numbers of one event loop.
"""

from bisect import bisect_left
from collections.abc import Callable

from prometheus_client import Counter, Histogram


class RequestCounts:
    """For one event loop; `hand_on` is to be called in it, or while it does not run."""

    def __init__(
        self,
        requests: Callable[[str, str], Counter],
        seconds: Callable[[str], Histogram],
        bounds: tuple[float, ...],
        *,
        at_once: bool = False,
    ) -> None:
        """`requests` by app and outcome; `seconds` by app, with buckets up to these bounds, and one more.

        `at_once`: each is handed on as it comes, so that it is told even if this process is killed.
        """
        self._requests = requests
        self._seconds = seconds
        self._bounds = bounds
        self._at_once = at_once
        self._counts: dict[tuple[str, str], int] = {}
        self._sums: dict[str, float] = {}
        self._buckets: dict[str, list[int]] = {}

    def add(self, app: str, outcome: str, seconds: float) -> None:
        """A request was answered.

        `outcome` is what was decided (`sign-in`, `step-up`, `authorise-device`, `refuse`), or for one
        that was forwarded the class of its status (`2xx`).
        """
        key = (app, outcome)
        self._counts[key] = self._counts.get(key, 0) + 1
        if app not in self._sums:
            self._sums[app], self._buckets[app] = 0.0, [0] * (len(self._bounds) + 1)
        self._sums[app] += seconds
        self._buckets[app][bisect_left(self._bounds, seconds)] += 1
        if self._at_once:
            self.hand_on()

    def hand_on(self) -> None:
        """Tell the library what came since the last time."""
        counts, self._counts = self._counts, {}
        for (app, outcome), count in counts.items():
            self._requests(app, outcome).inc(count)
        for app, buckets in self._buckets.items():
            histogram = self._seconds(app)
            histogram._sum.inc(self._sums[app])  # it has no public way to observe many at once
            self._sums[app] = 0.0
            for number, count in enumerate(buckets):
                if count:
                    histogram._buckets[number].inc(count)
                    buckets[number] = 0
