"""What is under way for sessions, and what is cut when they end."""

import random
import sys
from collections.abc import Callable

import pytest
from support.live import session
from support.metrics import samples

from gateway.core.ending import Ending, Scope
from gateway.core.records import Session
from gateway.proxy import live as module
from gateway.proxy.live import CANNOT_TELL, ENDED, Handle, LiveConnections
from gateway.web.metrics import Metrics


class Watched:
    """A registry, and what was cut: the names of the connections, each with the reason it was told."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.live = LiveConnections(self.metrics)
        self.cut: list[tuple[str, str]] = []

    def open(self, name: str, of: Session, since: module.Mark | None = None) -> Handle:
        return self.live.register(of, lambda reason: self.cut.append((name, reason)), since=since)

    @property
    def names(self) -> list[str]:
        return sorted(name for name, _ in self.cut)


@pytest.fixture
def watched() -> Watched:
    return Watched()


PHONE = session("phone", device="p")
LAPTOP = session("laptop", device="l")
TABLET = session("tablet", device="l")
BOB = session("bob", subject="bob", device="b", epoch=5)


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        (Ending("r", Scope.SESSION, id="phone", subject="ada"), ["phone 1", "phone 2"]),
        (Ending("r", Scope.SESSION, id="unknown", subject="ada"), []),
        (Ending("r", Scope.DEVICE, id="l", subject="ada"), ["laptop", "tablet"]),
        (Ending("r", Scope.DEVICE, id="unknown", subject="ada"), []),
        (Ending("r", Scope.ACCOUNT, subject="ada", epoch=2), ["laptop", "phone 1", "phone 2", "tablet"]),
        (Ending("r", Scope.ACCOUNT, subject="ada", epoch=2, kept="laptop"), ["phone 1", "phone 2", "tablet"]),
        (Ending("r", Scope.ACCOUNT, subject="ada", epoch=1), []),
        (Ending("r", Scope.ACCOUNT, subject="eve", epoch=9), []),
        (Ending("r", Scope.EVERYBODY, epoch=2), ["laptop", "phone 1", "phone 2", "tablet"]),
        (Ending("r", Scope.EVERYBODY, epoch=6), ["bob", "laptop", "phone 1", "phone 2", "tablet"]),
    ],
)
def test_an_ending_cuts_what_it_covers_and_nothing_else(
    watched: Watched, ending: Ending, expected: list[str]
) -> None:
    for name, of in (
        ("phone 1", PHONE),
        ("phone 2", PHONE),
        ("laptop", LAPTOP),
        ("tablet", TABLET),
        ("bob", BOB),
    ):
        watched.open(name, of)
    assert watched.live.cut(ending) == len(expected)
    assert watched.names == expected
    assert {reason for _, reason in watched.cut} <= {ENDED}
    assert watched.live.count == 5 - len(expected)
    assert watched.live.cut(ending) == 0, "once is enough"


def test_what_is_over_is_not_cut(watched: Watched) -> None:
    first, second = watched.open("first", PHONE), watched.open("second", PHONE)
    first.close()
    first.close()
    assert watched.live.count == 1
    assert not first.may_pass()
    with second as same:
        assert same is second
        assert second.may_pass()
    assert watched.live.count == 0
    assert watched.live.cut(Ending("r", Scope.EVERYBODY, epoch=9)) == 0
    assert watched.cut == []


def test_a_session_and_everything_can_be_cut_with_a_reason(watched: Watched) -> None:
    phone, bob = watched.open("phone", PHONE), watched.open("bob", BOB)
    assert watched.live.cut_session("unknown", "why") == 0
    assert watched.live.cut_session("phone", "one") == 1
    assert not phone.may_pass()
    assert bob.may_pass()
    watched.open("phone again", PHONE)
    assert watched.live.cut_all("all") == 2
    assert sorted(watched.cut) == [("bob", "all"), ("phone", "one"), ("phone again", "all")]
    phone.close()
    assert watched.live.count == 0


def test_sessions_are_told_once_each(watched: Watched) -> None:
    opened = [watched.open(of.id, of) for of in (PHONE, PHONE, BOB, LAPTOP)]
    assert sorted(of.id for of in watched.live.sessions()) == ["bob", "laptop", "phone"]
    for handle in opened[:3]:
        handle.close()
    assert watched.live.sessions() == [LAPTOP]


def test_a_session_that_was_kept_counts_as_it_was_read_last(watched: Watched) -> None:
    """Its epoch was raised in the store; what it opened before lives as long as what it opens now."""
    watched.open("before", session("phone", epoch=1))
    watched.open("after", session("phone", epoch=2))
    watched.open("late reader", session("phone", epoch=1))
    assert watched.live.cut(Ending("r", Scope.ACCOUNT, subject="ada", epoch=2)) == 0
    assert watched.live.cut(Ending("r", Scope.ACCOUNT, subject="ada", epoch=3)) == 3


def test_one_that_cannot_be_cut_does_not_keep_the_others(watched: Watched) -> None:
    def fail(reason: str) -> None:
        raise OSError(reason)

    broken = watched.live.register(PHONE, fail)
    watched.open("first", PHONE)
    watched.open("second", LAPTOP)
    assert watched.live.cut_all("over") == 3
    assert watched.names == ["first", "second"]
    assert not broken.may_pass()


def test_all_clients_are_told_before_any_upstream_is(watched: Watched) -> None:
    told: list[str] = []

    def cutting(name: str) -> module.Cut:
        def upstream() -> None:
            told.append(f"{name}'s upstream")
            if name == "first":
                raise OSError(name)

        def cut(reason: str) -> Callable[[], None]:
            told.append(name)
            return upstream

        return cut

    before = watched.live.mark()
    handles = [watched.live.register(PHONE, cutting(name)) for name in ("first", "second")]
    handles.append(watched.live.register(LAPTOP, cutting("third")))
    assert watched.live.cut(Ending("r", Scope.ACCOUNT, subject="ada", epoch=2)) == 3
    assert {*told[:3]} == {"first", "second", "third"}
    assert {*told[3:]} == {"first's upstream", "second's upstream", "third's upstream"}
    assert not any(handle.may_pass() for handle in handles)
    told.clear()
    watched.live.register(PHONE, cutting("late"), since=before)
    assert told == ["late", "late's upstream"]


def test_cutting_may_close_others(watched: Watched) -> None:
    """As a client's connection that carries two exchanges does."""
    handles: list[Handle] = []

    def close_all(reason: str) -> None:
        for handle in handles:
            handle.close()

    handles += [watched.live.register(PHONE, close_all) for _ in range(3)]
    assert watched.live.cut_session("phone", "over") == 3
    assert watched.live.count == 0


# --- endings that come before a registration


ENDINGS: list[Callable[[LiveConnections], int]] = [
    lambda live: live.cut(Ending("r", Scope.SESSION, id="phone", subject="ada")),
    lambda live: live.cut(Ending("r", Scope.DEVICE, id="p", subject="ada")),
    lambda live: live.cut(Ending("r", Scope.ACCOUNT, subject="ada", epoch=2)),
    lambda live: live.cut(Ending("r", Scope.EVERYBODY, epoch=2)),
    lambda live: live.cut_session("phone", "over"),
    lambda live: live.cut_all("over"),
]


@pytest.mark.parametrize("end", ENDINGS)
def test_who_was_looked_up_before_an_ending_is_cut_on_registration(
    watched: Watched, end: Callable[[LiveConnections], int]
) -> None:
    """Cases 31 and 33: between looking up a session and registering under it there are waits."""
    before = watched.live.mark()
    assert end(watched.live) == 0
    handle = watched.open("late", PHONE, before)
    assert watched.cut == [("late", ENDED)]
    assert not handle.may_pass()
    handle.close()
    assert watched.live.count == 0
    assert watched.open("later", PHONE, watched.live.mark()).may_pass()


def test_who_is_not_concerned_is_not_cut(watched: Watched) -> None:
    before = watched.live.mark()
    for end in ENDINGS[:4]:
        end(watched.live)
    assert watched.open("bob", BOB, before).may_pass()
    assert watched.cut == []


def test_who_missed_more_endings_than_are_kept_is_cut(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = module._REMEMBERED
    before = watched.live.mark()
    for number in range(many):
        watched.live.cut(Ending("r", Scope.SESSION, id=f"somebody {number}"))
    assert watched.open("in time", PHONE, before).may_pass()
    watched.live.cut(Ending("r", Scope.SESSION, id="one more"))
    assert not watched.open("too late", PHONE, before).may_pass()
    assert watched.cut == [("too late", ENDED)]


# --- the fence


def test_a_fence_that_says_no_cuts_who_asks(watched: Watched) -> None:
    first, second = watched.open("first", PHONE), watched.open("second", PHONE)
    watched.live.fence = lambda _: False
    assert not first.may_pass()
    assert not first.may_pass()
    assert watched.cut == [("first", CANNOT_TELL)]
    watched.live.fence = lambda _: True
    assert not first.may_pass(), "what was cut stays cut"
    assert second.may_pass()


def test_what_was_just_looked_up_is_not_asked_about(watched: Watched) -> None:
    now = 100.0
    watched.live.moment = lambda: now
    watched.live.fresh_for = 5.0
    watched.live.fence = lambda _: False
    mark = watched.live.mark()
    now = 103.0
    handle = watched.open("fresh", PHONE, mark)
    assert handle.may_pass()
    now = 105.0
    assert not handle.may_pass(), "it counts from the look, not from the registration"


# --- counts and costs


def test_counts(watched: Watched) -> None:
    found = samples(watched.metrics)
    assert (found["live_connections",], found["connections_cut_total",]) == (0, 0)
    before = watched.live.mark()
    for _ in range(3):
        watched.open("phone", PHONE)
    watched.open("bob", BOB).close()
    watched.live.cut_session("phone", "over")
    kept = watched.open("bob", BOB)
    watched.open("late", PHONE, before)
    found = samples(watched.metrics)
    assert (found["live_connections",], found["connections_cut_total",]) == (1, 4)
    watched.live.fence = lambda _: False
    kept.may_pass()
    found = samples(watched.metrics)
    assert (found["live_connections",], found["connections_cut_total",]) == (0, 5)


@pytest.mark.parametrize(
    "ending",
    [
        Ending("r", Scope.SESSION, id="session 7", subject="account 7"),
        Ending("r", Scope.DEVICE, id="device of session 7", subject="account 7"),
        Ending("r", Scope.ACCOUNT, subject="account 7", epoch=2),
    ],
)
def test_ending_one_of_ten_thousand_looks_at_no_other(watched: Watched, ending: Ending) -> None:
    for number in range(10_000):
        watched.open(str(number), session(f"session {number}", subject=f"account {number}"))
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        assert watched.live.cut(ending) == 1
    finally:
        sys.setprofile(None)
    assert watched.names == ["7"]
    assert calls < 200, "with those of a line in the log"


def test_sessions_that_have_nothing_under_way_are_forgotten(watched: Watched) -> None:
    kept = [watched.open("kept", session(f"kept {number}")) for number in range(10)]
    for number in range(10 * module._IDLE):
        watched.open("short", session(f"s{number}", subject=f"a{number}")).close()
    indexes = (watched.live._sessions, watched.live._devices, watched.live._subjects)
    assert max(map(len, indexes)) <= module._IDLE + len(kept) + 1
    assert len(watched.live.sessions()) == watched.live.cut_all("over") == 10


def test_any_order_of_events_leaves_what_it_should(watched: Watched) -> None:
    """Against a list that is searched from end to end."""
    for seed in range(30):
        dice, model, here = random.Random(seed), dict[Handle, Session](), Watched()
        for _ in range(300):
            of = session(
                f"s{dice.randrange(8)}", subject=f"a{dice.randrange(1)}", device=f"d{dice.randrange(1)}"
            )
            match dice.randrange(6):
                case 0 | 1 | 2:
                    model[here.open("", of)] = of
                case 3 if model:
                    handle = dice.choice(list(model))
                    handle.close()
                    del model[handle]
                case 4:
                    assert here.live.cut_session(of.id, "") == sum(s.id == of.id for s in model.values())
                    model = {h: s for h, s in model.items() if s.id != of.id}
                case 5 if dice.random() < 0.1:
                    assert here.live.cut_all("") == len(model)
                    model = {}
            assert here.live.count == len(model)
            assert {s.id for s in here.live.sessions()} == {s.id for s in model.values()}
            assert all(handle.may_pass() for handle in model)
