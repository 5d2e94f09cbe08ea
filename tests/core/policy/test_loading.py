"""A sound policy becomes an app; of a faulty set every fault is told at once, each at its place."""

import re
from pathlib import Path
from textwrap import dedent, indent

import pytest

from gateway.core.located import Shape
from gateway.core.policy.document import ActionDocument, PolicyDocument, RuleDocument
from gateway.core.policy.loading import load_policies
from gateway.core.policy.matching import PolicySet
from gateway.core.policy.model import FOR_THE_SESSION, Action, App, Need, Protect, Rule
from gateway.core.target import parse_target
from gateway.documents import load_policy_directory, parse_document
from gateway.errors import Faulty

ROOT = Path(__file__).parents[3]

SOUND = """\
app: exchange
hosts: [Exchange.localhost, "[0::1]"]
upstream: [http://127.0.0.1:8001, http://127.0.0.1:8002]
unmatched: device
body-limit: 10MiB
actions:
  sign-in: {protect: by-choice}
  approve: {title: Approving, protect: always, fresh: once, show: {Amount: body.amount, To: body.to.address}}
  manage-profile: {protect: by-choice, default: on, fresh: 15m}
rules:
  - {name: assets, methods: [GET, HEAD], paths: ["/static/**"], need: public}
  - {name: approve, methods: [POST], paths: [/withdrawals], action: approve}
  - name: profile
    paths: [/profile]
    hosts: [exchange.localhost]
    groups: [staff]
    need: device
    action: manage-profile
"""


def faults_of(*texts: str) -> list[str]:
    """The faults of a set of files, the first called a.yaml."""
    documents = [
        parse_document(dedent(text), f"{letter}.yaml") for letter, text in zip("abc", texts, strict=False)
    ]
    with pytest.raises(Faulty) as raised:
        load_policies(documents)
    return [str(fault) for fault in raised.value.faults]


def with_rules(rules: str, actions: str = "", more: str = "") -> str:
    """A sound file but for what is given: `rules` start in line 7, `actions` in line 6."""
    head = "app: a\nhosts: [a.test, b.test]\nupstream: http://a\nunmatched: session\n"
    return f"{head}{more}actions: {{{actions}}}\nrules:\n{indent(dedent(rules), '  ')}"


def test_a_sound_policy() -> None:
    [app] = load_policies([parse_document(SOUND, "exchange.yaml")]).apps
    approve = Action(
        app="exchange",
        name="approve",
        title="Approving",
        protect=Protect.ALWAYS,
        fresh=300,
        single_use=True,
        show=(("Amount", "amount"), ("To", "to.address")),
    )
    profile = Action(
        "exchange", "manage-profile", "Manage profile", Protect.BY_CHOICE, on_by_default=True, fresh=900
    )
    assert app == App(
        name="exchange",
        file="exchange.yaml",
        title="Exchange",
        hosts=("exchange.localhost", "[::1]"),
        upstreams=("http://127.0.0.1:8001", "http://127.0.0.1:8002"),
        unmatched=Need.DEVICE,
        actions={
            "sign-in": Action("exchange", "sign-in", "Sign in", Protect.BY_CHOICE, fresh=FOR_THE_SESSION),
            "approve": approve,
            "manage-profile": profile,
        },
        rules=(
            Rule("assets", 11, ("/static/**",), Need.PUBLIC, methods=frozenset({"GET", "HEAD"})),
            Rule("approve", 12, ("/withdrawals",), Need.SESSION, methods=frozenset({"POST"}), action=approve),
            Rule(
                "profile",
                13,
                ("/profile",),
                Need.DEVICE,
                hosts=frozenset({"exchange.localhost"}),
                groups=frozenset({"staff"}),
                action=profile,
            ),
        ),
        body_limit=10 * 2**20,
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            with_rules("- {name: x, paths: [/], action: y}"),
            "a.yaml:7:35: action: there is no action 'y' in this file",
        ),
        (
            with_rules(
                "- {name: x, paths: [/], action: aprove}\n- {name: y, paths: [/y], action: approve}",
                "approve: {protect: always}",
            ),
            "a.yaml:7:35: action: there is no action 'aprove' in this file; did you mean 'approve'?",
        ),
        (
            with_rules("- {name: x, paths: [/], need: session}", "approve: {protect: always}"),
            "a.yaml:5:11: the action 'approve' protects nothing: no rule uses it",
        ),
        (
            with_rules("- {name: x, paths: [/], need: session}\n- {name: x, paths: [/y], need: session}"),
            "a.yaml:8:12: name: the rule of line 7 is called 'x' already",
        ),
        (with_rules("- {name: x, paths: [/]}"), "a.yaml:7:5: a rule must have 'need' or 'action'"),
        (
            with_rules("- {name: x, paths: [/], action: y, need: public}", "y: {protect: always}"),
            "a.yaml:7:44: need: an action is for people who are let in, so it cannot go with 'public'",
        ),
        (
            with_rules("- {name: x, paths: [/], action: y, need: deny}", "y: {protect: always}"),
            "a.yaml:7:44: need: an action is for people who are let in, so it cannot go with 'deny'",
        ),
        (
            with_rules("- {name: x, paths: [/], groups: [staff], need: public}"),
            "a.yaml:7:50: need: groups are known only of people who are signed in, so it cannot be 'public'",
        ),
        (
            with_rules("- {name: x, paths: [/], hosts: [a.test, c.test], need: deny}"),
            "a.yaml:7:34: hosts: not a host of this app: c.test",
        ),
        (
            with_rules("- {name: x, paths: [/**], need: session}\n- {name: y, paths: [/y], need: deny}"),
            "a.yaml:8:5: the rule 'y' can never match: all its requests go to 'x' (line 7)",
        ),
        (
            with_rules(
                """\
                - {name: x, paths: [/**], methods: [GET], need: session}
                - {name: y, paths: [/**], methods: [POST], need: session}
                - {name: z, paths: [/z], methods: [HEAD, GET, POST], need: deny}
                """
            ),
            "a.yaml:9:5: the rule 'z' can never match: all its requests go to 'x' (line 7) and 'y' (line 8)",
        ),
        (
            with_rules(
                """\
                - {name: x, paths: [/**], hosts: [a.test], need: session}
                - {name: y, paths: [/**], hosts: [b.test], need: session}
                - {name: z, paths: [/z], need: deny}
                """
            ),
            "a.yaml:9:5: the rule 'z' can never match: all its requests go to 'x' (line 7) and 'y' (line 8)",
        ),
        (
            with_rules("- {name: x, paths: [/], action: y}", "y: {protect: always, default: off}"),
            "a.yaml:5:32: default: only an action with 'protect: by-choice' has one",
        ),
        (
            with_rules("- {name: x, paths: [/], need: deny}", "sign-in: {protect: always, fresh: once}"),
            "a.yaml:5:38: fresh: signing in is not one request",
        ),
        (
            with_rules(
                "- {name: x, paths: [/], need: deny}", "sign-in: {protect: always, show: {A: body.a}}"
            ),
            "a.yaml:5:38: show: signing in is not one request",
        ),
        (
            with_rules("- {name: x, paths: [/], need: deny}", more="tests: []\n").replace(
                "actions: {}\n", ""
            ),
            "a.yaml:5:1: unknown key 'tests'",
        ),
        (with_rules("- {name: x, paths: [/], need: deny, body: {}}"), "a.yaml:7:39: unknown key 'body'"),
        (with_rules("- 5"), "a.yaml:7:5: rules: must be a mapping of keys to values, not a number"),
    ],
)
def test_a_fault_of_one_file(text: str, fault: str) -> None:
    [found] = faults_of(text)
    assert found.startswith(fault)


def test_what_two_files_both_claim() -> None:
    one = "app: one\nhosts: [a.test, A.test]\nupstream: http://a\nunmatched: deny\n"
    two = 'app: one\nhosts:\n  - b.test\n  - "[::1]"\n  - A.TEST\nupstream: http://a\nunmatched: deny\n'
    three = 'app: three\nhosts: ["[0:0::1]"]\nupstream: http://a\nunmatched: deny\n'
    assert faults_of(one, two, three) == [
        "a.yaml:2:17: the host 'a.test' is already claimed at a.yaml:2",
        "b.yaml:1:6: the app 'one' is already claimed at a.yaml:1",
        "b.yaml:5:5: the host 'a.test' is already claimed at a.yaml:2",
        "c.yaml:2:9: the host '[::1]' is already claimed at b.yaml:4",
    ]


def test_no_fault_hides_another() -> None:
    """Faults of every kind in two files, most of them in parts that have another fault as well."""
    found = faults_of(
        """\
        app: Bad Name
        titel: Exchange
        hosts: [a.test, "b.test:80"]
        upstream: https://127.0.0.1/app
        unmatched: sesion
        actions:
          approve: {protect: allways, fresh: 5}
          unused: {protect: never}
        rules:
          - {name: all, paths: ["/**"], need: session}
          - {name: all, methods: [get], paths: [/a], action: aprove}
          - {paths: [/x/../y, "/a%20b"], groups: [], need: public, action: approve}
          - {name: late, paths: [/late], need: deny}
          - 5
        """,
        "app: b\nhosts: [A.test]\nupstream: []\nrules: {}\n",
    )
    assert [fault.split(": ")[0] for fault in found] == [
        *("a.yaml:1:6", "a.yaml:2:1", "a.yaml:3:17", "a.yaml:4:11", "a.yaml:5:12"),
        *("a.yaml:7:22", "a.yaml:7:38", "a.yaml:8:3"),
        *("a.yaml:11:12", "a.yaml:11:27", "a.yaml:11:54"),
        *("a.yaml:12:5", "a.yaml:12:14", "a.yaml:12:23", "a.yaml:12:42", "a.yaml:12:52"),
        *("a.yaml:13:5", "a.yaml:14:5"),
        *("b.yaml:1:1", "b.yaml:2:9", "b.yaml:3:11", "b.yaml:4:8"),
    ]


@pytest.mark.parametrize(
    "text", ["", "rules: 5\nactions: []\nhosts: {a: b}\napp: [x]\nupstream: {}\nunmatched: []", "[]", "5"]
)
def test_any_shape_of_document_has_faults_and_no_crash(text: str) -> None:
    assert faults_of(text)


def test_wildcards_that_combine_too_much_are_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.core.policy.patterns.MAX_STATES", 5)
    [found] = faults_of(with_rules('- {name: x, paths: [/*/a/b/c, "/b/{c}/*/*"], need: deny}'))
    assert found.startswith("a.yaml:6:1: rules: the wildcards of the rules combine in too many ways")


@pytest.fixture(scope="module")
def shipped() -> PolicySet:
    return load_policy_directory(ROOT / "policies")


@pytest.mark.parametrize(
    ("request_line", "need", "action"),
    [
        ("GET /", Need.SESSION, None),
        ("GET /withdrawals", Need.SESSION, None),
        ("POST /withdrawals", Need.SESSION, "approve-transaction"),
        ("POST /withdrawals/", Need.SESSION, "approve-transaction"),
        ("GET /withdrawals/7", Need.SESSION, None),
        ("GET /profile", Need.SESSION, None),
        ("POST /profile", Need.SESSION, "manage-profile"),
        ("POST /api/transfers", Need.SESSION, "approve-transaction"),
        ("GET /static/style.css", Need.PUBLIC, None),
        ("HEAD /favicon.ico", Need.PUBLIC, None),
        ("POST /static/style.css", Need.SESSION, None),
        ("GET /echo", Need.SESSION, None),
    ],
)
def test_the_policy_of_the_exchange(
    shipped: PolicySet, request_line: str, need: Need, action: str | None
) -> None:
    method, _, path = request_line.partition(" ")
    for host in ("exchange.localhost:8080", "localhost", "127.0.0.1", "[::1]:8080"):
        found = shipped.match(parse_target(method, path, host), None)
        assert found is not None
        assert (found.need, found.action and found.action.name) == (need, action)


def test_the_reference_shows_a_sound_policy() -> None:
    [example] = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "policy.md").read_text(), re.DOTALL)
    [app] = load_policies([parse_document(example, "docs/policy.md")]).apps
    assert app.title == "Exchange"


@pytest.mark.parametrize("shape", [PolicyDocument, ActionDocument, RuleDocument])
def test_the_reference_names_every_key(shape: type[Shape]) -> None:
    reference = (ROOT / "docs" / "policy.md").read_text()
    assert [
        field.alias for field in shape.model_fields.values() if f"\n| `{field.alias}` |" not in reference
    ] == []
