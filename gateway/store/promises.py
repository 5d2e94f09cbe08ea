"""Seeing orders through: promised on disk, carried out in one script a shard, and confirmed by every node.

Where the confirmation cannot be had at once, since replicas do not answer or the store does not, the work
goes on (`Finisher`) and whoever asked is told that it is pending.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import structlog

from gateway import clock
from gateway.core.ending import Scope
from gateway.errors import RevocationPending, StoreUnavailable
from gateway.store.accounts import first_epoch
from gateway.store.audit import Audit
from gateway.store.confirming import Confirmation, Confirmer, Told, told_from
from gateway.store.connection import Connection, time_text
from gateway.store.failures import store_errors
from gateway.store.journal import Journal
from gateway.store.keys import Shard, shard_of_id, shard_of_subject
from gateway.store.node import Node
from gateway.store.orders import Order, Revocation

_log = structlog.get_logger("gateway.store")

_ACKNOWLEDGED_SECONDS = 1.0
"""How long replicas may take to hold a revocation before its answer is that it is pending."""

_LATE_SECONDS = 120.0
"""How long a step may still take place that the store did not answer to: what was sent is on its way, also
where nobody waits for it any more, until the system gives up sending it again (Linux, tcp_orphan_retries).
"""


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


class Promises:
    def __init__(
        self, connection: Connection, audit: Audit, journal: Journal, node: Node, *, timeout: float
    ) -> None:
        """`node` is what this process is of the store, or would be; `timeout` is how many seconds an answer
        of the store may take.
        """
        self._connection = connection
        self._audit = audit
        self._journal = journal
        self._options = node.options
        # The server's answer that too few replicas hold it must come before we give up on the server.
        self._within = min(_ACKNOWLEDGED_SECONDS, timeout / 2)
        self._confirmer = Confirmer(connection, node.options.waits)
        self._settling: dict[str, _Settling] = {}
        self._comes_until: dict[str, float] = {}  # (stopwatch) what cannot be repeated, and is not there

    async def carry_out(self, order: Order) -> Revocation | None:
        """Promise it on disk while it takes place, and wait until it is confirmed; None for no such thing.

        Raises RevocationPending if the store did not answer, and the work goes on.
        """
        return await self._see_through(order, self._carried_out(order))

    async def carry_out_once(self, order: Order, **change: Any) -> Revocation | None:
        """The same, with a change that is not promised on disk, such as a new password: hashes stay in the
        store. It takes place or not. Raises StoreUnavailable if the store did not answer: then whether it
        took place cannot be told, and if it did, its revocation is confirmed later.
        """
        return await self._see_through(_once_it_took_place(order), self._carried_out(order, **change))

    async def run(self, script: str, order: Order, **arguments: Any) -> bool:
        """The same for a script of another part, which revokes what `order` says on the way; False when it
        did nothing. Raises StoreUnavailable.
        """
        return (
            await self._see_through(_once_it_took_place(order), self._ran(script, order, **arguments))
            is not None
        )

    async def finish(self, order: Order) -> bool:
        """Carry out again what was promised; whether it is done. Raises StoreUnavailable."""
        if order.confirmation is not None:
            await self._note(order, order.confirmation)
            return True
        began = clock.stopwatch() - max(0.0, clock.now() - order.at)  # since it was asked for
        outcome = await self._carried_out(order, known=order.took_place or None)
        if outcome is None:
            if order.took_place and self._may_come(order.revocation_id):
                return False
            await self._end(order)
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
        if (order := await asyncio.to_thread(self._journal.finds, revocation_id)) is not None:
            return (order.scope, order.confirmation) if owner in (None, order.subject) else None
        key = shard.key("revocation", revocation_id)
        row = await self._connection.call(self._connection.redis.hgetall(key))
        if not row or owner not in (None, row["subject"]):
            return None
        if "nodes" not in row:
            return Scope(row["scope"]), None
        confirmation = Confirmation(int(row["nodes"]), int(row["silent"]), float(row["elapsed_ms"]))
        return Scope(row["scope"]), confirmation

    async def close(self) -> None:
        """Wait until all is noted, and hear no node any more."""
        await self.settled()
        await self._confirmer.close()

    async def are_confirmed(self, revocation_ids: Sequence[str]) -> list[bool | None]:
        """Whether each of these is confirmed, as `status` tells it, in one round trip; None where none is
        known by that id. Raises StoreUnavailable.
        """
        # What is to be noted is looked for first: what was noted meanwhile is then found in the store.
        told: list[bool | None] = [self._is_to_be_noted(each) or None for each in revocation_ids]
        asked: list[int] = []
        with store_errors():
            pipeline = self._connection.redis.pipeline(transaction=False)
            for index, revocation_id in enumerate(revocation_ids):
                shard = shard_of_id(revocation_id, self._connection.shards)
                if told[index] is None and shard is not None:
                    pipeline.hmget(shard.key("revocation", revocation_id), "scope", "nodes")
                    asked.append(index)
            rows = await pipeline.execute()
        for index, (scope, nodes) in zip(asked, rows, strict=True):
            told[index] = None if scope is None else nodes is not None
        return told

    def _is_to_be_noted(self, revocation_id: str) -> bool:
        """Whether this process has told that it is confirmed, and the store does not know yet."""
        order = self._journal.knows(revocation_id)
        return revocation_id in self._settling or (order is not None and order.confirmation is not None)

    async def settled(self) -> None:
        """Wait until all that is confirmed is noted as such."""
        if self._settling:
            await asyncio.wait([each.task for each in self._settling.values()])

    async def _see_through(self, promise: Order, step: Awaitable[_Outcome | None]) -> Revocation | None:
        """Promise it on disk while the step is taken, and wait until what that revoked is confirmed.

        Where that cannot be yet, or nobody waits any more, it is left to be finished.
        """
        began = clock.stopwatch()
        promised = False
        promising = asyncio.wrap_future(self._journal.promise(promise))
        try:
            try:
                outcome = await step
            finally:
                promised = await _done_well(promising)
            if outcome is None:
                self._journal.end(promise.revocation_id)
                return None
            if (confirmation := await self._confirmed(promise, outcome, began)) is None:
                self._comes_until[promise.revocation_id] = began  # should it be lost now, it stays so
            return _done(promise, outcome, confirmation)
        except StoreUnavailable as error:
            if promise.took_place:  # if it did: who finishes it finds out
                raise
            if not promised:
                self._journal.end(promise.revocation_id)
                raise
            raise RevocationPending(str(error), promise.revocation_id, promise.scope) from error
        finally:
            if promise.revocation_id not in self._settling:
                self._journal.put_down(promise.revocation_id)

    async def _carried_out(self, order: Order, **more: Any) -> _Outcome | None:
        """Run the script wherever it belongs. None for no such thing."""
        more["by"] = await self._confirmer.listen()
        outcomes = await asyncio.gather(*(self._run(shard, order, **more) for shard in self._shards(order)))
        told = tuple(each for each, _ in outcomes if each is not None)
        return _Outcome(told, held=all(held for _, held in outcomes)) if told else None

    def _shards(self, order: Order) -> Sequence[Shard]:
        if order.scope is Scope.EVERYBODY:
            return [Shard(index) for index in range(self._connection.shards)]
        shard = shard_of_id(order.revocation_id, self._connection.shards)
        return [] if shard is None else [shard]

    async def _run(self, shard: Shard, order: Order, **more: Any) -> tuple[Told | None, bool]:
        # One of everybody takes a step in each shard, and is told once; it is on record once, where the audit
        # stream has what is about no account.
        everybody = order.scope is Scope.EVERYBODY
        tells = not everybody or shard.index == 0
        records = not everybody or shard == shard_of_subject("", self._connection.shards)
        return await self._step(
            "revoke",
            shard,
            order if records else replace(order, entries=()),
            events=self._audit.events(shard, order.actor) if tells else None,
            id=order.id,
            subject=order.subject,
            disable=order.disable or None,
            **more,
        )

    async def _ran(self, script: str, order: Order, **arguments: Any) -> _Outcome | None:
        (shard,) = self._shards(order)
        by = await self._confirmer.listen()
        told, held = await self._step(script, shard, order, by=by, **arguments)
        return None if told is None else _Outcome((told,), held)

    async def _step(
        self, script: str, shard: Shard, order: Order, **arguments: Any
    ) -> tuple[Told | None, bool]:
        """Run a script that revokes what `order` says; what it told, and whether enough replicas hold it."""
        answer, held = await self._audit.run_acknowledged(
            script,
            shard,
            order.entries,
            replicas=self._options.acknowledge,
            within=self._within,
            scope=order.scope,
            now=time_text(order.at),
            floor=first_epoch(order.at),
            entry={"id": order.revocation_id, "reason": order.reason, "actor": order.actor},
            **arguments,
        )
        told = None if answer is None else told_from(shard, order.revocation_id, answer)
        return told, held >= self._options.acknowledge

    async def _confirmed(self, order: Order, outcome: _Outcome, began: float) -> Confirmation | None:
        """Wait for every node. None where too few replicas hold it: then nothing is certain yet."""
        if not outcome.held:
            return None
        nodes, silent = await self._confirmer.wait(outcome.told)
        confirmation = Confirmation(nodes, silent, round((clock.stopwatch() - began) * 1000, 3))
        subject = outcome.told[0].subject
        settling = asyncio.create_task(self._settle(replace(order, subject=subject), confirmation))
        self._settling[order.revocation_id] = _Settling(order.scope, subject, confirmation, settling)
        settling.add_done_callback(lambda _: self._settling.pop(order.revocation_id, None))
        return confirmation

    async def _settle(self, order: Order, confirmation: Confirmation) -> None:
        """Note that it is confirmed, for whoever asks later; nobody waits for that.

        Where that fails it is promised to be noted, or its status would say something else later.
        """
        try:
            await self._note(order, confirmation)
        except StoreUnavailable:
            confirmed = replace(order, entries=(), confirmation=confirmation)
            await _done_well(asyncio.wrap_future(self._journal.promise(confirmed)))
            self._journal.put_down(order.revocation_id)

    async def _note(self, order: Order, confirmation: Confirmation) -> None:
        shard = shard_of_id(order.revocation_id, self._connection.shards)
        if shard is not None:
            await self._connection.run(
                "settle_revocation", shard, revocation=order.revocation_id, **asdict(confirmation)
            )
        await self._end(order)

    def _may_come(self, revocation_id: str) -> bool:
        """Whether a step that the store knows nothing of may still take place."""
        now = clock.stopwatch()
        return now < self._comes_until.setdefault(revocation_id, now + _LATE_SECONDS)

    async def _end(self, order: Order) -> None:
        self._comes_until.pop(order.revocation_id, None)
        await asyncio.wrap_future(self._journal.end(order.revocation_id))


def _once_it_took_place(order: Order) -> Order:
    """What is promised of an order whose step cannot be repeated: what went on record did so with that."""
    return replace(order, took_place=True, entries=())


async def _done_well(promising: Awaitable[None]) -> bool:
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
