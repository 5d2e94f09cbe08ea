"""Revocations: one script each, whose cost does not depend on how many sessions end by it.

The answer comes when no node anywhere accepts what was revoked. Where that cannot be brought about at once,
since replicas do not answer or the store does not, the work goes on (`Finisher`) and the answer says so.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import structlog

from gateway import clock
from gateway.core.ending import Scope
from gateway.errors import RevocationPending, StoreUnavailable
from gateway.store.accounts import first_epoch
from gateway.store.audit import Audit, AuditEntry
from gateway.store.confirming import Confirmation, Confirmer, Told, told_from
from gateway.store.connection import Connection, time_text
from gateway.store.factors import Rotation
from gateway.store.journal import Journal, Order
from gateway.store.keys import Shard, shard_of_id, shard_of_subject
from gateway.store.node import Node

_log = structlog.get_logger("gateway.store")

_ACKNOWLEDGED_SECONDS = 1.0
"""How long replicas may take to hold a revocation before its answer is that it is pending."""


@dataclass(frozen=True, slots=True)
class Revocation:
    """What was ended. `id` names a session or device, `subject` the account it belongs to.

    `confirmation` is None for one that is still pending, and in lists.
    """

    revocation_id: str
    scope: Scope
    id: str | None
    subject: str | None
    reason: str
    actor: str
    at: float
    confirmation: Confirmation | None = None


@dataclass(frozen=True, slots=True)
class NewPassword:
    """A change of an account's password, as argon2id hashes, in the session that goes on."""

    subject: str
    session_id: str
    was: str
    becomes: str
    rotation: Rotation


@dataclass(frozen=True, slots=True)
class _Outcome:
    """A revocation that took place, by shard; `held`: enough replicas have it, in all of them."""

    told: tuple[Told, ...]
    held: bool


@dataclass(frozen=True, slots=True)
class _Settling:
    """A confirmation that is being noted."""

    scope: Scope
    subject: str
    confirmation: Confirmation
    task: asyncio.Task[None]


class Revocations:
    """Each raises RevocationPending if the store did not answer, and the work goes on."""

    def __init__(self, connection: Connection, audit: Audit, journal: Journal, node: Node) -> None:
        """`node` is what this process is of the store, or would be."""
        self._connection = connection
        self._audit = audit
        self._journal = journal
        self._options = node.options
        self._confirmer = Confirmer(connection)
        self._settling: dict[str, _Settling] = {}

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
        return await self._promised(order)

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

    async def everybody(self, *, reason: str, actor: str, now: float) -> Revocation:
        """End every session there is: one write for each shard."""
        order = Order(Shard(0).new_id(), Scope.EVERYBODY, None, None, reason, actor, now)
        done = await self._promised(order)
        if done is None:
            raise AssertionError("everybody is always there")
        return done

    async def finish(self, order: Order) -> bool:
        """Carry out again what was promised; whether it is done. Raises StoreUnavailable."""
        began = clock.stopwatch() - max(0.0, clock.now() - order.at)  # since it was asked for
        outcome = await self._carried_out(order)
        if outcome is None:
            self._journal.end(order.revocation_id)
            return True
        if await self._confirmed(order, outcome, began) is None:
            return False
        await asyncio.wait([self._settling[order.revocation_id].task])
        return self._journal.knows(order.revocation_id) is None

    async def status(
        self, revocation_id: str, *, owner: str | None = None
    ) -> tuple[Scope, Confirmation | None] | None:
        """What became of a revocation of the last day; None when none is known by this id.

        With `owner`, only of one of what is that account's.
        """
        shard = shard_of_id(revocation_id, self._connection.shards)
        if shard is None:
            return None
        if (settling := self._settling.get(revocation_id)) is not None:
            return (settling.scope, settling.confirmation) if owner in (None, settling.subject) else None
        if (order := self._journal.knows(revocation_id)) is not None:
            return (order.scope, None) if owner in (None, order.subject) else None
        key = shard.key("revocation", revocation_id)
        row = await self._connection.call(self._connection.redis.hgetall(key))
        if not row or owner not in (None, row["subject"]):
            return None
        if "nodes" not in row:
            return Scope(row["scope"]), None
        confirmation = Confirmation(int(row["nodes"]), int(row["silent"]), float(row["elapsed_ms"]))
        return Scope(row["scope"]), confirmation

    async def settled(self) -> None:
        """Wait until all that is confirmed is noted as such."""
        if self._settling:
            await asyncio.wait([each.task for each in self._settling.values()])

    async def run(self, script: str, order: Order, **arguments: Any) -> bool:
        """Run a script of another part that revokes what `order` says on the way, and wait until that is
        confirmed, or leave it to be finished; False when it did nothing.
        """
        began, shard = clock.stopwatch(), self._shard(order.subject or "")
        answer, held = await self._audit.run_acknowledged(
            script,
            shard,
            order.entries,
            replicas=self._options.acknowledge,
            within=_ACKNOWLEDGED_SECONDS,
            scope=order.scope,
            now=time_text(order.at),
            floor=first_epoch(order.at),
            entry={"id": order.revocation_id, "reason": order.reason, "actor": order.actor},
            **arguments,
        )
        if answer is None:
            return False
        told = told_from(shard, order.revocation_id, answer)
        await self._see_through(order, _Outcome((told,), held=held >= self._options.acknowledge), began)
        return True

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
        return None if shard is None else await self._promised(replace(order, revocation_id=shard.new_id()))

    async def _promised(self, order: Order) -> Revocation | None:
        """Promise it on disk while it takes place, and wait until it is confirmed; None for no such thing."""
        began = clock.stopwatch()
        promised = False
        promising = asyncio.create_task(asyncio.to_thread(self._journal.begin, order))
        try:
            try:
                outcome = await self._carried_out(order)
            finally:
                promised = await _done_well(promising)
            confirmation = None if outcome is None else await self._confirmed(order, outcome, began)
            if outcome is None:
                self._journal.end(order.revocation_id)
        except StoreUnavailable as error:
            if not promised:
                raise
            raise RevocationPending(str(error), order.revocation_id, order.scope) from error
        finally:
            if order.revocation_id not in self._settling:
                self._journal.put_down(order.revocation_id)
        return None if outcome is None else _done(order, outcome, confirmation)

    async def _with_password(self, order: Order, **change: Any) -> Revocation | None:
        """What changes a password is not promised on disk: hashes stay in the store. It happens or not."""
        began = clock.stopwatch()
        order = replace(order, revocation_id=self._shard(order.subject or "").new_id())
        outcome = await self._carried_out(order, **change)
        if outcome is None:
            return None
        return _done(order, outcome, await self._see_through(order, outcome, began))

    async def _see_through(self, order: Order, outcome: _Outcome, began: float) -> Confirmation | None:
        """Wait until what took place is confirmed; where that cannot be yet, promise it from now on."""
        confirmation = await self._confirmed(order, outcome, began)
        if confirmation is None:
            await asyncio.to_thread(self._journal.begin, replace(order, entries=()))
            self._journal.put_down(order.revocation_id)
        return confirmation

    async def _carried_out(self, order: Order, **more: Any) -> _Outcome | None:
        """Run the script wherever it belongs. None for no such thing."""
        outcomes = await asyncio.gather(*(self._run(shard, order, **more) for shard in self._shards(order)))
        told = tuple(each for each, _ in outcomes if each is not None)
        return _Outcome(told, held=all(held for _, held in outcomes)) if told else None

    def _shards(self, order: Order) -> Sequence[Shard]:
        if order.scope is Scope.EVERYBODY:
            return [Shard(index) for index in range(self._connection.shards)]
        shard = shard_of_id(order.revocation_id, self._connection.shards)
        return [] if shard is None else [shard]

    async def _run(self, shard: Shard, order: Order, **more: Any) -> tuple[Told | None, bool]:
        # One of everybody takes a step in each shard, and is told once.
        tells = order.scope is not Scope.EVERYBODY or shard.index == 0
        answer, held = await self._audit.run_acknowledged(
            "revoke",
            shard,
            order.entries,
            replicas=self._options.acknowledge,
            within=_ACKNOWLEDGED_SECONDS,
            events=self._audit.events(shard, order.actor) if tells else None,
            scope=order.scope,
            id=order.id,
            subject=order.subject,
            now=time_text(order.at),
            floor=first_epoch(order.at),
            disable=order.disable or None,
            **more,
            entry={"id": order.revocation_id, "reason": order.reason, "actor": order.actor},
        )
        told = None if answer is None else told_from(shard, order.revocation_id, answer)
        return told, held >= self._options.acknowledge

    async def _confirmed(self, order: Order, outcome: _Outcome, began: float) -> Confirmation | None:
        """Wait for every node. None where too few replicas hold it: then nothing is certain yet."""
        if not outcome.held:
            return None
        nodes, silent = await self._confirmer.wait(outcome.told)
        confirmation = Confirmation(nodes, silent, round((clock.stopwatch() - began) * 1000, 3))
        settling = asyncio.create_task(self._settle(order, outcome.told[0], confirmation))
        subject = outcome.told[0].subject
        self._settling[order.revocation_id] = _Settling(order.scope, subject, confirmation, settling)
        settling.add_done_callback(lambda _: self._settling.pop(order.revocation_id, None))
        return confirmation

    async def _settle(self, order: Order, told: Told, confirmation: Confirmation) -> None:
        """Note that it is confirmed, for whoever asks later; nobody waits for that.

        Where that fails it stays promised, or its status would say pending for good.
        """
        try:
            await self._connection.run(
                "settle_revocation", told.shard, revocation=told.revocation_id, **asdict(confirmation)
            )
        except StoreUnavailable:
            if self._journal.knows(order.revocation_id) is None:
                await asyncio.to_thread(self._journal.begin, replace(order, entries=()))
            self._journal.put_down(order.revocation_id)
        else:
            self._journal.end(order.revocation_id)

    def _shard(self, subject: str) -> Shard:
        return shard_of_subject(subject, self._connection.shards)


async def _done_well(promising: "asyncio.Task[None]") -> bool:
    """Whether a promise is on the disk. Where the disk fails, what takes place at once needs none."""
    try:
        await promising
    except OSError as error:
        _log.error("the journal cannot be written", error=str(error))
        return False
    return True


def _done(order: Order, outcome: _Outcome, confirmation: Confirmation | None) -> Revocation:
    return Revocation(
        order.revocation_id,
        order.scope,
        order.id,
        outcome.told[0].subject or None,
        order.reason,
        order.actor,
        order.at,
        confirmation,
    )


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
