"""Another proxy asks about a request that it will forward itself: reading what that request is.

Each kind of proxy has an address of its own, so that what is read never depends on what a client sends. Only
peers that are trusted may ask. What they say of method, host and target becomes the same `Target` that a
request of our own would have; what is missing, said twice or ambiguous is BadRequest.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from gateway.core.policy.model import OWN_SEGMENT
from gateway.core.target import Target, parse_target
from gateway.errors import BadRequest

RawHeaders = tuple[tuple[bytes, bytes], ...]

ADDRESS = f"/{OWN_SEGMENT}/forward-auth"
"""What is under it must never be reached through the proxy from outside."""


class Dialect(StrEnum):
    """How a proxy asks, by its address.

    Traefik and Caddy name the request in X-Forwarded-Method, -Host and -Uri. nginx does as its configuration
    says: in X-Original-Method and X-Original-URI, under the host itself. Envoy asks with the method and the
    host of the request, and puts its path behind ours.
    """

    FORWARDED = ADDRESS
    NGINX = f"{ADDRESS}/nginx"
    ENVOY = f"{ADDRESS}/envoy"


@dataclass(frozen=True, slots=True)
class Question:
    """The request that is asked about. `headers` are the client's, as far as the proxy shows them."""

    target: Target
    headers: RawHeaders


def dialect_of(raw_target: str) -> Dialect | None:
    """In whose way is asked at this address; None for every other one, and every other spelling."""
    if not raw_target.startswith(ADDRESS):
        return None
    path = raw_target.partition("?")[0]
    if path in (Dialect.FORWARDED, Dialect.NGINX):
        return Dialect(path)
    return Dialect.ENVOY if path.startswith(f"{Dialect.ENVOY}/") else None


def question(dialect: Dialect, method: str, raw_target: str, headers: RawHeaders) -> Question:
    """What is asked. Raises BadRequest."""
    match dialect:
        case Dialect.FORWARDED:
            said = (b"x-forwarded-method", b"x-forwarded-uri", b"x-forwarded-host")
            method, raw_target, host = (_only(headers, name) for name in said)
        case Dialect.NGINX:
            said = (b"x-original-method", b"x-original-uri", b"host")
            method, raw_target, host = (_only(headers, name) for name in said)
        case Dialect.ENVOY:
            raw_target, host = raw_target.removeprefix(Dialect.ENVOY), _only(headers, b"host")
    if method in ("TRACE", "CONNECT"):
        raise BadRequest(f"{method} is not served")
    target = parse_target(method, raw_target, host)
    if target.segments[0] == OWN_SEGMENT:
        raise BadRequest(f"addresses under /{OWN_SEGMENT}/ are to be routed to Watchword")
    return Question(target, tuple(_of_client(headers)))


_NOT_HEEDED = frozenset((b"watchword-code",))
"""A code that comes along brings the client a new cookie, and no proxy hands that on in every case."""


def _of_client(headers: RawHeaders) -> Iterable[tuple[bytes, bytes]]:
    """The headers by which the request is judged.

    A proxy keeps `Upgrade` to itself, as it must: what begins a WebSocket is then known by the key.
    """
    names = {name.lower() for name, _ in headers}
    if b"sec-websocket-key" in names and b"upgrade" not in names:
        yield b"Upgrade", b"websocket"
    for name, value in headers:
        if name.lower() not in _NOT_HEEDED:
            yield name, value


def _only(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> str:
    values = [value for key, value in headers if key.lower() == name]
    if len(values) != 1:
        raise BadRequest(f"the proxy must say {name.decode()} once")
    return values[0].decode("latin-1")
