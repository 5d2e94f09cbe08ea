"""One action of a policy file, read and judged."""

from gateway.core.located import Document, read
from gateway.core.policy.document import ONCE, ActionDocument
from gateway.core.policy.model import SIGN_IN, Action, Protect
from gateway.errors import Fault

UNSPENT = 300.0
"""Seconds that a grant for one request (`fresh: once`) waits for that request."""


def load_action(document: Document, app: str, name: str, faults: list[Fault]) -> Action | None:
    """The action `name` of the file of `app`; None, and faults, where it cannot be read."""
    found = read(document, ActionDocument, faults, at=("actions", name))
    if found is None:
        return None
    once = found.fresh == ONCE
    if "default" in found.model_fields_set and found.protect is not Protect.BY_CHOICE:
        place = document.key_place("actions", name, "default")
        faults.append(place.fault("default: only an action with 'protect: by-choice' has one"))
    if found.always_for and found.protect is Protect.ALWAYS:
        place = document.key_place("actions", name, "always-for")
        faults.append(place.fault("always-for: 'protect: always' is for everybody already"))
    if name == SIGN_IN and (once or found.show):
        key = "fresh" if once else "show"
        faults.append(document.key_place("actions", name, key).fault(f"{key}: signing in is not one request"))
    return Action(
        app=app,
        name=name,
        title=found.title or title_of(name),
        protect=found.protect,
        on_by_default=found.default,
        fresh=UNSPENT if isinstance(found.fresh, str) else found.fresh,
        single_use=once,
        show=tuple(found.show.items()),
        always_for=found.always_for,
    )


def title_of(name: str) -> str:
    """`approve-transaction` as a title: `Approve transaction`."""
    return name.replace("-", " ").capitalize()
