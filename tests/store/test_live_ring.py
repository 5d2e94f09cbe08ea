"""The ring of a running process follows its file, and nothing that is less than a ring takes its place."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.errors import KeyMissing, SealBroken
from gateway.store import live_ring, rotation
from gateway.store.keyring import KeyRing, new_keyring
from gateway.store.live_ring import LiveKeyRing
from gateway.store.ring_file import changing, load, load_or_create

LATER = 4_000_000_000.0
"""After any key was made by the system's clock."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@pytest.fixture
def ring(path: Path) -> LiveKeyRing:
    return LiveKeyRing(path, load_or_create(path))


def rotated(path: Path) -> KeyRing:
    """What another process does: a new key that seals, and the old one kept."""
    rotation.add(path, LATER)
    with changing(path) as file:
        file.put(file.ring.activated(file.ring.waiting() or "", LATER))
        return file.ring


def written(path: Path, ring: KeyRing) -> None:
    with changing(path) as file:
        file.put(ring)


def test_it_seals_with_the_key_that_is_active_now(path: Path, ring: LiveKeyRing) -> None:
    before = ring.seal(b"seed", bound_to="record")
    newer = rotated(path)
    after = ring.seal(b"seed", bound_to="record")
    assert after.startswith(newer.active.encode()) and not before.startswith(newer.active.encode())
    assert newer.open(after, bound_to="record") == b"seed"
    assert ring.open(before, bound_to="record") == b"seed"


def test_it_opens_what_another_process_sealed_with_a_newer_key(path: Path, ring: LiveKeyRing) -> None:
    sealed = rotated(path).seal(b"seed", bound_to="record")
    assert ring.open(sealed, bound_to="record") == b"seed"


def test_a_key_that_was_taken_out_opens_nothing(path: Path, ring: LiveKeyRing) -> None:
    before = ring.seal(b"seed", bound_to="record")
    newer = rotated(path)
    (old,) = newer.keys.keys() - {newer.active}
    written(path, newer.without(old))
    assert ring.current() == load(path), "also by a process that had not looked for so long"
    with pytest.raises(KeyMissing):
        ring.open(before, bound_to="record")


def test_tokens_are_signed_with_the_key_in_the_file(path: Path, ring: LiveKeyRing) -> None:
    def public() -> bytes:
        return ring.operator_key().public_key().public_bytes_raw()

    before = public()
    document = path.read_text().replace(path.read_text().split('"operator": "')[1][:43], "A" * 43)
    path.write_text(document)
    assert public() != before


def gone(path: Path) -> None:
    path.unlink()


def open_to_others(path: Path) -> None:
    path.chmod(0o644)


def half_written(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:50])


def of_another_store(path: Path) -> None:
    path.unlink()
    load_or_create(path)


def namesakes_of_another_store(path: Path) -> None:
    ring = load(path)
    written(path, replace(new_keyring(), active=ring.active, keys={ring.active: b"x" * 32}, times=ring.times))


def from_an_old_backup(path: Path) -> None:
    ring = load(path)
    older = ring.with_new_key(1.0)
    name = older.waiting() or ""
    written(path, older.activated(name, 2.0).without(ring.active))


HARMS = [gone, open_to_others, half_written, of_another_store, namesakes_of_another_store, from_an_old_backup]


@pytest.mark.parametrize("harm", HARMS)
def test_what_cannot_be_used_changes_nothing(
    path: Path, ring: LiveKeyRing, harm: Callable[[Path], None]
) -> None:
    before, good = ring.current(), path.read_bytes()
    harm(path)
    with capture_logs() as said:
        sealed = ring.seal(b"seed", bound_to="record")
        assert ring.open(sealed, bound_to="record") == b"seed"
        with pytest.raises(KeyMissing):
            ring.open(new_keyring().seal(b"x", bound_to="record"), bound_to="record")
    assert ring.current() == before
    assert [(entry["log_level"], "stays" in entry["event"]) for entry in said] == [("error", True)], "once"

    path.write_bytes(good)
    path.chmod(0o600)
    newer = rotated(path)
    assert ring.seal(b"seed", bound_to="record").startswith(newer.active.encode()), "and later it goes on"


def test_a_mode_that_was_put_right_is_noticed(path: Path, ring: LiveKeyRing) -> None:
    """Which changes neither the text of a file nor when that was written."""
    newer = rotated(path)
    path.chmod(0o644)
    assert ring.current() != newer
    path.chmod(0o600)
    assert ring.current() == newer


def test_values_that_name_unknown_keys_cost_no_reading(
    path: Path, ring: LiveKeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever can write to the store could make a gateway do nothing else."""
    read = []
    monkeypatch.setattr(live_ring, "load", lambda path: read.append(path) or load(path))
    for _ in range(10):
        with pytest.raises(SealBroken):
            ring.open(b"k-unknown.AAAA", bound_to="record")
        ring.seal(b"seed", bound_to="record")
    assert read == [path]
