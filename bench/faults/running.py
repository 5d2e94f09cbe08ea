"""One run: a world, a fault in it, and what is written down."""

import asyncio
import random
import shutil
import tempfile
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from bench.faults.faults import FAULTS
from bench.faults.history import History
from bench.faults.world import Plan, World

LONGEST_RUN = 150.0
"""Seconds: whatever hangs is ended then, and is a failure."""

_SETTLING_SECONDS = 40.0


async def run(fault: str, seed: int, *, small: bool = False, logs: Path | None = None) -> History:
    """Inject a fault, and tell what was asked and answered meanwhile. Nothing of it is left over.

    `small`: two gateways if they suffice, and few requests. `logs` is a folder for what the processes said.
    """
    plans = FAULTS[fault].plans
    plan = plans[0] if small else plans[seed % len(plans)]
    if small:
        plan = replace(plan, clients=3, pause=0.08, accounts=8)
    with tempfile.TemporaryDirectory(prefix="ww-faults-") as folder:
        try:
            async with asyncio.timeout(LONGEST_RUN):
                return await _run(fault, seed, plan, Path(folder))
        finally:
            if logs is not None:
                logs.mkdir(parents=True, exist_ok=True)
                for log in Path(folder).glob("*.log"):
                    shutil.copy(log, logs)


async def _run(fault: str, seed: int, plan: Plan, folder: Path) -> History:
    world = World(plan, random.Random(f"{fault} {seed}"), folder)
    async with AsyncExitStack() as stack:
        await world.start(stack)
        people = world.people
        async with people.at_work(plan.clients, plan.pause):
            await people.all_signed_in()
            await asyncio.sleep(0.5)
            await FAULTS[fault].strike(world)
            world.mend()
            await world.healthy()
            await asyncio.sleep(1.0)
            people.stop_revoking()
            await people.settled(_SETTLING_SECONDS)
            await people.all_signed_in()
        await people.look_around()
        return world.history(fault, seed)
    raise AssertionError("a stack swallowed an error")
