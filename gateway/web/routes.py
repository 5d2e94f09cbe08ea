"""The gateway's own addresses: a table that says, for each, what it needs and who answers.

It is looked up by the canonical target, the same value that policy sees, and what a route needs is
judged by the same `decide`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway.core.policy.model import Action, Need
from gateway.core.target import Target

Handler = TypeVar("Handler")


@dataclass(frozen=True, slots=True)
class Route(Generic[Handler]):
    """`pattern` is a path whose `{name}` segments are captured."""

    method: str
    pattern: str
    handler: Handler
    need: Need = Need.SESSION
    action: Action | None = None


@dataclass(frozen=True, slots=True)
class Found(Generic[Handler]):
    route: Route[Handler]
    captured: Mapping[str, str]


class Routes(Generic[Handler]):
    def __init__(self, routes: Iterable[Route[Handler]]) -> None:
        self._routes = [(route, tuple(route.pattern[1:].split("/"))) for route in routes]

    def find(self, target: Target) -> Found[Handler] | frozenset[str]:
        """The route for a target; else the methods that its path has, which are none if unknown.

        A HEAD is answered where a GET is.
        """
        method = "GET" if target.method == "HEAD" else target.method
        allowed = set()
        for route, pattern in self._routes:
            captured = _captured(pattern, target.segments)
            if captured is None:
                continue
            if route.method == method:
                return Found(route, captured)
            allowed.add(route.method)
        return frozenset(allowed)


def _captured(pattern: tuple[str, ...], segments: tuple[str, ...]) -> dict[str, str] | None:
    if len(pattern) != len(segments):
        return None
    captured = {}
    for part, segment in zip(pattern, segments, strict=True):
        if part.startswith("{"):
            captured[part[1:-1]] = segment
        elif part != segment:
            return None
    return captured
