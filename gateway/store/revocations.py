"""Revocations: what ends by each, whose cost does not depend on how many sessions that are.

The answer comes when no node anywhere accepts what was revoked; `promises` sees to that.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateway.core.ending import Scope
from gateway.store.audit import AuditEntry
from gateway.store.connection import Connection
from gateway.store.factors import Rotation
from gateway.store.keys import Shard, shard_of_id, shard_of_subject
from gateway.store.orders import Order, Revocation
from gateway.store.promises import Promises


@dataclass(frozen=True, slots=True)
class NewPassword:
    """A change of an account's password, as argon2id hashes, in the session that goes on."""

    subject: str
    session_id: str
    was: str
    becomes: str
    rotation: Rotation


class Revocations:
    """Each raises RevocationPending if the store did not answer, and the work goes on."""

    def __init__(self, connection: Connection, promises: Promises) -> None:
        self._connection = connection
        self._promises = promises

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
        return await self._one(
            Order("", Scope.SESSION, session_id, owner, reason, actor, now, entries=tuple(entries))
        )

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
        return await self._one(
            Order("", Scope.DEVICE, device_id, owner, reason, actor, now, entries=tuple(entries))
        )

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
        shard = self._shard(subject)
        order = Order(
            shard.new_id(), Scope.ACCOUNT, None, subject, reason, actor, now, disable, tuple(entries)
        )
        return await self._promises.carry_out(order)

    async def by_new_password(
        self, change: NewPassword, *, actor: str, now: float, entries: Sequence[AuditEntry] = ()
    ) -> Revocation | None:
        """Give an account its new password and end all its sessions but one, together or not at all.

        None when that session ended meanwhile, or the password is not the one that was checked.
        """
        reason = "the password was changed"
        return await self._with_password(
            Order("", Scope.ACCOUNT, None, change.subject, reason, actor, now, entries=tuple(entries)),
            session=change.session_id,
            was=change.was,
            password=change.becomes,
            **change.rotation.arguments(),
        )

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
        return await self._with_password(
            Order("", Scope.ACCOUNT, None, subject, reason, actor, now, entries=tuple(entries)),
            password=hashed,
        )

    async def everybody(
        self, *, reason: str, actor: str, now: float, entries: Sequence[AuditEntry] = ()
    ) -> Revocation:
        """End every session there is: one write for each shard."""
        order = Order(
            Shard(0).new_id(), Scope.EVERYBODY, None, None, reason, actor, now, entries=tuple(entries)
        )
        done = await self._promises.carry_out(order)
        if done is None:
            raise AssertionError("everybody is always there")
        return done

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
        epoch = await self._connection.call(self._connection.redis.get(self._shard(subject).key("epoch")))
        return None if epoch is None else int(epoch)

    async def _one(self, order: Order) -> Revocation | None:
        """End what lies in one shard, which is that of its id."""
        shard = shard_of_id(order.id or "", self._connection.shards)
        if shard is None:
            return None
        return await self._promises.carry_out(replace(order, revocation_id=shard.new_id()))

    async def _with_password(self, order: Order, **change: Any) -> Revocation | None:
        order = replace(order, revocation_id=self._shard(order.subject or "").new_id())
        return await self._promises.carry_out_once(order, **change)

    def _shard(self, subject: str) -> Shard:
        return shard_of_subject(subject, self._connection.shards)


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
