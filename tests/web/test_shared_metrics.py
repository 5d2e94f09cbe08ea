"""What several processes count together. Each is a process of its own: the switch holds for all of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import values
from prometheus_client.parser import text_string_to_metric_families

from gateway.web.shared_metrics import SupervisorMetrics, shared_exposition

COUNTS = """
import sys
from pathlib import Path
from gateway.core.telling import Channel
from gateway.web.metrics import Metrics
from gateway.web.shared_metrics import count_in
folder = Path(sys.argv[1])
count_in(folder, sys.argv[2])
metrics = Metrics(folder)
metrics.request("exchange", "2xx", 0.02)
metrics.notices_waiting(Channel.MAIL, int(sys.argv[3]))
with metrics.tunnel():
    if sys.argv[4:]:
        sys.stdout.write(metrics.exposition().decode())
    sys.stdout.flush()
    sys.exit() if sys.argv[4:] else __import__("os").kill(__import__("os").getpid(), 9)
"""


def counted(folder: Path, name: str, waiting: int = 0, *show: str) -> str:
    """Count one request with a tunnel open, and be killed, or show the page and end."""
    command = [sys.executable, "-c", COUNTS, str(folder), name, str(waiting), *show]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout


def samples(text: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SupervisorMetrics:
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    return SupervisorMetrics(tmp_path)


def test_any_of_them_shows_the_sum_of_all(tmp_path: Path) -> None:
    counted(tmp_path, "0a", 3)
    found = samples(counted(tmp_path, "1a", 5, "show"))
    assert found["watchword_requests_total", "exchange", "2xx"] == 2
    assert found["watchword_request_seconds_count", "exchange"] == 2
    assert found["watchword_request_seconds_bucket", "exchange", "0.025"] == 2
    assert found["watchword_notices_waiting", "mail"] == 5, "of the store: the newest, and no sum"
    assert found["watchword_revocations_total", "everybody"] == 0


def test_who_follows_goes_on_with_the_counts_and_not_with_what_was_open(
    tmp_path: Path, supervisor: SupervisorMetrics
) -> None:
    for _ in range(3):
        counted(tmp_path, "0a")
        files = sorted(path.name for path in tmp_path.iterdir())
        supervisor.forget("0a")
    assert "gauge_livesum_0a.db" in files
    found = samples(shared_exposition(tmp_path).decode())
    assert found["watchword_requests_total", "exchange", "2xx"] == 3
    assert found["watchword_workers",] == 0
    assert ("watchword_open_tunnels",) not in found
    counted(tmp_path, "0a")
    assert sorted(path.name for path in tmp_path.iterdir()) == files, "no more files than before"


def test_a_supervisor_says_who_serves(tmp_path: Path, supervisor: SupervisorMetrics) -> None:
    supervisor.workers({0: os.getpid(), 1: os.getppid()})
    supervisor.death()
    found = samples(shared_exposition(tmp_path).decode())
    assert (found["watchword_workers",], found["watchword_worker_deaths_total",]) == (2, 1)
    assert {name[1] for name in found if name[0] == "process_resident_memory_bytes"} == {
        "supervisor",
        "0",
        "1",
    }
