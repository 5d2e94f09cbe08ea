"""The gateway's own pages on the host of an app: the match that they get, and whose action a challenge is."""

from dataclasses import replace

from gateway.core.policy.matching import PolicySet
from gateway.core.policy.model import OWN_APP, SIGN_IN, Action, App, Match, Need
from gateway.core.policy.own import MANAGE_PROTECTION
from gateway.store.challenges import Challenge


def own_match(account: App, app: App, need: Need, action: Action | None) -> Match:
    """What one of our own addresses needs, on the host of `app`.

    Of `action` the name counts: what it asks for is said by `account`, whose policy may have changed since.
    """
    actions = {**account.actions, SIGN_IN: app.sign_in or account.actions[SIGN_IN]}
    own = replace(account, hosts=app.hosts, actions=actions)
    return Match(app=own, rule=None, need=need, action=account.actions[action.name] if action else None)


def action_of(policies: PolicySet, app: App, challenge: Challenge) -> Action | None:
    """The action that a challenge is about; None when the policy no longer has it."""
    if challenge.app == OWN_APP:
        return policies.account.actions.get(challenge.action)
    return app.actions.get(challenge.action) if challenge.app == app.name else None


def shown_words(policies: PolicySet, challenge: Challenge) -> tuple[tuple[str, str], ...]:
    """What a challenge approves, for people: where it is a switch, by the titles of its app and action.

    Titles come from the policies, not with the request: on the host of an app, what its pages send is not
    to be trusted to name what it does.
    """
    if (challenge.app, challenge.action) != (OWN_APP, MANAGE_PROTECTION.name) or len(challenge.shown) != 3:
        return challenge.shown
    (app_label, app_name), (action_label, action_name), switch = challenge.shown
    app = next((app for app in (*policies.apps, policies.account) if app.name == app_name), None)
    action = app.actions.get(action_name) if app else None
    return (
        (app_label, app.title if app else app_name),
        (action_label, action.title if action else action_name),
        switch,
    )
