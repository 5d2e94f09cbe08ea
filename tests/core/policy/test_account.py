"""The policy of the gateway's own pages: what it may say, and what it may not."""

from pathlib import Path
from textwrap import dedent

import pytest

from gateway.core.policy.account import load_account
from gateway.core.policy.loading import load_policies
from gateway.core.policy.model import OWN_APP, SIGN_IN, Action, Protect
from gateway.core.policy.own import OWN_ACTIONS, SIGNING_IN, own_app
from gateway.documents import parse_document
from gateway.errors import Fault, Faulty

SHIPPED = Path(__file__).parents[3] / "policies" / "account.yaml"
APP = "app: wiki\nhosts: [wiki.test]\nupstream: http://127.0.0.1:1\nunmatched: session\n"


def loaded(text: str) -> tuple[dict[str, Action], list[str]]:
    faults: list[Fault] = []
    app = load_account([parse_document(dedent(text), "account.yaml")], faults)
    return app.actions, [str(fault) for fault in faults]


def test_without_a_file_the_defaults_hold() -> None:
    assert load_account([], []) == own_app()


def test_the_file_that_is_shipped_spells_the_defaults_out() -> None:
    app = load_account([parse_document(SHIPPED.read_text(), "")], faults := [])
    assert (app, faults) == (own_app(), [])


def test_it_says_what_its_actions_ask_for_and_are_called() -> None:
    actions, faults = loaded(
        """\
        app: account
        actions:
          sign-in: {protect: always, fresh: 8h}
          manage-profile: {title: Your data, protect: by-choice, fresh: once, always-for: [staff]}
          remove-factor: {title: Taking one away}
        """
    )
    assert faults == []
    assert actions[SIGN_IN] == Action(OWN_APP, SIGN_IN, SIGNING_IN.title, Protect.ALWAYS, fresh=8 * 3600.0)
    profile = actions["manage-profile"]
    assert profile.lowers, "whatever a policy says"
    assert (profile.title, profile.single_use, profile.always_for) == ("Your data", True, {"staff"})
    removing = actions["remove-factor"]
    assert (removing.title, removing.lowers, removing.single_use) == ("Taking one away", True, True)
    assert actions["change-password"] == OWN_ACTIONS["change-password"]


@pytest.mark.parametrize(
    ("actions", "fault"),
    [
        (
            "sign-on: {protect: always}",
            "3:3: the gateway's own pages have no action 'sign-on'; did you mean 'sign-in'?",
        ),
        (
            "remove-factor: {protect: never}",
            "3:19: protect: what 'remove-factor' needs is settled; only its title can be changed",
        ),
        (
            "manage-protection: {fresh: 1h}",
            "3:23: fresh: what 'manage-protection' needs is settled; only its title can be changed",
        ),
        ("add-factor: {}", "3:15: the key 'title' is missing"),
        ("sign-in: {protect: always, fresh: once}", "3:30: fresh: signing in is not one request"),
        (
            "change-password: {protect: always, fresh: once}",
            "3:45: fresh: the code is asked for before the form, so it has to last for a while",
        ),
        (
            "manage-profile: {protect: always, show: {Name: body.name}}",
            "3:37: show: our own pages show what they change",
        ),
        ("sign-in: {protect: never, default: on}", "3:29: default: only an action with"),
    ],
)
def test_what_it_may_not_say(actions: str, fault: str) -> None:
    found, faults = loaded(f"app: account\nactions:\n  {actions}\n")
    assert len(faults) == 1
    assert faults[0].startswith(f"account.yaml:{fault}")
    assert all(found[name].lowers for name in ("remove-factor", "manage-protection"))


@pytest.mark.parametrize("key", ["hosts: [a.test]", "upstream: http://a", "unmatched: public", "rules: []"])
def test_it_says_nothing_about_where_things_are(key: str) -> None:
    _, faults = loaded(f"app: account\n{key}\n")
    assert len(faults) == 1
    assert key.partition(":")[0] in faults[0]


def test_all_its_faults_are_told_with_those_of_the_other_files() -> None:
    account = parse_document(
        "app: account\nactions:\n  x: {}\n  add-factor: {protect: never}\n", "account.yaml"
    )
    other = parse_document(APP.replace("session", "sesion"), "wiki.yaml")
    with pytest.raises(Faulty) as raised:
        load_policies([account, other])
    assert [fault.file for fault in raised.value.faults] == ["account.yaml", "account.yaml", "wiki.yaml"]


def test_there_is_one_such_file() -> None:
    documents = [parse_document("app: account\n", name) for name in ("a.yaml", "b.yaml")]
    with pytest.raises(Faulty, match=r"b.yaml:1:6: the app 'account' is already claimed at a.yaml:1"):
        load_policies([*documents, parse_document(APP, "wiki.yaml")])


def test_an_app_that_says_nothing_of_signing_in_asks_what_the_account_says() -> None:
    account = parse_document("app: account\nactions: {sign-in: {protect: always}}\n", "account.yaml")
    wiki = parse_document(APP, "wiki.yaml")
    own = parse_document(APP.replace("wiki", "shop") + "actions: {sign-in: {protect: never}}\n", "shop.yaml")
    policies = load_policies([wiki, account, own])
    assert [app.name for app in policies.apps] == ["wiki", "shop"]
    found = {app.name: app.sign_in for app in policies.apps}
    assert found["wiki"] == policies.account.actions[SIGN_IN]
    assert found["shop"] == Action("shop", SIGN_IN, "Sign in", Protect.NEVER)
