"""Path, host and address patterns, and the trie that finds every path pattern that fits at once.

Patterns are written decoded and are compared with a target's decoded segments, case kept. `{id}`
and `*` stand for one segment, `**` at the end for the rest, which may be nothing. A slash at the
end makes no difference, neither in a pattern nor in a target: an upstream may treat `/admin` and
`/admin/` alike, so a rule that protects one protects both.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import Final, Generic, TypeVar
from urllib.parse import unquote

MAX_SEGMENTS = 64
MAX_STATES = 100_000
"""How large a trie may grow. Only wildcards before many different literals come near it."""

_WILDCARD = re.compile(r"\*|\{[A-Za-z_][A-Za-z0-9_\-]*\}", re.ASCII)
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_LABEL = r"[a-z0-9](?:[a-z0-9_\-]*[a-z0-9])?"
_HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.ASCII)
_UPSTREAM = re.compile(r"http://(?P<host>\[[^\]/]*\]|[^:/?#@\[\]]+)(?P<port>:[0-9]{1,5})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A path pattern. A segment that is None stands for any one; `rest` is the `**` at the end."""

    segments: tuple[str | None, ...]
    rest: bool

    def mismatch(self, segments: tuple[str, ...]) -> tuple[int, str] | None:
        """How many of a target's `segments` fit, and why no more do, in a few words; None if all fit."""
        asked = segments[:-1] if segments[-1:] == ("",) else segments
        for position, (wanted, given) in enumerate(zip(self.segments, asked, strict=False)):
            if wanted not in {None, given}:
                return position, f"{given!r} is not {wanted!r}"
        if len(asked) < len(self.segments):
            return len(asked), "the path ends too early"
        if len(asked) > len(self.segments) and not self.rest:
            return len(self.segments), f"the path goes on with {asked[len(self.segments)]!r}"
        return None


def parse_pattern(text: str) -> Pattern:
    """Read a path pattern. Raises ValueError, saying what is wrong with it, for one not in canonical form."""
    if not text.startswith("/"):
        raise ValueError(f"{text!r} must start with '/'")
    if "//" in text:
        raise ValueError(f"{text!r} has an empty segment, which no request can have")
    body = text[1:].removesuffix("/")
    parts = body.split("/") if body else []
    if len(parts) > MAX_SEGMENTS:
        raise ValueError(f"{text[:40]!r}... has more than {MAX_SEGMENTS} segments")
    rest = parts[-1:] == ["**"]
    segments = tuple(_segment(part, text) for part in (parts[:-1] if rest else parts))
    return Pattern(segments, rest)


def _segment(part: str, text: str) -> str | None:
    if _WILDCARD.fullmatch(part):
        return None
    if part == "**":
        raise ValueError(f"{text!r} goes on after '**', which stands for the rest and must come last")
    if any(mark in part for mark in "*{}"):
        raise ValueError(f"{text!r} has {part!r}, but '*' and '{{name}}' stand for a whole segment")
    if part in {".", ".."}:
        raise ValueError(f"{text!r} has a dot segment, which no request can have")
    if any(mark in part for mark in "?#"):
        raise ValueError(f"{text!r} goes beyond the path; patterns match neither query nor fragment")
    if any(mark in part for mark in "\\;"):
        raise ValueError(f"{text!r} has a '\\' or ';', which no request can have")
    if _ESCAPE.search(part):
        raise ValueError(f"{text!r} is escaped; patterns are written decoded, as {unquote(text)!r}")
    if not part.isprintable():
        raise ValueError(f"{text!r} has an invisible character")
    return part


def parse_host(text: str) -> str:
    """A host as a target names it: small letters, no port, IPv6 in brackets. Raises ValueError."""
    host = text.lower()
    if host.startswith("[") and host.endswith("]"):
        try:
            return f"[{IPv6Address(host[1:-1]).compressed}]"
        except ValueError:
            raise ValueError(f"{text!r} is not an IPv6 address in brackets") from None
    if not _HOST_NAME.fullmatch(host):
        raise ValueError(
            f"{text!r} is not a host; write a name or an address, without scheme, port or wildcard"
        )
    return host


def parse_upstream(text: str) -> str:
    """An upstream's address, `http://host` or `http://host:port`. Raises ValueError."""
    found = _UPSTREAM.fullmatch(text)
    if found is None or not 0 < int((found["port"] or ":80")[1:]) <= 65535:
        raise ValueError(
            f"{text!r} is not an upstream; write http://host or http://host:port and nothing else"
        )
    return f"http://{parse_host(found['host'])}{found['port'] or ''}"


V = TypeVar("V")


class Node(Generic[V]):
    """One state of a compiled trie: the value if the path ends here, and where each next segment leads.

    `other` is for a segment without an entry in `literals`; None means that no pattern looks deeper,
    so the value stays what it is.
    """

    def __init__(self, value: V, literals: Mapping[str, "Node[V]"], other: "Node[V] | None") -> None:
        self.value: Final = value
        self.literals: Final = literals
        self.other: Final = other

    def find(self, segments: tuple[str, ...]) -> V:
        """The value for a target's `segments`: one dictionary lookup each, nothing allocated."""
        node = self
        for segment in segments:
            if not segment:  # only the last can be empty: the path ends with a slash
                break
            following = node.literals.get(segment, node.other)
            if following is None:
                break
            node = following
        return node.value


def compile_trie(patterns: Iterable[tuple[Pattern, int]], value: Callable[[tuple[int, ...]], V]) -> Node[V]:
    """A trie whose values are `value(numbers)`, the sorted numbers of all patterns that fit.

    Branches that could both be taken (a literal and a wildcard) are merged here, once, so that
    finding never has to try two. Raises ValueError if the merged trie is beyond `MAX_STATES`.
    """
    root = _Branch()
    for pattern, number in patterns:
        branch = root
        for segment in pattern.segments:
            branch = branch.next.setdefault(segment, _Branch())
        (branch.rests if pattern.rest else branch.ends).add(number)
    return _Merger(value).node(frozenset({root}), frozenset())


@dataclass(slots=True, eq=False)
class _Branch:
    """The plain trie before merging; the segment None is the wildcard."""

    next: dict[str | None, "_Branch"] = field(default_factory=dict)
    ends: set[int] = field(default_factory=set)
    rests: set[int] = field(default_factory=set)


class _Merger(Generic[V]):
    """The subset construction: a state is the set of branches that a path may have reached."""

    def __init__(self, value: Callable[[tuple[int, ...]], V]) -> None:
        self._value = value
        self._nodes: dict[tuple[frozenset[_Branch], frozenset[int]], Node[V]] = {}

    def node(self, active: frozenset[_Branch], rest: frozenset[int]) -> Node[V]:
        """The state in which the branches `active` and the `**` patterns `rest` still fit."""
        known = self._nodes.get((active, rest))
        if known is not None:
            return known
        deeper = rest.union(*(branch.rests for branch in active))
        numbers = deeper.union(*(branch.ends for branch in active))
        literals = {step for branch in active for step in branch.next if step is not None}
        made = Node(
            value=self._value(tuple(sorted(numbers))),
            literals={step: self.node(_step(active, {step, None}), deeper) for step in literals},
            other=self.node(_step(active, {None}), deeper) if active else None,
        )
        if len(self._nodes) >= MAX_STATES:
            raise ValueError(
                "the wildcards of the rules combine in too many ways; use fewer before literal segments"
            )
        self._nodes[active, rest] = made
        return made


def _step(active: frozenset[_Branch], steps: set[str | None]) -> frozenset[_Branch]:
    return frozenset(branch.next[step] for branch in active for step in steps if step in branch.next)
