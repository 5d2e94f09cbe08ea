"""`watchword demo` as a newcomer starts it: a process of its own, that stops when it is told to."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

WATCHWORD = str(Path(sys.executable).with_name("watchword"))
START_SECONDS = 60


@dataclass(frozen=True)
class Demo:
    """What the demo's JSON line says, and its process."""

    gateway: str
    admin: str
    account: str
    password: str
    admin_token: str
    environ: dict[str, str]
    process: asyncio.subprocess.Process


@asynccontextmanager
async def running_demo(*arguments: str) -> AsyncIterator[Demo]:
    """Run a demo on free ports while the block runs; it must then stop by itself, without a complaint."""
    process = await asyncio.create_subprocess_exec(
        *(WATCHWORD, "demo", "--port", "0", "--admin-port", "0", "--json", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_SECONDS):
            line = await process.stdout.readline()
        if not line:
            _, said = await process.communicate()
            raise AssertionError(f"the demo did not start: {said.decode()}")
        ready = json.loads(line)
        assert ready.pop("app") == "exchange"
        yield Demo(**ready, process=process)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        _, said = await process.communicate()
    assert process.returncode == 0, said.decode()
