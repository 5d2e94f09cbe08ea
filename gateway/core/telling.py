"""What account holders are told of, and on which ways: one table for the store, the mails and the pages."""

from collections.abc import Mapping
from enum import StrEnum


class Channel(StrEnum):
    """A way to tell somebody."""

    MAIL = "mail"
    WEBHOOK = "webhook"


EVENTS = "events"
"""Not a way to people: what programs that receive security events are told on, each on one of its own."""


def events_channel(receiver: str) -> str:
    """The channel on which one receiver of events is told; `receiver` is its name in the settings."""
    return f"{EVENTS}:{receiver}"


def channel_of(kind: str) -> str:
    """On which channel a kind of message goes, such as `mail:device-new` or `events:payments:account`."""
    first, _, rest = kind.partition(":")
    return events_channel(rest.partition(":")[0]) if first == EVENTS else first


_SECURITY, _DEVICES, _ACTIVITY, _PASSWORD = (
    f"/.watchword/{page}" for page in ("security", "devices", "activity", "password")
)

TOLD: Mapping[str, str] = {
    "device-new": _DEVICES,
    "device-authorised": _DEVICES,
    "device-revoked": _DEVICES,
    "factor-confirmed": _SECURITY,
    "factor-removed": _SECURITY,
    "recovery-codes-made": _SECURITY,
    "recovery-code-used": _SECURITY,
    "codes-locked": _SECURITY,
    "codes-unlocked": _SECURITY,
    "protection-off": _SECURITY,
    "password-changed": _DEVICES,
    "password-set": _PASSWORD,
    "profile-changed": _ACTIVITY,
    "account-revoked": _DEVICES,
    "account-disabled": _ACTIVITY,
    "account-enabled": _ACTIVITY,
    "reset-opened": _ACTIVITY,
    "reset-approved": _ACTIVITY,
    "reset-refused": _ACTIVITY,
    "reset-stopped": _ACTIVITY,
    "reset-abandoned": _ACTIVITY,
    "reset-done": _SECURITY,
}
"""Events of the audit stream that the person is told of, each with the page where they can see to it."""

COMMON = frozenset({"device-new", "device-revoked", "account-revoked"})
"""Of those, what takes no more than a password: kept apart, or it would wash the others off a page."""


def is_by_transmitter(actor: str) -> bool:
    """Whether an actor is another party that told us so, by a token (`gateway.core.security_event`)."""
    return actor.startswith("transmitter:")


def is_by_support(actor: str) -> bool:
    """Whether an actor of the audit stream is an operator, of whom people are told "support" and no more."""
    return actor.startswith(("operator:", "cli:"))
