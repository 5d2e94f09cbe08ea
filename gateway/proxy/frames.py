"""As much of WebSocket framing (RFC 6455 section 5.2) as it takes to add a frame to somebody else's stream.

Only headers are looked at, for the length of what follows; never a payload.
"""

from functools import lru_cache

_CLOSE = 0x8
_FINAL_CLOSE = 0x80 | _CLOSE
_MASKED = 0x80
_MOST_REASON = 123
"""A control frame carries 125 bytes (section 5.5), and two of them are the code."""


class FrameTracker:
    """Where in its frames one direction is, after all bytes that were passed on: at most one header is kept.

    A 64-bit length with its highest bit set, which is not allowed, counts as what it says: that frame
    never ends.
    """

    __slots__ = ("_closed", "_header", "_left")

    def __init__(self) -> None:
        self._header = b""
        self._left = 0
        self._closed = False

    @property
    def takes_a_frame(self) -> bool:
        """Whether a frame can follow: none is halfway through, and none has said that it was the last.

        A control frame may come between the frames of a message (section 5.4).
        """
        return not (self._left or self._header or self._closed)

    def feed(self, data: bytes) -> None:
        """These bytes are passed on."""
        at, size = 0, len(data)
        while at < size:
            if self._left:
                step = min(self._left, size - at)
                self._left -= step
            else:
                step = min(_header_size(self._header) - len(self._header), size - at)
                self._header += data[at : at + step]
                if len(self._header) == _header_size(self._header):
                    self._begin(self._header)
            at += step

    def _begin(self, header: bytes) -> None:
        """A header is complete: what follows is its payload."""
        short = header[1] & 0x7F
        self._left = short if short < 126 else int.from_bytes(header[2 : 4 if short == 126 else 10], "big")
        self._closed = self._closed or header[0] & 0x0F == _CLOSE
        self._header = b""


def _header_size(begun: bytes) -> int:
    """How long a header is, as far as its first bytes tell."""
    if len(begun) < 2:
        return 2
    short = begun[1] & 0x7F
    return 2 + (0 if short < 126 else 2 if short == 126 else 8) + (4 if begun[1] & _MASKED else 0)


def close_frame(code: int, reason: str, mask: bytes = b"") -> bytes:
    """A close frame (section 5.5.1); with a `mask` of four bytes it is a client's (section 5.3).

    A reason that is too long for one frame is cut short, between characters.
    """
    payload = _close_payload(code, reason)
    size = len(payload)
    if not mask:
        return bytes((_FINAL_CLOSE, size)) + payload
    repeated = (mask * (size // 4 + 1))[:size]
    masked = (int.from_bytes(payload) ^ int.from_bytes(repeated)).to_bytes(size)
    return bytes((_FINAL_CLOSE, _MASKED | size)) + mask + masked


@lru_cache(maxsize=16)
def _close_payload(code: int, reason: str) -> bytes:
    """Kept, as thousands are told the same at once."""
    return code.to_bytes(2) + reason.encode()[:_MOST_REASON].decode(errors="ignore").encode()
