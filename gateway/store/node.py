"""A running gateway as one of the nodes of its store: it follows the feeds, and renews its leases.

What the answer to a revocation promises rests on this: an entry of the feed is applied, to the cache and to
live connections, before it is acknowledged; a lease counts from before its renewal was sent, once all that
the feed had by then is applied; and where the store's history is not the one that was followed, nothing
counts until what is known to have ended was ended again (`recovery`).
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress

import structlog

from gateway import clock, entropy
from gateway.core.records import Snapshot
from gateway.errors import StoreUnavailable
from gateway.store.confirming import applied_message
from gateway.store.connection import LONGEST_BLOCK, Connection, pairs
from gateway.store.failures import store_errors
from gateway.store.feed import FeedEntry, Position, entries_from
from gateway.store.keys import APPLIED, Shard, shard_of_id
from gateway.store.lease import Renewal
from gateway.store.recovery import Recovery
from gateway.store.standing import Nobody, NodeOptions, Standing, Surroundings
from gateway.store.tasks import end
from gateway.store.wire import Follower

_PAUSE_SECONDS = 0.1
_MOST_AT_ONCE = 1000
_RENEWALS_PER_LEASE = 4

_log = structlog.get_logger("gateway.node")


class Node:
    """`start` makes it one of the nodes. Until then, and in commands, it trusts no memory."""

    def __init__(self, connection: Connection, options: NodeOptions) -> None:
        self.id = entropy.identifier()
        self.options = options
        self.standings = [
            Standing(Shard(index), options, connection.shards) for index in range(connection.shards)
        ]
        self.surroundings: Surroundings = Nobody()
        self._connection = connection
        self._recovery = Recovery(connection)
        self._peers: dict[tuple[int, str], tuple[str, float]] = {}
        self._beats = 0
        self._in_trouble: set[str] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._readers: dict[int, asyncio.Task[None]] = {}

    async def start(self, surroundings: Surroundings) -> None:
        """Join, and follow from now on. A store that does not answer now is joined later."""
        self.surroundings = surroundings
        with suppress(StoreUnavailable):
            await self._renew_all()
        self._tasks = [asyncio.create_task(self._keep_renewing())]
        for group in self._connection.groups():
            self._tasks.append(asyncio.create_task(self._follow(group)))

    async def stop(self) -> None:
        """Leave: nobody waits for this node any more. What it keeps is not to be used afterwards."""
        await self._end_tasks()
        for standing in self.standings:
            standing.distrust()
            if standing.joined:
                with suppress(StoreUnavailable):
                    await self._connection.run("forget_node", standing.shard, node=self.id)

    async def _end_tasks(self) -> None:
        await end(self._tasks)
        await end(self._readers.values())
        self._tasks, self._readers = [], {}

    def standing_of(self, identifier: str) -> Standing | None:
        """Where this node stands in the shard that an id names."""
        shard = shard_of_id(identifier, self._connection.shards)
        return None if shard is None else self.standings[shard.index]

    def lets_pass(self, session_id: str) -> bool:
        """Whether a live connection of this session may go on."""
        standing = self.standings[int(session_id[:2], 16)]  # an id of ours, not one that somebody sent
        return standing.lease.lets_pass(clock.boottime())

    def leases(self) -> tuple[int, int]:
        """How many leases hold now, and how many there should be: none before this is a node."""
        if not self._tasks:
            return 0, 0
        now = clock.boottime()
        return sum(standing.lease.holds(now) for standing in self.standings), len(self.standings)

    async def show_up(self, standing: Standing) -> None:
        """Be one of those that a revoker waits for, before something is read that may be let pass.

        A node that has not joined yet, or said nothing for long, is none. Raises StoreUnavailable where it
        cannot become one; in commands, which let nothing pass, it does nothing.
        """
        if not self._tasks or self._is_waited_for(standing):
            return
        async with standing.renewing:
            if not self._is_waited_for(standing):
                await self._renew(standing)

    def _is_waited_for(self, standing: Standing) -> bool:
        return clock.boottime() < standing.shown_at + self.options.lease + self.options.grace

    async def believe(self, standing: Standing, said_by: str) -> None:
        """Know that what was just read is not behind a revocation that was confirmed before the read began.

        What the primary of now has acknowledged proves nothing of a read from the one before it, which may
        be alone, or be a replica that lags: both have to be of the primary that is named.

        Raises StoreUnavailable where that cannot be told.
        """
        if self.options.prove == 0 or standing.leased_by(said_by, clock.boottime()):
            return
        asked = standing.begun
        async with standing.renewing:
            if standing.proven <= asked:
                await self._renew(standing)
            if standing.proven <= asked:
                raise StoreUnavailable("too few replicas answer to know that this is the primary")
            if standing.proven_on != said_by:
                raise StoreUnavailable("another server is the primary than the one that was asked")

    def contradicts(self, standing: Standing, snapshot: Snapshot, turn: int) -> bool:
        """Whether the store takes back the end of this session. That is told as an alarm, unless something
        came from the feed since `turn`, before the reading: it may have overtaken it.
        """
        if not standing.known.contradicts(snapshot):
            return False
        if standing.near.turn == turn:
            self.surroundings.alarm("a session that is known to have ended came back")
        return True

    # the lease

    async def _keep_renewing(self) -> None:
        while True:
            self.surroundings.leases(*self.leases())
            await asyncio.sleep(self.options.lease / _RENEWALS_PER_LEASE)
            try:
                await self._renew_all()
            except StoreUnavailable as error:
                self._tell_trouble("leases", error)
            except Exception:
                _log.exception("this should not happen")
            else:
                self._tell_trouble("leases", None)

    def _tell_trouble(self, whose: str, error: StoreUnavailable | None) -> None:
        """Log once that a part of the store does not answer, and once that all of it does again."""
        if error is not None and not self._in_trouble:
            _log.warning("the store does not answer: nothing is trusted that is in memory", error=str(error))
        if error is not None:
            self._in_trouble.add(whose)
        elif whose in self._in_trouble:
            self._in_trouble.remove(whose)
            if not self._in_trouble:
                _log.info("the store answers again")

    async def _renew_all(self) -> None:
        outcomes = await asyncio.gather(
            *(self._renew_in_turn(standing) for standing in self.standings), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _renew_in_turn(self, standing: Standing) -> None:
        async with standing.renewing:
            await self._renew(standing)

    async def _renew(self, standing: Standing) -> None:
        """Renew once, and see whether the store is where this node left it. Raises StoreUnavailable."""
        await self._see_to_live(standing)
        standing.begun += 1
        turn, position = standing.begun, standing.position
        self._beats += 1
        sent_at, epoch = clock.boottime(), standing.known.global_epoch
        told, held = await self._connection.run_acknowledged(
            "renew_lease",
            standing.shard,
            replicas=self.options.acknowledge,
            within=min(self.options.lease / _RENEWALS_PER_LEASE, LONGEST_BLOCK),
            apart=True,
            node=self.id,
            seq=position.seq,
            entry=position.entry,
            beat=self._beats,
            waits=self.options.waits,
            replicated=self.options.replicated,
        )
        standing.shown_at = sent_at
        tail, newest, history, global_epoch, nodes, primary = told
        if held >= self.options.acknowledge and standing.acknowledged_on(primary):
            await self._led_elsewhere()
        rises = standing.known.saw_global_epoch(None if global_epoch is None else int(global_epoch), epoch)
        if not standing.joined:
            await self._go_on_from(standing, Position(int(tail), newest))
            await self._see_to_live(standing)
        elif history != "known":
            # This renewal told of it, and brings nothing else: the next one is of the store as it is now.
            await self._recover(standing, history, Position(int(tail), newest), epoch)
            return
        if not rises:
            self.surroundings.alarm("the global epoch is missing, or lower than it was")
            standing.distrust()
            return
        if held >= self.options.prove:
            acknowledged = held >= self.options.acknowledge
            standing.lease.renewed(Renewal(sent_at, Position(int(tail), newest), acknowledged=acknowledged))
            standing.proven, standing.proven_on = turn, primary
        await self._bury(standing, pairs(nodes))

    async def _led_elsewhere(self) -> None:
        """Read nothing more from the primary before: its feed may go on apart from the one of now."""
        _log.warning("another server is the primary")
        for reader in self._readers.values():
            if reader is not asyncio.current_task():
                reader.cancel()
        with store_errors():
            await self._connection.reconnect()

    async def _go_on_from(self, standing: Standing, position: Position) -> None:
        standing.go_on_from(position, await self._recovery.look_back(standing.shard, position))

    async def _recover(self, standing: Standing, history: str, tail: Position, epoch: int) -> None:
        _log.warning("the feed went on without this node", shard=standing.shard.index, history=history)
        standing.distrust()
        if history == "lost":
            self.surroundings.alarm("the store has lost what it told before")
            tail = await self._recovery.repeat(standing, epoch)
        await self._go_on_from(standing, tail)
        await self._see_to_live(standing)

    async def _see_to_live(self, standing: Standing) -> None:
        """Cut what ended while this node was not told. Until that is done, no renewal lets anything pass."""
        if standing.unseen:
            await self._recovery.check_live(standing.shard, self.surroundings)
            standing.unseen = False

    async def _bury(self, standing: Standing, nodes: dict[str, str]) -> None:
        """Forget nodes that said nothing for so long that nobody has to wait for them any more."""
        now = clock.boottime()
        for node, said in nodes.items():
            place = (standing.shard.index, node)
            before = self._peers.get(place)
            if node == self.id or before is None or before[0] != said:
                self._peers[place] = (said, now)
            elif now - before[1] > 2 * float(said.split()[1]):
                _log.warning("a node is gone", node=node)
                await self._connection.run("forget_node", standing.shard, node=node, was=said)
        index = standing.shard.index
        for place in [each for each in self._peers if each[0] == index and each[1] not in nodes]:
            del self._peers[place]

    # the feed

    async def _follow(self, group: Sequence[Shard]) -> None:
        """Have a reader for these shards, and another one when it ends; the last one is left over."""
        pause = _PAUSE_SECONDS
        while True:
            began = clock.boottime()
            reader = self._readers[group[0].index] = asyncio.create_task(self._follow_group(group))
            await asyncio.wait([reader])
            lasted = clock.boottime() - began > LONGEST_BLOCK
            pause = _PAUSE_SECONDS if lasted else min(2 * pause, LONGEST_BLOCK)
            await asyncio.sleep(pause)

    async def _follow_group(self, group: Sequence[Shard]) -> None:
        """Follow for as long as these shards are on one server, and it answers.

        What was applied is acknowledged with the next reading. If that is lost, whoever waits does so until
        the lease is over.
        """
        standings = {shard.key("feed"): self.standings[shard.index] for shard in group}
        feed = next(iter(standings))
        try:
            async with self._connection.following(feed) as wire:
                await self._follow_on(wire, standings, lambda: self._tell_trouble(feed, None))
        except StoreUnavailable as error:
            self._tell_trouble(feed, error)
        except Exception:
            _log.exception("this should not happen")

    async def _follow_on(
        self, wire: Follower, standings: Mapping[str, Standing], answers: Callable[[], None]
    ) -> None:
        applied: list[tuple[str, str]] = []
        while True:
            joined = {key: each.position.entry for key, each in standings.items() if each.joined}
            if not joined:
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            found = await wire.read(joined, block=LONGEST_BLOCK, most=_MOST_AT_ONCE, tells=applied)
            applied = []
            answers()
            for key, rows in found.items():
                if standings[key].position.entry == joined[key]:  # it went on from elsewhere meanwhile
                    applied += await self._apply(standings[key], *entries_from(rows))

    async def _apply(
        self, standing: Standing, entries: Iterable[FeedEntry], all_of_them: bool
    ) -> list[tuple[str, str]]:
        """Apply what came; for each revocation, the channel on which to say so, and what."""
        applied = []
        for entry in entries:
            if not standing.apply(entry, self.surroundings):
                await self._missed(standing)
                break
            if entry.ending is not None and entry.ending.by:
                said = applied_message(standing.shard, entry.ending.revocation_id, self.id)
                applied.append((APPLIED + entry.ending.by, said))
        else:
            if not all_of_them:
                self.surroundings.alarm("the feed has an entry that cannot be read")
                await self._missed(standing)
        return applied

    async def _missed(self, standing: Standing) -> None:
        """An entry is not the next one: find out what happened, and go on from where the feed is."""
        standing.distrust()
        position = standing.position
        async with standing.renewing:
            if standing.position == position:  # no renewal has found it out meanwhile
                await self._renew(standing)
            if standing.position == position:  # the last one is there, and one after it was taken out
                tail = await self._recovery.tail(standing.shard)
                await self._recover(standing, "broken", tail, standing.known.global_epoch)
