"""What was asked and answered while something broke. All times are seconds of one clock, the harness's."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

CONFIRMED, PENDING = 200, 202


@dataclass(frozen=True, slots=True)
class Session:
    """A sign-in that succeeded: `asked` when it was sent, `began` when its answer was here."""

    id: str
    subject: str
    device: str
    asked: float
    began: float


@dataclass(frozen=True, slots=True)
class Request:
    """`status` is 0 where no answer came; `reached`: the app has seen it. `last`: sent when all was over."""

    session: str
    gateway: int
    began: float
    ended: float
    status: int
    reached: bool
    last: bool = False

    @property
    def accepted(self) -> bool:
        return self.reached or self.status == 200


@dataclass(frozen=True, slots=True)
class Revocation:
    """`id` names a session or device, `subject` an account. `answered` by `status` (0: not at all);
    `confirmed` when an answer that said so was here, the first one or one of those asked for later.
    """

    order: str
    scope: str
    id: str | None
    subject: str | None
    gateway: int
    asked: float
    answered: float
    status: int
    confirmed: float | None = None
    known_as: str | None = None

    def ends(self, session: Session) -> bool:
        match self.scope:
            case "session":
                return session.id == self.id
            case "device":
                return session.device == self.id
            case "account":
                return session.subject == self.subject
            case _:
                return True


@dataclass(frozen=True, slots=True)
class Loss:
    """The store has lost, for good, what was written after `since`; by `until` all nodes have noticed."""

    since: float
    until: float

    def concerns(self, begun: float, ended: float) -> bool:
        return begun <= self.until and ended >= self.since


@dataclass(frozen=True)
class History:
    fault: str
    seed: int
    gateways: int
    sessions: list[Session] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    revocations: list[Revocation] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))


def load(path: Path) -> History:
    """A history from its file."""
    value = json.loads(path.read_text())
    return History(
        value["fault"],
        value["seed"],
        value["gateways"],
        [Session(**each) for each in value["sessions"]],
        [Request(**each) for each in value["requests"]],
        [Revocation(**each) for each in value["revocations"]],
        [Loss(**each) for each in value["losses"]],
    )
