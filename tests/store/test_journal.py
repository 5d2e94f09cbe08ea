"""What was promised on this disk outlives the process, and nothing else does."""

import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.store import NOW

from gateway.core.ending import Scope
from gateway.store.audit import AuditEntry
from gateway.store.journal import _LARGEST, Journal, _orders_in
from gateway.store.orders import Order

ENTRY = AuditEntry(NOW, "account-revoked", "account:ada", "ada", reason="lost ä")
ORDER = Order("0" * 32, Scope.ACCOUNT, None, "ada", "lost", "account:ada", NOW, True, (ENTRY,))
ANOTHER = Order("1" * 32, Scope.SESSION, "5" * 32, None, "left", "operator:eve", NOW)


def orders_in(path: Path) -> list[Order]:
    orders, unreadable = _orders_in(path.read_bytes())
    assert unreadable == 0
    return list(orders.values())


def test_what_was_begun_is_unfinished_until_it_ends(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "a")
    journal.begin(ORDER)
    assert journal.unfinished() == []  # whoever began it is at it
    assert journal.knows(ORDER.revocation_id) == ORDER
    journal.put_down(ORDER.revocation_id)
    assert journal.unfinished() == [ORDER]
    journal.end(ORDER.revocation_id).result()
    assert journal.unfinished() == []
    assert journal.knows(ORDER.revocation_id) is None


def test_what_is_done_leaves_nothing_behind(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "a")
    journal.begin(ORDER)
    journal.end(ORDER.revocation_id).result()
    assert orders_in(tmp_path / "a.journal") == []
    journal.close()
    assert list(tmp_path.iterdir()) == []


def test_a_journal_does_not_grow_for_ever(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "a")
    journal.begin(ANOTHER)
    sizes = []
    for _ in range(3000):
        journal.begin(ORDER)
        journal.end(ORDER.revocation_id).result()
        sizes.append((tmp_path / "a.journal").stat().st_size)
    assert max(sizes) > _LARGEST  # something in it is unfinished
    journal.end(ANOTHER.revocation_id).result()
    assert (tmp_path / "a.journal").stat().st_size == 0
    journal.begin(ORDER)
    assert orders_in(tmp_path / "a.journal") == [ORDER]


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", "a")
    journal.begin(ORDER)
    assert (tmp_path / "journal").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "journal/a.journal").stat().st_mode & 0o777 == 0o600


def test_without_a_folder_nothing_is_written() -> None:
    journal = Journal(None, "a")
    journal.begin(ORDER)
    journal.adopt()
    journal.put_down(ORDER.revocation_id)
    assert journal.unfinished() == [ORDER]
    journal.close()


def test_what_a_process_left_behind_is_taken_over_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "a")
    journal.begin(ORDER)
    journal.begin(ANOTHER)
    journal.end(ANOTHER.revocation_id).result()
    first, second = Journal(tmp_path, "b"), Journal(tmp_path, "c")
    first.adopt()
    assert first.unfinished() == []  # the process lives
    journal.close()
    first.adopt()
    second.adopt()
    assert first.unfinished() == [ORDER]
    assert second.unfinished() == []
    assert not (tmp_path / "a.journal").exists()


def test_a_process_that_is_killed_has_promised_what_it_said(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path\n"
        "from gateway.store.journal import Journal; from gateway.store.orders import Order\n"
        "from gateway.core.ending import Scope\n"
        f"journal = Journal(Path({str(tmp_path)!r}), 'killed')\n"
        f"journal.begin(Order({ORDER.revocation_id!r}, Scope.ACCOUNT, None, 'ada', 'lost', 'root', 1.0))\n"
        "print('promised', flush=True); sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdin is not None
    assert process.stdout.readline() == "promised\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdin.close()
    process.stdout.close()
    journal = Journal(tmp_path, "b")
    journal.adopt()
    assert [order.revocation_id for order in journal.unfinished()] == [ORDER.revocation_id]


@given(st.integers(0, len(ANOTHER.to_json())))
def test_a_torn_line_hides_no_other(size: int) -> None:
    torn = ORDER.to_json().encode() + b"\n" + ANOTHER.to_json().encode()[:size]
    orders, unreadable = _orders_in(torn)
    found = list(orders.values())
    assert unreadable == 0
    assert found in ([ORDER], [ORDER, ANOTHER])
    assert (found == [ORDER, ANOTHER]) == (size == len(ANOTHER.to_json()))


@pytest.mark.parametrize("line", [b"[]", b"7", b"{}", b'{"scope": "moon"}', b"\xff", b'{"done": []}'])
def test_a_line_that_says_nothing_is_passed_over_and_left_to_people(line: bytes, tmp_path: Path) -> None:
    done = json.dumps({"done": ANOTHER.revocation_id}).encode()
    lines = [ANOTHER.to_json().encode(), line, ORDER.to_json().encode(), done]
    (tmp_path / "a.journal").write_bytes(b"\n".join(lines))
    journal = Journal(tmp_path, "b")
    journal.adopt()
    journal.adopt()
    assert [journal.knows(order.revocation_id) for order in (ORDER, ANOTHER)] == [ORDER, None]
    assert (tmp_path / "a.unreadable").read_bytes() == b"\n".join(lines)
    assert not (tmp_path / "a.journal").exists()


def test_what_another_process_has_promised_is_found(tmp_path: Path) -> None:
    journal, other = Journal(tmp_path, "a"), Journal(tmp_path, "b")
    assert other.finds(ORDER.revocation_id) is None
    journal.begin(ORDER)
    assert other.knows(ORDER.revocation_id) is None
    assert other.finds(ORDER.revocation_id) == ORDER
    assert journal.finds(ORDER.revocation_id) == ORDER
    journal.end(ORDER.revocation_id).result()
    assert other.finds(ORDER.revocation_id) is None


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Files of this process may have so many bytes, and no more."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("more", [0, 10])
def test_a_full_disk_takes_a_line_whole_or_not_at_all(tmp_path: Path, more: int) -> None:
    journal = Journal(tmp_path, "a")
    journal.begin(ORDER)
    with room_for((tmp_path / "a.journal").stat().st_size + more):
        with pytest.raises(OSError, match=r"No space|too large"):
            journal.begin(ANOTHER)
        assert journal.knows(ANOTHER.revocation_id) == ANOTHER  # as long as this process lives
        journal.end(ORDER.revocation_id).result()  # it is done again by whoever takes over
        assert journal.knows(ORDER.revocation_id) is None
    assert orders_in(tmp_path / "a.journal") == [ORDER]
    journal.begin(ANOTHER)
    assert orders_in(tmp_path / "a.journal") == [ORDER, ANOTHER]


def test_with_a_full_disk_all_that_was_left_behind_is_taken_over(tmp_path: Path) -> None:
    left = Journal(tmp_path, "a")
    left.begin(ORDER)
    left.begin(ANOTHER)
    left.close()
    journal = Journal(tmp_path, "b")
    own = replace(ORDER, revocation_id="2" * 32, reason="long" * 2000)  # the log has room, up to here
    journal.begin(own)
    with room_for((tmp_path / "b.journal").stat().st_size):
        journal.adopt()
        assert journal.unfinished() == [ORDER, ANOTHER]
        journal.end(ORDER.revocation_id).result()
        journal.adopt()
        assert journal.unfinished() == [ANOTHER]  # what is done does not begin anew
    assert orders_in(tmp_path / "a.journal") == [ORDER, ANOTHER]  # whoever comes next finds both
    journal.adopt()
    assert journal.unfinished() == [ANOTHER]
    assert orders_in(tmp_path / "b.journal") == [own, ANOTHER]
    assert not (tmp_path / "a.journal").exists()


def test_a_disk_that_takes_its_time_holds_up_nobody_else(tmp_path: Path) -> None:
    """What opens a pipe to write to it waits until somebody reads from it."""
    os.mkfifo(tmp_path / "a.draft")
    journal = Journal(tmp_path, "a")
    promised = journal.promise(ORDER)
    try:
        journal.put_down(ORDER.revocation_id)
        assert journal.unfinished() == [ORDER]
        journal.end(ORDER.revocation_id)
        again = journal.promise(ANOTHER)
        assert [journal.knows(each.revocation_id) for each in (ORDER, ANOTHER)] == [None, ANOTHER]
        assert not promised.done()
        assert not again.done()
    finally:
        pipe = os.open(tmp_path / "a.draft", os.O_RDONLY)
    wait([promised, again])
    with os.fdopen(pipe, "rb") as written:  # a line that something is done comes after that it was promised
        lines = [json.loads(written.readline()) for _ in range(3)]
    assert [line.get("revocation_id", line.get("done")) for line in lines] == [
        ORDER.revocation_id,
        ORDER.revocation_id,
        ANOTHER.revocation_id,
    ]
    assert "done" in lines[1]
    journal.close()


def test_whoever_waits_no_more_does_not_stop_the_writer(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "a")
    assert not journal.promise(ORDER).cancel()
    journal.begin(ANOTHER)
    assert orders_in(tmp_path / "a.journal") == [ORDER, ANOTHER]
    journal.close()


def test_what_many_promise_at_once_is_all_on_the_disk(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "a")
    orders = [replace(ORDER, revocation_id=f"{number:032}") for number in range(200)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(journal.begin, orders))
        assert {each.revocation_id for each in orders_in(tmp_path / "a.journal")} == {
            each.revocation_id for each in orders
        }
        list(threads.map(journal.end, [each.revocation_id for each in orders]))
    journal.close()
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_opened_keeps_nothing_else_waiting(tmp_path: Path) -> None:
    (tmp_path / "a.journal").mkdir()
    left = Journal(tmp_path, "b")
    left.begin(ORDER)
    left.close()
    journal = Journal(tmp_path, "c")
    journal.adopt()
    assert journal.unfinished() == [ORDER]


def test_a_journal_has_its_name_only_once_it_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or another process could take it over, and remove it, before anything is in it."""
    locked = fcntl.flock

    def lock(file: int, how: int) -> None:
        assert list(tmp_path.glob("*.journal")) == []
        locked(file, how)

    monkeypatch.setattr(fcntl, "flock", lock)
    Journal(tmp_path, "a").begin(ORDER)
    assert (tmp_path / "a.journal").exists()
