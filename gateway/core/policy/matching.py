"""A target, and the groups of who asks, to the match that applies: the first rule in file order.

Everything is worked out at load: a trie for each host, and at each place in it a slot for each
method. A match then costs one lookup for each path segment, whatever the number of rules.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from gateway.core.policy.model import App, Match, Need, Rule
from gateway.core.policy.own import own_app
from gateway.core.policy.patterns import Node, compile_trie, parse_pattern
from gateway.core.target import Target

V = TypeVar("V")

OTHER_METHOD = ""
"""Stands for every method that no rule of a place names."""


def applies_to_method(rule: Rule, method: str) -> bool:
    """Whether `rule` is for `method`. HEAD is judged as GET, always, so it is never weaker than its GET."""
    return not rule.methods or ("GET" if method == "HEAD" else method) in rule.methods


def applies_to_host(rule: Rule, host: str) -> bool:
    return not rule.hosts or host in rule.hosts


class PolicySet:
    """All policies, compiled. Immutable, and safe to share."""

    __slots__ = ("_by_host", "account", "apps")

    def __init__(self, apps: Iterable[App], account: App | None = None) -> None:
        """`apps` are as `loading` makes them: no host twice. Raises ValueError as `compile_trie` does.

        `account` is the app that the gateway's own pages are.
        """
        self.apps = tuple(apps)
        self.account = account or own_app()
        self._by_host = {host: entry for app in self.apps for host, entry in _compile(app)}

    def app_for(self, host: str) -> App | None:
        """The app at `host` (as in `Target.host`), or None."""
        entry = self._by_host.get(host)
        return entry[0] if entry else None

    def match(self, target: Target, groups: frozenset[str] | None) -> Match | None:
        """What `target` needs when asked by a member of `groups`; None for an unknown host.

        `groups` is None while nobody knows who asks. A rule with groups then counts as matching,
        and needs a session at least, with `by_group` set: match again once the groups are known.
        """
        entry = self._by_host.get(target.host)
        if entry is None:
            return None
        slots = entry[1].find(target.segments)
        slot = slots.get(target.method) or slots[OTHER_METHOD]
        return slot.anonymous if groups is None else slot.match(groups)


@dataclass(frozen=True, slots=True)
class _Slot:
    """The matches that one path, method and host can have, in order; only the last is for every group.

    `ranks` has, for each group that a rule names, the position of the first rule that does.
    """

    matches: tuple[Match, ...]
    ranks: Mapping[str, int]
    anonymous: Match

    def match(self, groups: frozenset[str]) -> Match:
        last = len(self.matches) - 1
        if not last:
            return self.matches[0]
        return self.matches[min((self.ranks.get(group, last) for group in groups), default=last)]


_Slots = Mapping[str, _Slot]


def _compile(app: App) -> Iterator[tuple[str, tuple[App, Node[_Slots]]]]:
    """A trie for each host of `app`; hosts with the same rules share one."""
    tries: dict[tuple[Rule, ...], Node[_Slots]] = {}

    def slots(rules: tuple[Rule, ...]) -> _Slots:
        return {method: _slot(app, found) for method, found in rules_by_method(rules).items()}

    for host in app.hosts:
        rules = tuple(rule for rule in app.rules if applies_to_host(rule, host))
        if rules not in tries:
            tries[rules] = compile_rules(rules, slots)
        yield host, (app, tries[rules])


def compile_rules(rules: Sequence[Rule], value: Callable[[tuple[Rule, ...]], V]) -> Node[V]:
    """A trie over the paths of `rules`, with `value` of the rules that fit, in order, at each place."""
    made: dict[tuple[int, ...], V] = {}

    def value_of(numbers: tuple[int, ...]) -> V:
        if numbers not in made:
            made[numbers] = value(tuple(rules[number] for number in numbers))
        return made[numbers]

    numbered = ((parse_pattern(path), number) for number, rule in enumerate(rules) for path in rule.paths)
    return compile_trie(numbered, value_of)


def rules_by_method(rules: Sequence[Rule]) -> dict[str, tuple[Rule, ...]]:
    """Those of `rules` that apply to each method that any of them names, and to `OTHER_METHOD`."""
    methods = {OTHER_METHOD}.union(*(rule.methods for rule in rules))
    if "GET" in methods:
        methods.add("HEAD")
    return {method: tuple(rule for rule in rules if applies_to_method(rule, method)) for method in methods}


def _slot(app: App, rules: Sequence[Rule]) -> _Slot:
    matches: list[Match] = []
    ranks: dict[str, int] = {}
    for rule in rules:
        for group in rule.groups:
            ranks.setdefault(group, len(matches))
        matches.append(Match(app, rule, rule.need, rule.action))
        if not rule.groups:
            break
    else:
        matches.append(Match(app, None, app.unmatched, None))
    return _Slot(tuple(matches), ranks, _anonymous(matches))


def _anonymous(matches: Sequence[Match]) -> Match:
    """The match while the groups are unknown: never public, unless no group could make a difference.

    It is not `deny` either, unless all are: who may be let in by a group must be able to sign in.
    """
    first = matches[0]
    if len(matches) == 1 or all(match.need is Need.DENY for match in matches):
        return first
    need = Need.DEVICE if first.need is Need.DEVICE else Need.SESSION
    return replace(first, need=need, by_group=True)
