"""The processes of the store, and those of gateways."""

import asyncio
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from bench.faults.calling import Caller
from gateway.store.embedded import server_binary

PATIENCE = 60.0
"""Seconds until a process has come up, or ended. Slow machines are no defect."""

_PORTS = range(20_000, 30_000)

_LIBFAKETIME = (
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
)


NO_LIBFAKETIME = "no libfaketime found: install it (Debian: apt install libfaketime)"


class DidNotStart(Exception):
    """A process of the harness did not come up, so nothing can be said."""


def free_port() -> int:
    """A port that nobody listens on. It stays free while its process is down: clients get others."""
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@dataclass
class Process:
    """A process that is started again and again, with its output in a file."""

    log: Path
    process: subprocess.Popen[bytes] | None = None

    def _spawn(self, command: list[str], environ: Mapping[str, str]) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def send(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def pause(self) -> None:
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        self.send(signal.SIGCONT)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        if self.process is not None:
            self.process.wait(PATIENCE)

    async def stop(self) -> None:
        """End it as an operator would; kill it if it does not."""
        self.resume()
        self.send(signal.SIGTERM)
        if self.process is not None:
            try:
                await asyncio.to_thread(self.process.wait, PATIENCE)
            finally:
                self.kill()


@dataclass
class Server(Process):
    """A server of the store, primary or replica, on its own append-only file in `folder`."""

    folder: Path = field(kw_only=True)
    port: int = field(default_factory=free_port)

    async def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self._spawn(
            [
                str(server_binary()),
                *("--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder)),
                *("--appendonly", "yes", "--appendfsync", "always", "--save", ""),
                *("--maxmemory-policy", "noeviction", "--repl-diskless-sync-delay", "0"),
                *("--repl-ping-replica-period", "1", "--repl-timeout", "4"),
            ],
            os.environ,
        )
        async with self.client() as client:
            for _ in range(int(PATIENCE / 0.05)):
                if not self.runs:
                    break
                try:
                    await client.ping()
                except (RedisError, OSError):
                    await asyncio.sleep(0.05)
                else:
                    return
        raise DidNotStart(f"a server of the store: see {self.log}")

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Redis]:
        """A way to it that no fault is on."""
        redis = Redis(port=self.port, decode_responses=True, socket_timeout=20)
        try:
            yield redis
        finally:
            await redis.aclose()

    async def follow(self, port: int) -> None:
        """Become a replica of the server that is reached there."""
        async with self.client() as client:
            await client.replicaof("127.0.0.1", port)  # type: ignore[no-untyped-call]

    async def lead(self) -> None:
        async with self.client() as client:
            await client.replicaof("NO", "ONE")  # type: ignore[no-untyped-call]

    async def synchronised(self) -> None:
        """Wait until a replica follows, and its primary counts on it, which is later. Raises DidNotStart."""
        async with self.client() as client:
            for _ in range(int(PATIENCE / 0.05)):
                said = await client.info("replication")
                if said.get("master_link_status") == "up" and await self._counted_on(said["master_port"]):
                    return
                await asyncio.sleep(0.05)
        raise DidNotStart(f"a replica does not follow: see {self.log}")

    async def _counted_on(self, primary: int) -> bool:
        async with Redis(port=primary, decode_responses=True, socket_timeout=20) as redis:
            said = await redis.info("replication")
        replicas = (said[f"slave{number}"] for number in range(said["connected_slaves"]))
        return any(int(each["port"]) == self.port and each["state"] == "online" for each in replicas)

    async def has_all_of(self, primary: "Server") -> None:
        """Wait until a replica has what its primary had when this was asked. Raises DidNotStart."""
        everything = await primary.offset()
        for _ in range(int(PATIENCE / 0.05)):
            if await self.offset() >= everything:
                return
            await asyncio.sleep(0.05)
        raise DidNotStart(f"a replica does not catch up: see {self.log}")

    async def offset(self) -> int:
        """How far it is in the stream of changes."""
        async with self.client() as client:
            said = await client.info("replication")
            return int(said.get("slave_repl_offset", said["master_repl_offset"]))

    def keep(self, place: Path) -> None:
        """A copy of its files, while it does not run."""
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.folder, place)

    def put_back(self, place: Path) -> None:
        shutil.rmtree(self.folder)
        shutil.copytree(place, self.folder)


@dataclass
class Gateway(Process):
    """`watchword run`, on the same ports each time. `clock` is the file that says how wrong its clock is."""

    config: Path = field(kw_only=True)
    clock: Path | None = None
    port: int = field(default_factory=free_port)
    admin_port: int = field(default_factory=free_port)

    async def start(self) -> None:
        environ = {
            **os.environ,
            "WATCHWORD_LISTEN__PORT": str(self.port),
            "WATCHWORD_ADMIN__PORT": str(self.admin_port),
            **(_wrong_clock(self.clock) if self.clock else {}),
        }
        watchword = str(Path(sys.executable).with_name("watchword"))
        self._spawn([watchword, "run", "--config", str(self.config)], environ)
        for _ in range(int(PATIENCE / 0.05)):
            if not self.runs:
                break
            async with Caller(self.admin_port) as caller:
                if (await caller.call("GET", "/healthz", within=2.0)).status == 200:
                    return
            await asyncio.sleep(0.05)
        raise DidNotStart(f"a gateway: see {self.log}")

    async def restart(self) -> None:
        """Start it as a supervisor would: again and again until it stays, since its store may be away."""
        for _ in range(30):
            try:
                await self.start()
            except DidNotStart:
                self.kill()
                await asyncio.sleep(0.5)
            else:
                return
        raise DidNotStart(f"a gateway, 30 times: see {self.log}")


def find_libfaketime() -> str | None:
    """The path of the library that lies about the time to one process, or None."""
    return next((path for path in _LIBFAKETIME if Path(path).exists()), None)


def move_clock(file: Path, seconds: int) -> None:
    """Let the wall clock of whoever reads this file be wrong by so much."""
    new = file.with_suffix(".new")
    new.write_text(f"{seconds:+d}")
    new.replace(file)


def _wrong_clock(file: Path) -> Mapping[str, str]:
    library = find_libfaketime()
    if library is None:
        raise DidNotStart(NO_LIBFAKETIME)
    return {
        "LD_PRELOAD": library,
        "FAKETIME_TIMESTAMP_FILE": str(file),
        # The wall clock only: a step of it moves neither CLOCK_MONOTONIC nor CLOCK_BOOTTIME.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_RESET": "1",
        "FAKETIME_CACHE_DURATION": "1",
    }
