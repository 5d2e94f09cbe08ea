import asyncio
from contextlib import suppress

from gateway.store.tasks import end


async def test_a_task_that_loses_a_cancellation_ends_all_the_same() -> None:
    async def stubborn() -> None:
        for _ in range(3):
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await end([task])
    assert task.done()


async def test_nothing_ends_at_once() -> None:
    await end([])
