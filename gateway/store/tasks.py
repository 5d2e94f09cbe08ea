"""Ending tasks that talk to the store."""

import asyncio
from collections.abc import Collection

_AGAIN_SECONDS = 0.05


async def end(tasks: Collection["asyncio.Task[None]"]) -> None:
    """Cancel tasks and wait until they are over.

    Again and again, if need be: a cancellation that comes together with an answer gets lost in the client
    library, and the task would go on with what it had asked for.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_AGAIN_SECONDS)
