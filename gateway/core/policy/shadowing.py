"""Rules that can never match, because earlier ones take every request that they are for."""

from collections.abc import Iterable, Iterator, Sequence

from gateway.core.policy.matching import applies_to_host, compile_rules, rules_by_method
from gateway.core.policy.model import Rule

_Slot = tuple[Rule, ...]
"""The rules that fit one path, method and host, in order."""


def shadowed(rules: Sequence[Rule], hosts: Iterable[str]) -> dict[Rule, list[Rule]]:
    """Each rule that no request to any of `hosts` can reach, and the earlier rules that cover it.

    Exact, since the compiled trie knows every combination of rules that a path can fit: also where
    no earlier rule alone, but several together, leave nothing over. Raises ValueError as
    `compile_trie` does.
    """
    slots = _slots(rules, hosts)
    winners = {rule for slot in slots for rule in _winners(slot)}
    asked = {rule: [slot for slot in slots if rule in slot] for rule in rules if rule not in winners}
    covering = {rule: _covering(rule, found) for rule, found in asked.items() if found}
    return {rule: [before for before in rules if before in found] for rule, found in covering.items()}


def _slots(rules: Sequence[Rule], hosts: Iterable[str]) -> set[_Slot]:
    slots: set[_Slot] = set()
    for host in hosts:
        of_host = [rule for rule in rules if applies_to_host(rule, host)]
        compile_rules(of_host, lambda fitting: slots.update(rules_by_method(fitting).values()))
    return slots


def _winners(slot: _Slot) -> Iterator[Rule]:
    """The rules of `slot` that somebody's groups can lead to."""
    taken: set[str] = set()
    for rule in slot:
        if not rule.groups:
            yield rule
            return
        if rule.groups - taken:
            yield rule
        taken |= rule.groups


def _covering(rule: Rule, slots: Sequence[_Slot]) -> set[Rule]:
    """One rule that covers `rule` alone, if there is one, or all that do so together."""
    earlier = [slot[: slot.index(rule)] for slot in slots]
    alone = [
        before
        for before in earlier[0]
        if (not before.groups or (rule.groups and rule.groups <= before.groups))
        and all(before in slot for slot in earlier)
    ]
    if alone:
        return {alone[0]}
    return {winner for slot in earlier for winner in _winners(slot)}
