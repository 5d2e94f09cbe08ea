"""The little that the values know by themselves."""

from support.policies import app

from gateway.core.policy.model import SIGN_IN, Action, App, Protect


def test_the_key_of_an_action_names_its_app() -> None:
    assert Action("exchange", "approve", "Approving", Protect.ALWAYS).key == "exchange/approve"


def test_the_action_of_signing_in() -> None:
    action = Action("exchange", SIGN_IN, "Signing in", Protect.ALWAYS)
    protecting = App("exchange", "x.yaml", "X", (), (), app(()).unmatched, actions={SIGN_IN: action})
    assert protecting.sign_in is action
    assert app(()).sign_in is None
