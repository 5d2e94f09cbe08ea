"""What the gateway knows about a person: frozen records, judged against a `now` from outside.

Times are Unix seconds. Identifiers are 32 hexadecimal digits and public; the values of cookies are
secret, and no record holds them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from gateway.core.reasons import Reason
from gateway.core.reset import LiveReset


@dataclass(frozen=True, slots=True)
class Account:
    """A person. `epoch` is the current one; a session that began under another is dead.

    `choices` are the person's own switches, on or off by an action's key. `must_enrol`: the factors were
    reset, and nothing is to be had before there is a new one. `reset` is the live case, if there is one.
    `own_email`: the address is what the person said it is, and nobody has vouched for it.
    """

    subject: str
    name: str
    email: str
    groups: frozenset[str]
    disabled: bool
    epoch: int | None
    confirmed_factors: int
    choices: Mapping[str, bool] = field(default_factory=dict, hash=False)
    must_enrol: bool = False
    reset: LiveReset | None = None
    own_email: bool = False


class DeviceState(StrEnum):
    PENDING = "pending"
    AUTHORISED = "authorised"
    REVOKED = "revoked"


class LaterDevices(StrEnum):
    """What becomes of an account's devices after its first, as the setting `devices.later` says."""

    ALLOW = "allow"
    NOTIFY = "notify"
    STEP_UP = "step-up"
    APPROVE = "approve"

    @property
    def wait(self) -> bool:
        """Whether they are pending until somebody or something vouches for them."""
        return self in (LaterDevices.STEP_UP, LaterDevices.APPROVE)

    @property
    def code_serves(self) -> bool:
        """Whether a code that is given on a device vouches for it."""
        return self is not LaterDevices.APPROVE


@dataclass(frozen=True, slots=True)
class Device:
    """A browser or client that the account `subject` has used.

    To be let in, it must be authorised, if need be by the setting alone; `confirmed_at` is when its owner
    vouched for it, None for one that was only let in. `word_seed` stands for the words that it shows
    while it asks to be confirmed, and is empty while it does not. `proved_at` is when a code was last given
    on it. `browser` and `system` are what the
    User-Agent claims, "" where it tells none.
    """

    id: str
    subject: str
    name: str
    user_agent: str
    state: DeviceState
    first_used_at: float
    last_used_at: float
    address: str
    browser: str = ""
    system: str = ""
    confirmed_at: float | None = None
    word_seed: str = ""
    proved_at: float | None = None

    @property
    def is_authorised(self) -> bool:
        return self.state is DeviceState.AUTHORISED

    @property
    def is_confirmed(self) -> bool:
        """Whether its owner vouched for it, which `need: device` asks for."""
        return self.is_authorised and self.confirmed_at is not None

    def confirmed(self, at: float) -> "Device":
        """The same, once its owner has vouched for it."""
        since = at if self.confirmed_at is None else self.confirmed_at
        return replace(self, state=DeviceState.AUTHORISED, confirmed_at=since, word_seed="")


class FactorState(StrEnum):
    PENDING = "pending"
    CONFIRMED = "confirmed"


@dataclass(frozen=True, slots=True)
class Factor:
    """An authenticator. `sealed_seed` opens only with the key ring, and only for this record.

    `session_id` is the session that it was begun in, the only one that may see it through. `last_step`
    is the last one spent; `drift` is where the factor's clock is known to be, in steps from ours. Until
    `full_at` it is on trial: it was begun with a recovery code, or with a factor on trial, and its
    codes take no protection away. 0 for one that was never on trial.
    """

    id: str
    subject: str
    label: str
    state: FactorState
    created_at: float
    last_used_at: float | None
    sealed_seed: bytes
    session_id: str = ""
    last_step: int | None = None
    drift: int = 0
    full_at: float = 0.0

    def on_trial(self, now: float) -> bool:
        return now < self.full_at


@dataclass(frozen=True, slots=True)
class Grant:
    """Proof that a code was given for `action`, an `app/action` name.

    `binding` names the one request that a single-use grant allows (see
    `gateway.core.decision.binding_of`); None for a grant that lasts until `expires_at`. Proof by a
    recovery code or by a factor on trial is not full before `full_at`; 0 for full proof.
    """

    action: str
    granted_at: float
    expires_at: float
    binding: str | None = None
    full_at: float = 0.0

    def allows(self, action: str, binding: str | None, now: float) -> bool:
        """Whether this grant is proof for `action` now (and for that request, if it is bound)."""
        return self.action == action and self.binding == binding and now < self.expires_at


@dataclass(frozen=True, slots=True)
class Session:
    """One signed-in browser or client. `expires_at` is absolute, `idle_until` moves with use.

    `device_since` is when its device was first used: a device that was forgotten and comes back is
    another one, and what was on it before stays ended. `told_of` is the reset that its person was shown
    a page about.
    """

    id: str
    subject: str
    device_id: str
    device_since: float
    account_epoch: int
    global_epoch: int
    created_at: float
    last_used_at: float
    idle_until: float
    expires_at: float
    address: str
    told_of: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Who is asking, as one read of the store found it: all that `decide` needs to know.

    `global_epoch` is the current one; None, like an account's, means that it is missing.
    """

    session: Session
    account: Account
    device: Device | None
    global_epoch: int | None
    grants: tuple[Grant, ...] = ()

    @property
    def untold_reset(self) -> LiveReset | None:
        """The reset that runs and that this session was not told of yet."""
        reset = self.account.reset
        if reset is None or reset.due_at is None or reset.id == self.session.told_of:
            return None
        return reset

    def fault(self, now: float) -> Reason | None:
        """Why this session is not live, or None if it is. Nothing missing counts as fine."""
        session, account = self.session, self.account
        if account.epoch is None or self.global_epoch is None:
            return Reason.EPOCH_MISSING
        if account.disabled:
            return Reason.ACCOUNT_DISABLED
        if session.account_epoch != account.epoch or session.global_epoch != self.global_epoch:
            return Reason.SESSION_REVOKED
        if self.device is None or self.device.state is DeviceState.REVOKED:
            return Reason.DEVICE_REVOKED
        if self.device.first_used_at != session.device_since:
            return Reason.DEVICE_REVOKED
        if now >= min(session.idle_until, session.expires_at):
            return Reason.SESSION_EXPIRED
        return None
