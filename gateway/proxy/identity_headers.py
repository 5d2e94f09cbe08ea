"""The headers that name who asks, made once for a session and an app and then kept.

A signature costs more than everything else that is done for a small request. So the lines are kept while
what they were made from is in force: the same account, the same grants, the same key, the same address of
ours, and an assertion that has enough of its life left for the app to look at it.
"""

from collections import OrderedDict
from dataclasses import dataclass

from gateway.core.assertion import claims_of, told_of, unchanged_until
from gateway.core.decision import Permit
from gateway.core.records import Account, Grant, Snapshot
from gateway.identity.assertions import Assertions
from gateway.proxy.wire import NO_LINES, Lines, header_lines
from gateway.store.near import SAME_TIME

ASSERTION = b"Watchword-Assertion"
NAMES = (b"Remote-User", b"Remote-Name", b"Remote-Email", b"Remote-Groups", ASSERTION)
"""Every header that may name who asks."""

LEAST_LEFT = 0.2
"""The part of its lifetime that an assertion has left at least when it is sent."""

FOLLOW_SECONDS = 1.0
"""How often it is looked whether the key ring has another key, while nothing new is signed."""


@dataclass(slots=True)
class _Kept:
    """Lines, and all that they were made from; they serve from `since` until `until`.

    `in_order_at` is when they were last put in order.
    """

    account: Account
    grants: tuple[Grant, ...]
    since: float
    until: float
    lines: Lines
    in_order_at: float


class IdentityHeaders:
    def __init__(self, assertions: Assertions, lifetime: float, most: int) -> None:
        """`lifetime` is an assertion's, in seconds; `most` is how many identities are kept."""
        self._assertions = assertions
        self.lifetime = lifetime
        self.most = most
        self._kept: OrderedDict[tuple[str, str, str], _Kept] = OrderedDict()
        self._followed = self._follow_at = float("-inf")

    def __len__(self) -> int:
        return len(self._kept)

    def lines(self, permit: Permit, snapshot: Snapshot | None, origin: str, now: float) -> Lines:
        """Who sends the request that `permit` allows, as `snapshot` has it; nobody on a public path.

        `origin` is the address under which the client sees the app (RFC 6454), which is who says so. Raises
        ValueError for an account that no header can name.
        """
        account = permit.account
        if account is None:
            return NO_LINES
        if snapshot is None:
            raise TypeError("a permit for a person needs what is known of them")
        if not self._followed <= now < self._follow_at:
            self._follow(now)
        of = (snapshot.session.id, permit.match.app.name, origin)
        kept = self._kept.get(of)
        if (
            kept is not None
            and kept.since <= now < kept.until
            and (kept.account is account or kept.account == account)
            and (kept.grants is snapshot.grants or kept.grants == snapshot.grants)
        ):
            if not 0 <= now - kept.in_order_at < SAME_TIME:
                kept.in_order_at = now
                self._kept.move_to_end(of)
            return kept.lines
        return self._made(permit, account, snapshot, origin, now)

    def _made(self, permit: Permit, account: Account, snapshot: Snapshot, origin: str, now: float) -> Lines:
        self._follow(now)
        told = told_of(account)
        claims = claims_of(permit, snapshot, told, issuer=origin, now=now, lifetime=self.lifetime)
        values = (
            told.subject.encode(),
            told.name.encode(),
            told.email.encode(),
            ",".join(told.groups).encode(),
            self._assertions.sign(claims),
        )
        fields = [field for field in zip(NAMES, values, strict=True) if field[1]]
        lines = header_lines(fields)
        enough_left = claims["exp"] - self.lifetime * LEAST_LEFT
        until = min(enough_left, unchanged_until(snapshot, now))
        of = (snapshot.session.id, permit.match.app.name, origin)
        self._kept[of] = _Kept(account, snapshot.grants, now, until, lines, in_order_at=now)
        self._kept.move_to_end(of)
        if len(self._kept) > self.most:
            self._kept.popitem(last=False)
        return lines

    def _follow(self, now: float) -> None:
        """What another key signed is forgotten: our JWK Set has it no more."""
        self._followed, self._follow_at = now, now + FOLLOW_SECONDS
        if self._assertions.follow():
            self._kept.clear()


def fields_of(lines: Lines) -> tuple[tuple[bytes, bytes], ...]:
    """Lines as names and values."""
    return tuple(_parted(line) for line in lines.data.split(b"\r\n")[:-1])


def _parted(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b": ")
    return name, value
