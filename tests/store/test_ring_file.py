"""The ring's file: nobody else's to read, whole at every moment, and never overwritten by what is less."""

import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.race import Race, key_added, ring_made

from gateway.errors import Faulty
from gateway.store.keyring import KeyRing, new_keyring
from gateway.store.ring_file import changing, load, load_or_create


def test_a_ring_is_made_once_for_the_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / "keys.json"
    ring = load_or_create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert load_or_create(path) == load(path) == ring
    assert list(path.parent.iterdir()) == [path], "no draft is left behind"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o777])
def test_a_ring_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "keys.json"
    load_or_create(path)
    path.chmod(mode)
    with pytest.raises(Faulty, match=r"keys\.json:1:1: .*chmod 600"):
        load_or_create(path)


def document(**other: object) -> str:
    good = {"active": "k1", "keys": {"k1": "a" * 43 + "="}, "operator": "a" * 43 + "="}
    return json.dumps(good | other)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        "\x00",
        document(active="k2"),
        document(active=None),
        document(active=[]),
        document(keys={}),
        document(keys=[]),
        document(keys={"k1": "YWJj"}),
        document(keys={"k1": "not base64"}),
        document(keys={"k1": 1}),
        document(keys={"k1": "a" * 43 + "=", "k0": ""}),
        document(operator=""),
        document(operator=None),
        document(times=[]),
        document(times={"k1": {"made_at": "yesterday"}}),
        document(times={"k1": {"made_of": 1.0}}),
    ],
)
def test_what_is_no_ring_is_refused_and_not_overwritten(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(Faulty, match=r"keys\.json:1:1: "):
        load_or_create(path)
    assert path.read_text() == text


def test_the_document_above_is_a_ring_when_nothing_is_changed(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(document())
    path.chmod(0o600)
    assert load(path).active == "k1"


def test_a_ring_is_only_read_where_none_may_be_made(tmp_path: Path) -> None:
    with pytest.raises(Faulty, match="there is no key ring"):
        load(tmp_path / "keys.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["a file/keys.json", "a folder"])
def test_a_place_where_no_file_can_be_is_a_fault(tmp_path: Path, place: str) -> None:
    (tmp_path / "a file").touch()
    (tmp_path / "a folder").mkdir(mode=0o700)
    with pytest.raises(Faulty):
        load_or_create(tmp_path / place)


def test_processes_that_start_at_once_have_one_ring(tmp_path: Path, race: Race) -> None:
    path = tmp_path / "keys.json"
    rings: list[KeyRing] = race(ring_made, path)
    assert rings == [load(path)] * len(rings)
    assert list(tmp_path.iterdir()) == [path]


# --- changes


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    load_or_create(path)
    return path


def test_a_ring_from_before_there_were_times_is_read_and_changed(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(document())
    path.chmod(0o600)
    assert load(path).times == {}
    with changing(path) as file:
        file.put(file.ring.with_new_key(100.0))
    assert (load(path).active, len(load(path).keys)) == ("k1", 2)


def test_a_change_is_durable_and_the_owners_alone(path: Path) -> None:
    before = load(path)
    with changing(path) as file:
        assert file.ring == before
        file.put(before.with_new_key(100.0))
        assert file.ring == load(path) != before
        file.put(file.ring.activated(file.ring.waiting() or "", 200.0))
    after = load(path)
    assert after.keys.items() > before.keys.items() and after.active != before.active
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path], "neither a draft nor a lock is left behind"


@given(names=st.lists(st.floats(0, 2e9), max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_what_is_read(path: Path, names: list[float]) -> None:
    ring = new_keyring()
    for at in names:
        ring = ring.with_new_key(at)
        ring = ring.activated(ring.waiting() or "", at + 1)
    with changing(path) as file:
        file.put(ring)
    assert load(path) == ring


def test_a_link_to_a_ring_stays_one(path: Path) -> None:
    link = path.with_name("link.json")
    link.symlink_to(path.name)
    with changing(link) as file:
        file.put(file.ring.with_new_key(100.0))
    assert link.is_symlink() and not path.is_symlink()
    assert len(load(path).keys) == 2


def test_what_cannot_be_written_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with (
        pytest.raises(Faulty, match=r"keys\.json:1:1: the key ring cannot be changed: No space left"),
        changing(path) as file,
    ):
        file.put(file.ring.with_new_key(100.0))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("harm", ["gone", "mode", "corrupt"])
def test_what_is_no_ring_is_not_changed(path: Path, harm: str) -> None:
    match harm:
        case "gone":
            path.unlink()
        case "mode":
            path.chmod(0o640)
        case "corrupt":
            path.write_bytes(path.read_bytes()[:-20])
    before = path.read_bytes() if path.exists() else None
    with pytest.raises(Faulty), changing(path):
        raise AssertionError("it is handed out")
    assert (path.read_bytes() if path.exists() else None) == before


def test_drafts_of_the_killed_are_swept_and_nothing_else(path: Path) -> None:
    draft = path.with_name(f".keys.json.{'0f' * 16}.draft")
    others = {
        path.with_name(name) for name in (".keys.json.bak", "keys.json.old", f".other.json.{'0f' * 16}.draft")
    }
    for file in (draft, *others):
        file.write_text("{}")
    with changing(path):
        pass
    assert set(path.parent.iterdir()) == {path, *others}


def test_processes_that_change_a_ring_at_once_lose_no_key(path: Path, race: Race) -> None:
    before = load(path)
    added = [name for names in race(key_added, path, 5) for name in names]
    after = load(path)
    assert len(set(added)) == 20
    assert after.keys.keys() == {before.active, *added}
    assert list(path.parent.iterdir()) == [path]
    assert replace(after, keys=before.keys, times=before.times) == before
