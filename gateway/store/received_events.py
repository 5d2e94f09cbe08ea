"""Events that came in from other parties: each is acted on once, however often and wherever it arrives.

An event is claimed for a while before it is acted on, and settled afterwards. A node that dies in between
leaves a claim that ends, and whoever sends the event again is then heard: it is acted on twice at worst,
never not at all.
"""

import hashlib
from enum import StrEnum

from gateway.store.connection import Connection
from gateway.store.keys import shard_of_subject

CLAIM_SECONDS = 60.0
"""How long a node may take to act on an event."""


class Claim(StrEnum):
    """What became of the wish to act on an event."""

    TAKEN = "taken"
    CLAIMED = "claimed"
    DONE = "done"


class ReceivedEvents:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def claim(self, issuer: str, token_id: str, now: float, *, forget_at: float) -> Claim:
        """Take an event, by its `iss` and `jti`, unless somebody acts on it now or did so already."""
        name = _name(issuer, token_id)
        return Claim(
            await self._connection.run(
                "claim_event",
                shard_of_subject(name, self._connection.shards),
                now=now,
                event=name,
                claimed_until=now + CLAIM_SECONDS,
                forget_at=forget_at,
            )
        )

    async def settle(self, issuer: str, token_id: str, now: float, *, forget_at: float) -> None:
        """Note that an event was acted on. Until `forget_at` it is known, and does nothing more."""
        name = _name(issuer, token_id)
        shard = shard_of_subject(name, self._connection.shards)
        await self._connection.run("settle_event", shard, now=now, event=name, forget_at=forget_at)


def _name(issuer: str, token_id: str) -> str:
    """What others chose may be of any length and hold anything; a key may not. No issuer can be another one
    with a part of a `jti`: its length goes with it.
    """
    return hashlib.sha256(f"{len(issuer)}:{issuer}{token_id}".encode()).hexdigest()
