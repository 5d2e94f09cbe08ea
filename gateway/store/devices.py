"""The devices of an account."""

import hashlib
from collections.abc import Sequence
from sys import intern

from gateway import entropy
from gateway.core.records import Device, DeviceState
from gateway.store.audit import Audit, AuditEntry
from gateway.store.connection import Connection, pairs
from gateway.store.keys import Shard, shard_of_id, shard_of_subject


class Devices:
    def __init__(self, connection: Connection, audit: Audit) -> None:
        self._connection = connection
        self._audit = audit

    def id_for(self, subject: str, cookie: str) -> str:
        """The id of the device that holds this device cookie, for one account.

        A digest over both: two people who share a browser have two devices, which nobody can link.
        """
        digest = hashlib.sha256(f"{subject}\n{cookie}".encode()).hexdigest()
        return f"{self._shard(subject).index:02x}{digest[:30]}"

    async def find(self, device_id: str) -> Device | None:
        shard = shard_of_id(device_id, self._connection.shards)
        if shard is None:
            return None
        row = await self._connection.call(self._connection.redis.hgetall(shard.key("device", device_id)))
        return device_from(row) if row else None

    async def list(self, subject: str) -> list[Device]:
        """The devices of an account, newest use first, the revoked ones included."""
        shard = self._shard(subject)
        ids = await self._connection.call(self._connection.redis.zrange(shard.key("devices", subject), 0, -1))
        rows = await self._connection.hashes(shard.key("device", device_id) for device_id in ids)
        return sorted((device_from(row) for row in rows), key=lambda device: -device.last_used_at)

    async def of_session(self, session_id: str, now: float) -> Device | None:
        """The device that a session is on; None unless the session is live."""
        shard = shard_of_id(session_id, self._connection.shards)
        if shard is None:
            return None
        row = await self._connection.run("session_device", shard, session=session_id, now=now)
        return device_from(pairs(row)) if row else None

    async def ask(self, session_id: str, now: float) -> Device | None:
        """Have the device of a session show words until it is confirmed; None unless the session is live.

        A device that shows some already, or is confirmed, stays as it is.
        """
        shard = shard_of_id(session_id, self._connection.shards)
        if shard is None:
            return None
        row = await self._connection.run(
            "session_device", shard, session=session_id, now=now, word_seed=entropy.identifier()
        )
        return device_from(pairs(row)) if row else None

    async def authorise(
        self, session_id: str, device_id: str, now: float, *, entries: Sequence[AuditEntry] = ()
    ) -> Device | None:
        """Let a device in, from another one of the same account, where somebody is in this session.

        It is confirmed as well if the other one is. None when there is no such device to vouch for (it is
        unknown, revoked, another account's, or the session's own), and when the session ended, or is on a
        device that is not authorised itself.
        """
        shard = shard_of_id(session_id, self._connection.shards)
        if shard is None:
            return None
        row = await self._audit.run(
            "authorise_device", shard, entries, session=session_id, device=device_id, now=now
        )
        return device_from(pairs(row)) if row else None

    async def confirm(
        self, device_id: str, now: float, *, entries: Sequence[AuditEntry] = ()
    ) -> Device | None:
        """Confirm a device on an operator's word; None when there is none such, or it was revoked."""
        shard = shard_of_id(device_id, self._connection.shards)
        if shard is None:
            return None
        row = await self._audit.run("authorise_device", shard, entries, device=device_id, now=now)
        return device_from(pairs(row)) if row else None

    async def rename(
        self, device_id: str, name: str, owner: str | None = None, *, entries: Sequence[AuditEntry] = ()
    ) -> Device | None:
        """Give a device (of `owner`, if given) another name; None when it has none such left."""
        shard = shard_of_id(device_id, self._connection.shards)
        if shard is None:
            return None
        row = await self._audit.run("rename_device", shard, entries, device=device_id, name=name, owner=owner)
        return device_from(pairs(row)) if row else None

    def _shard(self, subject: str) -> Shard:
        return shard_of_subject(subject, self._connection.shards)


def device_from(row: dict[str, str]) -> Device:
    """A Device as stored. What many have in common they share: a node has many in memory."""
    return Device(
        id=row["id"],
        subject=row["subject"],
        name=intern(row["name"]),
        user_agent=intern(row["user_agent"]),
        state=DeviceState(row["state"]),
        first_used_at=float(row["first_used_at"]),
        last_used_at=float(row["last_used_at"]),
        address=row["address"],
        browser=intern(row.get("browser", "")),
        system=intern(row.get("system", "")),
        confirmed_at=float(row["confirmed_at"]) if "confirmed_at" in row else None,
        word_seed=row.get("word_seed", ""),
        proved_at=float(row["proved_at"]) if "proved_at" in row else None,
    )
