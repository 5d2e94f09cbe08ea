"""The canonical form of what a client asks for: the only view of a request that anything else sees.

Policy matches it and the upstream receives it, byte for byte. What two programs could read in two
ways (dot segments, encoded slashes, double encoding, path parameters) is rejected, never repaired:
RFC 3986 section 6.2.2 normalisation is applied only where it cannot change a meaning, that is to
the case of escapes and to escapes of unreserved characters.
"""

import re
from functools import lru_cache
from typing import Final

from gateway.errors import BadRequest

_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# RFC 3986 pchar without ";" (path parameters are read differently by different frameworks), and
# the characters that browsers leave bare although the RFC would escape them: [ ] | ^
_PATH = re.compile(r"/(?:[A-Za-z0-9\-._~!$&'()*+,=:@\[\]|^/]|%[0-9A-Fa-f]{2})*")
_QUERY = re.compile(r"[!$-~]*")  # visible ASCII; '"' (0x22) and '#' (0x23) stay out
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_DOUBLE_ENCODED = re.compile(r"%25[0-9A-Fa-f]{2}")
_HOST = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9.\-_]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
)
_METHOD = re.compile(r"[A-Z][A-Z\-]{0,31}")
_FORBIDDEN_OCTETS = frozenset({0x2F, 0x5C, 0x3B, 0x7F, *range(0x20)})  # "/", "\", ";", controls


class Target:
    """Method, host, path and query, in canonical form.

    `host` is lower-case without the port, which `authority`, lower-case too, keeps; `path` starts
    with "/" and is escaped; `segments` are its decoded parts ("/a/b/" gives "a", "b", "");
    `query` is None when there is no "?", which differs from an empty one.
    """

    __slots__ = ("authority", "host", "method", "path", "path_and_query", "query", "segments")

    def __init__(
        self,
        *,
        method: str,
        host: str,
        authority: str,
        path: str,
        query: str | None,
        segments: tuple[str, ...],
    ) -> None:
        self.method: Final = method
        self.host: Final = host
        self.authority: Final = authority
        self.path: Final = path
        self.query: Final = query
        self.segments: Final = segments
        self.path_and_query: Final = path if query is None else f"{path}?{query}"

    def with_method(self, method: str) -> "Target":
        return Target(
            method=method,
            host=self.host,
            authority=self.authority,
            path=self.path,
            query=self.query,
            segments=self.segments,
        )


def parse_target(method: str, raw_target: str, host_header: str) -> Target:
    """Read a request line's target and its Host header.

    Accepts origin-form only (RFC 9112 section 3.2.1). Raises BadRequest for everything malformed,
    ambiguous, or in another form.
    """
    if not _METHOD.fullmatch(method):
        raise BadRequest("the method is not a token of capital letters")
    host = _HOST.fullmatch(host_header)
    if host is None or int(host["port"] or 0) > 65535:
        raise BadRequest("the Host header is missing or malformed")
    if not raw_target.startswith("/"):
        raise BadRequest("the request target must be a path")
    raw_path, mark, query = raw_target.partition("?")
    if not _QUERY.fullmatch(query):
        raise BadRequest("the query holds a character that must be escaped")
    path, segments = _canonical_path(raw_path)
    return Target(
        method=method,
        host=host["name"].lower(),
        authority=host_header.lower(),
        path=path,
        query=query if mark else None,
        segments=segments,
    )


def recent_target(method: str, raw_target: str, host_header: str) -> Target:
    """The same as `parse_target`; what was asked for lately is not read once more."""
    is_short = len(raw_target) + len(host_header) <= _LONGEST_RECENT
    parse = _recent if is_short else parse_target
    return parse(method, raw_target, host_header)


_LONGEST_RECENT = 256
_recent = lru_cache(4096)(parse_target)


def _canonical_path(raw: str) -> tuple[str, tuple[str, ...]]:
    if not _PATH.fullmatch(raw):
        raise BadRequest("the path holds a character that is not allowed in one, or a broken escape")
    path = _ESCAPE.sub(_normalise_escape, raw) if "%" in raw else raw
    if _DOUBLE_ENCODED.search(path):  # only now: "%25%32%65" turns into "%252e" just above
        raise BadRequest("the path is escaped twice")
    if path == "/":
        return path, ("",)
    parts = path[1:].split("/")
    if "" in parts[:-1]:
        raise BadRequest("the path has an empty segment")
    segments = tuple(_decode(part) for part in parts)
    if "." in segments or ".." in segments:
        raise BadRequest("the path has a dot segment")
    return path, segments


def _normalise_escape(escape: re.Match[str]) -> str:
    octet = int(escape[1], 16)
    if octet in _FORBIDDEN_OCTETS:
        raise BadRequest("the path hides a separator or a control character behind an escape")
    return chr(octet) if octet in _UNRESERVED else escape[0].upper()


def _decode(segment: str) -> str:
    if "%" not in segment:
        return segment
    octets = re.sub(rb"%([0-9A-F]{2})", lambda found: bytes([int(found[1], 16)]), segment.encode("ascii"))
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest("the path is not UTF-8") from None
