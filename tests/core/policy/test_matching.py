"""The compiled matcher is the plain one, only faster; and HEAD, groups and slashes weaken nothing."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.policies import HOSTS, account_groups, app, first_match, fits, rule_lists, targets

from gateway.core.policy.matching import PolicySet
from gateway.core.policy.model import Action, Match, Need, Protect, Rule
from gateway.core.target import Target, parse_target

NOBODY: frozenset[str] = frozenset()
APPROVE = Action("sample", "approve", "Approving", Protect.ALWAYS)

PUBLIC = Rule("public", 1, ("/**",), Need.PUBLIC)
STAFF = Rule("staff", 2, ("/admin/**",), Need.SESSION, groups=frozenset({"staff"}))


def match(rules: tuple[Rule, ...], target: str, groups: frozenset[str] | None = NOBODY) -> Match:
    method, _, path = target.partition(" ")
    found = PolicySet([app(rules)]).match(parse_target(method, path, HOSTS[0]), groups)
    assert found is not None
    return found


@given(rule_lists, st.lists(targets, min_size=1), account_groups)
def test_the_compiled_matcher_agrees_with_the_first_match_in_file_order(
    rules: tuple[Rule, ...], asked: list[Target], groups: frozenset[str]
) -> None:
    sample = app(rules)
    policies = PolicySet([sample])
    for target in asked:
        rule = first_match(rules, target, groups)
        expected = (
            Match(sample, rule, rule.need, rule.action) if rule else Match(sample, None, Need.DEVICE, None)
        )
        assert policies.match(target, groups) == expected


@given(rule_lists, rule_lists, targets, account_groups)
def test_a_rule_added_at_the_end_changes_nothing_that_matched_before(
    rules: tuple[Rule, ...], added: tuple[Rule, ...], target: Target, groups: frozenset[str]
) -> None:
    before = PolicySet([app(rules)]).match(target, groups)
    after = PolicySet([app(rules + added)]).match(target, groups)
    assert before is not None
    assert after is not None
    if before.rule:
        assert (after.rule, after.need, after.action) == (before.rule, before.need, before.action)


@given(rule_lists, targets, st.none() | account_groups, st.sampled_from(Need))
def test_an_unlisted_path_always_gets_unmatched(
    rules: tuple[Rule, ...], target: Target, groups: frozenset[str] | None, unmatched: Need
) -> None:
    elsewhere = tuple(replace(rule, paths=tuple(f"/listed{path}" for path in rule.paths)) for rule in rules)
    sample = app(elsewhere, unmatched)
    assert PolicySet([sample]).match(target, groups) == Match(sample, None, unmatched, None)


@given(rule_lists, targets, account_groups)
def test_head_is_judged_as_its_get(rules: tuple[Rule, ...], target: Target, groups: frozenset[str]) -> None:
    policies = PolicySet([app(rules)])
    for known in (groups, None):
        assert policies.match(target.with_method("HEAD"), known) == policies.match(
            target.with_method("GET"), known
        )


@given(rule_lists, targets, account_groups)
def test_a_slash_at_the_end_makes_no_difference(
    rules: tuple[Rule, ...], target: Target, groups: frozenset[str]
) -> None:
    policies = PolicySet([app(rules)])
    bare = parse_target(target.method, target.path.rstrip("/") or "/", target.host)
    assert policies.match(bare, groups) == policies.match(target, groups)


@given(rule_lists, targets)
def test_nobody_unknown_passes_a_rule_with_groups(rules: tuple[Rule, ...], target: Target) -> None:
    """Whatever follows: while the groups are unknown, the first rule that fits must hold its place."""
    found = PolicySet([app(rules, Need.PUBLIC)]).match(target, None)
    assert found is not None
    first = next((rule for rule in rules if fits(rule, target)), None)
    assert found.rule == first
    if first and first.groups:
        assert found.need is not Need.PUBLIC
        assert found.by_group or found.need is Need.DENY
    else:
        assert found.need == (first.need if first else Need.PUBLIC)
        assert not found.by_group


@pytest.mark.parametrize(
    ("rules", "groups", "need", "by_group"),
    [
        ((STAFF, PUBLIC), None, Need.SESSION, True),
        ((STAFF, PUBLIC), {"staff"}, Need.SESSION, False),
        ((STAFF, PUBLIC), {"ops"}, Need.PUBLIC, False),
        ((PUBLIC, STAFF), None, Need.PUBLIC, False),
        # whom a group lets in must be able to sign in, although the first rule denies
        ((replace(STAFF, need=Need.DENY), replace(PUBLIC, need=Need.SESSION)), None, Need.SESSION, True),
        ((replace(STAFF, need=Need.DENY), replace(PUBLIC, need=Need.DENY)), None, Need.DENY, False),
        ((replace(STAFF, need=Need.DEVICE), PUBLIC), None, Need.DEVICE, True),
    ],
)
def test_a_rule_with_groups(
    rules: tuple[Rule, ...], groups: set[str] | None, need: Need, by_group: bool
) -> None:
    found = match(rules, "GET /admin/x", None if groups is None else frozenset(groups))
    assert (found.need, found.by_group) == (need, by_group)


def test_the_first_rule_with_any_of_the_groups_wins() -> None:
    ops = replace(STAFF, name="ops", groups=frozenset({"ops", "guests"}))
    assert match((STAFF, ops), "GET /admin", frozenset({"ops", "staff"})).rule == STAFF
    assert match((STAFF, ops), "GET /admin", frozenset({"ops", "other"})).rule == ops
    assert match((STAFF, ops), "GET /admin", frozenset({"other"})).rule is None


def test_a_match_carries_the_action_of_its_rule() -> None:
    rule = replace(STAFF, groups=NOBODY, action=APPROVE)
    assert match((rule,), "POST /admin").action == APPROVE
    assert match((replace(rule, groups=frozenset({"staff"})),), "POST /admin", None).action == APPROVE


@pytest.mark.parametrize(
    ("path", "fits_it"),
    [
        ("/%61dmin", True),
        ("/admin/", True),
        ("/admin", True),
        ("/Admin", False),
        ("/admin.", False),
        ("/admins", False),
    ],
)
def test_case_3_the_neighbourhood_of_a_path(path: str, fits_it: bool) -> None:
    rule = Rule("admin", 1, ("/admin",), Need.DENY)
    assert match((rule,), f"GET {path}").need is (Need.DENY if fits_it else Need.DEVICE)


def test_hosts() -> None:
    other = replace(app((PUBLIC,)), name="other", hosts=("other.test",))
    policies = PolicySet([app(()), other])
    assert policies.app_for("other.test") == other
    assert policies.app_for("elsewhere.test") is None
    assert policies.match(parse_target("GET", "/", "elsewhere.test"), None) is None
    found = policies.match(parse_target("GET", "/", "OTHER.test:8080"), None)
    assert found is not None
    assert found.app == other


class Counted(str):
    """Text that counts how often a dictionary asks for its hash: once for each lookup."""

    __slots__ = ()
    lookups = 0

    def __hash__(self) -> int:
        Counted.lookups += 1
        return super().__hash__()

    __eq__ = str.__eq__


@pytest.mark.parametrize("number_of_rules", [1, 10, 500])
def test_a_match_costs_one_lookup_for_each_segment_and_one_for_the_method(number_of_rules: int) -> None:
    rules = tuple(
        Rule(f"r{number}", number, (f"/api/r{number}/{{id}}", f"/{{any}}/r{number}/**", "/**"), Need.PUBLIC)
        for number in range(number_of_rules)
    )
    policies = PolicySet([app(rules)])
    target = Target(
        method=Counted("GET"),
        host=HOSTS[0],
        authority=HOSTS[0],
        path="/api/r0/7",
        query=None,
        segments=(Counted("api"), Counted("r0"), Counted("7")),
    )
    Counted.lookups = 0
    policies.match(target, None)
    assert Counted.lookups == 4
