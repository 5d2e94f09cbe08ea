"""What can go wrong, in the gateway's own words. No HTTP in here: `gateway.web` chooses statuses."""

from dataclasses import dataclass
from enum import StrEnum


class WatchwordError(Exception):
    """The root of every error that the gateway raises on purpose."""


class StoreUnavailable(WatchwordError):
    """The store did not answer: the truth is unknown, which is neither yes nor no."""


class CannotListen(WatchwordError):
    """An address of our own cannot be had. `setting` is what to change, in full: `listen.port`."""

    def __init__(self, setting: str, why: str) -> None:
        super().__init__(f"{setting}: {why}")
        self.setting = setting
        self.why = why


class WrongKeyRing(StoreUnavailable):
    """The store was sealed with another key ring than this one, or with keys that this one lacks."""


class KeysUnavailable(WatchwordError):
    """The keys that would prove a signature cannot be had: whether it is genuine is unknown."""


class BadRequest(WatchwordError):
    """A request that is malformed or ambiguous, and therefore not repaired but rejected."""


class PayloadTooLarge(WatchwordError):
    """A body beyond the limit that applies to it."""


class UpstreamFault(StrEnum):
    """How an upstream failed; the client learns no more than this."""

    REFUSED = "upstream-refused"
    TIMEOUT = "upstream-timeout"
    BROKEN = "upstream-broken"


class RevocationPending(StoreUnavailable):
    """The store did not answer to a revocation. It was promised, and takes place as soon as it can."""

    def __init__(self, detail: str, revocation_id: str, scope: str) -> None:
        super().__init__(detail)
        self.revocation_id = revocation_id
        self.scope = scope


class UpstreamFailed(WatchwordError):
    """An upstream could not be reached, stayed silent, or broke the protocol."""

    def __init__(self, fault: UpstreamFault, detail: str) -> None:
        super().__init__(detail)
        self.fault = fault


class SealBroken(WatchwordError):
    """A sealed value was altered, belongs to another record, or its key is not in the ring."""


class KeyMissing(SealBroken):
    """A sealed value names a key that is not in the ring."""


class KeyRefused(WatchwordError):
    """A change of the key ring that would lose something, or changes nothing."""


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing wrong in a file, at a place that an editor can jump to."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class Faulty(WatchwordError):
    """A configuration or policy with faults: all of them, not only the first."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = tuple(sorted(faults))
        super().__init__("\n".join(str(fault) for fault in self.faults))
