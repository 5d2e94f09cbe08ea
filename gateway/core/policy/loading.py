"""Documents to a `PolicySet`, or every fault in all of them at once.

Each part is read and judged on its own as far as it can be, so that one fault hides no other.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from gateway.core.located import Document, Place, nearest, read
from gateway.core.policy.account import load_account
from gateway.core.policy.actions import load_action, title_of
from gateway.core.policy.document import PolicyDocument, RuleDocument
from gateway.core.policy.matching import PolicySet
from gateway.core.policy.model import OWN_APP, SIGN_IN, Action, App, Need, Rule
from gateway.core.policy.patterns import parse_host
from gateway.core.policy.shadowing import shadowed
from gateway.errors import Fault, Faulty


def load_policies(documents: Iterable[Document]) -> PolicySet:
    """The policies of all apps. Raises Faulty with everything that is wrong in any of the documents."""
    documents = tuple(documents)
    faults: list[Fault] = [*_claimed_twice(documents)]
    account = load_account([each for each in documents if each.at("app") == OWN_APP], faults)
    apps = [_load_app(each, account, faults) for each in documents if each.at("app") != OWN_APP]
    if faults:
        raise Faulty(faults)
    return PolicySet((app for app in apps if app), account)


def _load_app(document: Document, account: App, faults: list[Fault]) -> App | None:
    header = read(document, PolicyDocument, faults)
    name = header.app if header else str(document.at("app"))
    actions = {key: load_action(document, name, key, faults) for key in _mapping(document.at("actions"))}
    read_rules = {number: _load_rule(document, number, actions, faults) for number in _rules(document)}
    rules = {number: rule for number, rule in read_rules.items() if rule}
    faults.extend(_need_faults(document))
    faults.extend(_twice(document))
    faults.extend(_foreign_hosts(document, rules))
    faults.extend(_unreachable(document, rules))
    faults.extend(_protecting_nothing(document))
    if header is None:
        return None
    return App(
        name=name,
        file=document.file,
        title=header.title or title_of(name),
        hosts=header.hosts,
        upstreams=header.upstream,
        unmatched=header.unmatched,
        # Who signs in to an app that says nothing about it is asked what the account's policy says.
        actions={
            SIGN_IN: account.actions[SIGN_IN],
            **{key: action for key, action in actions.items() if action},
        },
        rules=tuple(rules.values()),
        body_limit=header.body_limit,
    )


def _load_rule(
    document: Document, number: int, actions: Mapping[str, Action | None], faults: list[Fault]
) -> Rule | None:
    found = read(document, RuleDocument, faults, at=("rules", number))
    if found is None:
        return None
    return Rule(
        name=found.name,
        line=document.place("rules", number).line,
        paths=found.paths,
        need=found.need,
        methods=found.methods,
        hosts=found.hosts,
        groups=found.groups,
        action=actions.get(found.action),
    )


def _need_faults(document: Document) -> Iterator[Fault]:
    """What each rule needs must be said, be known, and not contradict itself."""
    actions = list(_mapping(document.at("actions")))
    for number in _rules(document):
        at = ("rules", number)
        rule = _mapping(document.at(*at))
        need, action, place = rule.get("need"), rule.get("action"), document.place(*at, "need")
        if rule and not need and not action:
            yield document.place(*at).fault("a rule must have 'need' or 'action'")
        if isinstance(action, str) and action not in actions:
            message = f"action: there is no action {action!r} in this file{nearest(action, actions)}"
            yield document.place(*at, "action").fault(message)
        if action and need in (Need.PUBLIC, Need.DENY):
            yield place.fault(f"need: an action is for people who are let in, so it cannot go with {need!r}")
        if rule.get("groups") and need == Need.PUBLIC:
            yield place.fault(
                "need: groups are known only of people who are signed in, so it cannot be 'public'"
            )


def _claimed_twice(documents: Sequence[Document]) -> Iterator[Fault]:
    """Names and hosts that two files, or one twice, lay claim to."""
    first: dict[str, Place] = {}
    for document in documents:
        for claim, place in _claims(document):
            if claim in first:
                yield place.fault(f"{claim} is already claimed at {first[claim].file}:{first[claim].line}")
            first.setdefault(claim, place)


def _claims(document: Document) -> Iterator[tuple[str, Place]]:
    if isinstance(name := document.at("app"), str):
        yield f"the app {name!r}", document.place("app")
    for number, host in enumerate(_list(document.at("hosts"))):
        if isinstance(host, str):
            yield f"the host {_host(host)!r}", document.place("hosts", number)


def _twice(document: Document) -> Iterator[Fault]:
    """Rules of one name; twice the same key, as with actions, is a fault of the YAML already."""
    first: dict[str, int] = {}
    for number in _rules(document):
        name, place = document.at("rules", number, "name"), document.place("rules", number, "name")
        if isinstance(name, str):
            if name in first:
                yield place.fault(f"name: the rule of line {first[name]} is called {name!r} already")
            first.setdefault(name, place.line)


def _foreign_hosts(document: Document, rules: Mapping[int, Rule]) -> Iterator[Fault]:
    known = _hosts(document)
    for number, rule in rules.items():
        foreign = sorted(rule.hosts - known)
        if known and foreign:
            place = document.place("rules", number, "hosts")
            yield place.fault(f"hosts: not a host of this app: {', '.join(foreign)}")


def _unreachable(document: Document, rules: Mapping[int, Rule]) -> Iterator[Fault]:
    hosts = _hosts(document) or {"", *(host for rule in rules.values() for host in rule.hosts)}
    try:
        found = shadowed(tuple(rules.values()), hosts)
    except ValueError as error:
        yield document.key_place("rules").fault(f"rules: {error}")
        return
    for number, rule in rules.items():
        if rule in found:
            earlier = " and ".join(f"{before.name!r} (line {before.line})" for before in found[rule])
            message = f"the rule {rule.name!r} can never match: all its requests go to {earlier}"
            yield document.place("rules", number).fault(message)


def _protecting_nothing(document: Document) -> Iterator[Fault]:
    used = [SIGN_IN, *(document.at("rules", number, "action") for number in _rules(document))]
    for name in _mapping(document.at("actions")):
        if name not in used:
            yield document.key_place("actions", name).fault(
                f"the action {name!r} protects nothing: no rule uses it"
            )


def _rules(document: Document) -> range:
    """The positions of the file's rules."""
    return range(len(_list(document.at("rules"))))


def _hosts(document: Document) -> set[str]:
    return {_host(host) for host in _list(document.at("hosts")) if isinstance(host, str)}


def _host(text: str) -> str:
    """The canonical form, or the text itself if it has none: that is a fault of its own."""
    try:
        return parse_host(text)
    except ValueError:
        return text


def _list(data: object) -> list[object]:
    return data if isinstance(data, list) else []


def _mapping(data: object) -> dict[str, object]:
    return data if isinstance(data, dict) else {}
