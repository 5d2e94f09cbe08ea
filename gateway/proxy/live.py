"""What is under way for sessions, so that it ends when they do: WebSockets, event streams, transfers.

Every exchange of a session is registered for as long as it runs, and registered under its session, device
and account: ending one account costs what that account has, however many others there are.

An exchange is registered later than it was found out who asks. Endings that come in between are
remembered, and tell on registration: nothing slips through that gap.
"""

from collections import deque
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TypeVar

import structlog

from gateway import clock
from gateway.core.ending import Ending, Scope
from gateway.core.records import Session
from gateway.web.metrics import Metrics

ENDED = "the session was ended"
CANNOT_TELL = "the gateway cannot tell whether the session still lives"

_REMEMBERED = 1024
"""Endings that are kept for requests which are not registered yet. Whoever has missed more is cut."""

_IDLE = 1024
"""Sessions with nothing under way that may stay in the indexes: most of them are back in a moment."""

T = TypeVar("T")
Mark = tuple[int, float]
"""A moment at which a session was looked up: how many endings had come, and when it was by `moment`."""

Cut = Callable[[str], Callable[[], None] | None]
"""Lets nothing more pass, and tells the client why; what it returns, if anything, tells the upstream."""

_log = structlog.get_logger("gateway.live")


class _Line:
    """One session, with what is under way for it."""

    __slots__ = ("handles", "session")

    def __init__(self, session: Session) -> None:
        self.session = session
        self.handles: set[Handle] = set()


class Handle:
    """One exchange that is under way. `close` it at its end, or use it as a context manager."""

    __slots__ = ("_at", "_cut", "_line", "_live")

    def __init__(self, live: "LiveConnections", line: _Line | None, cut: Cut, at: float) -> None:
        self._live = live
        self._line = line
        self._cut = cut
        self._at = at

    def may_pass(self) -> bool:
        """Whether data may still be passed on; where the fence says no, this was cut."""
        line = self._line
        if line is None:
            return False
        if self._live.fence(line.session.id) or self._live.moment() - self._at < self._live.fresh_for:
            return True
        self._live._cut_all((self,), CANNOT_TELL)
        return False

    def close(self) -> None:
        """It is over by itself. Harmless after it was cut."""
        if self._line is not None:
            self._live._forget(self)

    def __enter__(self) -> "Handle":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class LiveConnections:
    """The exchanges of one node, for one event loop.

    `fence` is asked of its session's id before each part of an exchange is passed on, and must be quick;
    where it says no, the exchange is cut. It is not heeded for `fresh_for` seconds, as `moment` counts them,
    after the mark with which an exchange was registered: what was just found out is not doubted yet. `moment`
    should go on while the process is stopped.
    """

    def __init__(self, metrics: Metrics) -> None:
        self.fence: Callable[[str], bool] = _nothing_against_it
        self.fresh_for = 0.0
        self.moment: Callable[[], float] = clock.stopwatch
        self.count = 0
        self._metrics = metrics
        self._sessions: dict[str, _Line] = {}
        self._devices: dict[str, set[_Line]] = {}
        self._subjects: dict[str, set[_Line]] = {}
        self._idle = 0
        self._endings = 0
        self._recent: deque[Callable[[Session], bool]] = deque(maxlen=_REMEMBERED)
        metrics.live_connections(lambda: self.count)

    def mark(self) -> Mark:
        """To be taken before a session is looked up; `register` wants it."""
        return self._endings, self.moment()

    def register(self, session: Session, cut: Cut, *, since: Mark | None = None) -> Handle:
        """Keep what is about to begin, until its handle is closed.

        `cut` is called at most once, with a reason for the other side; from its return on, nothing may be
        passed on. It is called before this returns if the session was ended after `since`, or may have been.
        Where many are cut at once, all clients are told before the first upstream is.
        """
        endings, at = since or self.mark()
        if endings != self._endings and self._ended_since(session, endings):
            handle = Handle(self, None, cut, at)
            self._metrics.connections_cut(1)
            _cut_off((cut,), ENDED)
            return handle
        line = self._sessions.get(session.id)
        if line is None:
            line = self._begin(session)
        elif session is not line.session and _is_newer(session, line.session):
            line.session = session
        if not line.handles:
            self._idle -= 1
        handle = Handle(self, line, cut, at)
        line.handles.add(handle)
        self.count += 1
        return handle

    def sessions(self) -> list[Session]:
        """Those that have something under way, each once, as last seen."""
        return [line.session for line in self._sessions.values() if line.handles]

    def cut(self, ending: Ending) -> int:
        """Cut what belongs to the sessions that `ending` covers; how much that was."""
        return self._end(ending.covers, self._concerned(ending), ENDED)

    def cut_session(self, session_id: str, reason: str) -> int:
        """Cut what belongs to one session; how much that was. The other side is told the reason."""
        line = self._sessions.get(session_id)
        return self._end(lambda session: session.id == session_id, (line,) if line else (), reason)

    def look_through(self) -> None:
        """Ask the fence of all that is under way, also where nothing is passed on just now."""
        for line in tuple(self._sessions.values()):
            if line.handles and not self.fence(line.session.id):
                for handle in tuple(line.handles):
                    handle.may_pass()

    def cut_all(self, reason: str) -> int:
        """Cut everything; how much that was. The other side is told the reason."""
        return self._end(lambda _: True, tuple(self._sessions.values()), reason)

    def _concerned(self, ending: Ending) -> Iterable[_Line]:
        """The sessions that an ending may cover."""
        match ending.scope:
            case Scope.SESSION:
                line = self._sessions.get(ending.id)
                return (line,) if line else ()
            case Scope.DEVICE:
                return tuple(self._devices.get(ending.id, ()))
            case Scope.ACCOUNT:
                return tuple(self._subjects.get(ending.subject, ()))
            case Scope.EVERYBODY:
                return tuple(self._sessions.values())

    def _end(self, covers: Callable[[Session], bool], lines: Iterable[_Line], reason: str) -> int:
        self._endings += 1
        self._recent.append(covers)
        handles = tuple(handle for line in lines if covers(line.session) for handle in line.handles)
        if handles:
            self._cut_all(handles, reason)
            _log.info("connections cut", count=len(handles), reason=reason)
        return len(handles)

    def _cut_all(self, handles: tuple[Handle, ...], reason: str) -> None:
        """All are forgotten first: what one of them does when it is cut must find no other half cut."""
        for handle in handles:
            self._forget(handle)
        _cut_off([handle._cut for handle in handles], reason)
        self._metrics.connections_cut(len(handles))

    def _ended_since(self, session: Session, endings: int) -> bool:
        missed = self._endings - endings
        if missed > len(self._recent):
            return True
        return any(self._recent[-number](session) for number in range(1, missed + 1))

    def _begin(self, session: Session) -> _Line:
        """A session that is not in the indexes yet; it has nothing under way."""
        line = self._sessions[session.id] = _Line(session)
        self._devices.setdefault(session.device_id, set()).add(line)
        self._subjects.setdefault(session.subject, set()).add(line)
        self._idle += 1
        return line

    def _forget(self, handle: Handle) -> None:
        line, handle._line = handle._line, None
        if line is None:
            return
        self.count -= 1
        line.handles.discard(handle)
        if not line.handles:
            self._idle += 1
            if self._idle > max(_IDLE, len(self._sessions) // 2):
                self._sweep()

    def _sweep(self) -> None:
        """Forget sessions with nothing under way. At least half of all have not, so each costs little."""
        for line in [line for line in self._sessions.values() if not line.handles]:
            session = line.session
            del self._sessions[session.id]
            for index, key in ((self._devices, session.device_id), (self._subjects, session.subject)):
                index[key].discard(line)
                if not index[key]:
                    del index[key]
        self._idle = 0


def _cut_off(cuts: Iterable[Cut], reason: str) -> None:
    for rest in [_done(cut, reason) for cut in cuts]:
        if rest is not None:
            _done(rest)


def _done(step: Callable[..., T], *arguments: str) -> T | None:
    """What a step returns. One that fails is logged: the others are to be cut as well."""
    try:
        return step(*arguments)
    except Exception:
        _log.exception("a connection could not be cut")
        return None


def _is_newer(session: Session, known: Session) -> bool:
    """Whether it was read after the epochs that keep a session alive were raised."""
    return session.account_epoch > known.account_epoch or session.global_epoch > known.global_epoch


def _nothing_against_it(session_id: str) -> bool:
    del session_id
    return True
