"""When a grant is proof, and when a session is live."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.reasons import Reason
from gateway.core.records import (
    Account,
    Device,
    DeviceState,
    Factor,
    FactorState,
    Grant,
    LaterDevices,
    Session,
    Snapshot,
)
from gateway.core.reset import LiveReset

NOW = 1_000_000.0

GRANT = Grant("exchange/manage-profile", granted_at=NOW, expires_at=NOW + 300)
BOUND = replace(GRANT, binding="b1")

ACCOUNT = Account(
    subject="ada", name="Ada", email="", groups=frozenset(), disabled=False, epoch=7, confirmed_factors=1
)
DEVICE = Device(
    id="d1",
    subject="ada",
    name="Firefox",
    user_agent="",
    state=DeviceState.AUTHORISED,
    first_used_at=NOW,
    last_used_at=NOW,
    address="192.0.2.1",
)
SESSION = Session(
    id="s1",
    subject="ada",
    device_id="d1",
    device_since=NOW,
    account_epoch=7,
    global_epoch=3,
    created_at=NOW,
    last_used_at=NOW,
    idle_until=NOW + 3600,
    expires_at=NOW + 86400,
    address="192.0.2.1",
)
LIVE = Snapshot(SESSION, ACCOUNT, DEVICE, global_epoch=3)


@pytest.mark.parametrize(
    ("grant", "action", "binding", "age", "allowed"),
    [
        (GRANT, "exchange/manage-profile", None, 0, True),
        (GRANT, "exchange/manage-profile", None, 299.9, True),
        (GRANT, "exchange/manage-profile", None, 300, False),
        (GRANT, "exchange/change-password", None, 0, False),
        (GRANT, "other/manage-profile", None, 0, False),
        (GRANT, "exchange/manage-profile", "b1", 0, False),
        (BOUND, "exchange/manage-profile", "b1", 0, True),
        (BOUND, "exchange/manage-profile", "b2", 0, False),
        (BOUND, "exchange/manage-profile", None, 0, False),
        (BOUND, "exchange/manage-profile", "b1", 300, False),
        (replace(GRANT, expires_at=math.inf), "exchange/manage-profile", None, 1e9, True),
    ],
)
def test_what_a_grant_is_proof_of(
    grant: Grant, action: str, binding: str | None, age: float, allowed: bool
) -> None:
    assert grant.allows(action, binding, NOW + age) is allowed


FAULTS = [
    (replace(LIVE, account=replace(ACCOUNT, epoch=None)), Reason.EPOCH_MISSING),
    (replace(LIVE, global_epoch=None), Reason.EPOCH_MISSING),
    (replace(LIVE, account=replace(ACCOUNT, disabled=True)), Reason.ACCOUNT_DISABLED),
    (replace(LIVE, account=replace(ACCOUNT, epoch=8)), Reason.SESSION_REVOKED),
    (replace(LIVE, account=replace(ACCOUNT, epoch=6)), Reason.SESSION_REVOKED),
    (replace(LIVE, global_epoch=4), Reason.SESSION_REVOKED),
    (replace(LIVE, global_epoch=2), Reason.SESSION_REVOKED),
    (replace(LIVE, device=None), Reason.DEVICE_REVOKED),
    (replace(LIVE, device=replace(DEVICE, state=DeviceState.REVOKED)), Reason.DEVICE_REVOKED),
    (replace(LIVE, device=replace(DEVICE, first_used_at=NOW + 1)), Reason.DEVICE_REVOKED),
    (replace(LIVE, session=replace(SESSION, idle_until=NOW)), Reason.SESSION_EXPIRED),
    (replace(LIVE, session=replace(SESSION, expires_at=NOW)), Reason.SESSION_EXPIRED),
]


@pytest.mark.parametrize(("snapshot", "reason"), FAULTS)
def test_why_a_session_is_not_live(snapshot: Snapshot, reason: Reason) -> None:
    assert snapshot.fault(NOW) is reason


@pytest.mark.parametrize(
    "snapshot",
    [
        LIVE,
        replace(LIVE, device=replace(DEVICE, state=DeviceState.PENDING)),  # may do little, but lives
        replace(LIVE, session=replace(SESSION, idle_until=NOW + 0.001)),
        replace(LIVE, account=replace(ACCOUNT, confirmed_factors=0)),
    ],
)
def test_a_live_session(snapshot: Snapshot) -> None:
    assert snapshot.fault(NOW) is None


EPOCHS = st.none() | st.integers(0, 3)


@given(account=EPOCHS, everybody=EPOCHS, began=st.tuples(st.integers(0, 3), st.integers(0, 3)))
def test_a_session_lives_only_under_the_very_epochs_it_began_with(
    account: int | None, everybody: int | None, began: tuple[int, int]
) -> None:
    session = replace(SESSION, account_epoch=began[0], global_epoch=began[1])
    snapshot = Snapshot(session, replace(ACCOUNT, epoch=account), DEVICE, global_epoch=everybody)
    assert (snapshot.fault(NOW) is None) == (began == (account, everybody))


@given(past=st.floats(0, 1e9), limits=st.tuples(st.floats(0, 1e9), st.floats(0, 1e9)))
def test_no_session_outlives_either_of_its_limits(past: float, limits: tuple[float, float]) -> None:
    session = replace(SESSION, idle_until=limits[0], expires_at=limits[1])
    assert (replace(LIVE, session=session).fault(past) is None) == (past < limits[0] and past < limits[1])


@pytest.mark.parametrize(("full_at", "on_trial"), [(0, False), (NOW, False), (NOW + 0.1, True)])
def test_a_factor_is_on_trial_until_it_is_full(full_at: float, on_trial: bool) -> None:
    factor = Factor("f1", "ada", "Phone", FactorState.CONFIRMED, NOW, None, b"sealed", full_at=full_at)
    assert factor.on_trial(NOW) is on_trial


# --- devices


@pytest.mark.parametrize("state", DeviceState)
@pytest.mark.parametrize("confirmed_at", [None, NOW])
def test_only_an_authorised_device_can_be_a_confirmed_one(
    state: DeviceState, confirmed_at: float | None
) -> None:
    device = replace(DEVICE, state=state, confirmed_at=confirmed_at)
    assert device.is_authorised is (state is DeviceState.AUTHORISED)
    assert device.is_confirmed is (device.is_authorised and confirmed_at is not None)


def test_a_device_is_confirmed_since_the_first_time() -> None:
    waiting = replace(DEVICE, state=DeviceState.PENDING, word_seed="5eed")
    confirmed = waiting.confirmed(NOW)
    assert (confirmed.is_confirmed, confirmed.confirmed_at, confirmed.word_seed) == (True, NOW, "")
    assert confirmed.confirmed(NOW + 60) == confirmed


@pytest.mark.parametrize(
    ("later", "wait", "code_serves"),
    [
        (LaterDevices.ALLOW, False, True),
        (LaterDevices.NOTIFY, False, True),
        (LaterDevices.STEP_UP, True, True),
        (LaterDevices.APPROVE, True, False),
    ],
)
def test_what_becomes_of_later_devices(later: LaterDevices, wait: bool, code_serves: bool) -> None:
    assert (later.wait, later.code_serves) == (wait, code_serves)


# --- told of a reset


RUNS = LiveReset("r1", due_at=NOW + 60)


@pytest.mark.parametrize(
    ("reset", "told_of", "untold"),
    [
        (None, "", None),
        (LiveReset("r1"), "", None),  # nobody has approved it yet
        (RUNS, "", RUNS),
        (RUNS, "r0", RUNS),
        (RUNS, "r1", None),
    ],
)
def test_a_session_is_told_of_a_reset_once(
    reset: LiveReset | None, told_of: str, untold: LiveReset | None
) -> None:
    told = replace(LIVE, session=replace(SESSION, told_of=told_of), account=replace(ACCOUNT, reset=reset))
    assert told.untold_reset == untold
