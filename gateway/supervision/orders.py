"""What a supervisor says to a worker: one word a line over a pipe, in the order in which it was said.

reload        take up the policies on disk
cover 0,2     accept connections of these slots too, whose own workers are away; of no others
retire        another worker has this slot: accept nothing more, answer what is here, and end

A pipe and not signals, because a line that comes while a worker starts waits for it, and because a pipe has
an end: when the supervisor is gone, however it went, every worker learns of it and ends too.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Literal

RELOAD = b"reload\n"
RETIRE = b"retire\n"


@dataclass(frozen=True, slots=True)
class Order:
    """`slots` are those to cover."""

    word: Literal["reload", "cover", "retire"]
    slots: frozenset[int] = frozenset()


def cover(slots: Iterable[int]) -> bytes:
    return f"cover {','.join(map(str, sorted(slots)))}\n".encode()


async def orders_from(descriptor: int) -> AsyncIterator[Order]:
    """Each order as it comes, until there is nobody who could give one."""
    reader = asyncio.StreamReader()
    pipe = os.fdopen(descriptor, "rb", buffering=0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    try:
        async for line in reader:
            match line.decode().split():
                case ["reload"]:
                    yield Order("reload")
                case ["retire"]:
                    yield Order("retire")
                case ["cover", *slots]:
                    yield Order("cover", frozenset(int(slot) for text in slots for slot in text.split(",")))
    finally:
        transport.close()
