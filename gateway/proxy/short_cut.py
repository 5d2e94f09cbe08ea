"""The short cut: a request that may plainly pass by what memory tells, whose head is here as a whole.

It is answered where its bytes arrive, without a task and without aiohttp's request. Everything that it
depends on is what the ordinary way depends on: one reader of targets and headers, one `decide`, one maker
of the headers for the app and for the client. What it takes is a narrow form of a request head, narrower
than aiohttp's parser accepts; whatever does not fit, and whatever is not plainly allowed, goes the
ordinary way. What was read of a client's header lines is kept for its next request on that connection,
and used for the very same bytes only.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from gateway import clock
from gateway.core.policy.model import App
from gateway.core.target import recent_target
from gateway.errors import BadRequest
from gateway.proxy.crossing import Crossing
from gateway.proxy.delivery import Delivery
from gateway.proxy.header import Header, header_of
from gateway.proxy.headers import Outbound, outbound
from gateway.proxy.pipeline import Pipeline
from gateway.proxy.wire import WITH_CONTENT
from gateway.store.who import Place
from gateway.web.connection import ListenerLimits
from gateway.web.reading import TELLING, Envelope
from gateway.web.short_cut import QuickConnection

_LONGEST_KEPT = 2048
"""Bytes of header lines that an idle connection may keep in memory."""

_END = b"\r\n\r\n"
_LINE = re.compile(rb"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (/[!-~]*+) HTTP/1\.1\r\n")

_ORDINARY = frozenset(
    (
        b"expect",
        b"proxy-connection",  # aiohttp's parser reads it as Connection
        b"sec-websocket-key1",  # and refuses this one
        b"transfer-encoding",
        b"upgrade",
        b"watchword-code",
    )
)
"""Headers that ask for more than an answer."""

_LENGTH = re.compile(rb"[0-9]{1,15}")
_WITHOUT_CONTENT = frozenset(("GET", "HEAD"))
_WITH_CONTENT = frozenset(method.encode() for method in WITH_CONTENT)


class _Teller:
    """Who asks, as the headers `telling` say it to the gateway itself."""

    __slots__ = ("envelope", "origin", "place", "telling")

    def __init__(
        self,
        telling: Sequence[tuple[bytes, bytes]],
        envelope: Envelope,
        place: Place | None,
        origin: str,
    ) -> None:
        self.telling: Final = telling
        self.envelope: Final = envelope
        self.place: Final = place
        self.origin: Final = origin


class _Known:
    """What one block of header lines says, if it comes from where this one came from.

    `length` is that of a body, None where none is declared.
    """

    __slots__ = ("block", "headers", "length", "outbound", "teller")

    def __init__(
        self,
        block: bytes,
        headers: Sequence[Header],
        length: int | None,
        teller: _Teller,
        outbound: Outbound,
    ) -> None:
        self.block: Final = block
        self.headers: Final = headers
        self.length: Final = length
        self.teller: Final = teller
        self.outbound: Final = outbound


class ShortCut:
    def __init__(self, pipeline: Pipeline, delivery: Delivery, limits: ListenerLimits) -> None:
        self._pipeline = pipeline
        self._delivery = delivery
        self._most_headers = limits.headers
        self._longest = min(limits.line_bytes, limits.head_bytes)

    def __call__(self, connection: QuickConnection, data: bytes) -> bool:
        """Take a request, if it is one for the short cut."""
        line = _LINE.match(data)
        if line is None:
            return False
        known = self._known(connection, data, line.end())
        if known is None:
            return False
        length = known.length or (0 if line[1] in _WITH_CONTENT else None)
        size = line.end() + len(known.block)
        if size > self._longest or len(data) - size > (length or 0):
            return False
        pipeline, teller, envelope = self._pipeline, known.teller, known.teller.envelope
        try:
            target = recent_target(line[1].decode("ascii"), line[2].decode("ascii"), envelope.host)
        except BadRequest:
            return False
        now = clock.now()
        passage = pipeline.memory.plain(pipeline.policies, target, teller.place, now)
        if passage is None or not _may_have(target.method, known.length, passage.match.app):
            return False
        crossing = Crossing(
            connection,
            data[:size],
            passage,
            envelope.route[0],
            pipeline.records,
            length=length,
            body=data[size:],
        )
        try:
            headers = self._delivery.headers_of(passage, known.outbound, teller.origin, now)
        except Exception:
            return False  # a fault of ours: the ordinary way tells
        if not self._delivery.cross(crossing, headers):
            return False
        if passage.snapshot is not None:
            pipeline.memory.used(envelope.cookies, passage.snapshot, envelope.route[0], now)
        return True

    def _known(self, connection: QuickConnection, data: bytes, at: int) -> _Known | None:
        """What the header lines say that begin there; None for some that are not for the short cut."""
        known = connection.memory
        if isinstance(known, _Known) and data.startswith(known.block, at):
            return known
        return self._learned(connection, data, at)

    def _learned(self, connection: QuickConnection, data: bytes, at: int) -> _Known | None:
        end = data.find(_END, at, self._longest)
        if end < 0 or data.count(b"\r\n", at, end) >= self._most_headers:
            return None  # before any line is read: many short ones would take long
        before = connection.memory
        if not isinstance(before, _Known):
            before = None
        block = data[at : end + len(_END)]
        headers = _read(block, before.headers if before else ())
        by_key = {header.key: header.value for header in headers}
        if not headers or len(by_key) < len(headers):
            return None  # some come twice
        if not _are_plain(by_key):
            return None
        teller = self._teller(headers, connection.peer, before.teller if before else None)
        reader, envelope = self._pipeline.reader, teller.envelope
        if envelope.cookies.resume is not None:
            return None
        try:
            to_app = outbound(headers, envelope.host.lower(), route=envelope.route, scheme=reader.scheme)
        except ValueError:
            return None
        declared = by_key.get(b"content-length")
        known = _Known(block, headers, None if declared is None else int(declared), teller, to_app)
        connection.memory = known if len(block) <= _LONGEST_KEPT else None
        return known

    def _teller(self, headers: Sequence[Header], peer: object, before: _Teller | None) -> _Teller:
        """Mostly the same person asks as before."""
        telling = [(header.name, header.value) for header in headers if header.key in TELLING]
        if before is not None and before.telling == telling:
            return before
        reader = self._pipeline.reader
        envelope = reader.envelope(tuple(telling), peer)
        place = self._pipeline.memory.place_of(envelope.cookies)
        return _Teller(telling, envelope, place, f"{reader.scheme}://{envelope.host.lower()}")


def _read(block: bytes, before: Sequence[Header]) -> list[Header]:
    """The headers of a block of lines; most are what they were `before`, and in the same place.

    Empty where one is not plain, or there is none.
    """
    headers = []
    for place, line in enumerate(block[: -len(_END)].split(b"\r\n")):
        header = before[place] if place < len(before) else None
        if header is None or header.raw != line:
            header = header_of(line)
            if not header.is_plain:
                return []
        headers.append(header)
    return headers


def _are_plain(by_key: Mapping[bytes, bytes]) -> bool:
    """Whether no header asks for more than an answer on a connection that stays."""
    return (
        _ORDINARY.isdisjoint(by_key)
        and _LENGTH.fullmatch(by_key.get(b"content-length", b"0")) is not None
        and by_key.get(b"connection", b"keep-alive").lower() == b"keep-alive"
    )


def _may_have(method: str, length: int | None, app: App) -> bool:
    """Whether a request to an app may come with a body of that length."""
    if length is None:
        return True
    return method not in _WITHOUT_CONTENT and (app.body_limit is None or length <= app.body_limit)
