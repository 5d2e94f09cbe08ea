"""Leaving a connection with a last word, without waiting for who does not listen."""

import asyncio
from collections.abc import Callable

PART_SECONDS = 1.0
"""How long the other side may take to hear the last word and to hang up."""


def part(transport: asyncio.Transport | None, last: bytes, otherwise: Callable[[], None]) -> None:
    """Say `last` and end our half; or call `otherwise`, where there is nothing to say or nobody listens.

    Whoever has not taken what was written before does not read, and is not written to any more. That is
    judged a turn of the event loop later if need be, because uvloop writes only at the end of a turn.

    Closing after the last word would lose it: with bytes unread, TCP closes by a reset. So only our half
    ends (over TLS, by its own goodbye), until the other side ends the rest, or PART_SECONDS have passed.
    The caller passes nothing on meanwhile, and forgets what is said to it.
    """
    if transport is None or transport.is_closing() or not last:
        otherwise()
    elif transport.get_write_buffer_size():
        asyncio.get_running_loop().call_soon(_say_to_listener, transport, last, otherwise)
    else:
        _say(transport, last)


def _say_to_listener(transport: asyncio.Transport, last: bytes, otherwise: Callable[[], None]) -> None:
    if transport.is_closing() or transport.get_write_buffer_size():
        otherwise()
    else:
        _say(transport, last)


def _say(transport: asyncio.Transport, last: bytes) -> None:
    transport.write(last)
    if transport.can_write_eof():
        try:
            transport.write_eof()
        except OSError:  # it broke a moment ago, and asyncio was not told yet
            transport.abort()
            return
    else:
        transport.close()
    asyncio.get_running_loop().call_later(PART_SECONDS, transport.abort)
