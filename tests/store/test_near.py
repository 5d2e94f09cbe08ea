"""The near cache: what it gives was put there, and nothing that came since is about it."""

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from support.snapshots import UNTIL, snapshot_of
from support.store import NOW

from gateway.core.ending import Ending, Scope
from gateway.core.records import Snapshot
from gateway.store.feed import FeedEntry
from gateway.store.near import MOST_RECENT, NearCache

PEOPLE = ("ada", "bob")


def told(subject: str, ending: Ending | None = None) -> FeedEntry:
    return FeedEntry("1-0", 1, "0-0", subject, ending)


class CacheMachine(RuleBasedStateMachine):
    """Reads begin, entries come, reads end: what is kept is never older than an entry about it."""

    def __init__(self) -> None:
        super().__init__()
        self.near = NearCache(most=3)
        self.reads: list[tuple[int, Snapshot, set[str]]] = []
        self.overtaken: dict[bytes, bool] = {}
        self.epoch = 1

    @rule(subject=st.sampled_from(PEOPLE), number=st.integers(0, 3))
    def begin_a_read(self, subject: str, number: int) -> None:
        self.reads.append((self.near.turn, snapshot_of(subject, number, epoch=self.epoch), set()))

    @rule(data=st.data())
    def end_a_read(self, data: st.DataObject) -> None:
        if not self.reads:
            return
        read = data.draw(st.sampled_from(self.reads))
        self.reads.remove(read)
        turn, snapshot, came = read
        cookie = snapshot.session.id.encode()
        kept = self.near.put(cookie, snapshot, UNTIL, turn=turn)
        assert kept == (not came)
        if kept:
            assert self.near.get(cookie, NOW) == snapshot
            self.overtaken[cookie] = False

    @rule(subject=st.sampled_from(PEOPLE), number=st.integers(0, 3), how=st.sampled_from(["change", *Scope]))
    def something_comes(self, subject: str, number: int, how: str) -> None:
        about = snapshot_of(subject, number).session
        match how:
            case "change":
                self.near.apply(told(subject))
            case Scope.SESSION:
                self.near.apply(told(subject, Ending("r", Scope.SESSION, id=about.id, subject=subject)))
            case Scope.DEVICE:
                self.near.apply(told(subject, Ending("r", Scope.DEVICE, id=about.device_id, subject=subject)))
            case Scope.ACCOUNT:
                self.near.apply(told(subject, Ending("r", Scope.ACCOUNT, subject=subject, epoch=2)))
            case _:
                self.epoch += 1
                self.near.apply(told("", Ending("r", Scope.EVERYBODY, epoch=self.epoch)))
        for _, snapshot, came in self.reads:
            if how == Scope.EVERYBODY or snapshot.session.subject == subject:
                came.add(how)
        for cookie in self.overtaken:
            owner, _, its_number = cookie.decode().partition("-")
            of_person = owner == subject
            same_device = of_person and int(its_number) % 2 == number % 2
            self.overtaken[cookie] |= {
                "change": of_person,
                Scope.SESSION: cookie == about.id.encode(),
                Scope.DEVICE: same_device,
                Scope.ACCOUNT: of_person,
                Scope.EVERYBODY: True,
            }[how]  # type: ignore[index]

    @rule()
    def all_is_forgotten(self) -> None:
        self.near.clear()
        for _, _, came in self.reads:
            came.add("clear")
        self.overtaken = dict.fromkeys(self.overtaken, True)

    @invariant()
    def nothing_that_is_overtaken_is_given(self) -> None:
        assert len(self.near) <= 3
        for cookie, over in self.overtaken.items():
            if over:
                assert self.near.get(cookie, NOW) is None

    @invariant()
    def the_indices_hold_what_is_there(self) -> None:
        cached = set(self.near._cached)
        for index in (self.near._by_subject, self.near._by_device):
            assert {cookie for cookies in index.values() for cookie in cookies} == cached


CacheMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
TestCache = CacheMachine.TestCase


def test_what_one_revocation_spares() -> None:
    near = NearCache(most=10)
    for number in range(4):
        assert near.put(b"%d" % number, snapshot_of("ada", number), UNTIL, turn=0)
    near.apply(told("ada", Ending("r", Scope.SESSION, id="ada-0", subject="ada")))
    assert [near.get(b"%d" % n, NOW) is None for n in range(4)] == [True, False, False, False]
    near.apply(told("ada", Ending("r", Scope.DEVICE, id="ada-device-1", subject="ada")))
    assert [near.get(b"%d" % n, NOW) is None for n in range(4)] == [True, True, False, True]


def test_a_cookie_ends_when_it_ends() -> None:
    near = NearCache(most=10)
    near.put(b"1", snapshot_of("ada", 1), NOW + 5, turn=0)
    assert near.get(b"1", NOW + 4.9) is not None
    assert near.get(b"1", NOW + 5) is None
    assert len(near) == 0


def test_what_was_used_least_recently_gives_way() -> None:
    near = NearCache(most=2)
    for number in (1, 2):
        near.put(b"%d" % number, snapshot_of("ada", number), UNTIL, turn=0)
    near.get(b"1", NOW)
    near.put(b"3", snapshot_of("ada", 3), UNTIL, turn=0)
    assert [near.get(b"%d" % n, NOW) is not None for n in (1, 2, 3)] == [True, False, True]


def test_uses_within_a_minute_count_as_one() -> None:
    for later, left in ((59, [False, True, True]), (60, [True, False, True]), (-5, [True, False, True])):
        near = NearCache(most=2)
        for number in (1, 2):
            near.put(b"%d" % number, snapshot_of("ada", number), 2 * UNTIL, turn=0)
            near.get(b"%d" % number, NOW)
        near.get(b"1", NOW + later)  # a clock that was set back hinders nothing
        near.put(b"3", snapshot_of("ada", 3), 2 * UNTIL, turn=0)
        assert [near.get(b"%d" % n, NOW) is not None for n in (1, 2, 3)] == left


def test_a_read_that_took_too_long_to_tell_is_not_kept() -> None:
    near = NearCache(most=2)
    turn = near.turn
    for _ in range(MOST_RECENT + 1):
        near.apply(told("bob"))
    assert not near.put(b"1", snapshot_of("ada", 1), UNTIL, turn=turn)
    assert near.put(b"1", snapshot_of("ada", 1), UNTIL, turn=near.turn - MOST_RECENT)


def test_use_moves_the_idle_deadline() -> None:
    near = NearCache(most=2)
    before = snapshot_of("ada", 1)
    near.put(b"1", before, UNTIL, turn=0)
    near.used(b"1", NOW + 5, NOW + 65)
    near.used(b"2", NOW + 5, NOW + 65)  # which nobody has
    after = near.get(b"1", NOW)
    assert after is not None
    assert after.session == replace(before.session, last_used_at=NOW + 5, idle_until=NOW + 65)
