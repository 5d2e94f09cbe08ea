"""The shapes of a policy file's parts, and what their own values may be."""

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.core.located import Shape
from gateway.core.policy.document import METHODS, ActionDocument, PolicyDocument, RuleDocument
from gateway.core.policy.model import FOR_THE_SESSION, Need, Protect
from gateway.core.target import parse_target

APP = {
    "app": "exchange",
    "hosts": ["exchange.localhost"],
    "upstream": "http://127.0.0.1:8001",
    "unmatched": "session",
}
ACTION = {"protect": "always"}
RULE = {"name": "all", "paths": ["/**"]}


def shape(kind: type[Shape], data: dict[str, Any]) -> Any:
    return kind.model_validate(data, by_alias=True, by_name=False, context={})


def test_an_app() -> None:
    found = shape(PolicyDocument, {**APP, "body-limit": "1MiB", "hosts": ["A.test", "[0::1]"]})
    assert found.hosts == ("a.test", "[::1]")
    assert found.upstream == ("http://127.0.0.1:8001",)
    assert found.body_limit == 2**20
    assert (found.actions, found.rules, found.title) == ({}, (), "")
    assert shape(PolicyDocument, {**APP, "upstream": ["http://a", "http://b"]}).upstream == (
        "http://a",
        "http://b",
    )


@pytest.mark.parametrize(
    ("written", "fresh"), [("once", "once"), ("15m", 900.0), ("7d", 604_800.0), ("500ms", 0.5)]
)
def test_how_fresh_a_code_must_be(written: str, fresh: object) -> None:
    assert shape(ActionDocument, {**ACTION, "fresh": written}).fresh == fresh


def test_an_action() -> None:
    found = shape(
        ActionDocument,
        {**ACTION, "default": "on", "show": {"Amount": "body.amount", "To": "body.to.address"}},
    )
    assert found.protect is Protect.ALWAYS
    assert found.default is True
    assert found.show == {"Amount": "amount", "To": "to.address"}
    assert found.fresh == FOR_THE_SESSION


def test_a_rule() -> None:
    found = shape(
        RuleDocument, {**RULE, "methods": ["HEAD", "GET"], "paths": ["/a/", "/", "/b/**"], "need": "device"}
    )
    assert found.methods == {"GET", "HEAD"}
    assert found.paths == ("/a", "/", "/b/**")
    assert found.need is Need.DEVICE
    assert (found.hosts, found.groups, found.action) == (frozenset(), frozenset(), "")
    assert shape(RuleDocument, RULE).methods == frozenset()


@pytest.mark.parametrize(
    ("kind", "data", "message"),
    [
        (PolicyDocument, {**APP, "hosts": []}, "must not be empty"),
        (PolicyDocument, {**APP, "hosts": ["a:80"]}, "is not a host"),
        (PolicyDocument, {**APP, "upstream": []}, "must not be empty"),
        (PolicyDocument, {**APP, "upstream": "https://a"}, "is not an upstream"),
        (PolicyDocument, {**APP, "actions": {"A b": {}}}, "is not a name"),
        (
            ActionDocument,
            {**ACTION, "fresh": "twice"},
            "'twice' is not a duration; write one such as 30s, 5m, 1h or 7d, or once",
        ),
        (ActionDocument, {**ACTION, "fresh": None}, "must not be nothing; leave the key out instead"),
        (ActionDocument, {**ACTION, "show": {"A": "amount"}}, "is not a field of the body"),
        (ActionDocument, {**ACTION, "show": {"A": "body.a.b.c"}}, "is not a field of the body"),
        (ActionDocument, {**ACTION, "show": {"A": "body."}}, "is not a field of the body"),
        (ActionDocument, {**ACTION, "show": {"": "body.a"}}, "visible text"),
        (ActionDocument, {**ACTION, "show": {"A": "body.a\n"}}, "is not a field of the body"),
        (RuleDocument, {**RULE, "methods": []}, "must not be empty"),
        (
            RuleDocument,
            {**RULE, "methods": ["HEAD", "POST"]},
            "HEAD is judged as GET, so it cannot stand without GET",
        ),
        (RuleDocument, {**RULE, "methods": ["post"]}, "did you mean 'POST'?"),
        (RuleDocument, {**RULE, "methods": ["TRACE"]}, "is not a method that policies can name"),
        (RuleDocument, {**RULE, "hosts": []}, "must not be empty"),
        (RuleDocument, {**RULE, "groups": None}, "must not be nothing"),
        (RuleDocument, {**RULE, "need": "session", "action": None}, "must not be nothing"),
        (RuleDocument, {**RULE, "groups": []}, "must not be empty"),
        (RuleDocument, {**RULE, "paths": []}, "must not be empty"),
        (RuleDocument, {**RULE, "paths": ["/a/../b"]}, "dot segment"),
        (RuleDocument, {**RULE, "paths": ["/.watchword/devices"]}, "the gateway's own pages"),
    ],
)
def test_what_a_part_may_not_hold(kind: type[Shape], data: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as raised:
        shape(kind, data)
    [error] = raised.value.errors()
    assert message in str(error["ctx"]["error"])


@pytest.mark.parametrize("method", METHODS)
def test_every_method_that_a_rule_can_name_can_be_asked(method: str) -> None:
    assert parse_target(method, "/", "a.test").method == method
