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
from dataclasses import dataclass

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

_LINE = re.compile(rb"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (/[!-~]*+) HTTP/1\.1\r\n")
_FIELDS = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[ -~]*+\r\n)++\r\n")

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


@dataclass(slots=True, eq=False)  # not frozen: that takes five times as long to make
class _Known:
    """What one block of header lines says, if it comes from where this one came from.

    `own` are those of its headers, by their lines, that are remembered for no other connection. `length` is
    that of a body, None where none is declared. `envelope` was made of the headers `telling`.
    """

    block: bytes
    own: Mapping[bytes, Header]
    length: int | None
    telling: Sequence[tuple[bytes, bytes]]
    envelope: Envelope
    place: Place | None
    origin: str
    outbound: Outbound


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
        try:
            target = recent_target(line[1].decode("ascii"), line[2].decode("ascii"), known.envelope.host)
        except BadRequest:
            return False
        now = clock.now()
        pipeline, envelope = self._pipeline, known.envelope
        passage = pipeline.memory.plain(pipeline.policies, target, known.place, now)
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
            headers = self._delivery.headers_of(passage, known.outbound, known.origin, now)
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
        fields = _FIELDS.match(data, at)
        if fields is None or connection.transport is None:
            return None
        block, before = fields[0], connection.memory
        if not isinstance(before, _Known):
            before = None
        own = before.own if before else {}
        lines = block[:-4].split(b"\r\n")
        headers = [own.get(line) or header_of(line) for line in lines]
        by_key = {header.key: header.value for header in headers}
        if len(headers) > self._most_headers or len(by_key) < len(headers) or not _are_plain(by_key):
            return None  # among them: some that come twice
        declared = by_key.get(b"content-length")
        told = self._told(headers, connection.transport.get_extra_info("peername"), before)
        if told is None:
            return None
        telling, envelope, place, to_app = told
        known = _Known(
            block=block,
            own={line: header for line, header in zip(lines, headers, strict=True) if header.may_be_secret},
            length=None if declared is None else int(declared),
            telling=telling,
            envelope=envelope,
            place=place,
            origin=f"{self._pipeline.reader.scheme}://{envelope.host.lower()}",
            outbound=to_app,
        )
        connection.memory = known if len(block) <= _LONGEST_KEPT else None
        return known

    def _told(
        self, headers: Sequence[Header], peer: object, before: _Known | None
    ) -> tuple[Sequence[tuple[bytes, bytes]], Envelope, Place | None, Outbound] | None:
        """What headers say to the gateway, and will say to the app; mostly the same person asks as before."""
        reader = self._pipeline.reader
        telling = [(header.name, header.value) for header in headers if header.key in TELLING]
        if before is not None and before.telling == telling:
            envelope, place = before.envelope, before.place
        else:
            envelope = reader.envelope(tuple(telling), peer)
            place = self._pipeline.memory.place_of(envelope.cookies)
        if envelope.cookies.resume is not None:
            return None
        try:
            to_app = outbound(headers, envelope.host.lower(), route=envelope.route, scheme=reader.scheme)
        except ValueError:
            return None
        return telling, envelope, place, to_app


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
