"""Revocations: one script each, whose cost does not depend on how many sessions end by it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateway import entropy
from gateway.core.ending import Scope
from gateway.store.accounts import first_epoch
from gateway.store.audit import Audit, AuditEntry
from gateway.store.connection import Connection, time_text
from gateway.store.factors import Rotation
from gateway.store.keys import Shard, shard_of_id, shard_of_subject


@dataclass(frozen=True, slots=True)
class Revocation:
    """What was ended. `id` names a session or device, `subject` the account it belongs to."""

    revocation_id: str
    scope: Scope
    id: str | None
    subject: str | None
    reason: str
    actor: str
    at: float


@dataclass(frozen=True, slots=True)
class NewPassword:
    """A change of an account's password, as argon2id hashes, in the session that goes on."""

    subject: str
    session_id: str
    was: str
    becomes: str
    rotation: Rotation


class Revocations:
    """Every request reads epochs and records afresh, so a revocation holds from the next request on."""

    def __init__(self, connection: Connection, audit: Audit) -> None:
        self._connection = connection
        self._audit = audit

    async def session(
        self,
        session_id: str,
        *,
        reason: str,
        actor: str,
        now: float,
        owner: str | None = None,
        entries: Sequence[AuditEntry] = (),
    ) -> Revocation | None:
        """End one session (of `owner`, if given); None when there is none such."""
        asked = _new(Scope.SESSION, session_id, owner, reason=reason, actor=actor, at=now)
        return await self._one(asked, entries)

    async def device(
        self,
        device_id: str,
        *,
        reason: str,
        actor: str,
        now: float,
        owner: str | None = None,
        entries: Sequence[AuditEntry] = (),
    ) -> Revocation | None:
        """End one device and every session on it; None when there is none such."""
        asked = _new(Scope.DEVICE, device_id, owner, reason=reason, actor=actor, at=now)
        return await self._one(asked, entries)

    async def account(
        self,
        subject: str,
        *,
        reason: str,
        actor: str,
        now: float,
        disable: bool = False,
        entries: Sequence[AuditEntry] = (),
    ) -> Revocation | None:
        """End all sessions of an account, and with `disable` keep it from signing in again."""
        shard = shard_of_subject(subject, self._connection.shards)
        revocation = _new(Scope.ACCOUNT, None, subject, reason=reason, actor=actor, at=now)
        found = await self._run(shard, revocation, entries, disable=disable or None)
        return None if found is None else revocation

    async def by_new_password(
        self, change: NewPassword, *, actor: str, now: float, entries: Sequence[AuditEntry] = ()
    ) -> Revocation | None:
        """Give an account its new password and end all its sessions but one, together or not at all.

        None when that session ended meanwhile, or the password is not the one that was checked.
        """
        shard = shard_of_subject(change.subject, self._connection.shards)
        reason = "the password was changed"
        revocation = _new(Scope.ACCOUNT, None, change.subject, reason=reason, actor=actor, at=now)
        found = await self._run(
            shard,
            revocation,
            entries,
            session=change.session_id,
            was=change.was,
            password=change.becomes,
            **change.rotation.arguments(),
        )
        return None if found is None else revocation

    async def by_set_password(
        self,
        subject: str,
        hashed: str,
        *,
        reason: str,
        actor: str,
        now: float,
        entries: Sequence[AuditEntry] = (),
    ) -> Revocation | None:
        """Give an account a password on an operator's word, and end all its sessions, together.

        None when there is no such account.
        """
        shard = shard_of_subject(subject, self._connection.shards)
        revocation = _new(Scope.ACCOUNT, None, subject, reason=reason, actor=actor, at=now)
        found = await self._run(shard, revocation, entries, password=hashed)
        return None if found is None else revocation

    async def everybody(self, *, reason: str, actor: str, now: float) -> Revocation:
        """End every session there is: one write for each shard."""
        revocation = _new(Scope.EVERYBODY, None, None, reason=reason, actor=actor, at=now)
        for index in range(self._connection.shards):
            await self._run(Shard(index), revocation, ())
        return revocation

    async def list(self, most: int = 100) -> list[Revocation]:
        """The latest revocations, newest first; one of everybody counts once."""
        found: dict[str, Revocation] = {}
        for index in range(self._connection.shards):
            key = Shard(index).key("revocations")
            rows = await self._connection.call(self._connection.redis.xrevrange(key, count=most))
            found.update((fields["revocation"], _revocation_from(fields)) for _, fields in rows)
        return sorted(found.values(), key=lambda revocation: -revocation.at)[:most]

    async def global_epoch(self, subject: str) -> int | None:
        """The global epoch that the sessions of an account are compared with; None when it is missing."""
        key = shard_of_subject(subject, self._connection.shards).key("epoch")
        epoch = await self._connection.call(self._connection.redis.get(key))
        return None if epoch is None else int(epoch)

    async def _one(self, asked: Revocation, entries: Sequence[AuditEntry]) -> Revocation | None:
        shard = shard_of_id(asked.id or "", self._connection.shards)
        subject = await self._run(shard, asked, entries) if shard else None
        return None if subject is None else replace(asked, subject=subject)

    async def _run(
        self, shard: Shard, revocation: Revocation, entries: Sequence[AuditEntry], **more: Any
    ) -> str | None:
        subject: str | None = await self._audit.run(
            "revoke",
            shard,
            entries,
            scope=revocation.scope,
            id=revocation.id,
            subject=revocation.subject,
            now=time_text(revocation.at),
            floor=first_epoch(revocation.at),
            **more,
            entry={"id": revocation.revocation_id, "reason": revocation.reason, "actor": revocation.actor},
        )
        return subject


def _new(
    scope: Scope, record_id: str | None, subject: str | None, *, reason: str, actor: str, at: float
) -> Revocation:
    return Revocation(entropy.identifier(), scope, record_id, subject, reason, actor, at)


def _revocation_from(fields: dict[str, str]) -> Revocation:
    return Revocation(
        revocation_id=fields["revocation"],
        scope=Scope(fields["scope"]),
        id=fields["id"] or None,
        subject=fields["subject"] or None,
        reason=fields["reason"],
        actor=fields["actor"],
        at=float(fields["at"]),
    )
