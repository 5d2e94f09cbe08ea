"""The shapes of a policy file's parts. `loading` puts them together and judges what one part cannot know."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, PlainValidator

from gateway.core.located import Shape
from gateway.core.policy.model import FOR_THE_SESSION, OWN_SEGMENT, Need, Protect
from gateway.core.policy.patterns import parse_host, parse_pattern, parse_upstream
from gateway.core.values import NOT_EMPTY, ONE_OR_MANY, Name, Size, Switch, Text, one_of, parse_duration

METHODS = (
    *("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "SEARCH", "REPORT"),
    *("PROPFIND", "PROPPATCH", "MKCOL", "MKCALENDAR", "MKACTIVITY", "COPY", "MOVE", "LOCK", "UNLOCK"),
    *("BIND", "REBIND", "UNBIND", "LINK", "UNLINK", "ACL", "CHECKOUT", "MERGE", "PURGE", "SOURCE"),
    *("M-SEARCH", "NOTIFY", "SUBSCRIBE", "UNSUBSCRIBE"),
)
"""The methods that can reach an app. TRACE and CONNECT cannot; others do not parse."""

ONCE = "once"
_BODY_FIELD = re.compile(r"body\.([A-Za-z0-9_\-]+(?:\.[A-Za-z0-9_\-]+)?)", re.ASCII)


def _path(text: str) -> str:
    if parse_pattern(text).segments[:1] == (OWN_SEGMENT,):
        raise ValueError(f"{text!r} is an address of the gateway's own pages, which no rule can change")
    return text.rstrip("/") or "/"


def _methods(methods: frozenset[str]) -> frozenset[str]:
    if "HEAD" in methods and "GET" not in methods:
        raise ValueError("HEAD is judged as GET, so it cannot stand without GET")
    return methods


def _fresh(value: Any) -> float | Literal["once"]:
    if value == ONCE:
        return "once"
    try:
        return parse_duration(str(value))
    except ValueError as error:
        raise ValueError(f"{error}, or once") from None


def _body_field(text: str) -> str:
    found = _BODY_FIELD.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a field of the body; write body.<field> or body.<field>.<field>")
    return found[1]


Host = Annotated[str, AfterValidator(parse_host)]
Upstream = Annotated[str, AfterValidator(parse_upstream)]
PathPattern = Annotated[str, AfterValidator(_path)]
Method = Annotated[str, one_of(METHODS, "a method that policies can name")]
Fresh = Annotated[float | Literal["once"], PlainValidator(_fresh)]
BodyField = Annotated[str, AfterValidator(_body_field)]


class PolicyDocument(Shape):
    """One app's file. Actions and rules are read one by one, so that a fault in one hides no other."""

    app: Name
    title: Text = ""
    hosts: Annotated[tuple[Host, ...], NOT_EMPTY]
    upstream: Annotated[tuple[Upstream, ...], ONE_OR_MANY, NOT_EMPTY]
    unmatched: Need
    body_limit: Size | None = None
    actions: dict[Name, Any] = {}
    rules: tuple[Any, ...] = ()


class AccountDocument(Shape):
    """The policy of the gateway's own pages, which are at the same addresses on every host."""

    app: Name
    title: Text = ""
    actions: dict[Name, Any] = {}


class OwnTitleDocument(Shape):
    """What a policy may say of an action whose protection is not its to decide."""

    title: Text


class ActionDocument(Shape):
    title: Text = ""
    protect: Protect
    always_for: Annotated[frozenset[Text], NOT_EMPTY] = frozenset()
    default: Switch = False
    fresh: Fresh = FOR_THE_SESSION
    show: dict[Text, BodyField] = {}


class RuleDocument(Shape):
    """A rule has `need` or `action`. Its lists must not be empty: that could mean all as well as none."""

    name: Name
    methods: Annotated[frozenset[Method], NOT_EMPTY, AfterValidator(_methods)] = frozenset()
    hosts: Annotated[frozenset[Host], NOT_EMPTY] = frozenset()
    paths: Annotated[tuple[PathPattern, ...], NOT_EMPTY]
    groups: Annotated[frozenset[Text], NOT_EMPTY] = frozenset()
    need: Need = Need.SESSION
    action: Text = ""
