"""The gateway's own pages as an app among the others: its actions, and what a policy may say of them.

They are judged by the same `decide` as every app's requests. `policies/account.yaml` may change what
`ADJUSTABLE` leaves open; everything else about them is settled here.
"""

from collections.abc import Mapping

from gateway.core.policy.model import OWN_APP, SIGN_IN, Action, App, Need, Protect

SIGNING_IN = Action(app=OWN_APP, name=SIGN_IN, title="Signing in", protect=Protect.BY_CHOICE)
"""Of every app that has no such action of its own."""

CHANGE_PASSWORD = Action(
    app=OWN_APP,
    name="change-password",
    title="Changing your password",
    protect=Protect.BY_CHOICE,
    on_by_default=True,
    # For a while, not for one request: asked for before the form, so that no password is ever parked.
    fresh=300.0,
    # Whoever has the password and one recovery code could shut the owner out with a new one.
    lowers=True,
)

MANAGE_PROFILE = Action(
    app=OWN_APP,
    name="manage-profile",
    title="Managing your profile",
    protect=Protect.BY_CHOICE,
    on_by_default=True,
    fresh=900.0,
    # The owner is told at this address of what a recovery code has begun.
    lowers=True,
)

ADD_FACTOR = Action(
    app=OWN_APP,
    name="add-factor",
    title="Adding an authenticator app",
    protect=Protect.WITH_FACTOR,
    fresh=300.0,
    single_use=True,
)

REMOVE_FACTOR = Action(
    app=OWN_APP,
    name="remove-factor",
    title="Removing an authenticator app",
    protect=Protect.WITH_FACTOR,
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

RENEW_RECOVERY_CODES = Action(
    app=OWN_APP,
    name="renew-recovery-codes",
    title="Making new recovery codes",
    protect=Protect.WITH_FACTOR,
    fresh=300.0,
    single_use=True,
    # New codes void those that the owner has kept, which are a way back to the account.
    lowers=True,
)

OWN_ACTIONS: Mapping[str, Action] = {
    action.name: action
    for action in (
        SIGNING_IN,
        CHANGE_PASSWORD,
        MANAGE_PROFILE,
        ADD_FACTOR,
        REMOVE_FACTOR,
        MANAGE_PROTECTION,
        RENEW_RECOVERY_CODES,
    )
}

ADJUSTABLE = frozenset({SIGN_IN, CHANGE_PASSWORD.name, MANAGE_PROFILE.name})
"""Those of which a policy decides whether and for how long a code counts; of the others only the title."""


def own_app(*, file: str = "", title: str = "", actions: Mapping[str, Action] | None = None) -> App:
    """The app, with `actions` in place of those of the same names."""
    return App(
        name=OWN_APP,
        file=file,
        title=title or "Your account",
        hosts=(),
        upstreams=(),
        unmatched=Need.DENY,
        actions={**OWN_ACTIONS, **(actions or {})},
    )
