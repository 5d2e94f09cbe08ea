"""Shadowing is exact: a rule is reported if, and only if, no request of anybody can reach it."""

from dataclasses import replace
from itertools import combinations

from hypothesis import given, settings
from support.policies import EVERY_TARGET, GROUPS, HOSTS, first_match, rule_lists

from gateway.core.policy.model import Need, Rule
from gateway.core.policy.shadowing import shadowed

EVERYBODY = [frozenset(some) for number in range(len(GROUPS) + 1) for some in combinations(GROUPS, number)]

ALL = Rule("all", 1, ("/**",), Need.SESSION)
ADMIN = Rule("admin", 2, ("/admin/**", "/settings"), Need.DENY)


@settings(max_examples=60)
@given(rule_lists)
def test_a_rule_is_shadowed_exactly_if_it_never_wins(rules: tuple[Rule, ...]) -> None:
    reached = {first_match(rules, target, groups) for target in EVERY_TARGET for groups in EVERYBODY}
    assert set(shadowed(rules, HOSTS)) == set(rules) - reached


@given(rule_lists)
def test_the_rules_that_cover_a_shadowed_one_do_so_without_the_others(rules: tuple[Rule, ...]) -> None:
    for rule, covering in shadowed(rules, HOSTS).items():
        assert covering
        assert all(rules.index(before) < rules.index(rule) for before in covering)
        assert rule in shadowed((*covering, rule), HOSTS)


def names(*rules: Rule) -> dict[str, list[str]]:
    return {
        rule.name: [before.name for before in covering] for rule, covering in shadowed(rules, HOSTS).items()
    }


def test_one_rule_that_covers_another_is_named_alone() -> None:
    settings_rule = Rule("settings", 0, ("/settings",), Need.PUBLIC)
    assert names(settings_rule, ALL, ADMIN) == {"admin": ["all"]}


def test_rules_that_cover_another_together_are_all_named() -> None:
    get, post = (
        replace(ALL, name="get", methods=frozenset({"GET"})),
        replace(ALL, name="post", methods=frozenset({"POST"})),
    )
    both = replace(ADMIN, methods=frozenset({"POST", "GET"}))
    assert names(get, post, both) == {"admin": ["get", "post"]}
    assert names(get, post, ADMIN) == {}


def test_a_rule_for_some_groups_covers_only_theirs() -> None:
    staff = replace(ALL, name="staff", groups=frozenset({"staff"}))
    assert names(staff, ADMIN) == {}
    assert names(staff, replace(ADMIN, groups=frozenset({"staff", "ops"}))) == {}
    assert names(staff, replace(ADMIN, groups=frozenset({"staff"}))) == {"admin": ["staff"]}


def test_a_rule_for_one_host_covers_only_that() -> None:
    one = replace(ALL, name="one", hosts=frozenset(HOSTS[:1]))
    assert names(one, ADMIN) == {}
    assert names(one, replace(ADMIN, hosts=frozenset(HOSTS[:1]))) == {"admin": ["one"]}


def test_a_rule_for_hosts_that_nobody_asks_is_not_shadowed() -> None:
    assert names(ALL, replace(ADMIN, hosts=frozenset({"elsewhere.test"}))) == {}
