"""What must not be in a history, whatever broke: a pure function of it.

1. No request that began after the answer of a confirmed revocation of its session was accepted.
2. Nobody is signed out who was not revoked: while the store is away a request may be refused with 503 or stay
   without an answer, not with 401. (Except where the store has really lost what it was told.)
3. Afterwards all is well: every session that was not revoked is accepted by every gateway, and no
   revocation is pending.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from bench.faults.history import CONFIRMED, PENDING, History, Request, Revocation, Session

_ON_ITS_WAY = 5.0
_ORDINARY = {0, 200, 401, 503}


@dataclass(frozen=True, slots=True)
class Violation:
    rule: str
    what: str


@dataclass(frozen=True, slots=True)
class _Fate:
    """When a session was certainly over, and from when on it may have been."""

    over: float
    in_doubt: float
    lost: bool


def judge(history: History) -> list[Violation]:
    """Everything that is wrong with a history."""
    fates = {session.id: _fate(session, history) for session in history.sessions}
    return [
        *(found for request in history.requests for found in _of_request(request, fates[request.session])),
        *_of_the_end(history, fates),
        *_of_revocations(history),
    ]


def late(history: History) -> int:
    """How many requests were accepted after the confirmed end of their session."""
    fates = {session.id: _fate(session, history) for session in history.sessions}
    return sum(each.accepted and each.began > fates[each.session].over for each in history.requests)


def outage(history: History) -> float:
    """The longest time, in seconds, during which no request was answered by the app, whoever asked."""
    moments = sorted(request.ended for request in history.requests if request.status == 200)
    return max((later - earlier for earlier, later in pairwise(moments)), default=0.0)


def _fate(session: Session, history: History) -> _Fate:
    over = in_doubt = math.inf
    for each in history.revocations:
        if not each.ends(session) or each.status == 404:
            continue
        if each.confirmed is not None and session.began <= each.asked:
            over = min(over, each.confirmed)
        if session.asked <= _last_effect(each):
            in_doubt = min(in_doubt, each.asked)
    lost = any(loss.concerns(session.asked, session.began) for loss in history.losses)
    return _Fate(over, in_doubt, lost)


def _last_effect(revocation: Revocation) -> float:
    """Until when it may still end something: a session that began while it was under way may be over.

    One that nobody answered, and that is neither on a disk nor in the store, may have been on its way.
    """
    if revocation.confirmed is not None:
        return revocation.confirmed
    return revocation.answered + _ON_ITS_WAY if revocation.known_as is None else math.inf


def _of_request(request: Request, fate: _Fate) -> Iterator[Violation]:
    told = f"session {request.session} at gateway {request.gateway}, begun at {request.began:.3f}"
    if request.accepted and request.began > fate.over:
        how = f"answered {request.status}, {'' if request.reached else 'not '}seen by the app"
        yield Violation("accepted after confirmed", f"{told}, over since {fate.over:.3f}: {how}")
    if request.status == 401 and not fate.lost and request.ended < fate.in_doubt:
        yield Violation("signed out", f"{told}: refused, though nobody revoked it")
    if request.status not in _ORDINARY:
        yield Violation("unexpected answer", f"{told}: {request.status}")


def _of_the_end(history: History, fates: dict[str, _Fate]) -> Iterator[Violation]:
    last = {
        (each.session, each.gateway): each
        for each in sorted(history.requests, key=lambda request: request.began)
        if each.last
    }
    for (session, gateway), request in last.items():
        fate = fates[session]
        if fate.in_doubt == math.inf and not fate.lost and not request.accepted:
            yield Violation("not restored", f"session {session} at gateway {gateway}: {request.status}")
    served = Counter(gateway for (_, gateway), request in last.items() if request.accepted)
    for gateway in range(history.gateways):
        if not served[gateway]:
            yield Violation("not restored", f"gateway {gateway} accepts nobody")


def _of_revocations(history: History) -> Iterator[Violation]:
    for each in history.revocations:
        told = f"{each.scope} {each.id or each.subject or ''} by {each.order}"
        if each.status not in {0, CONFIRMED, PENDING, 404, 503}:
            yield Violation("unexpected answer", f"{told}: {each.status}")
        lost = any(loss.concerns(each.asked, each.answered) for loss in history.losses)
        if each.known_as is not None and each.confirmed is None and not lost:
            yield Violation("never confirmed", told)
