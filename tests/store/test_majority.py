"""Most answers are enough, and nobody who is silent is waited for."""

import asyncio
from collections.abc import Sequence

import pytest
from redis.exceptions import ConnectionError as NoConnectionError

from gateway.store.majority import most_answers


async def answering(answer: str) -> str:
    return answer


async def failing(error: Exception) -> str:
    raise error


async def silent() -> str:
    await asyncio.Event().wait()
    return ""


LOST = NoConnectionError("gone")


@pytest.mark.parametrize(
    ("asked", "fewest"),
    [
        ([answering("a")], 1),
        ([answering("a"), answering("b"), silent()], 2),
        ([silent(), answering("a"), failing(LOST), answering("b"), answering("c")], 3),
        ([answering("a"), failing(LOST), failing(OSError()), failing(TimeoutError())], 1),
    ],
)
async def test_most_or_all_who_answer(asked: Sequence[object], fewest: int) -> None:
    answers = await most_answers(asked)  # type: ignore[arg-type]
    assert len(answers) >= fewest
    assert set(answers) <= {"a", "b", "c"}


async def test_nobody_s_answer_is_a_failure() -> None:
    with pytest.raises(NoConnectionError, match="gone"):
        await most_answers([failing(LOST), failing(LOST)])


async def test_what_is_ours_to_mend_is_not_hidden_and_nothing_runs_on() -> None:
    stays = asyncio.ensure_future(silent())
    with pytest.raises(ValueError, match="ours"):
        await most_answers([failing(ValueError("ours")), stays])
    assert stays.cancelled()
