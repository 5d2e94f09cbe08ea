"""What several workers count together: one page that any of them can show.

Each process writes its values into memory-mapped files of its own in a folder that they share
(prometheus_client's multiprocess mode), and a page sums over all files. The files of a worker that died stay
and go on counting: its successor takes its name, and with it its files. So no count ever goes back, and
there are never more files than names. What is true only of a living process (`live` gauges) is
forgotten with it.

Which class keeps values is a switch of the library for the whole process, to be set before anything is
counted; so this is for processes that are workers and nothing else.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, generate_latest, values
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

_SUPERVISOR = "supervisor"


def count_in(folder: Path, name: str) -> None:
    """From now on, keep what this process counts in `folder`, as `name`, which nobody else has there."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)  # the library reads it for each new file
    values.ValueClass = values.MultiProcessValue(lambda: name)  # type: ignore[no-untyped-call]


def shared_exposition(folder: Path) -> bytes:
    """The counts of all processes that count in `folder`, summed, and what each of them takes."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]
    registry.register(_Processes(folder))
    return generate_latest(registry)


class SupervisorMetrics:
    """What a supervisor knows of its workers."""

    def __init__(self, folder: Path) -> None:
        count_in(folder, _SUPERVISOR)
        self._folder = folder
        registry = CollectorRegistry()
        self._deaths = Counter("watchword_worker_deaths", "Workers that ended unasked", registry=registry)
        self._workers = Gauge(
            "watchword_workers", "Workers that serve", registry=registry, multiprocess_mode="livesum"
        )

    def death(self) -> None:
        self._deaths.inc()

    def workers(self, serving: Mapping[int, int]) -> None:
        """These serve now: their process ids, by slot."""
        self._workers.set(len(serving))
        draft = self._folder / "processes.draft"
        draft.write_text(json.dumps({_SUPERVISOR: os.getpid(), **serving}))
        draft.replace(self._folder / "processes.json")

    def forget(self, name: str) -> None:
        """A worker has ended: what was true only of it is so no more."""
        mark_process_dead(name, str(self._folder))  # type: ignore[no-untyped-call]


class _Processes(Collector):
    """Memory, processor time and open files of each process: a sum would fall with each restart."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        families: dict[str, Metric] = {}
        for worker, pid in self._processes():
            for measured in ProcessCollector(pid=str(pid).__str__, registry=None).collect():
                family = families.setdefault(
                    measured.name, Metric(measured.name, measured.documentation, measured.type)
                )
                for sample in measured.samples:
                    family.add_sample(sample.name, {"worker": worker}, sample.value)
        return families.values()

    def _processes(self) -> Iterator[tuple[str, int]]:
        try:
            known = json.loads((self._folder / "processes.json").read_text())
        except FileNotFoundError:  # before the first worker was ready
            return
        yield from known.items()
