"""The policy of the gateway's own pages: the file that says `app: account`, or what holds without one."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from gateway.core.located import Document, nearest, read
from gateway.core.policy.actions import load_action
from gateway.core.policy.document import ONCE, AccountDocument, OwnTitleDocument
from gateway.core.policy.model import SIGN_IN, Action, App
from gateway.core.policy.own import ADJUSTABLE, MANAGE_PROFILE, OWN_ACTIONS, own_app
from gateway.errors import Fault


def load_account(documents: Sequence[Document], faults: list[Fault]) -> App:
    """The gateway's own pages as an app. `documents` are those that claim to be its policy: one or none."""
    if not documents:
        return own_app()
    document = documents[0]
    header = read(document, AccountDocument, faults)
    named = document.at("actions")
    loaded = [_load(document, name, faults) for name in (named if isinstance(named, dict) else ())]
    return own_app(
        file=document.file,
        title=header.title if header else "",
        actions={action.name: action for action in loaded if action},
    )


def _load(document: Document, name: str, faults: list[Fault]) -> Action | None:
    ours = OWN_ACTIONS.get(name)
    if ours is None:
        message = f"the gateway's own pages have no action {name!r}{nearest(name, list(OWN_ACTIONS))}"
        faults.append(document.key_place("actions", name).fault(message))
        return None
    if name in ADJUSTABLE:
        faults.extend(_unfit(document, name))
        action = load_action(document, ours.app, name, faults)
        written = document.at("actions", name)
        if action is None:
            return None
        untitled = isinstance(written, dict) and "title" not in written
        return replace(action, title=ours.title if untitled else action.title, lowers=ours.lowers)
    settled = list(_settled(document, name))
    faults.extend(settled)
    found = None if settled else read(document, OwnTitleDocument, faults, at=("actions", name))
    return replace(ours, title=found.title) if found else None


def _settled(document: Document, name: str) -> Iterator[Fault]:
    """What somebody wants to change that would open the gateway's own protections."""
    written = document.at("actions", name)
    for key in written if isinstance(written, dict) else ():
        if key != "title":
            message = f"{key}: what {name!r} needs is settled; only its title can be changed"
            yield document.key_place("actions", name, key).fault(message)


def _unfit(document: Document, name: str) -> Iterator[Fault]:
    """What an action of an app may have, and these cannot. Of signing in, `load_action` tells."""
    if name == SIGN_IN:
        return
    if document.at("actions", name, "show") is not None:
        yield document.key_place("actions", name, "show").fault("show: our own pages show what they change")
    if document.at("actions", name, "fresh") == ONCE and name != MANAGE_PROFILE.name:
        message = "fresh: the code is asked for before the form, so it has to last for a while"
        yield document.place("actions", name, "fresh").fault(message)
