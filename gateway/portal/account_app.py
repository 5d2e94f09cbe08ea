"""The gateway's own pages as an app: the actions that protect them, and the match they get.

They are judged by the same `decide` as every app's requests, with the sign-in rule of the app on
whose host they stand.
"""

from dataclasses import replace

from gateway.core.policy.model import OWN_APP, SIGN_IN, Action, App, Match, Need, Protect
from gateway.store.challenges import Challenge

# By choice and on: asked from the first confirmed factor on, so that the first can be set up.
ADD_FACTOR = Action(
    app=OWN_APP,
    name="add-factor",
    title="Adding an authenticator app",
    protect=Protect.BY_CHOICE,
    on_by_default=True,
    fresh=300.0,
    single_use=True,
)

REMOVE_FACTOR = Action(
    app=OWN_APP,
    name="remove-factor",
    title="Removing an authenticator app",
    protect=Protect.BY_CHOICE,
    on_by_default=True,
    fresh=300.0,
    single_use=True,
    lowers=True,
)

MANAGE_PROTECTION = Action(
    app=OWN_APP,
    name="manage-protection",
    title="Changing your protection",
    # Always, for switching on too: who has no factor is sent to set-up, and whoever turns a lock has
    # shown that their own key fits.
    protect=Protect.ALWAYS,
    fresh=300.0,
    single_use=True,
    lowers=True,
    show=(("App", "app"), ("Action", "action"), ("Ask for a code", "on")),
)

CHANGE_PASSWORD = Action(
    app=OWN_APP,
    name="change-password",
    title="Changing your password",
    protect=Protect.BY_CHOICE,
    on_by_default=True,
    # For a while, not for one request: asked for before the form, so that no password is ever parked.
    fresh=300.0,
)

OWN_ACTIONS = {
    action.name: action for action in (ADD_FACTOR, REMOVE_FACTOR, MANAGE_PROTECTION, CHANGE_PASSWORD)
}


def own_match(app: App, need: Need, action: Action | None) -> Match:
    """What one of our own addresses needs, on the host of `app`."""
    sign_in = {SIGN_IN: app.sign_in} if app.sign_in else {}
    own = replace(app, name=OWN_APP, actions={**OWN_ACTIONS, **sign_in}, rules=())
    return Match(app=own, rule=None, need=need, action=action)


def action_of(app: App, challenge: Challenge) -> Action | None:
    """The action that a challenge is about; None when the policy no longer has it."""
    if challenge.app == OWN_APP:
        return OWN_ACTIONS.get(challenge.action)
    return app.actions.get(challenge.action) if challenge.app == app.name else None
