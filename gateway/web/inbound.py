"""A request as everything after the listener sees it."""

from dataclasses import dataclass

from aiohttp import web

from gateway.core.target import Target
from gateway.errors import PayloadTooLarge
from gateway.web.connection import Connection, Earlier, Request
from gateway.web.cookies import OwnCookies

RawHeaders = tuple[tuple[bytes, bytes], ...]

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Inbound:
    """One request. `connection` is where its body still waits, and where the answer goes; what it
    says of target and headers is not looked at again.

    `route` are the addresses that the request is known to have come through, the client's first.
    `asked_about`: another proxy asks about this request, and will forward it itself; its body is out of sight
    (`gateway.web.forward_auth`).
    `body` holds the body once it was read; `now` is the one reading of the clock for this request;
    `scheme` is the public one.
    """

    connection: web.BaseRequest
    target: Target
    headers: RawHeaders
    cookies: OwnCookies
    route: tuple[str, ...]
    scheme: str
    now: float
    body: bytes | None = None
    asked_about: bool = False

    def header(self, name: bytes) -> str | None:
        """The only value of a header (name in lower case); None when missing or repeated."""
        return _header(self.headers, name)

    @property
    def address(self) -> str:
        """Where the client is, as far as proxies that are trusted tell."""
        return self.route[0]

    @property
    def origin(self) -> str:
        """The origin (RFC 6454) under which the client sees this gateway."""
        return f"{self.scheme}://{self.target.authority}"

    @property
    def is_safe(self) -> bool:
        """Whether the method promises to change nothing (RFC 9110 section 9.2.1)."""
        return self.target.method in _SAFE_METHODS

    @property
    def is_navigation(self) -> bool:
        return is_navigation(self.headers)

    @property
    def is_page_load(self) -> bool:
        """Whether a person is about to look at the answer as a whole page, and asks for nothing else."""
        whole = self.header(b"sec-fetch-dest") in (None, "document")
        ahead_of_time = self.header(b"sec-purpose") is not None  # a prefetch, which nobody may ever see
        return self.target.method == "GET" and self.is_navigation and whole and not ahead_of_time

    @property
    def is_upgrade(self) -> bool:
        return self.header(b"upgrade") is not None

    @property
    def is_over(self) -> bool:
        """Whether an answer that could still go on should end: the client has left, or the listener stops."""
        connection = self.connection.protocol
        draining = isinstance(connection, Connection) and connection.draining
        return draining or self.connection.transport is None

    @property
    def earlier(self) -> Earlier | None:
        """What came of this request, if it was sent on already."""
        return earlier_of(self.connection)

    async def read_body(self, limit: int) -> bytes:
        """The whole body. Raises PayloadTooLarge beyond `limit` bytes, before reading more."""
        if self.body is not None:
            return self.body
        declared = self.connection.content_length
        if declared is not None and declared > limit:
            raise PayloadTooLarge(f"the body may have {limit} bytes here")
        parts: list[bytes] = []
        size = 0
        async for part in self.connection.content.iter_any():
            size += len(part)
            if size > limit:
                raise PayloadTooLarge(f"the body may have {limit} bytes here")
            parts.append(part)
        return b"".join(parts)


def earlier_of(request: web.BaseRequest) -> Earlier | None:
    return request.earlier if isinstance(request, Request) else None


def is_navigation(headers: RawHeaders) -> bool:
    """Whether a person waits in front of a request, rather than a program."""
    mode = _header(headers, b"sec-fetch-mode")
    if mode is not None:
        return mode == "navigate"
    accept = _header(headers, b"accept") or ""
    return "text/html" in accept and _header(headers, b"x-requested-with") is None


def _header(headers: RawHeaders, name: bytes) -> str | None:
    values = [value for key, value in headers if key.lower() == name]
    return values[0].decode("utf-8", "replace") if len(values) == 1 else None
