"""The gateway's own pages, as an app among the others."""

import pytest

from gateway.core.policy.matching import PolicySet
from gateway.core.policy.model import OWN_APP, Action, App, Need, Protect
from gateway.core.policy.own import CHANGE_PASSWORD, MANAGE_PROTECTION, REMOVE_FACTOR, SIGNING_IN, own_app
from gateway.portal.account_app import action_of, own_match, shown_words
from gateway.store.challenges import Challenge

SIGN_IN = Action("exchange", "sign-in", "Signing in", Protect.ALWAYS)
APPROVE = Action("exchange", "approve", "Approving", Protect.ALWAYS)
OWN_NAME = Action("exchange", REMOVE_FACTOR.name, "Looks like ours", Protect.NEVER)
STRICTER = Action(OWN_APP, CHANGE_PASSWORD.name, "Changing it", Protect.ALWAYS)
ACCOUNT = own_app(title="Your account", actions={STRICTER.name: STRICTER})


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


EXCHANGE = app(SIGN_IN, APPROVE, OWN_NAME)
POLICIES = PolicySet([EXCHANGE], ACCOUNT)


def challenge(app_name: str, action: str, *shown: tuple[str, str]) -> Challenge:
    return Challenge("", "", app_name, action, "POST", "exchange.localhost", "/", 0.0, shown)


def test_our_pages_need_what_their_address_says_whatever_the_app_allows() -> None:
    match = own_match(ACCOUNT, app(SIGN_IN, APPROVE), Need.SESSION, REMOVE_FACTOR)
    assert (match.need, match.action, match.rule, match.by_group) == (
        Need.SESSION,
        REMOVE_FACTOR,
        None,
        False,
    )
    assert match.app.name == OWN_APP
    assert match.app.sign_in == SIGN_IN
    assert APPROVE not in match.app.actions.values()


def test_what_an_address_asks_for_is_what_the_policy_says_now() -> None:
    assert own_match(ACCOUNT, EXCHANGE, Need.SESSION, CHANGE_PASSWORD).action == STRICTER


def test_on_the_host_of_an_app_without_a_sign_in_the_accounts_counts() -> None:
    assert own_match(ACCOUNT, app(APPROVE), Need.SESSION, None).app.sign_in == SIGNING_IN


@pytest.mark.parametrize(
    ("asked", "action"),
    [
        (challenge("exchange", "approve"), APPROVE),
        (challenge("exchange", "sign-in"), SIGN_IN),
        (challenge(OWN_APP, "sign-in"), SIGNING_IN),
        (challenge(OWN_APP, REMOVE_FACTOR.name), REMOVE_FACTOR),
        (challenge(OWN_APP, STRICTER.name), STRICTER),
        (challenge("exchange", REMOVE_FACTOR.name), OWN_NAME),
        (challenge("exchange", MANAGE_PROTECTION.name), None),
        (challenge("exchange", "gone-since"), None),
        (challenge(OWN_APP, "approve"), None),
        (challenge("other-app", "approve"), None),
    ],
    ids=lambda value: f"{value.app}/{value.action}" if isinstance(value, Challenge) else "",
)
def test_the_action_of_a_challenge_is_that_of_its_own_app(asked: Challenge, action: Action | None) -> None:
    assert action_of(POLICIES, EXCHANGE, asked) == action


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (("exchange", "approve", "no"), ("Exchange", "Approving", "no")),
        (("account", "change-password", "yes"), ("Your account", "Changing it", "yes")),
        # What nothing is called stays as it was sent: it will change nothing.
        (("exchange", "gone", "no"), ("Exchange", "gone", "no")),
        (("Exchange", "approve", "no"), ("Exchange", "approve", "no")),
    ],
)
def test_a_switch_is_shown_by_its_titles(sent: tuple[str, ...], said: tuple[str, ...]) -> None:
    labels = [label for label, _ in MANAGE_PROTECTION.show]
    asked = challenge(OWN_APP, MANAGE_PROTECTION.name, *zip(labels, sent, strict=True))
    assert shown_words(POLICIES, asked) == tuple(zip(labels, said, strict=True))


def test_what_another_app_shows_stays_as_it_was_sent() -> None:
    shown = ("App", "exchange")
    assert shown_words(POLICIES, challenge("exchange", MANAGE_PROTECTION.name, shown)) == (shown,)
