"""When sessions were last used: noted in memory, and written together a moment later, off the path."""

import asyncio
from contextlib import suppress

import structlog

from gateway.core.records import Snapshot
from gateway.errors import StoreUnavailable
from gateway.store.sessions import Sessions, Use
from gateway.store.tasks import end

_AFTER_SECONDS = 60.0
"""After which the use of a session is noted again, at most: a short idle time has it more often."""

_TOGETHER_SECONDS = 1.0
"""For how long uses are collected before they are written, at most."""

_MOST_WAITING = 100_000
"""Uses that wait while the store does not answer; the next ones are not noted, and noted a minute later."""

_log = structlog.get_logger("gateway.store")


class LastSeen:
    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._after = min(_AFTER_SECONDS, sessions.limits.idle / 10)
        self._waiting: dict[str, Use] = {}
        self._noted = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._writing = asyncio.create_task(self._write_on())

    async def stop(self) -> None:
        """Write what still waits."""
        if self._writing is not None:
            await end([self._writing])
        with suppress(StoreUnavailable):
            await self.write()

    def is_due(self, snapshot: Snapshot, now: float) -> bool:
        return now - snapshot.session.last_used_at > self._after

    def note(self, snapshot: Snapshot, address: str, now: float) -> float:
        """Note a use; until when the session lives now if it is not used again (Unix seconds)."""
        session = snapshot.session
        idle_until = min(now + self._sessions.limits.idle, session.expires_at)
        if len(self._waiting) < _MOST_WAITING:
            self._waiting[session.id] = Use(session.id, session.device_id, now, idle_until, address)
            self._noted.set()
        return idle_until

    async def write(self) -> None:
        """Write all that waits, shard by shard. Raises StoreUnavailable; what was not written waits on."""
        uses, self._waiting = self._waiting, {}
        by_shard: dict[str, list[Use]] = {}
        for use in uses.values():
            by_shard.setdefault(use.session_id[:2], []).append(use)  # a session's id begins with its shard
        try:
            while by_shard:
                shard, some = next(iter(by_shard.items()))
                await self._sessions.touch(some)
                del by_shard[shard]
        finally:
            self._waiting = {
                use.session_id: use for some in by_shard.values() for use in some
            } | self._waiting

    async def _write_on(self) -> None:
        while True:
            await self._noted.wait()
            self._noted.clear()
            await asyncio.sleep(min(_TOGETHER_SECONDS, self._after))
            try:
                await self.write()
            except StoreUnavailable as error:
                _log.debug("uses of sessions wait to be written", error=str(error))  # the node tells it once
                self._noted.set()
            except Exception:
                _log.exception("this should not happen")
