"""The lines of requests as JSON: the same that structlog would make, in a fifth of its time.

Most of what is logged is these. All lines of one turn of the event loop are written together.
"""

import asyncio
import select
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from json import dumps
from json.encoder import encode_basestring_ascii
from typing import Protocol

from gateway import clock

Fields = Mapping[str, str | int | float]


class Stream(Protocol):
    """What is written to without a buffer, as `io.RawIOBase`."""

    def write(self, data: bytes, /) -> int | None:
        """How many bytes it took; None for a stream that is full, and does not wait."""


class RequestLines:
    """Writes lines to `stream` when the event loop has run what it has to run just now.

    Several processes may share the stream: what is written in one piece fits into what a pipe takes whole
    (POSIX, PIPE_BUF), but for a line that is longer itself.
    """

    def __init__(self, stream: Stream, always: Fields) -> None:
        self._stream = stream
        self._begin = dumps(dict(always))[:-1] + (", " if always else "")
        self._waiting: list[bytes] = []
        self._torn = b""
        self._second = -1
        self._second_text = ""

    def __call__(self, fields: Fields) -> None:
        said = ", ".join(
            [
                f'"{name}": {encode_basestring_ascii(value) if isinstance(value, str) else value}'
                for name, value in fields.items()
            ]
        )
        said += f', "event": "request", "level": "info", "timestamp": "{self._timestamp()}"'
        line = f"{self._begin}{said}}}\n"
        self._waiting.append(line.encode("ascii"))
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self.flush)

    def _timestamp(self) -> str:
        second, micros = divmod(int(clock.now() * 1_000_000), 1_000_000)
        if second != self._second:
            self._second = second
            self._second_text = datetime.fromtimestamp(second, UTC).isoformat()[:19]
        return f"{self._second_text}.{micros:06}Z"

    def flush(self) -> None:
        """Write what waits. A log that cannot be written stops nobody."""
        lines, self._waiting = self._waiting, []
        piece: list[bytes] = []
        size = 0
        for line in lines:
            if size + len(line) > select.PIPE_BUF and piece:
                self._write(b"".join(piece))
                piece, size = [], 0
            piece.append(line)
            size += len(line)
        if piece:
            self._write(b"".join(piece))

    def _write(self, piece: bytes) -> None:
        """What a stream does not take is dropped, but for the rest of a line that it took a part of."""
        text, at = self._torn + piece, 0
        with suppress(OSError, ValueError):  # ValueError: it is closed
            while at < len(text):
                written = self._stream.write(text[at:])
                if written is None:  # it is full, and not to be waited for
                    break
                at += written
        is_torn = text[at - 1 : at] != b"\n" if at else bool(self._torn)
        self._torn = text[at : text.find(b"\n", at) + 1] if is_torn else b""
