"""The gateway's own pages, as an app among the others."""

import pytest

from gateway.core.policy.model import OWN_APP, Action, App, Need, Protect
from gateway.portal.account_app import MANAGE_PROTECTION, REMOVE_FACTOR, action_of, own_match
from gateway.store.challenges import Challenge

SIGN_IN = Action("exchange", "sign-in", "Signing in", Protect.ALWAYS)
APPROVE = Action("exchange", "approve", "Approving", Protect.ALWAYS)
OWN_NAME = Action("exchange", REMOVE_FACTOR.name, "Looks like ours", Protect.NEVER)


def app(*actions: Action) -> App:
    return App(
        name="exchange",
        file="exchange.yaml",
        title="Exchange",
        hosts=("exchange.localhost",),
        upstreams=("http://127.0.0.1:1",),
        unmatched=Need.PUBLIC,
        actions={action.name: action for action in actions},
    )


def challenge(app_name: str, action: str) -> Challenge:
    return Challenge("", "", app_name, action, "POST", "exchange.localhost", "/", 0.0)


def test_our_pages_need_what_their_address_says_whatever_the_app_allows() -> None:
    match = own_match(app(SIGN_IN, APPROVE), Need.SESSION, REMOVE_FACTOR)
    assert (match.need, match.action, match.rule, match.by_group) == (
        Need.SESSION,
        REMOVE_FACTOR,
        None,
        False,
    )
    assert match.app.name == OWN_APP
    assert match.app.sign_in == SIGN_IN
    assert APPROVE not in match.app.actions.values()


def test_an_app_without_a_sign_in_action_asks_for_no_code_to_sign_in() -> None:
    assert own_match(app(APPROVE), Need.SESSION, None).app.sign_in is None


@pytest.mark.parametrize(
    ("asked", "action"),
    [
        (challenge("exchange", "approve"), APPROVE),
        (challenge("exchange", "sign-in"), SIGN_IN),
        (challenge(OWN_APP, REMOVE_FACTOR.name), REMOVE_FACTOR),
        (challenge(OWN_APP, MANAGE_PROTECTION.name), MANAGE_PROTECTION),
        (challenge("exchange", REMOVE_FACTOR.name), OWN_NAME),
        (challenge("exchange", MANAGE_PROTECTION.name), None),
        (challenge("exchange", "gone-since"), None),
        (challenge(OWN_APP, "approve"), None),
        (challenge("other-app", "approve"), None),
    ],
    ids=lambda value: f"{value.app}/{value.action}" if isinstance(value, Challenge) else "",
)
def test_the_action_of_a_challenge_is_that_of_its_own_app(asked: Challenge, action: Action | None) -> None:
    assert action_of(app(SIGN_IN, APPROVE, OWN_NAME), asked) == action
