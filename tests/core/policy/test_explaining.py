"""An explanation agrees with the matcher, and says of each rule what kept it from matching."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.policies import HOSTS, account_groups, app, rule_lists, targets

from gateway.core.policy.explaining import Outcome, explain
from gateway.core.policy.matching import PolicySet
from gateway.core.policy.model import Action, Need, Protect, Rule
from gateway.core.target import Target, parse_target

APPROVE = Action("sample", "approve", "Approving", Protect.ALWAYS)
RULES = (
    Rule("assets", 3, ("/static/**", "/favicon.ico"), Need.PUBLIC, frozenset({"GET", "HEAD"})),
    Rule("elsewhere", 4, ("/**",), Need.DENY, hosts=frozenset({HOSTS[1]})),
    Rule("staff", 5, ("/admin/**",), Need.SESSION, groups=frozenset({"staff", "ops"})),
    Rule(
        "withdraw",
        6,
        ("/withdrawals", "/withdrawals/{id}/confirm"),
        Need.SESSION,
        frozenset({"POST"}),
        action=APPROVE,
    ),
    Rule("admin", 7, ("/admin/**",), Need.DENY),
)
POLICIES = PolicySet([app(RULES)])
NOBODY: frozenset[str] = frozenset()


def target(method: str, path: str) -> Target:
    return parse_target(method, path, HOSTS[0])


def test_our_own_addresses_are_no_matter_of_policy() -> None:
    explanation = explain(POLICIES, target("GET", "/.watchword/devices"), NOBODY)
    assert (explanation.app, explanation.match, explanation.trials) == (POLICIES.apps[0], None, ())
    assert "gateway itself" in explanation.why


@given(rule_lists, targets, st.none() | account_groups)
def test_what_applies_is_what_the_matcher_says(
    rules: tuple[Rule, ...], asked: Target, groups: frozenset[str] | None
) -> None:
    policies = PolicySet([app(rules)])
    found = explain(policies, asked, groups)
    applying = [trial.rule for trial in found.trials if trial.outcome is Outcome.APPLIES]
    assert found.match is not None
    assert found.match == policies.match(asked, groups)
    assert applying == ([found.match.rule] if found.match.rule else [])
    assert tuple(trial.rule for trial in found.trials) == rules


@pytest.mark.parametrize(
    ("asked", "groups", "outcomes", "place"),
    [
        (("GET", "/static/a.css"), NOBODY, "applies host path method path", "sample.yaml:3"),
        (("POST", "/withdrawals"), NOBODY, "method host path applies path", "sample.yaml:6"),
        (("GET", "/admin"), None, "path host applies method too-late", "sample.yaml:5"),
        (("GET", "/admin"), NOBODY, "path host group method applies", "sample.yaml:7"),
        (("GET", "/admin"), frozenset({"ops"}), "path host applies method too-late", "sample.yaml:5"),
        (("GET", "/"), NOBODY, "path host path method path", "sample.yaml"),
    ],
)
def test_how_each_rule_fared(
    asked: tuple[str, str], groups: frozenset[str] | None, outcomes: str, place: str
) -> None:
    found = explain(POLICIES, target(*asked), groups)
    assert " ".join(trial.outcome for trial in found.trials) == outcomes
    assert found.place == place


def why(asked: Target, name: str, groups: frozenset[str] | None = NOBODY) -> str:
    return next(trial.why for trial in explain(POLICIES, asked, groups).trials if trial.rule.name == name)


def test_reasons_are_short_sentences() -> None:
    assert why(target("PUT", "/"), "assets") == "It is for GET or HEAD, not for PUT."
    assert why(target("GET", "/"), "elsewhere") == "It is for two.test, not for one.test."
    assert why(target("GET", "/admin"), "staff") == "It is for the groups ops or staff."
    assert (
        why(target("GET", "/admin"), "staff", None) == "It is for the groups ops or staff, so it may match."
    )
    assert why(target("GET", "/admin"), "staff", frozenset({"ops"})) == "It matches."
    assert why(target("GET", "/admin"), "admin", None) == "It would match, but 'staff' comes first."
    assert why(target("GET", "/favicon"), "assets") == "/static/** does not fit: 'favicon' is not 'static'."


def test_of_several_paths_the_one_that_fits_furthest_is_told() -> None:
    expected = "/withdrawals/{id}/confirm does not fit: 'history' is not 'confirm'."
    assert why(target("POST", "/withdrawals/7/history"), "withdraw") == expected


def test_the_whole() -> None:
    found = explain(POLICIES, target("POST", "/withdrawals"), NOBODY)
    assert (found.need, found.action) == (Need.SESSION, APPROVE)
    assert found.why == "The rule 'withdraw' is the first that matches."
    assert explain(POLICIES, target("GET", "/"), None).why == "No rule matches, so 'unmatched' applies."
    assert explain(POLICIES, target("GET", "/admin"), None).why.startswith(
        "The rule 'staff' may match: the groups"
    )


def test_a_host_that_nobody_has() -> None:
    found = explain(POLICIES, parse_target("GET", "/", "elsewhere.test"), None)
    assert (found.app, found.match, found.need, found.action, found.trials) == (None, None, None, None, ())
    assert found.why == "No app has the host elsewhere.test."
