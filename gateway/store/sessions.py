"""Sessions, and the one read that tells who is asking."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from sys import intern
from types import MappingProxyType
from typing import Any

from gateway import entropy
from gateway.core.reasons import Reason
from gateway.core.records import DeviceState, Grant, LaterDevices, Session, Snapshot
from gateway.store.accounts import account_from
from gateway.store.audit import Audit, AuditEntry
from gateway.store.connection import Connection, pairs, time_text
from gateway.store.devices import device_from
from gateway.store.keys import Shard, hash_of, shard_at, shard_of_id, shard_of_subject

MOST_SESSIONS = 50
"""Sessions that one account may have; the oldest gives way, those on which a code was given last."""

MOST_DEVICES = 100
"""Devices that one account may have; those used least recently give way, in the order of their standing."""

_MOST_TOUCHED = 200
"""Sessions whose use is noted in one step; the store does nothing else meanwhile."""

FORGET_DEVICE_SECONDS = 400 * 86400.0
"""A device that was not used for so long is forgotten, as browsers forget its cookie."""


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """Seconds that a session lives: unused, at most, and under its id from before a step-up."""

    idle: float
    absolute: float
    grace: float


@dataclass(frozen=True, slots=True)
class NewDevice:
    """How a device appears at sign-in; `id` is the same each time its cookie returns."""

    id: str
    name: str
    user_agent: str
    browser: str = ""
    system: str = ""


class Arrival(StrEnum):
    """Whether an account has seen the device of a new session before."""

    FIRST = "first"
    LATER = "later"
    KNOWN = "known"


@dataclass(frozen=True, slots=True)
class Started:
    """A session that just began: its id, the secret value of its cookie, and what became of its device."""

    session_id: str
    cookie: str
    device_state: DeviceState
    arrival: Arrival


@dataclass(frozen=True, slots=True)
class Found:
    """What a cookie leads to, and until when (Unix seconds)."""

    snapshot: Snapshot
    until: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What a cookie leads to, if anywhere, and which primary said so ("" where there is one server)."""

    found: Found | None
    said_by: str


@dataclass(frozen=True, slots=True)
class Use:
    """That a session was used: when, from where, and when it is over if it is not used again."""

    session_id: str
    device_id: str
    at: float
    idle_until: float
    address: str


class Sessions:
    def __init__(self, connection: Connection, audit: Audit, limits: SessionLimits) -> None:
        self._connection = connection
        self._audit = audit
        self.limits = limits

    async def start(
        self,
        *,
        subject: str,
        device: NewDevice,
        address: str,
        later: LaterDevices,
        now: float,
        password_hash: str | None = None,
        entries: Mapping[Arrival, Sequence[AuditEntry]] = MappingProxyType({}),
    ) -> Started | Reason:
        """Begin a session for an account whose password was right; a Reason when that cannot be.

        `password_hash` is what it was checked against: one that was changed meanwhile begins nothing, or
        whoever is thrown out by a new password could come in again with the old one just then. None
        for a session that no password began.

        What is put on record depends on how the device arrives; session and device are filled in.
        """
        shard = shard_of_subject(subject, self._connection.shards)
        session_id, cookie = shard.new_id(), self.new_cookie(shard)
        expires_at = now + self.limits.absolute
        outcome = await self._audit.run(
            "start_session",
            shard,
            (),
            arrival_records=self._records(entries, session_id, device.id),
            now=now,
            subject=subject,
            password=password_hash,
            session=session_id,
            cookie=hash_of(cookie),
            idle_until=min(now + self.limits.idle, expires_at),
            expires_at=expires_at,
            address=address,
            device=asdict(device),
            waits=later.wait,
            code_serves=later.code_serves,
            # Chosen here, so that nobody can try device cookies until one has the words of another's.
            word_seed=entropy.identifier(),
            forget_device_at=now + FORGET_DEVICE_SECONDS,
            forget_device_before=now - FORGET_DEVICE_SECONDS,
            most_devices=MOST_DEVICES,
            most_sessions=MOST_SESSIONS,
        )
        if isinstance(outcome, str):
            return Reason(outcome)
        state, arrival = outcome
        return Started(session_id, cookie, DeviceState(state), Arrival(arrival))

    def _records(
        self, entries: Mapping[Arrival, Sequence[AuditEntry]], session_id: str, device_id: str
    ) -> dict[str, list[dict[str, Any]]]:
        """Entries as the script takes them, by how the device arrives, with session and device filled in."""
        return {
            arrival: [
                self._audit.argument(replace(entry, session_id=session_id, device_id=device_id))
                for entry in found
            ]
            for arrival, found in entries.items()
        }

    def new_cookie(self, shard: Shard) -> str:
        """A session cookie's value: the shard that holds the session, and 256 random bits."""
        return f"{shard.index:02x}.{entropy.token()}"

    async def read(self, cookie: str, now: float, *, replicated: bool | None = None) -> Reading:
        """What the store tells of who sends this cookie, in one round trip."""
        shard = self.shard_of_cookie(cookie)
        if shard is None:
            return Reading(None, "")
        said_by, *found = await self._connection.run(
            "identify", shard, cookie=hash_of(cookie), replicated=replicated
        )
        return Reading(_found_from(found, now) if found else None, said_by)

    async def touch(self, uses: Sequence[Use]) -> None:
        """Note that sessions of one shard were used; of those that ended meanwhile, nothing is noted."""
        for start in range(0, len(uses), _MOST_TOUCHED):
            some = uses[start : start + _MOST_TOUCHED]
            await self._connection.run(
                "touch_sessions",
                self._shard_of(some[0].session_id),
                uses=[
                    {
                        "session": use.session_id,
                        "device": use.device_id,
                        "at": time_text(use.at),
                        "idle_until": time_text(use.idle_until),
                        "address": use.address,
                        "forget_device_at": time_text(use.at + FORGET_DEVICE_SECONDS),
                    }
                    for use in some
                ],
            )

    async def list(self, subject: str) -> list[Session]:
        """The sessions of an account that the store still holds, newest use first."""
        shard = shard_of_subject(subject, self._connection.shards)
        ids = await self._connection.call(
            self._connection.redis.zrange(shard.key("sessions", subject), 0, -1)
        )
        rows = await self._connection.hashes(shard.key("session", session_id) for session_id in ids)
        sessions = [_session_from(row) for row in rows]
        return sorted(sessions, key=lambda session: -session.last_used_at)

    async def find(self, session_id: str) -> Session | None:
        shard = shard_of_id(session_id, self._connection.shards)
        if shard is None:
            return None
        row = await self._connection.call(self._connection.redis.hgetall(shard.key("session", session_id)))
        return _session_from(row) if row else None

    async def consume(self, session_id: str, grant: Grant, now: float) -> bool:
        """Use up a single-use grant; False when another request was first, or the session ended."""
        return bool(
            await self._connection.run(
                "consume_grant",
                self._shard_of(session_id),
                now=now,
                session=session_id,
                field=grant_field(grant),
            )
        )

    def _shard_of(self, session_id: str) -> Shard:
        shard = shard_of_id(session_id, self._connection.shards)
        if shard is None:
            raise ValueError("not a session id of this store")
        return shard

    def shard_of_cookie(self, cookie: str) -> Shard | None:
        """Where the session of a cookie would be; None for text that is no cookie of this store."""
        name, dot, secret = cookie.partition(".")
        if not dot or len(name) != 2 or len(secret) != 43 or not secret.isascii():
            return None
        try:
            index = int(name, 16)
        except ValueError:
            return None
        return shard_at(index) if index < self._connection.shards else None


def grant_field(grant: Grant) -> str:
    """The name of a grant within its session: one for each action, or for each bound request."""
    return grant.action if grant.binding is None else f"{grant.action}|{grant.binding}"


def grant_argument(grant: Grant) -> dict[str, Any]:
    """A grant as scripts take it."""
    value = {
        "action": grant.action,
        "granted_at": time_text(grant.granted_at),
        "expires_at": time_text(grant.expires_at),
        "binding": grant.binding or "",
        "full_at": time_text(grant.full_at),
    }
    return {"field": grant_field(grant), "value": value}


def _grant_from(value: dict[str, Any]) -> Grant:
    return Grant(
        action=intern(value["action"]),
        granted_at=float(value["granted_at"]),
        expires_at=float(value["expires_at"]),
        binding=value["binding"] or None,
        full_at=float(value.get("full_at", 0)),  # one from before there were trials has none
    )


def _session_from(row: dict[str, str]) -> Session:
    return Session(
        id=row["id"],
        subject=row["subject"],
        device_id=row["device"],
        device_since=float(row.get("device_since", 0)),  # one from before this was kept is dead
        account_epoch=int(row["account_epoch"]),
        global_epoch=int(row["global_epoch"]),
        created_at=float(row["created_at"]),
        last_used_at=float(row["last_used_at"]),
        idle_until=float(row["idle_until"]),
        expires_at=float(row["expires_at"]),
        address=row["address"],
        told_of=row.get("told_of", ""),
    )


def _found_from(found: list[Any], now: float) -> Found | None:
    _, generation, until, session, account, device, global_epoch, grants = found
    if now >= float(until):
        return None
    values = [json.loads(value) for value in grants[1::2]]
    row = pairs(session)
    snapshot = Snapshot(
        session=_session_from(row),
        account=account_from(row["subject"], account),
        device=device_from(pairs(device)) if device else None,
        global_epoch=None if global_epoch is None else int(global_epoch),
        # A cookie from before a step-up lives on for a few seconds, without what the code brought.
        grants=tuple(_grant_from(value) for value in values if int(value["generation"]) <= int(generation)),
    )
    return Found(snapshot, float(until))
