"""Sessions that have something under way."""

from gateway.core.records import Session


def session(name: str = "s", *, subject: str = "ada", device: str = "", epoch: int = 1) -> Session:
    """One of `subject`, on a device of its own if none is named; both of its epochs are `epoch`."""
    return Session(
        id=name,
        subject=subject,
        device_id=device or f"device of {name}",
        device_since=0.0,
        account_epoch=epoch,
        global_epoch=epoch,
        created_at=0.0,
        last_used_at=0.0,
        idle_until=1.0,
        expires_at=1.0,
        address="",
    )
