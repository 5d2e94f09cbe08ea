"""The key ring: one per store, nobody else's to read, and what it sealed opens in one place only."""

import hmac
import json
import re
import stat
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.race import Race, ring_made

from gateway.errors import Faulty, SealBroken
from gateway.store.keyring import KeyRing, load, load_or_create, new_keyring

RING = new_keyring()
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))

# --- sealing


@given(st.binary(), TEXTS)
def test_what_was_sealed_opens_for_its_record(plain: bytes, record: str) -> None:
    assert RING.open(RING.seal(plain, bound_to=record), bound_to=record) == plain


@given(st.binary(), TEXTS, TEXTS)
def test_what_was_sealed_opens_for_no_other_record(plain: bytes, record: str, other: str) -> None:
    assume(record != other)
    with pytest.raises(SealBroken):
        RING.open(RING.seal(plain, bound_to=record), bound_to=other)


@given(plain=st.binary(max_size=40), place=st.integers(min_value=0), change=st.integers(1, 255))
def test_what_was_altered_does_not_open(plain: bytes, place: int, change: int) -> None:
    name, _, body = RING.seal(plain, bound_to="record").partition(b".")
    octets = bytearray(urlsafe_b64decode(body))
    octets[place % len(octets)] ^= change
    with pytest.raises(SealBroken):
        RING.open(name + b"." + urlsafe_b64encode(octets), bound_to="record")


@given(plain=st.binary(max_size=40), kept=st.integers(min_value=0))
def test_what_was_cut_does_not_open(plain: bytes, kept: int) -> None:
    sealed = RING.seal(plain, bound_to="record")
    with pytest.raises(SealBroken):
        RING.open(sealed[: kept % len(sealed)], bound_to="record")


@given(st.binary())
def test_what_was_never_sealed_does_not_open(octets: bytes) -> None:
    for sealed in (octets, RING.active.encode() + b"." + octets):
        with pytest.raises(SealBroken):
            RING.open(sealed, bound_to="record")


def test_the_same_is_never_sealed_twice_alike() -> None:
    sealed = [RING.seal(b"seed", bound_to="record") for _ in range(1000)]
    assert len(set(sealed)) == len(sealed)


def test_a_sealed_value_is_plain_ascii_without_what_it_hides() -> None:
    sealed = RING.seal(b"a secret seed", bound_to="record")
    assert sealed.isascii() and sealed.decode().isprintable()
    assert b"secret" not in urlsafe_b64decode(sealed.partition(b".")[2])


def test_a_retired_key_opens_and_seals_no_more() -> None:
    before, newer = RING.seal(b"seed", bound_to="record"), new_keyring()
    rotated = replace(RING, active=newer.active, keys={**RING.keys, **newer.keys})
    assert rotated.open(before, bound_to="record") == b"seed"
    after = rotated.seal(b"seed", bound_to="record")
    with pytest.raises(SealBroken):
        RING.open(after, bound_to="record")


def test_another_ring_opens_nothing() -> None:
    sealed = RING.seal(b"seed", bound_to="record")
    namesake = replace(new_keyring(), active=RING.active)
    for other in (new_keyring(), replace(namesake, keys={RING.active: b"k" * 32})):
        with pytest.raises(SealBroken):
            other.open(sealed, bound_to="record")


def test_keys_are_not_shown() -> None:
    shown = repr(RING)
    assert all(repr(key) not in shown for key in (*RING.keys.values(), RING.operator_seed))


def test_the_operator_key_is_the_same_at_each_start() -> None:
    public = [RING.operator_key().public_key().public_bytes_raw() for _ in range(2)]
    assert public[0] == public[1] != new_keyring().operator_key().public_key().public_bytes_raw()


# --- the file


def test_a_ring_is_made_once_for_the_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / "keys.json"
    ring = load_or_create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert load_or_create(path) == load(path) == ring
    assert list(path.parent.iterdir()) == [path], "no draft is left behind"


def test_two_rings_are_two() -> None:
    one, other = new_keyring(), new_keyring()
    assert one.active != other.active
    assert set(one.keys.values()).isdisjoint(other.keys.values())
    assert one.operator_seed != other.operator_seed
    assert {len(key) for key in (*one.keys.values(), one.operator_seed)} == {32}


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


def test_a_tag_is_of_one_text_and_one_ring() -> None:
    rings = [new_keyring(), new_keyring()]
    tags = {ring.tag(text) for ring in rings for text in ("reset-stop:1", "reset-stop:2", "", "é")}
    assert len(tags) == 8
    assert all(re.fullmatch("[A-Za-z0-9_-]{43}", tag) for tag in tags)


def test_a_tag_never_changes() -> None:
    """It is in messages that people have already; the value is of Python's hmac and hashlib, done by hand."""
    ring = KeyRing(active="k", keys={"k": b"k" * 32}, operator_seed=b"o" * 32)
    key = hmac.new(b"o" * 32, b"watchword tags", "sha256").digest()
    expected = hmac.new(key, b"reset-stop:1", "sha256").digest()
    assert urlsafe_b64decode(ring.tag("reset-stop:1") + "=") == expected


def test_a_tag_outlives_the_rotation_of_what_seals() -> None:
    ring = new_keyring()
    rotated = replace(ring, active="new", keys={**ring.keys, "new": b"n" * 32})
    assert rotated.tag("x") == ring.tag("x")


def test_processes_that_start_at_once_have_one_ring(tmp_path: Path, race: Race) -> None:
    path = tmp_path / "keys.json"
    rings: list[KeyRing] = race(ring_made, path)
    assert rings == [load(path)] * len(rings)
    assert list(tmp_path.iterdir()) == [path]
