"""Recovery codes: hashes of those that are left, and the one step in which one is used up.

All hashes of an account were made in one go and share a salt, so that hashing what somebody typed once,
like any of them, tells which one it is.
"""

from collections.abc import Sequence

from gateway.core.reasons import Reason
from gateway.store.audit import Audit, AuditEntry
from gateway.store.connection import Connection
from gateway.store.factors import Spending
from gateway.store.keys import shard_of_id, shard_of_subject


class RecoveryCodes:
    def __init__(self, connection: Connection, audit: Audit) -> None:
        self._connection = connection
        self._audit = audit

    async def keep(
        self, session_id: str, hashes: Sequence[str], now: float, *, entries: Sequence[AuditEntry] = ()
    ) -> Reason | None:
        """Keep new codes of the session's account; those before are void.

        A Reason when the session ended meanwhile, or the account has no factor.
        """
        shard = shard_of_id(session_id, self._connection.shards)
        if shard is None:
            return Reason.SESSION_REVOKED
        outcome = await self._audit.run(
            "keep_recovery_codes", shard, entries, now=now, session=session_id, codes=list(hashes)
        )
        return None if outcome == "kept" else Reason(outcome)

    async def left(self, subject: str) -> int:
        """How many codes of an account are not used yet."""
        count: int = await self._connection.call(self._connection.redis.scard(self._key(subject)))
        return count

    async def any_hash(self, subject: str) -> str | None:
        """The hash of any code that is left; None when none is."""
        found: str | None = await self._connection.call(
            self._connection.redis.srandmember(self._key(subject))
        )
        return found

    async def spend(self, spending: Spending, hashed: str, now: float) -> int | Reason:
        """Use up a code and give what it was for: how many are left, or a Reason why not.

        Whether it was ever right, or right until somebody was first, cannot be told.
        """
        shard = shard_of_id(spending.session_id, self._connection.shards)
        if shard is None:
            return Reason.SESSION_REVOKED
        outcome = await self._audit.run(
            "spend_recovery_code", shard, spending.entries, now=now, code=hashed, **spending.arguments()
        )
        return outcome if isinstance(outcome, int) else Reason(outcome)

    def _key(self, subject: str) -> str:
        return shard_of_subject(subject, self._connection.shards).key("recovery", subject)
