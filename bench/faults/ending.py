"""Ending what was begun, so that nothing is left over."""

import asyncio
from collections.abc import Iterable


async def end(tasks: Iterable["asyncio.Task[None]"]) -> None:
    """Cancel tasks, and wait until they are done; but not for the one that asks."""
    others = [task for task in tasks if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others, timeout=5)
