"""The machine: one core for the proxy, the other for all the rest; processes that end with the block."""

import asyncio
import os
import resource
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

PROXY_CORE = 0
LOAD_CORE = 1
START_SECONDS = 30.0
END_SECONDS = 15.0
POLL_SECONDS = 0.02


class NotMeasurable(Exception):
    """This machine lacks what the benchmark needs, or what was measured did not work; it says what."""


def check_cores() -> None:
    """Raises NotMeasurable where there are not two cores to keep the proxy and its load apart."""
    if not {PROXY_CORE, LOAD_CORE} <= os.sched_getaffinity(0):
        raise NotMeasurable("the benchmark needs two processor cores: one for the proxy, one for the load")


def allow_many_connections() -> None:
    """As many open files for us, and for what we start, as the system lets us have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def running(
    *command: str | Path, core: int, log: Path, environment: Mapping[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process on a core, until the block ends. What it says goes to `log`."""
    with log.open("ab") as said:
        process = await asyncio.create_subprocess_exec(
            *("taskset", "--cpu-list", str(core), *map(str, command)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env={**os.environ, **(environment or {})},
            start_new_session=True,  # Ctrl-C is for us; we end what we started
        )
    try:
        yield process
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), END_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()


async def accepting(port: int, process: asyncio.subprocess.Process, log: Path) -> None:
    """Wait until somebody accepts connections. Raises NotMeasurable with what the process said otherwise."""
    with suppress(TimeoutError):
        async with asyncio.timeout(START_SECONDS):
            while process.returncode is None:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(POLL_SECONDS)
                else:
                    writer.close()
                    return
    raise NotMeasurable(f"{log.stem} did not start:\n{log.read_text(errors='replace')[-2000:]}")


def tree(pid: int) -> list[int]:
    """A process and all that it started, as far as they run."""
    found = [pid]
    for each in found:
        with suppress(OSError):
            for task in Path(f"/proc/{each}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def resident(pids: Sequence[int]) -> int:
    """Bytes of memory that processes have to themselves or share, counted as the system does (RSS)."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return total


class CoreUse:
    """How busy a core has been since this was made, 0 to 1: whether the proxy or its load was the limit."""

    def __init__(self, core: int) -> None:
        self._core = core
        self._before = self._times()

    def share(self) -> float:
        busy, total = (now - before for now, before in zip(self._times(), self._before, strict=True))
        return busy / total if total else 0.0

    def _times(self) -> tuple[int, int]:
        lines = Path("/proc/stat").read_text().splitlines()
        line = next(line for line in lines if line.startswith(f"cpu{self._core} "))
        ticks = [int(each) for each in line.split()[1:9]]
        return sum(ticks) - ticks[3] - ticks[4], sum(ticks)
