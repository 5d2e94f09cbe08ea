"""Generated policies and targets, and a reference that finds the first match in the plainest way."""

import re
from itertools import product

from hypothesis import strategies as st

from gateway.core.policy.model import App, Need, Rule
from gateway.core.target import Target, parse_target

HOSTS = ("one.test", "two.test")
METHODS = ("GET", "HEAD", "POST", "PUT")
GROUPS = ("ops", "staff")
SEGMENTS = ("a", "b", "c")

_patterns = st.builds(
    lambda steps, rest: "".join(f"/{step}" for step in [*steps, *(["**"] if rest else [])]) or "/",
    st.lists(st.sampled_from(("a", "b", "*", "{id}")), max_size=3),
    st.booleans(),
)


@st.composite
def _rule(draw: st.DrawFn) -> Rule:
    groups = draw(st.frozensets(st.sampled_from(GROUPS)))
    methods = draw(st.sampled_from(((), (), ("GET",), ("GET", "HEAD"), ("POST",), ("GET", "POST"))))
    return Rule(
        name="rule",
        line=0,
        paths=tuple(draw(st.lists(_patterns, min_size=1, max_size=3))),
        need=draw(st.sampled_from([need for need in Need if not (groups and need is Need.PUBLIC)])),
        methods=frozenset(methods),
        hosts=draw(st.sampled_from((frozenset(), frozenset(), frozenset(HOSTS[:1]), frozenset(HOSTS)))),
        groups=groups,
    )


rule_lists = st.lists(_rule(), max_size=7).map(
    lambda rules: tuple(
        Rule(f"r{number}", number, rule.paths, rule.need, rule.methods, rule.hosts, rule.groups)
        for number, rule in enumerate(rules)
    )
)

targets = st.builds(
    lambda method, steps, slash, host: parse_target(
        method, "/" + "/".join(steps) + slash * bool(steps), host
    ),
    st.sampled_from(METHODS),
    st.lists(st.sampled_from(SEGMENTS), max_size=4),
    st.sampled_from(("", "/")),
    st.sampled_from(HOSTS),
)

account_groups = st.frozensets(st.sampled_from((*GROUPS, "guests")))

EVERY_TARGET = tuple(
    parse_target(method, "/" + "/".join(steps), host)
    for method, host in product(("GET", "POST", "PUT"), HOSTS)
    for length in range(5)
    for steps in product(SEGMENTS, repeat=length)
)
"""One target for each way in which generated rules can tell targets apart."""


def app(rules: tuple[Rule, ...], unmatched: Need = Need.DEVICE) -> App:
    return App("sample", "sample.yaml", "Sample", HOSTS, ("http://127.0.0.1:1",), unmatched, rules=rules)


def first_match(rules: tuple[Rule, ...], target: Target, groups: frozenset[str]) -> Rule | None:
    """The first rule for `target`, by one regular expression for each path."""
    return next(
        (rule for rule in rules if fits(rule, target) and (not rule.groups or rule.groups & groups)), None
    )


def fits(rule: Rule, target: Target) -> bool:
    """Whether `rule` is for `target`, whoever asks."""
    methods = rule.methods | ({"HEAD"} if "GET" in rule.methods else set())
    if rule.methods and target.method not in methods:
        return False
    if rule.hosts and target.host not in rule.hosts:
        return False
    path = target.path.rstrip("/")
    return any(re.fullmatch(_expression(pattern), path) for pattern in rule.paths)


def _expression(pattern: str) -> str:
    wild = re.sub(r"\*|\{\w+\}", "[^/]+", pattern.removesuffix("/**").rstrip("/"))
    return wild + ("(/.*)?" if pattern.endswith("/**") else "")
