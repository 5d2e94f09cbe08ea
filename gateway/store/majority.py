"""Asking several servers for what each has its own view of, and waiting for no more than most of them."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TypeVar

from gateway.store.failures import FAILURES

T = TypeVar("T")


async def most_answers(asked: Sequence[Awaitable[T]]) -> list[T]:
    """What more than half of them answer, whoever is quickest; or all who answer, where those are fewer.

    One that is stopped or cut off keeps nobody waiting, as long as most are not. Raises what one of them
    failed with, if none answers.
    """
    running = {asyncio.ensure_future(ask) for ask in asked}
    answers: list[T] = []
    failure: BaseException | None = None
    try:
        while running and len(answers) <= len(asked) // 2:
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                failure = one.exception()
                if failure is None:
                    answers.append(one.result())
                elif not isinstance(failure, FAILURES):
                    raise failure
    finally:
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    if not answers and failure is not None:
        raise failure
    return answers
