"""Revocations that were accepted and are not confirmed yet, on this machine's disk.

Whoever accepts one sees it through, also after a crash: each process has a file of its own, which it holds
locked (flock: the system unlocks it when the process ends, however it ends); what another one left behind is
taken over by any gateway that finds it. A revocation that is begun twice takes place once (revoke.lua).
"""

import errno
import fcntl
import json
import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import structlog

from gateway.store.orders import Order

_SUFFIX = ".journal"
_UNREADABLE = ".unreadable"
"""What is called so is left to people."""

_LARGEST = 256 * 1024
"""Bytes from which a journal is emptied once nothing in it is unfinished: that takes the disk a while."""

_log = structlog.get_logger("gateway.store")


@dataclass(frozen=True, slots=True)
class _Line:
    """What is to be written; `written` is done once that is on the disk, or has failed."""

    text: str
    promises: bool
    written: "Future[None]" = field(default_factory=Future)


class Journal:
    """Of one process; its methods may be called by threads.

    A thread of its own writes to the file, in the order in which things were promised and done, and all that
    waits at a time with one wait for the disk. Nobody else waits for that who does not want to: what is
    unfinished is known from memory.
    """

    def __init__(self, folder: Path | None, name: str) -> None:
        """Without a folder nothing survives the process."""
        self._folder = folder
        self._name = name
        self._lock = threading.Lock()  # of what is in memory; never held while the disk is waited for
        self._open: dict[str, Order] = {}
        self._in_hand: set[str] = set()
        self._taken_up: set[str] = set()  # of files that are still there
        self._lines: list[_Line] = []
        self._writer: ThreadPoolExecutor | None = None
        self._file: BinaryIO | None = None  # the writer's alone

    def promise(self, order: Order) -> "Future[None]":
        """Promise to see this through. Does not block; what it gives is done once that is on the disk.

        That raises OSError. Then it is promised for as long as this process lives, unless it is ended.
        """
        with self._lock:
            self._open[order.revocation_id] = order
            self._in_hand.add(order.revocation_id)
            return self._to_write(_Line(order.to_json(), promises=True))

    def begin(self, order: Order) -> None:
        """The same, and wait for the disk."""
        self.promise(order).result()

    def put_down(self, revocation_id: str) -> None:
        """Leave what was begun to whoever finishes it. Does not block."""
        with self._lock:
            self._in_hand.discard(revocation_id)

    def end(self, revocation_id: str) -> "Future[None]":
        """It is done. Should that be lost in a crash, it is found done when it is tried again.

        Does not block; what it gives is done once other processes can read it, or never will.
        """
        with self._lock:
            self._in_hand.discard(revocation_id)
            if self._open.pop(revocation_id, None) is None:
                return _nothing()
            return self._to_write(_Line(json.dumps({"done": revocation_id}), promises=False))

    def unfinished(self) -> list[Order]:
        """What was begun, is not done, and is in nobody's hand."""
        with self._lock:
            return [order for order in self._open.values() if order.revocation_id not in self._in_hand]

    def knows(self, revocation_id: str) -> Order | None:
        """An order that is not done yet. Does not block."""
        with self._lock:
            return self._open.get(revocation_id)

    def finds(self, revocation_id: str) -> Order | None:
        """The same, also where another process of this machine has promised it."""
        if (order := self.knows(revocation_id)) is not None:
            return order
        for path in self._others():
            with suppress(OSError):
                data = path.read_bytes()
                # Anybody may ask for any id: what does not have it is not read line by line.
                found = _orders_in(data)[0] if revocation_id.encode() in data else {}
                if revocation_id in found:
                    return found[revocation_id]
        return None

    def adopt(self) -> None:
        """Take over what processes left behind that are gone. Raises OSError."""
        for path in self._others():
            try:
                self._adopt_from(path)
            except OSError as error:  # it must not keep ours from being finished
                _log.error("a journal cannot be taken over", path=str(path), error=str(error))

    def close(self) -> None:
        """Leave the file behind if something in it is not done. Blocks until all is written."""
        with self._lock:
            writer, self._writer = self._writer, None
        if writer is not None:
            left = writer.submit(self._leave)  # once all is written
            writer.shutdown()
            left.result()

    @property
    def _path(self) -> Path | None:
        return None if self._folder is None else self._folder / f"{self._name}{_SUFFIX}"

    def _others(self) -> list[Path]:
        """The journals of other processes, living or not."""
        if self._folder is None or not self._folder.is_dir():
            return []
        return [path for path in self._folder.glob(f"*{_SUFFIX}") if path != self._path]

    def _adopt_from(self, path: Path) -> None:
        with suppress(FileNotFoundError), path.open("rb") as file:  # another one may be faster
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            orders, unreadable = _orders_in(file.read())
            self._take_up(orders)
            if unreadable:
                kept = path.with_suffix(_UNREADABLE)
                _log.error("lines of a journal cannot be read", count=unreadable, path=str(kept))
                path.rename(kept)
            else:
                path.unlink(missing_ok=True)

    def _take_up(self, orders: dict[str, Order]) -> None:
        """Promise what another process had promised. Raises OSError once all of it was tried.

        Then its file stays, and this is done again later: what has ended meanwhile must not begin anew.
        """
        promised: list[Future[None]] = []
        for revocation_id, order in orders.items():
            if revocation_id in self._taken_up and self.knows(revocation_id) is None:
                continue
            if revocation_id not in self._taken_up:
                _log.warning("a revocation was left unfinished", id=revocation_id, scope=order.scope)
            self._taken_up.add(revocation_id)
            promised.append(self.promise(order))
            self.put_down(revocation_id)
        for each in promised:
            each.result()
        self._taken_up.difference_update(orders)

    def _to_write(self, line: _Line) -> "Future[None]":
        """Have the writer write this after all before it. The lock is held, which keeps that order."""
        if (path := self._path) is None:
            return _nothing()
        line.written.set_running_or_notify_cancel()  # whoever waits no more does not stop the writer
        self._lines.append(line)
        if self._writer is None:
            self._writer = ThreadPoolExecutor(1, "journal")
        self._writer.submit(self._write_all, path)
        return line.written

    def _write_all(self, path: Path) -> None:
        """Write what waits, in the writer's thread."""
        with self._lock:
            lines, self._lines = self._lines, []
        failures = [self._failure_of(line, path) for line in lines]
        if self._file is not None and any(line.promises for line in lines):
            try:
                os.fdatasync(self._file.fileno())
            except OSError as error:
                failures = [error if failure is None else failure for failure in failures]
        self._tidy()
        for line, failure in zip(lines, failures, strict=True):
            if failure is None or not line.promises:
                line.written.set_result(None)
            else:
                line.written.set_exception(failure)

    def _failure_of(self, line: _Line, path: Path) -> OSError | None:
        """Put a line at the end, whole or not at all; what was in the way."""
        try:
            if self._file is None:
                self._file = _made(path)
            size, data = _size_of(self._file), line.text.encode() + b"\n"
            if self._file.write(data) != len(data):
                self._file.truncate(size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            if not line.promises:
                _log.error("the journal cannot be written", error=str(error))
            return error
        return None

    def _tidy(self) -> None:
        """Empty a file that has become large, if nothing in it is unfinished."""
        with self._lock:
            unfinished = bool(self._open)  # what is promised from now on is written after this
        with suppress(OSError):
            if self._file is not None and not unfinished and _size_of(self._file) > _LARGEST:
                self._file.truncate(0)

    def _leave(self) -> None:
        """Leave the file, or none where all in it is done, in the writer's thread."""
        if self._file is not None:
            if not self._open and self._path is not None:
                self._path.unlink(missing_ok=True)
            self._file.close()
            self._file = None


def _nothing() -> "Future[None]":
    """Of what does not have to be written."""
    done: Future[None] = Future()
    done.set_result(None)
    return done


def _size_of(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


def _made(path: Path) -> BinaryIO:
    """A new file that is ours alone, itself and its name on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Under its name only once it is locked, or another process could take it for one that was left behind.
    draft = path.with_suffix(".draft")
    file = os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb", buffering=0)
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    draft.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return file


def _orders_in(data: bytes) -> tuple[dict[str, Order], int]:
    """What is not done in a journal, by id, and how many of its lines cannot be read.

    The last line may have been torn by a crash: then it was not answered to anybody.
    """
    found: dict[str, Order] = {}
    unreadable = 0
    *lines, last = data.split(b"\n")
    for line in (*lines, last) if last else lines:
        try:
            value: dict[str, Any] = json.loads(line)
            if "done" in value:
                found.pop(value["done"], None)
            else:
                order = Order.of(value)
                found[order.revocation_id] = order
        except (ValueError, TypeError, KeyError):
            unreadable += line is not last
    return found, unreadable
