"""What the gateway's own pages ask for, whatever a policy says."""

from gateway.core.policy.model import OWN_APP, SIGN_IN, Need, Protect
from gateway.core.policy.own import ADJUSTABLE, OWN_ACTIONS, own_app


def test_nothing_reaches_an_upstream_by_it() -> None:
    app = own_app()
    assert (app.name, app.hosts, app.upstreams, app.rules, app.unmatched) == (OWN_APP, (), (), (), Need.DENY)
    assert app.actions == OWN_ACTIONS


def test_each_action_is_the_accounts_under_its_own_name() -> None:
    assert {name: action.key for name, action in OWN_ACTIONS.items()} == {
        name: f"{OWN_APP}/{name}" for name in OWN_ACTIONS
    }


def test_what_takes_protection_away_takes_a_code_each_time_and_no_policy_can_change_that() -> None:
    lowering = {name for name, action in OWN_ACTIONS.items() if action.lowers}
    settled = {"remove-factor", "manage-protection", "renew-recovery-codes"}
    assert lowering == settled | {"change-password", "manage-profile"}
    for name in settled:
        assert name not in ADJUSTABLE
        assert OWN_ACTIONS[name].single_use
        assert OWN_ACTIONS[name].protect in (Protect.ALWAYS, Protect.WITH_FACTOR)


def test_an_action_takes_the_place_of_the_one_of_its_name() -> None:
    other = own_app(actions={SIGN_IN: OWN_ACTIONS["change-password"]}).actions
    assert other[SIGN_IN] == OWN_ACTIONS["change-password"]
    assert other.keys() == OWN_ACTIONS.keys()
