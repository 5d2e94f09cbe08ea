"""Challenges and the requests parked behind them."""

import json
from dataclasses import dataclass

from gateway.store.connection import Connection
from gateway.store.keys import hash_of, shard_of_id

MOST_OPEN = 5
"""Challenges that one session may have; the oldest gives way, and its parked request with it."""

MOST_PARKED = 20
"""Of those of one account, how many may have a request parked, of up to `limits.parked-body` each."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """A pending demand for a code.

    `shown` is what the person approves, as (label, value) pairs; `path` is the target's path with
    query; `binding` names the one request that a single-use action is approved for. `sealed_request`
    is the parked request, None when there is none.
    """

    id: str
    session_id: str
    app: str
    action: str
    method: str
    authority: str
    path: str
    expires_at: float
    shown: tuple[tuple[str, str], ...] = ()
    binding: str | None = None
    sealed_request: bytes | None = None
    answered: bool = False


class Challenges:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def new_id(self, session_id: str) -> str:
        """An identifier in the shard of the session that is challenged."""
        shard = shard_of_id(session_id, self._connection.shards)
        if shard is None:
            raise ValueError("not a session id of this store")
        return shard.new_id()

    async def open(self, challenge: Challenge, now: float) -> bool:
        """Keep a challenge; False when its session ended meanwhile."""
        shard = shard_of_id(challenge.session_id, self._connection.shards)
        if shard is None:
            return False
        fields = {
            "app": challenge.app,
            "action": challenge.action,
            "method": challenge.method,
            "authority": challenge.authority,
            "path": challenge.path,
            "shown": json.dumps(challenge.shown),
        }
        if challenge.binding is not None:
            fields["binding"] = challenge.binding
        if challenge.sealed_request is not None:
            fields["parked"] = challenge.sealed_request.decode("ascii")
        opened = await self._connection.run(
            "open_challenge",
            shard,
            now=now,
            session=challenge.session_id,
            challenge=challenge.id,
            expires_at=challenge.expires_at,
            most=MOST_OPEN,
            most_parked=MOST_PARKED,
            fields=fields,
        )
        return bool(opened)

    async def find(self, challenge_id: str, session_id: str, now: float) -> Challenge | None:
        """An open challenge of this session, or None. Nobody else's challenges exist for it."""
        shard = shard_of_id(challenge_id, self._connection.shards)
        if shard is None:
            return None
        row = await self._connection.call(
            self._connection.redis.hgetall(shard.key("challenge", challenge_id))
        )
        if not row or row["session"] != session_id or now >= float(row["expires_at"]):
            return None
        return _challenge_from(row)

    async def claim(self, session_id: str, resume_cookie: str, path: str, now: float) -> Challenge | None:
        """Take a parked request out, once: for the session and the address that it was parked at."""
        shard = shard_of_id(session_id, self._connection.shards)
        if shard is None:
            return None
        row = await self._connection.run(
            "claim_parked", shard, now=now, session=session_id, resume=hash_of(resume_cookie), path=path
        )
        return _challenge_from(dict(zip(row[::2], row[1::2], strict=True))) if row else None


def _challenge_from(row: dict[str, str]) -> Challenge:
    parked = row.get("parked")
    return Challenge(
        id=row["id"],
        session_id=row["session"],
        app=row["app"],
        action=row["action"],
        method=row["method"],
        authority=row["authority"],
        path=row["path"],
        expires_at=float(row["expires_at"]),
        shown=tuple((label, value) for label, value in json.loads(row["shown"])),
        binding=row.get("binding"),
        sealed_request=None if parked is None else parked.encode("ascii"),
        answered="answered" in row,
    )
