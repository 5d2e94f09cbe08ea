"""What asks a person for a code: the actions of every app, with the person's own switches."""

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.core.decision import protects
from gateway.core.policy.model import Action, App, Protect
from gateway.core.records import Account


@dataclass(frozen=True, slots=True)
class Protection:
    """An action as one person has it. `on`: it asks them for a code."""

    app: App
    action: Action
    on: bool

    @property
    def locked(self) -> bool:
        """Whether the policy decides, and the person cannot."""
        return self.action.protect is not Protect.BY_CHOICE


def protections_of(account: Account, apps: Iterable[App]) -> list[Protection]:
    """All that asks for a code or can be made to; what a policy never protects is left out."""
    return [
        Protection(app, action, protects(action, account))
        for app in apps
        for action in app.actions.values()
        if action.protect is not Protect.NEVER
    ]


def find_protection(account: Account, apps: Iterable[App], app: str, action: str) -> Protection | None:
    """The one of an app's action by their names; None where there is no such switch or lock."""
    for protection in protections_of(account, apps):
        if (protection.app.name, protection.action.name) == (app, action):
            return protection
    return None
