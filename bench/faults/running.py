"""One run: a world, one fault after the other in it, and what is written down."""

import asyncio
import random
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from bench.faults.faults import FAULTS
from bench.faults.history import History
from bench.faults.world import Plan, World

LONGEST_RUN = 150.0
"""Seconds: whatever hangs is ended then, and is a failure."""

_SETTLING_SECONDS = 40.0


async def run(
    faults: Sequence[str],
    seed: int,
    plan: Plan,
    *,
    logs: Path | None = None,
    longest: float = LONGEST_RUN,
) -> History:
    """Inject faults, and tell what was asked and answered meanwhile. Nothing of it is left over.

    `logs` is a folder for what the processes said.
    """
    with tempfile.TemporaryDirectory(prefix="ww-faults-") as folder:
        try:
            async with asyncio.timeout(longest):
                return await _run(faults, seed, plan, Path(folder))
        finally:
            if logs is not None:
                logs.mkdir(parents=True, exist_ok=True)
                for log in Path(folder).glob("*.log"):
                    shutil.copy(log, logs)


async def _run(faults: Sequence[str], seed: int, plan: Plan, folder: Path) -> History:
    name = " ".join(faults)
    world = World(plan, random.Random(f"{name} {seed}"), folder)
    async with AsyncExitStack() as stack:
        await world.start(stack)
        people = world.people
        async with people.at_work(plan.clients, plan.pause):
            await people.all_signed_in()
            await asyncio.sleep(0.5)
            for fault in faults:
                await FAULTS[fault].strike(world)
                world.mend()
                await world.healthy()
            await asyncio.sleep(1.0)
            people.stop_revoking()
            await people.settled(_SETTLING_SECONDS)
            await people.all_signed_in()
        await people.look_around()
        return world.history(name, seed)
    raise AssertionError("a stack swallowed an error")
