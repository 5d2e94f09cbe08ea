"""A cluster's servers behind one client: each command goes to the primary that holds its key's slot.

The client library's own cluster client repeats commands whose answer was lost, and has no connection to
a certain server to WAIT on, so this is ours. It rests on the library's client of one server, and on these
rules:

- A command goes where its first key is, and must keep to that key's slot. What has no key goes to a
  server by name (`primaries`).
- MOVED says where to go instead, and that nothing was done: the command goes there. Every other failure
  is the caller's; it makes us look at the cluster anew before the next command.
- ASK (and TRYAGAIN) says that a slot is being moved key by key. A script would then take what has gone
  already, or has not come yet, for what never was: such a slot is unavailable until it has moved.
- Servers differ in their view of who holds a slot; the claim with the highest epoch is the valid one
  (the cluster specification's rule as well).
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.commands.core import AsyncCoreCommands
from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    ClusterDownError,
    ClusterError,
    MovedError,
    ReadOnlyError,
    RedisError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as NoConnectionError
from redis.exceptions import TimeoutError as NoAnswerError

from gateway.core.store_address import Host
from gateway.store.majority import most_answers

_SLOTS = 16384
_MOST_REDIRECTIONS = 5
_LOOK_SECONDS = 0.1
"""At most once in so long the cluster is looked at, however many commands fail."""

_LOST = (NoConnectionError, NoAnswerError, OSError, TimeoutError, ClusterDownError, ReadOnlyError)
"""What a server that holds a slot no longer, or soon will not, may answer."""

T = TypeVar("T")


class Cluster(Redis):
    """The commands of a client of one server, for a cluster."""

    def __init__(self, client_of: Callable[[Host], Redis], hosts: Sequence[Host]) -> None:
        """`client_of` makes the client of one server; some of them are at `hosts`."""
        super().__init__()  # it connects only when used, which it never is
        self._client_of = client_of
        self._hosts = hosts
        self._known: set[Host] = set(hosts)
        self._clients: dict[Host, Redis] = {}
        self._holders: list[Host | None] = [None] * _SLOTS
        self._is_stale = True
        self._next_look = 0.0
        self._looking: asyncio.Task[None] | None = None

    async def at(self, key: str, work: Callable[[Redis], Awaitable[T]]) -> T:
        """Do what is to be done on the one server that holds a key.

        `work` is done again elsewhere only after MOVED, so that must be its first command's answer.
        """
        slot = key_slot(key.encode())
        for _ in range(_MOST_REDIRECTIONS):
            holder = await self.holder(slot)
            try:
                return await work(self._client(holder))
            except MovedError as moved:
                self._holders[slot] = (moved.host or holder[0], moved.port)
                self.look_again()
            except (AskError, TryAgainError) as error:
                raise ClusterError(f"slot {slot} is being moved to another server") from error
            except _LOST:
                self._is_stale = True
                raise
        raise ClusterError(f"the servers disagree about who holds slot {slot}")

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        async def work(server: Any) -> Any:
            return await server.execute_command(*args, **options)

        return await self.at(key_of(args), work)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Any:  # noqa: ARG002
        """Commands that are sent together, to each server those that it has to do."""
        return ClusterPipeline(self, transaction)

    async def primaries(self) -> dict[Host, list[int]]:
        """All that hold something by now, with their slots. Raises a RedisError."""
        await self._look()
        found: dict[Host, list[int]] = defaultdict(list)
        for slot, holder in enumerate(self._holders):
            if holder is not None:
                found[holder].append(slot)
        return found

    def servers(self) -> list[Redis]:
        """Those that hold something as far as we know, or are named in the settings."""
        hosts = {holder for holder in self._holders if holder is not None} or set(self._hosts)
        return [self._client(host) for host in sorted(hosts)]

    def server(self, host: Host) -> Redis:
        return self._client(host)

    def look_again(self) -> None:
        """Look at the cluster anew before a command soon, as something about it seems to be otherwise."""
        self._is_stale = True
        self._next_look = asyncio.get_running_loop().time() + _LOOK_SECONDS

    async def holder(self, slot: int) -> Host:
        """The server that holds a slot as far as we know."""
        loop = asyncio.get_running_loop()
        if self._is_stale and (loop.time() >= self._next_look or self._holders[slot] is None):
            await self._look()
        holder = self._holders[slot]
        if holder is None:
            self._is_stale = True
            raise ClusterDownError(f"no server holds slot {slot}")
        return holder

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])
        await asyncio.gather(*(client.aclose() for client in self._clients.values()))
        await super().aclose(close_connection_pool)

    def _client(self, host: Host) -> Redis:
        client = self._clients.get(host)
        if client is None:
            client = self._clients[host] = self._client_of(host)
        return client

    async def _look(self) -> None:
        """Look at the cluster; whoever wants that while it is being done waits for the same answer."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._take_the_latest_claims())
        await asyncio.shield(self._looking)

    async def _take_the_latest_claims(self) -> None:
        known = self._known | set(self._hosts)
        views = await most_answers([self._view_of(host) for host in known])
        holders: list[Host | None] = [None] * _SLOTS
        for _, first, last, holder in sorted(claim for claims, _ in views for claim in claims):
            holders[first : last + 1] = [holder] * (last + 1 - first)
        self._holders = holders
        self._known = {host for _, hosts in views for host in hosts}
        self._is_stale = False
        self._next_look = asyncio.get_running_loop().time() + _LOOK_SECONDS
        for gone in self._clients.keys() - self._known - set(self._hosts):
            client = self._clients.pop(gone)
            await client.connection_pool.disconnect(inuse_connections=False)

    async def _view_of(self, host: Host) -> tuple[list[tuple[int, int, int, Host]], set[Host]]:
        """What one server says: who claims which slots with which epoch, and who else there is."""
        client: Any = self._client(host)
        nodes = str(await client.execute_command("CLUSTER", "NODES"))
        ranges: Any = await client.execute_command("CLUSTER", "SLOTS")
        epochs = {words[0]: int(words[6]) for line in nodes.splitlines() if len(words := line.split()) > 7}
        claims: list[tuple[int, int, int, Host]] = []
        hosts: set[Host] = set()
        for first, last, *servers in ranges:
            places = [(str(name or host[0]), int(port)) for name, port, *_ in servers]
            hosts.update(place for place in places if place[0] != "?")
            claims.append((epochs.get(servers[0][2], 0), int(first), int(last), places[0]))
        return claims, hosts


class ClusterPipeline(AsyncCoreCommands):
    """Commands in one go: all of a transaction to one server, others to as many as hold their keys."""

    _event_dispatcher: Any = None  # for subscriptions, of which a pipeline has none

    def __init__(self, cluster: Cluster, transaction: bool) -> None:
        self._cluster = cluster
        self._transaction = transaction
        self._commands: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    async def __aenter__(self) -> "ClusterPipeline":
        return self

    async def __aexit__(self, *_: object) -> None:
        self._commands = []

    def execute_command(self, *args: Any, **options: Any) -> "ClusterPipeline":
        self._commands.append((args, options))
        return self

    async def execute(self) -> list[Any]:
        """The answers, in order. Raises the first failure; what other servers did stands nevertheless."""
        commands, self._commands = self._commands, []
        if self._transaction and commands:
            if len({key_slot(key_of(args).encode()) for args, _ in commands}) > 1:
                raise ClusterError("a transaction keeps to one slot")
            return await self._send(commands)
        by_holder: dict[Host, list[int]] = defaultdict(list)
        for index, (args, _) in enumerate(commands):
            by_holder[await self._cluster.holder(key_slot(key_of(args).encode()))].append(index)
        groups = list(by_holder.values())
        sent = await asyncio.gather(
            *(self._send([commands[index] for index in group]) for group in groups), return_exceptions=True
        )
        answers: list[Any] = [None] * len(commands)
        for group, answered in zip(groups, sent, strict=True):
            if isinstance(answered, BaseException):
                raise answered
            for index, answer in zip(group, answered, strict=True):
                answers[index] = answer
        for index, (args, options) in enumerate(commands):
            if isinstance(answers[index], MovedError):  # it was not done, and its holder is known soon
                answers[index] = await self._cluster.execute_command(*args, **options)
            elif isinstance(answers[index], Exception):
                raise answers[index]
        return answers

    async def _send(self, commands: Sequence[tuple[tuple[Any, ...], dict[str, Any]]]) -> list[Any]:
        async def work(server: Redis) -> list[Any]:
            pipeline = server.pipeline(transaction=self._transaction)
            for args, options in commands:
                pipeline.execute_command(*args, **options)
            answers: list[Any] = await pipeline.execute(raise_on_error=self._transaction)
            for answer in answers:
                if isinstance(answer, _LOST):
                    raise answer
            return answers

        return await self._cluster.at(key_of(commands[0][0]), work)


def key_of(args: Sequence[Any]) -> str:
    """The first key of a command. Raises RedisError for one without."""
    name = str(args[0]).upper()
    position = 1
    if name in {"EVAL", "EVALSHA"}:
        position = 3
    elif name in {"XREAD", "XREADGROUP"}:
        position = [arg in {"STREAMS", b"STREAMS"} for arg in args].index(True) + 1
    elif name in _KEYLESS:
        position = len(args)
    if position >= len(args):
        raise RedisError(f"{name} names no key, so no server of a cluster")
    return str(args[position])


_KEYLESS = {"PING", "INFO", "TIME", "SCAN", "KEYS", "DBSIZE", "WAIT", "FLUSHALL", "SCRIPT LOAD", "ECHO"}
