"""What the store could tell of somebody, without a store."""

from support.store import NOW

from gateway.core.records import Account, Device, DeviceState, Session, Snapshot

UNTIL = NOW + 60


def snapshot_of(subject: str, number: int, *, epoch: int = 1) -> Snapshot:
    """One of a person's sessions, on one of two devices; `epoch` is the global one."""
    device_id = f"{subject}-device-{number % 2}"
    session = Session(
        id=f"{subject}-{number}",
        subject=subject,
        device_id=device_id,
        device_since=NOW,
        account_epoch=1,
        global_epoch=epoch,
        created_at=NOW,
        last_used_at=NOW,
        idle_until=UNTIL,
        expires_at=UNTIL,
        address="::1",
    )
    device = Device(device_id, subject, "", "", DeviceState.AUTHORISED, NOW, NOW, "::1")
    account = Account(subject, "", "", frozenset(), disabled=False, epoch=1, confirmed_factors=0)
    return Snapshot(session, account, device, epoch)
