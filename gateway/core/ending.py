"""What a revocation ended, as every node is told: enough to judge any session without asking the store."""

from dataclasses import dataclass
from enum import StrEnum

from gateway.core.records import Session


class Scope(StrEnum):
    SESSION = "session"
    DEVICE = "device"
    ACCOUNT = "account"
    EVERYBODY = "everybody"


@dataclass(frozen=True, slots=True)
class Ending:
    """One revocation in one shard.

    `id` names a session or device, `subject` whose it was; both are empty where they do not apply. `epoch`
    is the account's or the global one from then on; sessions that began under an earlier one are over, all
    but `kept`, which was given the new one. `disabled`: the account cannot sign in again.
    `by` is the process that waits for word of it, or "".
    """

    revocation_id: str
    scope: Scope
    id: str = ""
    subject: str = ""
    epoch: int = 0
    kept: str = ""
    reason: str = ""
    disabled: bool = False
    by: str = ""

    def covers(self, session: Session) -> bool:
        """Whether this session, as it was when it was last read, is over."""
        match self.scope:
            case Scope.SESSION:
                return session.id == self.id
            case Scope.DEVICE:
                return session.device_id == self.id
            case Scope.ACCOUNT:
                older = session.account_epoch < self.epoch
                return session.subject == self.subject and older and session.id != self.kept
            case Scope.EVERYBODY:
                return session.global_epoch < self.epoch
