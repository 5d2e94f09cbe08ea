"""The one place where a request becomes allowed.

`decide` looks at the target, the rule that matched it, and who is asking, and returns a frozen
decision. It has no effects; the shell acts on what it says. A request is forwarded only with the
`Permit` that a `Forward` carries, and nothing but `decide` makes permits.
"""

import hashlib
from dataclasses import dataclass

from gateway.core.policy.model import OWN_APP, Action, Match, Need, Protect
from gateway.core.policy.own import ADD_FACTOR, SIGNING_IN
from gateway.core.reasons import Reason
from gateway.core.records import Account, Grant, Snapshot
from gateway.core.target import Target

_SEAL = object()


class Permit:
    """The right to forward one request: to which app, as whom. It never changes.

    Each request makes one, and a frozen data class takes several times as long to make as this.
    """

    __slots__ = ("_account", "_match", "_proof", "_session_id", "_target")

    def __init__(
        self,
        target: Target,
        match: Match,
        account: Account | None,
        session_id: str | None,
        seal: object,
        *,
        proof: Grant | None = None,
    ) -> None:
        if seal is not _SEAL:
            raise TypeError("only decide() makes permits")
        self._target = target
        self._match = match
        self._account = account
        self._session_id = session_id
        self._proof = proof

    @property
    def target(self) -> Target:
        return self._target

    @property
    def match(self) -> Match:
        return self._match

    @property
    def account(self) -> Account | None:
        """None on a public path."""
        return self._account

    @property
    def session_id(self) -> str | None:
        return self._session_id

    @property
    def proof(self) -> Grant | None:
        """The grant that let it through; None where the action asked for none."""
        return self._proof


class Forward:
    """Allowed. `spends` is the single-use grant that must be consumed before the request leaves."""

    __slots__ = ("permit", "reason", "spends")

    def __init__(self, permit: Permit, reason: Reason, spends: Grant | None = None) -> None:
        self.permit = permit
        self.reason = reason
        self.spends = spends


@dataclass(frozen=True, slots=True)
class SignIn:
    reason: Reason


@dataclass(frozen=True, slots=True)
class StepUp:
    action: Action
    reason: Reason


@dataclass(frozen=True, slots=True)
class AuthoriseDevice:
    reason: Reason


@dataclass(frozen=True, slots=True)
class Refuse:
    reason: Reason


Decision = Forward | SignIn | StepUp | AuthoriseDevice | Refuse


def binding_of(target: Target, body: bytes, read_as: str = "") -> str:
    """The name of one exact request: SHA-256 over method, host, path with query, and body hash.

    `read_as` are the headers that say how the body is to be read: bytes that are one thing as JSON, and
    were shown as that, can be another thing as a form.
    """
    digest = hashlib.sha256()
    for part in (target.method, target.host, target.path_and_query, read_as.replace("\n", " ")):
        digest.update(part.encode() + b"\n")
    digest.update(hashlib.sha256(body).digest())
    return digest.hexdigest()


def protects(action: Action, account: Account) -> bool:
    """Whether `action` asks this person for a code.

    A person's choice counts only where the policy leaves one. It binds only who has something to answer
    with: by-choice and with-factor count from the first confirmed factor on, while `always` sends a person
    without one to set-up.
    """
    match action.protect_for(account.groups):
        case Protect.ALWAYS:
            return True
        case Protect.WITH_FACTOR:
            return account.confirmed_factors > 0
        case Protect.BY_CHOICE:
            return account.choices.get(action.key, action.on_by_default) and account.confirmed_factors > 0
        case Protect.NEVER:
            return False


def find_grant(action: Action, snapshot: Snapshot, binding: str | None, now: float) -> Grant | None:
    """The live grant for `action`, or None. A single-use action accepts only one for `binding`, and one
    that takes protection away only full proof.
    """
    wanted = binding if action.single_use else None
    if action.single_use and binding is None:
        return None
    for grant in snapshot.grants:
        if grant.allows(action.key, wanted, now) and not (action.lowers and now < grant.full_at):
            return grant
    return None


def admit(
    snapshot: Snapshot | None, sign_in: Action | None, now: float
) -> SignIn | AuthoriseDevice | StepUp | None:
    """What a person must still do before being let in at all; None when nothing is missing.

    The gateway's own pages and the apps' requests both start here.
    """
    if snapshot is None:
        return SignIn(Reason.NO_SESSION)
    if fault := snapshot.fault(now):
        return SignIn(fault)
    if (
        sign_in
        and snapshot.account.confirmed_factors
        and protects(sign_in, snapshot.account)
        and find_grant(sign_in, snapshot, None, now) is None
    ):
        return StepUp(sign_in, Reason.CODE_NEEDED)
    if snapshot.device is None or not snapshot.device.is_authorised:
        return AuthoriseDevice(Reason.DEVICE_PENDING)
    return None


def decide(
    target: Target, match: Match, snapshot: Snapshot | None, now: float, binding: str | None = None
) -> Decision:
    """Judge one request.

    `snapshot` is None when no session cookie led to a session. `binding` names this very request
    (`binding_of`); without it, an action whose grants are single-use is answered with a challenge.
    """
    if match.need is Need.DENY:
        return Refuse(Reason.DENIED)
    if match.need is Need.PUBLIC:
        return Forward(Permit(target, match, None, None, _SEAL), Reason.PUBLIC)
    missing = admit(snapshot, match.app.sign_in, now)
    if missing is not None or snapshot is None:
        return missing or SignIn(Reason.NO_SESSION)
    if match.by_group:
        return Refuse(Reason.DENIED)  # who asks is known now: this match was made before it was
    permit = Permit(target, match, snapshot.account, snapshot.session.id, _SEAL)
    return _decide_action(permit, snapshot, now, binding)


def _decide_action(permit: Permit, snapshot: Snapshot, now: float, binding: str | None) -> Decision:
    """Judge a request of somebody who is let in: what the device and the action still ask for."""
    account, action = snapshot.account, permit.match.action
    # Not on our own pages, which are where a missing factor is set up.
    own = permit.match.app.name == OWN_APP
    sign_in = permit.match.app.sign_in if not own else None
    if account.must_enrol and not (own and (action is None or action.name == ADD_FACTOR.name)):
        return StepUp(permit.match.app.sign_in or SIGNING_IN, Reason.FACTOR_MISSING)
    if sign_in and not account.confirmed_factors and protects(sign_in, account):
        return StepUp(sign_in, Reason.FACTOR_MISSING)
    # After the set-up that is missing, since the code of a set-up confirms a device; before the action,
    # since a single-use grant would not wait as long as a device may have to.
    if permit.match.need is Need.DEVICE and not (snapshot.device and snapshot.device.is_confirmed):
        return AuthoriseDevice(Reason.DEVICE_UNCONFIRMED)
    if action is None:
        return Forward(permit, Reason.SESSION_LIVE)
    if not protects(action, account):
        return Forward(permit, Reason.PROTECTION_OFF)
    if not account.confirmed_factors:
        return StepUp(action, Reason.FACTOR_MISSING)
    grant = find_grant(action, snapshot, binding, now)
    if grant is None:
        return StepUp(action, Reason.CODE_NEEDED)
    permit = Permit(permit.target, permit.match, account, permit.session_id, _SEAL, proof=grant)
    return Forward(permit, Reason.CODE_GIVEN, spends=grant if action.single_use else None)
