"""The values of a loaded policy. Frozen; safe to share; made once at load."""

import math
from dataclasses import dataclass, field
from enum import StrEnum

SIGN_IN = "sign-in"
"""The action that stands for signing in; an app that protects it asks for a code at sign-in."""

OWN_APP = "account"
"""The app that the gateway's own pages are; its policy says what its actions ask for, not who answers."""

OWN_SEGMENT = ".watchword"
"""The first segment of the gateway's own addresses; requests to them never reach a rule."""

FOR_THE_SESSION = math.inf
"""`fresh` when a policy names none: one code serves the whole session."""


class Need(StrEnum):
    """What a request must bring, from least to most; `deny` lets nobody through."""

    PUBLIC = "public"
    SESSION = "session"
    DEVICE = "device"
    DENY = "deny"


class Protect(StrEnum):
    """Whether an action asks for a code. `by-choice` is the account holder's own switch.

    `always` sends somebody without a factor to set-up first; `with-factor` asks everybody who has one, and
    nobody else.
    """

    ALWAYS = "always"
    WITH_FACTOR = "with-factor"
    BY_CHOICE = "by-choice"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Action:
    """A named thing worth protecting.

    `fresh` is the age in seconds up to which a code counts; for a `single_use` action it is how long
    an unspent grant waits for its request. `show` maps a label to a body field (`amount` of
    `body.amount`): what the person is shown before approving. For one that `lowers`, which takes
    protection away, only full proof counts (`Grant.full_at`). For members of `always_for`, a group or
    several, it is as if `protect` were `always`.
    """

    app: str
    name: str
    title: str
    protect: Protect
    on_by_default: bool = False
    fresh: float = FOR_THE_SESSION
    single_use: bool = False
    lowers: bool = False
    show: tuple[tuple[str, str], ...] = ()
    always_for: frozenset[str] = frozenset()

    def protect_for(self, groups: frozenset[str]) -> Protect:
        """What holds for a member of `groups`: the floor that a group has is below nobody's choice."""
        return self.protect if self.always_for.isdisjoint(groups) else Protect.ALWAYS

    @property
    def key(self) -> str:
        """The name that grants and challenges carry, unique over all apps."""
        return f"{self.app}/{self.name}"


@dataclass(frozen=True, slots=True)
class Rule:
    """A line of policy. Empty `methods`, `hosts` or `groups` mean any.

    `line` is where the rule stands in its file, for `watchword explain`.
    """

    name: str
    line: int
    paths: tuple[str, ...]
    need: Need
    methods: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    action: Action | None = None


@dataclass(frozen=True, slots=True)
class App:
    """One web application behind the gateway.

    `upstreams` are addresses like `http://127.0.0.1:8001`; `body_limit` is in bytes, None for none.
    """

    name: str
    file: str
    title: str
    hosts: tuple[str, ...]
    upstreams: tuple[str, ...]
    unmatched: Need
    actions: dict[str, Action] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    body_limit: int | None = None

    @property
    def sign_in(self) -> Action | None:
        """The action that signing in to this app stands for: its own, or as loaded the account's."""
        return self.actions.get(SIGN_IN)


@dataclass(frozen=True, slots=True)
class Match:
    """The rule that applies to a target; None when no rule matched and `unmatched` applies.

    `action` is None where the rule names none. `by_group` says that the answer may differ with the
    groups of who asks: match again once they are known.
    """

    app: App
    rule: Rule | None
    need: Need
    action: Action | None
    by_group: bool = False
