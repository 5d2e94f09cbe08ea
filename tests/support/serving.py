"""`watchword run` as a process of its own: what it logs, what it answers, and how it ends."""

import json
import queue
import signal
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from support.commands import CommandLine

SECONDS = 60
"""Until a process has said something, or ended. Slow machines are no defect."""

EMBEDDED = {"WATCHWORD_STORE__URL": "embedded"}


class Node:
    """A running gateway, or supervisor. Its log is read all the time, so that it never waits for us."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._unread: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            self._unread.put(line)
        self._unread.put(None)

    def logged(self, event: str, **fields: Any) -> dict[str, Any]:
        """The next entry of this name, and with these fields."""
        while (line := self._unread.get(timeout=SECONDS)) is not None:
            if not line.startswith("{"):
                continue  # faults are for people
            entry: dict[str, Any] = json.loads(line)
            if entry["event"] == event and fields.items() <= entry.items():
                return entry
        raise AssertionError(f"it ended without {event!r}: {''.join(self.lines)}")

    def rest_of_log(self) -> str:
        """What is still to be read, once it has ended."""
        said = ""
        while (line := self._unread.get(timeout=SECONDS)) is not None:
            said += line
        return said

    def status_of(self, port: int, path: str, host: str = "exchange.localhost") -> int:
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Host": host})
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def counts(self, admin_port: int) -> dict[tuple[str, ...], float]:
        """Each sample on the page of counts, by its name and the values of its labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{admin_port}/metrics", timeout=SECONDS) as answer:
            families = text_string_to_metric_families(answer.read().decode())
        return {
            (sample.name.removeprefix("watchword_"), *sample.labels.values()): sample.value
            for family in families
            for sample in family.samples
        }

    def children(self) -> set[int]:
        """The processes that it started itself."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return {int(pid) for task in tasks for pid in task.read_text().split()}


@contextmanager
def running(command: CommandLine, *arguments: str, **environ: str) -> Iterator[Node]:
    process = command.start("run", *arguments, **environ)
    node = Node(process)
    try:
        yield node
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(timeout=SECONDS)


def stop(node: Node, number: signal.Signals) -> str:
    """Tell it to stop; what it still logged. It must end well, and say nothing on standard output."""
    node.process.send_signal(number)
    node.process.wait(timeout=SECONDS)
    said = node.rest_of_log()
    assert node.process.stdout is not None
    assert (node.process.returncode, node.process.stdout.read()) == (0, ""), said
    return said
