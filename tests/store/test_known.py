from dataclasses import replace

import pytest
from support.snapshots import snapshot_of
from support.store import NOW

from gateway.core.ending import Ending, Scope
from gateway.store import known as module
from gateway.store.feed import FeedEntry, Position
from gateway.store.known import Known

ADA = snapshot_of("ada", 1, epoch=5)


def ended(seq: int, ending: Ending, at: float = NOW) -> FeedEntry:
    return FeedEntry(f"{seq}-0", seq, f"{seq - 1}-0", ending.subject, ending, at)


@pytest.mark.parametrize(
    ("ending", "contradicted"),
    [
        (Ending("r", Scope.SESSION, id="ada-1", subject="ada"), True),
        (Ending("r", Scope.SESSION, id="ada-2", subject="ada"), False),
        (Ending("r", Scope.DEVICE, id="ada-device-1", subject="ada"), True),
        (Ending("r", Scope.DEVICE, id="ada-device-0", subject="ada"), False),
        (Ending("r", Scope.ACCOUNT, subject="ada", epoch=2), True),
        (Ending("r", Scope.ACCOUNT, subject="ada", epoch=1), False),
        (Ending("r", Scope.ACCOUNT, subject="bob", epoch=9), False),
        (Ending("r", Scope.EVERYBODY, epoch=6), True),
        (Ending("r", Scope.EVERYBODY, epoch=5), False),
    ],
)
def test_what_the_store_must_not_take_back(ending: Ending, contradicted: bool) -> None:
    known = Known()
    known.learn(ended(1, ending))
    assert known.contradicts(ADA) is contradicted


def test_a_device_that_comes_back_later_is_another_one() -> None:
    known = Known()
    known.learn(ended(1, Ending("", Scope.DEVICE, id="ada-device-1", subject="ada"), at=NOW + 5))
    assert known.contradicts(ADA)
    assert not known.contradicts(replace(ADA, session=replace(ADA.session, device_since=NOW + 6)))


def test_a_missing_epoch_is_not_known_to_be_lower() -> None:
    """It denies everybody by itself."""
    known = Known()
    known.learn(ended(1, Ending("r", Scope.EVERYBODY, epoch=6)))
    assert not known.contradicts(replace(ADA, global_epoch=None))


def test_the_global_epoch_only_rises() -> None:
    known = Known()
    assert known.saw_global_epoch(7, known.global_epoch)
    assert known.saw_global_epoch(7, known.global_epoch)
    assert not known.saw_global_epoch(6, known.global_epoch)
    assert not known.saw_global_epoch(None, known.global_epoch)
    assert known.saw_global_epoch(6, before=6)  # asked for before 7 came
    assert known.global_epoch == 7
    assert known.contradicts(ADA)
    assert known.saw_global_epoch(8, known.global_epoch)


def test_what_can_be_repeated() -> None:
    known = Known()
    known.begin(Position(3, "3-0"))
    entries = [ended(seq, Ending(f"r{seq}", Scope.ACCOUNT, subject="ada", epoch=seq)) for seq in (4, 6)]
    for entry in (entries[0], FeedEntry("5-0", 5, "4-0", "ada", None), entries[1]):
        known.learn(entry)
    places = list(known.positions())
    assert places == [Position(6, "6-0"), Position(5, "5-0"), Position(4, "4-0"), Position(3, "3-0")]
    assert [known.endings_after(place) for place in places] == [[], entries[1:], entries[1:], entries]


def test_a_log_that_is_full_begins_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LEAST", 3)
    known = Known(shards=10**6)
    for seq in range(1, 6):
        known.learn(ended(seq, Ending(f"r{seq}", Scope.ACCOUNT, subject="ada", epoch=seq)))
    assert list(known.positions())[-1] == Position(2, "2-0")
    assert [entry.seq for entry in known.endings_after(Position(2, "2-0"))] == [3, 4, 5]


def test_the_ends_told_longest_ago_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LEAST", 2)
    known = Known(shards=10**6)
    for seq, number in enumerate((1, 2, 1, 3), start=1):
        known.learn(ended(seq, Ending("", Scope.SESSION, id=f"ada-{number}", subject="ada")))
    told = [known.contradicts(snapshot_of("ada", number)) for number in (1, 2, 3)]
    assert told == [True, False, True]
