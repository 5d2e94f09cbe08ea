"""Every decision with every reason, and what must never be decided."""

from dataclasses import replace
from itertools import combinations
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.decision import (
    AuthoriseDevice,
    Decision,
    Forward,
    Permit,
    Refuse,
    SignIn,
    StepUp,
    binding_of,
    decide,
    find_grant,
    protects,
)
from gateway.core.policy.model import OWN_APP, Action, App, Match, Need, Protect
from gateway.core.policy.own import ADD_FACTOR
from gateway.core.reasons import Reason
from gateway.core.records import Account, Device, DeviceState, Grant, Session, Snapshot
from gateway.core.target import Target, parse_target

NOW = 1_000_000.0
TARGET = parse_target("POST", "/withdrawals", "exchange.localhost")
BINDING = binding_of(TARGET, b"amount=1")
OTHER_BINDING = binding_of(TARGET, b"amount=1000")

SIGN_IN = Action("exchange", "sign-in", "Signing in", Protect.ALWAYS)
PROFILE = Action("exchange", "manage-profile", "Managing your profile", Protect.ALWAYS, fresh=900)
APPROVE = Action("exchange", "approve", "Approving", Protect.ALWAYS, fresh=60, single_use=True)
LOWER = Action("exchange", "lower", "Lowering", Protect.ALWAYS, fresh=60, single_use=True, lowers=True)
BY_CHOICE_ON = replace(PROFILE, protect=Protect.BY_CHOICE, on_by_default=True)
BY_CHOICE_OFF = replace(PROFILE, protect=Protect.BY_CHOICE)
NEVER = replace(PROFILE, protect=Protect.NEVER)
NEVER_SIGN_IN = replace(SIGN_IN, protect=Protect.NEVER)
SET_UP = ADD_FACTOR


def match_for(
    action: Action | None = None,
    *,
    need: Need = Need.SESSION,
    sign_in: Action | None = None,
    app: str = "exchange",
) -> Match:
    """What a rule with `need` and `action` asks for, in an app that protects signing in or not."""
    found = App(
        name=app,
        file="exchange.yaml",
        title="Exchange",
        hosts=("exchange.localhost",),
        upstreams=("http://127.0.0.1:1",),
        unmatched=Need.SESSION,
        actions={} if sign_in is None else {sign_in.name: sign_in},
    )
    return Match(app=found, rule=None, need=need, action=action)


def snapshot_of(*grants: Grant, factors: int = 1) -> Snapshot:
    """Ada at a live session on a confirmed device."""
    account = Account("ada", "Ada", "", frozenset(), disabled=False, epoch=7, confirmed_factors=factors)
    device = Device(
        "d1", "ada", "Firefox", "", DeviceState.AUTHORISED, NOW, NOW, "192.0.2.1", confirmed_at=NOW
    )
    session = Session("s1", "ada", "d1", NOW, 7, 3, NOW, NOW, NOW + 3600, NOW + 86400, "192.0.2.1")
    return Snapshot(session, account, device, global_epoch=3, grants=grants)


def grant_for(action: Action, binding: str | None = None, *, left: float = 60.0) -> Grant:
    return Grant(action.key, NOW - 1, NOW + left, binding)


def let_in(snapshot: Snapshot) -> Snapshot:
    """The same on a device that is authorised, but that nobody vouched for."""
    assert snapshot.device is not None
    return replace(snapshot, device=replace(snapshot.device, confirmed_at=None))


FLOOR = replace(BY_CHOICE_OFF, always_for=frozenset({"staff"}))
WITH_FACTOR = replace(PROFILE, protect=Protect.WITH_FACTOR)
LIVE = snapshot_of()
WITHOUT_FACTOR = snapshot_of(factors=0)
IN_STAFF = replace(LIVE, account=replace(LIVE.account, groups=frozenset({"staff", "traders"})))
STAFF_WITHOUT_FACTOR = replace(IN_STAFF, account=replace(IN_STAFF.account, confirmed_factors=0))
ON_PENDING_DEVICE = replace(LIVE, device=replace(LIVE.device, state=DeviceState.PENDING, confirmed_at=None))
AFTER_RESET = replace(WITHOUT_FACTOR, account=replace(WITHOUT_FACTOR.account, must_enrol=True))
DISABLED = replace(LIVE, account=replace(LIVE.account, disabled=True))
ON_REVOKED_DEVICE = replace(LIVE, device=replace(LIVE.device, state=DeviceState.REVOKED))
EXPIRED = replace(LIVE, session=replace(LIVE.session, idle_until=NOW))
SIGN_IN_GRANT = grant_for(SIGN_IN)
PROFILE_GRANT = grant_for(PROFILE)
APPROVAL = grant_for(APPROVE, BINDING)

OPEN, CLOSED = match_for(need=Need.PUBLIC), match_for(need=Need.DENY)
PLAIN, ON_DEVICE = match_for(), match_for(need=Need.DEVICE)
GUARDED = match_for(sign_in=SIGN_IN)
ONCE, LASTING = match_for(APPROVE), match_for(PROFILE)
NEEDS_CODE = (StepUp, Reason.CODE_NEEDED)
UNCONFIRMED = (AuthoriseDevice, Reason.DEVICE_UNCONFIRMED)

# What is asked for, by whom -> the kind of decision, its reason
DECISIONS = {
    "a public path, nobody": (OPEN, None, Forward, Reason.PUBLIC),
    "a public path, somebody": (OPEN, LIVE, Forward, Reason.PUBLIC),
    "a public path, a dead session": (OPEN, replace(LIVE, global_epoch=None), Forward, Reason.PUBLIC),
    "denied, nobody": (CLOSED, None, Refuse, Reason.DENIED),
    "denied, somebody": (CLOSED, LIVE, Refuse, Reason.DENIED),
    "nobody": (PLAIN, None, SignIn, Reason.NO_SESSION),
    "nobody, where a device is needed": (ON_DEVICE, None, SignIn, Reason.NO_SESSION),
    "nobody, at an action": (ONCE, None, SignIn, Reason.NO_SESSION),
    "no epoch": (PLAIN, replace(LIVE, global_epoch=None), SignIn, Reason.EPOCH_MISSING),
    "an old epoch": (PLAIN, replace(LIVE, global_epoch=4), SignIn, Reason.SESSION_REVOKED),
    "a disabled account": (PLAIN, DISABLED, SignIn, Reason.ACCOUNT_DISABLED),
    "a revoked device": (PLAIN, ON_REVOKED_DEVICE, SignIn, Reason.DEVICE_REVOKED),
    "no device": (PLAIN, replace(LIVE, device=None), SignIn, Reason.DEVICE_REVOKED),
    "an expired session": (PLAIN, EXPIRED, SignIn, Reason.SESSION_EXPIRED),
    "a pending device": (PLAIN, ON_PENDING_DEVICE, AuthoriseDevice, Reason.DEVICE_PENDING),
    "a pending device, at an action": (ONCE, ON_PENDING_DEVICE, AuthoriseDevice, Reason.DEVICE_PENDING),
    "a session": (PLAIN, LIVE, Forward, Reason.SESSION_LIVE),
    "a device that is only let in": (PLAIN, let_in(LIVE), Forward, Reason.SESSION_LIVE),
    "a confirmed device, where one is needed": (ON_DEVICE, LIVE, Forward, Reason.SESSION_LIVE),
    "a device that is only let in, where a confirmed one is needed": (
        ON_DEVICE,
        let_in(LIVE),
        *UNCONFIRMED,
    ),
    "a pending device, where a confirmed one is needed": (
        ON_DEVICE,
        ON_PENDING_DEVICE,
        AuthoriseDevice,
        Reason.DEVICE_PENDING,
    ),
    "a device that was confirmed and waits all the same, where a confirmed one is needed": (
        ON_DEVICE,
        replace(LIVE, device=replace(LIVE.device, state=DeviceState.PENDING)),
        AuthoriseDevice,
        Reason.DEVICE_PENDING,
    ),
    "a confirmed device, no code yet": (match_for(APPROVE, need=Need.DEVICE), LIVE, *NEEDS_CODE),
    "the device comes before the code of an action": (
        match_for(APPROVE, need=Need.DEVICE),
        let_in(snapshot_of(APPROVAL)),
        *UNCONFIRMED,
    ),
    "the code of the sign-in, which confirms the device, comes before it": (
        match_for(need=Need.DEVICE, sign_in=SIGN_IN),
        let_in(LIVE),
        *NEEDS_CODE,
    ),
    "the set-up that is missing, which confirms the device, comes before it": (
        match_for(need=Need.DEVICE, sign_in=SIGN_IN),
        let_in(WITHOUT_FACTOR),
        StepUp,
        Reason.FACTOR_MISSING,
    ),
    "signing in is protected, no code yet": (GUARDED, LIVE, *NEEDS_CODE),
    "signing in is protected, code given": (
        GUARDED,
        snapshot_of(SIGN_IN_GRANT),
        Forward,
        Reason.SESSION_LIVE,
    ),
    "signing in is protected, no factor": (GUARDED, WITHOUT_FACTOR, StepUp, Reason.FACTOR_MISSING),
    "signing in is protected, no factor, where one is set up": (
        match_for(sign_in=SIGN_IN, app=OWN_APP),
        WITHOUT_FACTOR,
        Forward,
        Reason.SESSION_LIVE,
    ),
    "signing in is protected, no code yet, where factors are set up": (
        match_for(sign_in=SIGN_IN, app=OWN_APP),
        LIVE,
        *NEEDS_CODE,
    ),
    "signing in is protected, proof for another action": (GUARDED, snapshot_of(PROFILE_GRANT), *NEEDS_CODE),
    "signing in comes before the action": (
        match_for(PROFILE, sign_in=SIGN_IN),
        snapshot_of(PROFILE_GRANT),
        *NEEDS_CODE,
    ),
    "signing in is not protected": (match_for(sign_in=NEVER_SIGN_IN), LIVE, Forward, Reason.SESSION_LIVE),
    "never protected": (match_for(NEVER), LIVE, Forward, Reason.PROTECTION_OFF),
    "by choice, off": (match_for(BY_CHOICE_OFF), LIVE, Forward, Reason.PROTECTION_OFF),
    "by choice, on": (match_for(BY_CHOICE_ON), LIVE, *NEEDS_CODE),
    "by choice and off, for a group always": (match_for(FLOOR), IN_STAFF, *NEEDS_CODE),
    "by choice and off, for another group always": (match_for(FLOOR), LIVE, Forward, Reason.PROTECTION_OFF),
    "for a group always, no factor": (match_for(FLOOR), STAFF_WITHOUT_FACTOR, StepUp, Reason.FACTOR_MISSING),
    "with a factor, code not given": (match_for(WITH_FACTOR), LIVE, *NEEDS_CODE),
    "with a factor, no factor": (match_for(WITH_FACTOR), WITHOUT_FACTOR, Forward, Reason.PROTECTION_OFF),
    "by choice, on, no factor": (match_for(BY_CHOICE_ON), WITHOUT_FACTOR, Forward, Reason.PROTECTION_OFF),
    "after a reset": (PLAIN, AFTER_RESET, StepUp, Reason.FACTOR_MISSING),
    "after a reset, an action that asks nobody": (
        match_for(NEVER),
        AFTER_RESET,
        StepUp,
        Reason.FACTOR_MISSING,
    ),
    "after a reset, signing in never asks": (
        match_for(sign_in=NEVER_SIGN_IN),
        AFTER_RESET,
        StepUp,
        Reason.FACTOR_MISSING,
    ),
    "after a reset, our own pages": (match_for(app=OWN_APP), AFTER_RESET, Forward, Reason.SESSION_LIVE),
    "after a reset, setting up a factor": (
        match_for(SET_UP, app=OWN_APP),
        AFTER_RESET,
        Forward,
        Reason.PROTECTION_OFF,
    ),
    "after a reset, another action of our own": (
        match_for(replace(SET_UP, name="change-password"), app=OWN_APP),
        AFTER_RESET,
        StepUp,
        Reason.FACTOR_MISSING,
    ),
    "after a reset, an app's action of that name": (
        match_for(replace(SET_UP, app="exchange")),
        AFTER_RESET,
        StepUp,
        Reason.FACTOR_MISSING,
    ),
    "after a reset, a public path": (OPEN, AFTER_RESET, Forward, Reason.PUBLIC),
    "after a reset, on a pending device": (
        PLAIN,
        replace(AFTER_RESET, device=ON_PENDING_DEVICE.device),
        AuthoriseDevice,
        Reason.DEVICE_PENDING,
    ),
    "always, no factor": (LASTING, WITHOUT_FACTOR, StepUp, Reason.FACTOR_MISSING),
    "always, no proof": (LASTING, LIVE, *NEEDS_CODE),
    "always, proof": (LASTING, snapshot_of(PROFILE_GRANT), Forward, Reason.CODE_GIVEN),
    "case 23: proof past its age": (LASTING, snapshot_of(grant_for(PROFILE, left=0)), *NEEDS_CODE),
    "case 23: proof for another action": (ONCE, snapshot_of(PROFILE_GRANT), *NEEDS_CODE),
    "once, proof": (ONCE, snapshot_of(APPROVAL), Forward, Reason.CODE_GIVEN),
    "once, proof for any request": (ONCE, snapshot_of(grant_for(APPROVE)), *NEEDS_CODE),
    "case 23: once, proof for another body": (
        ONCE,
        snapshot_of(grant_for(APPROVE, OTHER_BINDING)),
        *NEEDS_CODE,
    ),
    "case 23: once, proof past its age": (
        ONCE,
        snapshot_of(grant_for(APPROVE, BINDING, left=0)),
        *NEEDS_CODE,
    ),
}


@pytest.mark.parametrize(("match", "snapshot", "kind", "reason"), DECISIONS.values(), ids=DECISIONS.keys())
def test_decide(match: Match, snapshot: Snapshot | None, kind: type[Decision], reason: Reason) -> None:
    decision = decide(TARGET, match, snapshot, NOW, BINDING)
    assert (type(decision), decision.reason) == (kind, reason)


def test_the_table_shows_every_kind_of_decision() -> None:
    assert {kind for _, _, kind, _ in DECISIONS.values()} == set(get_args(Decision))


@pytest.mark.parametrize(
    ("snapshot", "decision"),
    [
        (None, SignIn(Reason.NO_SESSION)),
        (ON_PENDING_DEVICE, AuthoriseDevice(Reason.DEVICE_PENDING)),
        (LIVE, Refuse(Reason.DENIED)),
        (snapshot_of(PROFILE_GRANT), Refuse(Reason.DENIED)),
    ],
)
def test_what_depends_on_a_group_goes_to_nobody_before_the_groups_are_looked_at(
    snapshot: Snapshot | None, decision: Decision
) -> None:
    assert decide(TARGET, replace(LASTING, by_group=True), snapshot, NOW) == decision


def test_a_step_up_names_the_action_that_is_missing() -> None:
    both = match_for(PROFILE, sign_in=SIGN_IN)
    assert decide(TARGET, both, LIVE, NOW) == StepUp(SIGN_IN, Reason.CODE_NEEDED)
    assert decide(TARGET, both, snapshot_of(SIGN_IN_GRANT), NOW) == StepUp(PROFILE, Reason.CODE_NEEDED)


def test_after_a_reset_it_is_signing_in_that_a_factor_is_missing_for() -> None:
    decision = decide(TARGET, PLAIN, AFTER_RESET, NOW)
    assert isinstance(decision, StepUp)
    assert (decision.action.name, decision.action.title) == ("sign-in", "Signing in")
    assert decide(TARGET, GUARDED, AFTER_RESET, NOW) == StepUp(SIGN_IN, Reason.FACTOR_MISSING)


def test_a_permit_says_what_may_go_and_as_whom() -> None:
    decision = decide(TARGET, PLAIN, LIVE, NOW)
    assert isinstance(decision, Forward)
    permit = decision.permit
    assert (permit.target, permit.match, permit.account, permit.session_id) == (
        TARGET,
        PLAIN,
        LIVE.account,
        "s1",
    )


def test_on_a_public_path_nobody_is_named() -> None:
    decision = decide(TARGET, OPEN, LIVE, NOW)
    assert isinstance(decision, Forward)
    assert (decision.permit.account, decision.permit.session_id) == (None, None)


def test_only_a_single_use_grant_is_spent() -> None:
    once = decide(TARGET, ONCE, snapshot_of(PROFILE_GRANT, APPROVAL), NOW, BINDING)
    lasting = decide(TARGET, LASTING, snapshot_of(PROFILE_GRANT, APPROVAL), NOW, BINDING)
    assert isinstance(once, Forward) and once.spends == APPROVAL
    assert isinstance(lasting, Forward) and lasting.spends is None


def test_without_a_binding_no_single_use_grant_is_found() -> None:
    held = snapshot_of(APPROVAL, grant_for(APPROVE, None))
    assert find_grant(APPROVE, held, None, NOW) is None
    assert decide(TARGET, ONCE, held, NOW) == StepUp(APPROVE, Reason.CODE_NEEDED)


@pytest.mark.parametrize(
    ("protect", "on_by_default", "factors", "expected"),
    [
        (Protect.ALWAYS, False, 0, True),
        (Protect.ALWAYS, False, 1, True),
        (Protect.NEVER, True, 1, False),
        (Protect.BY_CHOICE, True, 0, False),
        (Protect.BY_CHOICE, True, 1, True),
        (Protect.BY_CHOICE, False, 1, False),
    ],
)
def test_what_is_protected(protect: Protect, on_by_default: bool, factors: int, expected: bool) -> None:
    action = replace(PROFILE, protect=protect, on_by_default=on_by_default)
    assert protects(action, snapshot_of(factors=factors).account) is expected


@pytest.mark.parametrize(
    ("protect", "choices", "factors", "expected"),
    [
        (Protect.BY_CHOICE, {PROFILE.key: True}, 1, True),
        (Protect.BY_CHOICE, {PROFILE.key: True}, 0, False),
        (Protect.BY_CHOICE, {PROFILE.key: False}, 1, False),
        (Protect.BY_CHOICE, {APPROVE.key: False, "other/manage-profile": False}, 1, True),
        (Protect.NEVER, {PROFILE.key: True}, 1, False),
        (Protect.ALWAYS, {PROFILE.key: False}, 1, True),
        (Protect.ALWAYS, {PROFILE.key: False}, 0, True),
    ],
)
def test_f1_a_choice_counts_where_the_policy_leaves_one(
    protect: Protect, choices: dict[str, bool], factors: int, expected: bool
) -> None:
    action = replace(PROFILE, protect=protect, on_by_default=True)
    account = replace(snapshot_of(factors=factors).account, choices=choices)
    assert protects(action, account) is expected


# --- full proof, and such as is not yet


@pytest.mark.parametrize(
    ("action", "full_at", "enough"),
    [
        (APPROVE, 0, True),
        (APPROVE, NOW + 1, True),
        (LOWER, 0, True),
        (LOWER, NOW, True),
        (LOWER, NOW + 0.1, False),
    ],
)
def test_only_full_proof_takes_protection_away(action: Action, full_at: float, enough: bool) -> None:
    grant = replace(grant_for(action, BINDING), full_at=full_at)
    decision = decide(TARGET, match_for(action), snapshot_of(grant), NOW, BINDING)
    if enough:
        assert isinstance(decision, Forward)
        assert decision.permit.proof == decision.spends == grant
    else:
        assert decision == StepUp(action, Reason.CODE_NEEDED)


def test_full_proof_counts_beside_one_that_is_not() -> None:
    grants = [replace(PROFILE_GRANT, full_at=full_at) for full_at in (NOW + 9, 0)]
    lowering = replace(PROFILE, lowers=True)
    assert find_grant(lowering, snapshot_of(*grants), None, NOW) == grants[1]


@pytest.mark.parametrize(
    ("match", "snapshot"),
    [(OPEN, None), (PLAIN, LIVE), (match_for(NEVER), snapshot_of(grant_for(NEVER)))],
    ids=["public", "no action", "not protected"],
)
def test_where_no_code_is_asked_for_there_is_no_proof(match: Match, snapshot: Snapshot | None) -> None:
    decision = decide(TARGET, match, snapshot, NOW)
    assert isinstance(decision, Forward)
    assert decision.permit.proof is None


# --- a permit is made in one place


@pytest.mark.parametrize("seal", [(), (None,), (object(),), (True,)])
def test_a_permit_cannot_be_made_elsewhere(seal: tuple[object, ...]) -> None:
    with pytest.raises(TypeError):
        Permit(TARGET, PLAIN, LIVE.account, "s1", *seal)


@pytest.mark.parametrize("change", [{"account": LIVE.account}, {"target": TARGET}, {"seal": None}, {}])
def test_a_permit_cannot_be_turned_into_another(change: dict[str, object]) -> None:
    decision = decide(TARGET, OPEN, None, NOW)
    assert isinstance(decision, Forward)
    with pytest.raises((TypeError, ValueError)):
        replace(decision.permit, **change)
    with pytest.raises(AttributeError):
        decision.permit.account = LIVE.account  # type: ignore[misc]


# --- what must never be decided, whoever asks for whatever


ACTIONS = [SIGN_IN, PROFILE, APPROVE, LOWER, BY_CHOICE_ON, BY_CHOICE_OFF, NEVER]
GRANTS = st.builds(
    Grant,
    action=st.sampled_from(ACTIONS).map(lambda action: action.key),
    granted_at=st.just(NOW - 1),
    expires_at=st.sampled_from([NOW - 1, NOW, NOW + 1]),
    binding=st.sampled_from([None, BINDING, OTHER_BINDING]),
    full_at=st.sampled_from([0, NOW, NOW + 1]),
)
EPOCHS = st.sampled_from([None, 3, 7])
CHOICES = st.dictionaries(st.sampled_from(sorted({action.key for action in ACTIONS})), st.booleans())


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """Anybody: live or not, with or without factors, with any grants."""
    basis = snapshot_of(*draw(st.lists(GRANTS, max_size=3)), factors=draw(st.integers(0, 2)))
    account = replace(basis.account, epoch=draw(EPOCHS), disabled=draw(st.booleans()), choices=draw(CHOICES))
    confirmed_at = draw(st.sampled_from([None, NOW]))
    device = draw(
        st.none()
        | st.sampled_from(DeviceState).map(
            lambda state: replace(basis.device, state=state, confirmed_at=confirmed_at)
        )
    )
    session = replace(basis.session, idle_until=NOW + draw(st.integers(-1, 1)))
    return replace(basis, session=session, account=account, device=device, global_epoch=draw(EPOCHS))


LIVE_SNAPSHOTS = st.builds(snapshot_of, GRANTS, GRANTS, factors=st.integers(0, 2))
ANYBODY = st.none() | LIVE_SNAPSHOTS | LIVE_SNAPSHOTS.map(let_in) | snapshots()
MATCHES = st.builds(
    match_for,
    st.none() | st.sampled_from(ACTIONS),
    need=st.sampled_from(Need),
    sign_in=st.sampled_from([None, SIGN_IN, replace(BY_CHOICE_ON, name="sign-in")]),
)
BINDINGS = st.sampled_from([None, BINDING, OTHER_BINDING])


@given(st.sampled_from(ACTIONS), CHOICES, st.integers(0, 2))
def test_f1_no_switching_leaves_an_always_action_unprotected(
    action: Action, choices: dict[str, bool], factors: int
) -> None:
    account = replace(snapshot_of(factors=factors).account, choices=choices)
    assert protects(replace(action, protect=Protect.ALWAYS), account)


@given(MATCHES, ANYBODY, BINDINGS)
def test_a_named_request_goes_only_for_a_live_session_on_an_authorised_device(
    match: Match, snapshot: Snapshot | None, binding: str | None
) -> None:
    decision = decide(TARGET, match, snapshot, NOW, binding)
    if not isinstance(decision, Forward):
        return
    assert match.need is not Need.DENY
    if decision.permit.account is None:
        assert match.need is Need.PUBLIC
        return
    assert snapshot is not None
    assert snapshot.fault(NOW) is None
    assert snapshot.device is not None and snapshot.device.state is DeviceState.AUTHORISED
    assert snapshot.device.confirmed_at is not None or match.need is not Need.DEVICE
    assert decision.permit.account == snapshot.account


@given(MATCHES, ANYBODY, BINDINGS)
def test_a_protected_action_never_goes_without_its_proof(
    match: Match, snapshot: Snapshot | None, binding: str | None
) -> None:
    decision = decide(TARGET, match, snapshot, NOW, binding)
    action = match.action
    if not isinstance(decision, Forward) or decision.permit.account is None or action is None:
        return
    assert snapshot is not None
    if not protects(action, snapshot.account):
        return
    wanted = binding if action.single_use else None
    live = [grant for grant in snapshot.grants if grant.expires_at > NOW]
    proofs = [grant for grant in live if (grant.action, grant.binding) == (action.key, wanted)]
    assert proofs and (binding or not action.single_use)
    assert decision.spends in (proofs if action.single_use else [None])
    assert decision.permit.proof in proofs
    assert not (action.lowers and decision.permit.proof.full_at > NOW)


@given(MATCHES, ANYBODY, BINDINGS)
def test_confirming_a_device_is_asked_for_only_where_a_policy_needs_it(
    match: Match, snapshot: Snapshot | None, binding: str | None
) -> None:
    decision = decide(TARGET, match, snapshot, NOW, binding)
    if decision == AuthoriseDevice(Reason.DEVICE_UNCONFIRMED):
        assert match.need is Need.DEVICE
        assert snapshot is not None and snapshot.device is not None
        confirmed = replace(snapshot, device=snapshot.device.confirmed(NOW))
        assert not isinstance(decide(TARGET, match, confirmed, NOW, binding), AuthoriseDevice)


@given(MATCHES, ANYBODY, BINDINGS)
def test_after_a_reset_no_app_gets_anything_that_is_not_public(
    match: Match, snapshot: Snapshot | None, binding: str | None
) -> None:
    if snapshot is not None:
        snapshot = replace(snapshot, account=replace(snapshot.account, must_enrol=True))
    decision = decide(TARGET, match, snapshot, NOW, binding)
    if isinstance(decision, Forward) and match.app.name != OWN_APP:
        assert match.need is Need.PUBLIC


@given(ANYBODY, BINDINGS)
def test_deny_lets_nobody_through(snapshot: Snapshot | None, binding: str | None) -> None:
    assert decide(TARGET, CLOSED, snapshot, NOW, binding) == Refuse(Reason.DENIED)


@given(MATCHES, ANYBODY, BINDINGS)
def test_what_is_asked_for_can_be_given(match: Match, snapshot: Snapshot | None, binding: str | None) -> None:
    """A step-up is for an action that asks for a code, and says truly whether there is a factor."""
    decision = decide(TARGET, match, snapshot, NOW, binding)
    if isinstance(decision, StepUp):
        assert snapshot is not None
        assert protects(decision.action, snapshot.account)
        assert (decision.reason is Reason.FACTOR_MISSING) == (snapshot.account.confirmed_factors == 0)


# --- the name of one exact request


REQUESTS = [
    (parse_target("POST", "/withdrawals", "exchange.localhost"), b""),
    (parse_target("PUT", "/withdrawals", "exchange.localhost"), b""),
    (parse_target("POST", "/withdrawals", "other.localhost"), b""),
    (parse_target("POST", "/withdrawals/", "exchange.localhost"), b""),
    (parse_target("POST", "/withdrawals?", "exchange.localhost"), b""),
    (parse_target("POST", "/withdrawals?a=1", "exchange.localhost"), b""),
    (parse_target("POST", "/withdrawals?a=2", "exchange.localhost"), b""),
    (parse_target("POST", "/withdrawals", "exchange.localhost"), b"a=1"),
    (parse_target("POST", "/withdrawals", "exchange.localhost"), b"a=2"),
]


@pytest.mark.parametrize(("one", "other"), list(combinations(REQUESTS, 2)))
def test_two_requests_have_two_bindings(one: tuple[Target, bytes], other: tuple[Target, bytes]) -> None:
    assert binding_of(*one) != binding_of(*other)


def test_a_body_that_is_to_be_read_in_another_way_is_another_request() -> None:
    assert len({binding_of(TARGET, b"{}", read_as) for read_as in ("", "text/html", "text/html, gzip")}) == 3


def test_one_request_has_one_binding() -> None:
    again = parse_target("POST", "/%77ithdrawals", "EXCHANGE.localhost:8080")
    assert binding_of(again, b"a=1") == binding_of(TARGET, b"a=1")


@given(
    choices=st.dictionaries(st.sampled_from([PROFILE.key, SIGN_IN.key]), st.booleans()),
    factors=st.integers(0, 3),
    groups=st.frozensets(st.sampled_from(["staff", "traders"])),
    floor=st.sampled_from([PROFILE, FLOOR, replace(FLOOR, protect=Protect.NEVER)]),
    default=st.booleans(),
)
def test_whatever_was_chosen_set_up_or_removed_nobody_is_below_their_floor(
    choices: dict[str, bool], factors: int, groups: frozenset[str], floor: Action, default: bool
) -> None:
    """Any account that a sequence of switches, set-ups and removals can lead to is one of these."""
    account = replace(LIVE.account, choices=choices, confirmed_factors=factors, groups=groups)
    action = replace(floor, on_by_default=default and floor.protect is Protect.BY_CHOICE)
    decision = decide(TARGET, match_for(action), replace(LIVE, account=account), NOW)
    if action.protect is Protect.ALWAYS or "staff" in groups:
        assert isinstance(decision, StepUp)
