"""`watchword run` in a process of its own, with its memory and its log to look at."""

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from support.gateway import PASSWORD, Client, Clock, policy_in

WATCHWORD = str(Path(sys.executable).with_name("watchword"))
START_SECONDS = 60

CONFIG = """
mode: demo
public-scheme: http
listen: {{port: 0}}
admin: {{port: 0}}
store: {{url: "{store}"}}
log: {{level: debug}}
{settings}
"""


class _RealClock(Clock):
    @property
    def now(self) -> float:
        return time.time()

    @now.setter
    def now(self, _: float) -> None: ...


@dataclass
class OwnProcess:
    """`log` grows with what the gateway says on standard error."""

    port: int
    process: asyncio.subprocess.Process
    log: list[str] = field(default_factory=list)

    def client(self) -> Client:
        return Client(self.port, _RealClock(), "localhost")

    def forget_peak_memory(self) -> None:
        """From now on, only what is used from now on counts (proc(5), clear_refs)."""
        with suppress(OSError):  # without it, the peak of the start counts as well
            Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def peak_memory(self) -> int:
        """The most memory that was resident at any time, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@asynccontextmanager
async def own_process(
    folder: Path, upstream: str, store: str, notices: str = ""
) -> AsyncIterator[OwnProcess]:
    """Run a gateway with the policy of `support.gateway` and an account, `ada`, while the block runs.

    `notices` is what the settings say there, in YAML's flow style.
    """
    settings = f"notices: {{{notices}}}"
    async with own_processes(folder, upstream, store, number=1, settings=settings) as (running,):
        yield running


@asynccontextmanager
async def own_processes(
    folder: Path,
    upstream: str,
    store: str,
    *,
    number: int = 4,
    accounts: tuple[str, ...] = ("ada",),
    settings: str = "",
) -> AsyncIterator[list[OwnProcess]]:
    """Run as many gateways on one store; `settings` are further lines of their configuration."""
    config = folder / "gateway.yaml"
    config.write_text(CONFIG.format(store=store, settings=settings))
    policy_in(folder, upstream=upstream)
    for subject in accounts:
        email = ("--email", f"{subject}@example.org")
        await watchword(folder, "user", "add", subject, *email, "--password-stdin", said=PASSWORD)
    async with AsyncExitStack() as stack:
        running = [stack.enter_async_context(another_process(folder)) for _ in range(number)]
        yield list(await asyncio.gather(*running))


@asynccontextmanager
async def another_process(folder: Path) -> AsyncIterator[OwnProcess]:
    """Run one more gateway with the settings that are in `folder` by now."""
    process = await _start("run", "--config", str(folder / "gateway.yaml"))
    running = OwnProcess(0, process)
    following = None
    try:
        async with asyncio.timeout(START_SECONDS):
            running.port = await _port(running)
        following = asyncio.create_task(_follow(running))
        yield running
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()
        if following is not None:
            await following
    assert process.returncode == 0, "".join(running.log)


async def watchword(folder: Path, *arguments: str, said: str = "") -> None:
    """Run a command with the same settings; it must succeed."""
    process = await _start(*arguments, "--config", str(folder / "gateway.yaml"))
    _, complained = await process.communicate(f"{said}\n".encode())
    assert process.returncode == 0, complained.decode()


async def _start(*arguments: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(WATCHWORD, *arguments, stdin=pipe, stderr=pipe)


async def _port(running: OwnProcess) -> int:
    assert running.process.stderr is not None
    async for line in running.process.stderr:
        running.log.append(line.decode())
        with suppress(ValueError):
            entry = json.loads(line)
            if entry["event"] == "listening":
                port: int = entry["port"]
                return port
    raise AssertionError("the gateway did not start: " + "".join(running.log))


async def _follow(running: OwnProcess) -> None:
    assert running.process.stderr is not None
    async for line in running.process.stderr:
        running.log.append(line.decode())
