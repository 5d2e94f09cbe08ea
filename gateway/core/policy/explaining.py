"""Why a target is matched as it is: each rule in order, and what kept it from matching."""

from dataclasses import dataclass
from enum import StrEnum

from gateway.core.policy.matching import PolicySet, applies_to_host, applies_to_method
from gateway.core.policy.model import OWN_SEGMENT, Action, App, Match, Need, Rule
from gateway.core.policy.patterns import parse_pattern
from gateway.core.target import Target


class Outcome(StrEnum):
    """How a rule fared. All but the first two name the condition that the target did not meet."""

    APPLIES = "applies"
    TOO_LATE = "too-late"
    HOST = "host"
    METHOD = "method"
    PATH = "path"
    GROUP = "group"


@dataclass(frozen=True, slots=True)
class Trial:
    """One rule, tried. `why` is a short sentence."""

    rule: Rule
    outcome: Outcome
    why: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """The target as understood, every rule of its app in order, and what applies.

    `app` and `match` are None for a host that no app has, `match` alone for the gateway's own
    addresses; `place` is `file:line` of the rule that applies, or the file where `unmatched` does.
    """

    target: Target
    app: App | None
    trials: tuple[Trial, ...]
    match: Match | None
    place: str
    why: str

    @property
    def need(self) -> Need | None:
        return self.match.need if self.match else None

    @property
    def action(self) -> Action | None:
        return self.match.action if self.match else None


def explain(policies: PolicySet, target: Target, groups: frozenset[str] | None) -> Explanation:
    """The match for `target`, as `PolicySet.match` finds it, with the reasons."""
    app, match = policies.app_for(target.host), policies.match(target, groups)
    if app is None or match is None:
        return Explanation(target, None, (), None, "", f"No app has the host {target.host}.")
    if target.segments[0] == OWN_SEGMENT:
        return Explanation(target, app, (), None, "", "The gateway itself answers here; no rule is asked.")
    trials = []
    winner: Rule | None = None
    for rule in app.rules:
        trial = _try(rule, target, groups, winner)
        if trial.outcome is Outcome.APPLIES:
            winner = rule
        trials.append(trial)
    place = f"{app.file}:{match.rule.line}" if match.rule else app.file
    return Explanation(target, app, tuple(trials), match, place, _why(match))


def _why(match: Match) -> str:
    if match.rule is None:
        return "No rule matches, so 'unmatched' applies."
    if match.by_group:
        return f"The rule {match.rule.name!r} may match: the groups are known once who asks has signed in."
    return f"The rule {match.rule.name!r} is the first that matches."


def _try(rule: Rule, target: Target, groups: frozenset[str] | None, winner: Rule | None) -> Trial:
    if not applies_to_host(rule, target.host):
        return Trial(rule, Outcome.HOST, f"It is for {_any_of(rule.hosts)}, not for {target.host}.")
    if not applies_to_method(rule, target.method):
        return Trial(rule, Outcome.METHOD, f"It is for {_any_of(rule.methods)}, not for {target.method}.")
    if why := _path_mismatch(rule, target):
        return Trial(rule, Outcome.PATH, why)
    if rule.groups and groups is not None and rule.groups.isdisjoint(groups):
        return Trial(rule, Outcome.GROUP, f"It is for the groups {_any_of(rule.groups)}.")
    if winner:
        return Trial(rule, Outcome.TOO_LATE, f"It would match, but {winner.name!r} comes first.")
    if rule.groups and groups is None:
        return Trial(rule, Outcome.APPLIES, f"It is for the groups {_any_of(rule.groups)}, so it may match.")
    return Trial(rule, Outcome.APPLIES, "It matches.")


def _path_mismatch(rule: Rule, target: Target) -> str | None:
    """Why none of the rule's paths fits, told for the one that fits furthest; None if one does."""
    mismatches = []
    for path in rule.paths:
        found = parse_pattern(path).mismatch(target.segments)
        if found is None:
            return None
        fitting, why = found
        mismatches.append((fitting, f"{path} does not fit: {why}."))
    return max(mismatches)[1]


def _any_of(names: frozenset[str]) -> str:
    return " or ".join(sorted(names))
