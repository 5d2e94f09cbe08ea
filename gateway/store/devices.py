"""The devices of an account."""

import hashlib

from gateway.core.records import Device, DeviceState
from gateway.store.connection import Connection
from gateway.store.keys import Shard, shard_of_id, shard_of_subject


class Devices:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

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

    async def authorise(self, subject: str, device_id: str) -> bool:
        """Authorise a device of this account; False when it has none such, or it was revoked."""
        done = await self._connection.run(
            "authorise_device", self._shard(subject), subject=subject, device=device_id
        )
        return bool(done)

    def _shard(self, subject: str) -> Shard:
        return shard_of_subject(subject, self._connection.shards)


def device_from(row: dict[str, str]) -> Device:
    return Device(
        id=row["id"],
        subject=row["subject"],
        name=row["name"],
        user_agent=row["user_agent"],
        state=DeviceState(row["state"]),
        first_used_at=float(row["first_used_at"]),
        last_used_at=float(row["last_used_at"]),
        address=row["address"],
    )
