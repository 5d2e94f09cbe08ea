"""What is shown of each record."""

from dataclasses import replace
from datetime import UTC, datetime

from gateway.admin.views import AccountView, ActivityView, FactorView, RevocationView, SessionView
from gateway.core.ending import Scope
from gateway.core.reasons import Reason
from gateway.core.records import (
    Account,
    Device,
    DeviceState,
    Factor,
    FactorState,
    Session,
    Snapshot,
)
from gateway.store.audit import AuditEntry
from gateway.store.orders import Revocation

NOW = 1_760_000_000.25
ACCOUNT = Account("ada", "Ada", "ada@example.org", frozenset({"b", "a", "c"}), False, 7, 1)
DEVICE = Device("d1", "ada", "Firefox", "Mozilla/5.0", DeviceState.AUTHORISED, NOW, NOW, "192.0.2.1")
FACTOR = Factor("f1", "ada", "Phone", FactorState.PENDING, NOW, NOW, b"k.sealed")
SESSION = Session("s1", "ada", "d1", NOW, 7, 3, NOW, NOW, NOW + 60, NOW + 3600, "192.0.2.1")


def test_times_are_rfc_3339_in_utc() -> None:
    shown = FactorView.of(FACTOR)
    assert shown.last_used_at == datetime.fromtimestamp(NOW, UTC)
    assert '"last_used_at":"2025-10-09T08:53:20.250000Z"' in shown.model_dump_json()


def test_groups_are_in_order() -> None:
    assert AccountView.seen(ACCOUNT, codes_locked=False).groups == ["a", "b", "c"]


def test_a_session_is_judged_by_the_clock_given() -> None:
    snapshot = Snapshot(SESSION, ACCOUNT, DEVICE, global_epoch=3)
    live, idle = SessionView.judged(snapshot, NOW + 59), SessionView.judged(snapshot, NOW + 60)
    assert (live.live, live.fault) == (True, None)
    assert (idle.live, idle.fault) == (False, Reason.SESSION_EXPIRED)
    assert (live.id, live.device) == ("s1", "d1")


def test_a_factor_that_was_never_used() -> None:
    shown = FactorView.of(replace(FACTOR, last_used_at=None))
    assert shown.last_used_at is None
    assert "sealed" not in shown.model_dump_json()


def test_what_an_entry_does_not_have_is_null() -> None:
    shown = ActivityView.recorded(AuditEntry(NOW, "account-enabled", "cli:ops", "ada", token_id="t1"))
    assert (shown.event, shown.actor) == ("account-enabled", "cli:ops")
    assert {shown.session, shown.device, shown.device_name, shown.address, shown.reason} == {None}


def test_a_revocation_names_what_it_ended() -> None:
    ended = {
        scope: RevocationView.listed(Revocation("r1", scope, record_id, subject, "why", "cli:ops", NOW), None)
        for scope, record_id, subject in (
            (Scope.SESSION, "s1", "ada"),
            (Scope.DEVICE, "d1", "ada"),
            (Scope.ACCOUNT, None, "ada"),
            (Scope.EVERYBODY, None, None),
        )
    }
    assert {scope: (view.session, view.device, view.subject) for scope, view in ended.items()} == {
        Scope.SESSION: ("s1", None, "ada"),
        Scope.DEVICE: (None, "d1", "ada"),
        Scope.ACCOUNT: (None, None, "ada"),
        Scope.EVERYBODY: (None, None, None),
    }
