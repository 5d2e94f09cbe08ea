"""The key ring: what it sealed opens in one place only, and no change of it loses a key."""

import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.errors import KeyMissing, SealBroken
from gateway.store.keyring import KeyRing, KeyState, KeyTimes, new_keyring

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


def test_a_key_that_is_missing_is_told_from_a_value_that_was_altered() -> None:
    """Another process may have the key by now, whereas what was altered opens nowhere."""
    sealed = RING.seal(b"seed", bound_to="record")
    with pytest.raises(KeyMissing):
        new_keyring().open(sealed, bound_to="record")
    with pytest.raises(SealBroken) as raised:
        RING.open(sealed, bound_to="another")
    assert not isinstance(raised.value, KeyMissing)


def test_keys_are_not_shown() -> None:
    shown = repr(RING)
    assert all(repr(key) not in shown for key in (*RING.keys.values(), RING.operator_seed))


def test_the_key_of_events_is_the_same_at_each_start_and_another_in_another_ring() -> None:
    numbers = [ring.event_key().private_numbers().private_value for ring in (RING, RING, new_keyring())]
    assert numbers[0] == numbers[1] != numbers[2]
    rotated = RING.with_new_key(1.0)
    assert rotated.event_key().private_numbers().private_value == numbers[0]
    assert str(numbers[0]) not in repr(RING)


def test_the_operator_key_is_the_same_at_each_start() -> None:
    public = [RING.operator_key().public_key().public_bytes_raw() for _ in range(2)]
    assert public[0] == public[1] != new_keyring().operator_key().public_key().public_bytes_raw()


def test_two_rings_are_two() -> None:
    one, other = new_keyring(), new_keyring()
    assert one.active != other.active
    assert set(one.keys.values()).isdisjoint(other.keys.values())
    assert one.operator_seed != other.operator_seed
    assert {len(key) for key in (*one.keys.values(), one.operator_seed)} == {32}


# --- its keys


def test_a_new_ring_has_one_key_and_it_is_active() -> None:
    ring = new_keyring()
    assert list(ring.keys) == [ring.active]
    assert ring.state(ring.active) is KeyState.ACTIVE
    assert ring.since(ring.active) == ring.times[ring.active].made_at
    assert ring.waiting() is None


def test_the_life_of_a_key() -> None:
    ring = new_keyring()
    first = ring.active
    ring = ring.with_new_key(100.0)
    second = ring.waiting()
    assert second is not None
    assert (ring.active, ring.state(second), ring.since(second)) == (first, KeyState.WAITING, 100.0)
    ring = ring.activated(second, 200.0)
    assert (ring.active, ring.since(second), ring.waiting()) == (second, 200.0, None)
    assert (ring.state(first), ring.since(first)) == (KeyState.KEPT, 200.0)
    assert ring.activated(second, 300.0) == ring, "it is already"
    ring = ring.without(first)
    assert list(ring.keys) == list(ring.times) == [second]


def test_the_newest_that_waits_is_next() -> None:
    ring = new_keyring().with_new_key(100.0)
    older = ring.waiting()
    ring = ring.with_new_key(200.0)
    assert ring.waiting() not in {older, None}


def test_of_a_ring_without_times_the_others_are_kept() -> None:
    """Such a ring is one from before there were rotations, perhaps changed by hand."""
    ring = replace(RING, keys={**RING.keys, "by-hand": b"k" * 32}, times={})
    assert (ring.state("by-hand"), ring.since("by-hand"), ring.since(ring.active)) == (
        KeyState.KEPT,
        None,
        None,
    )
    rotated = ring.with_new_key(100.0)
    rotated = rotated.activated(rotated.waiting() or "", 200.0)
    assert (rotated.state(ring.active), rotated.since(ring.active)) == (KeyState.KEPT, 200.0)
    assert rotated.times[ring.active] == KeyTimes(active_until=200.0)


def test_the_active_key_stays() -> None:
    with pytest.raises(ValueError, match="active"):
        RING.without(RING.active)


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


@given(st.lists(st.sampled_from(["add", "rotate", "remove"]), max_size=12))
def test_whatever_is_done_to_a_ring_it_opens_what_its_keys_sealed(changes: list[str]) -> None:
    ring, sealed = RING, {RING.active: RING.seal(b"seed", bound_to="record")}
    for number, change in enumerate(changes):
        now, before = 1000.0 + number, ring
        if change == "add":
            ring = ring.with_new_key(now)
            assert ring.keys.items() > before.keys.items()
        elif change == "rotate":
            ring = ring.activated(ring.waiting() or ring.active, now)
            assert ring.keys == before.keys
        elif kept := [name for name in ring.keys if ring.state(name) is KeyState.KEPT]:
            ring = ring.without(kept[0])
            assert before.keys.keys() - ring.keys.keys() == {kept[0]}
        assert [ring.state(name) for name in ring.keys].count(KeyState.ACTIVE) == 1
        assert ring.times.keys() <= ring.keys.keys()
        assert ring.operator_seed == RING.operator_seed
        sealed[ring.active] = ring.seal(b"seed", bound_to="record")
        for name, value in sealed.items():
            if name in ring.keys:
                assert ring.open(value, bound_to="record") == b"seed"
