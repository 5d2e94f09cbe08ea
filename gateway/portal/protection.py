"""What asks a person for a code: the actions of every app, with the person's own switches."""

from dataclasses import dataclass

from gateway.core.decision import protects
from gateway.core.policy.matching import PolicySet
from gateway.core.policy.model import Action, App, Protect
from gateway.core.records import Account


@dataclass(frozen=True, slots=True)
class Protection:
    """An action as one person has it. `on`: it asks them for a code; `locked`: they cannot change that."""

    app: App
    action: Action
    on: bool
    locked: bool

    @property
    def name(self) -> str:
        """What tells it from one of another app that has the same title."""
        return name_of(self.app, self.action)


def name_of(app: App, action: Action) -> str:
    return f"{action.title} ({app.title})"


def protections_of(account: Account, policies: PolicySet) -> list[Protection]:
    """All that asks for a code or can be made to; what a policy never protects is left out.

    The account's own come last, so that the apps' come first as people know them; its signing in only
    where an app leaves that to it.
    """
    own = policies.account
    shared_sign_in = any(app.sign_in == own.sign_in for app in policies.apps)
    return [
        Protection(app, action, protects(action, account), locked=protect is not Protect.BY_CHOICE)
        for app in (*policies.apps, own)
        for action in app.actions.values()
        if action.app == app.name and (shared_sign_in or action != own.sign_in)
        if (protect := action.protect_for(account.groups)) is not Protect.NEVER
    ]


def find_protection(account: Account, policies: PolicySet, app: str, action: str) -> Protection | None:
    """The one of an app's action by their names; None where there is no such switch or lock."""
    for protection in protections_of(account, policies):
        if (protection.app.name, protection.action.name) == (app, action):
            return protection
    return None
