"""Whether a request may pass by what memory tells of who asks, without a word to the store.

Memory serves to let an ordinary request through, and for nothing else: whatever must be proven first,
and whoever memory does not know, is for the store to judge.
"""

from gateway.core.decision import Forward, decide
from gateway.core.policy.matching import PolicySet
from gateway.core.policy.model import OWN_SEGMENT, Match, Need
from gateway.core.records import Snapshot
from gateway.core.target import Target
from gateway.proxy.live import LiveConnections, Mark
from gateway.store.who import Place, Who
from gateway.web.cookies import OwnCookies


class Passage:
    """A request that may pass: `match` is what it needs, `forward` what `decide` said.

    `snapshot` is who asks, None where nobody need be known; `as_of` is from before that was looked up.
    """

    __slots__ = ("as_of", "forward", "match", "snapshot")

    def __init__(
        self, match: Match, forward: Forward, snapshot: Snapshot | None = None, as_of: Mark | None = None
    ) -> None:
        self.match = match
        self.forward = forward
        self.snapshot = snapshot
        self.as_of = as_of


class Memory:
    def __init__(self, who: Who, live: LiveConnections) -> None:
        self._who = who
        self._live = live

    def place_of(self, cookies: OwnCookies) -> Place | None:
        """Where memory would have who sends these cookies."""
        return None if cookies.session is None else self._who.place_of(cookies.session)

    def used(self, cookies: OwnCookies, snapshot: Snapshot, address: str, now: float) -> None:
        """Note that the session that these cookies led to is used."""
        if cookies.session is not None:
            self._who.used(cookies.session, snapshot, address, now)

    def plain(self, policies: PolicySet, target: Target, place: Place | None, now: float) -> Passage | None:
        """A request that asks for nothing but an app's answer, and may have it; None for all others.

        `place` is that of who asks. Nobody may come back from a step-up this way (see `may_resume`).
        """
        if target.segments[0] == OWN_SEGMENT:
            return None
        match = policies.match(target, None)
        if match is None:
            return None
        if match.need is Need.PUBLIC and not match.by_group:
            decision = decide(target, match, None, now)
            return Passage(match, decision) if isinstance(decision, Forward) else None
        passage = self.passage(policies, target, match, place, now)
        if passage is None or (passage.snapshot is not None and passage.snapshot.untold_reset is not None):
            return None
        return passage

    def passage(
        self, policies: PolicySet, target: Target, match: Match, place: Place | None, now: float
    ) -> Passage | None:
        """For a request to an app that depends on who asks; `match` is from before that is known."""
        as_of, snapshot = self._live.mark(), self._who.remembered(place, now)
        if snapshot is None:
            return None
        match = match_for(policies, target, match, snapshot)
        if match.action is not None:
            return None  # what needs a code is always judged by the store
        decision = decide(target, match, snapshot, now)
        return Passage(match, decision, snapshot, as_of) if isinstance(decision, Forward) else None


def may_resume(target: Target, cookies: OwnCookies) -> bool:
    """Whether this may be the way back from a step-up; what a plain GET needs there does not matter."""
    return cookies.resume is not None and target.method == "GET"


def match_for(policies: PolicySet, target: Target, match: Match, snapshot: Snapshot) -> Match:
    """The match by the rules for the groups of who asks, where they matter."""
    if not match.by_group:
        return match
    return policies.match(target, snapshot.account.groups) or match
