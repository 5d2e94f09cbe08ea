"""Messages to tell people, and what is around them."""

from dataclasses import replace
from typing import Any

from support.store import NOW, RING

from gateway.core.telling import Channel
from gateway.notices.letters import Letters
from gateway.store.audit import AuditEntry
from gateway.store.outbox import Message

ADDRESS = "https://exchange.example"
LETTERS = Letters.load("en", "Exchange", ADDRESS, RING)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

ENTRY = AuditEntry(
    at=NOW + 0.5,
    event="device-new",
    actor="account:ada",
    subject="ada",
    session_id="5" * 32,
    device_id="d" * 32,
    address="203.0.113.7",
    reason="Firefox on Linux",
    device_name="Work laptop",
)
MESSAGE = Message("0" * 32, Channel.MAIL, "ada@example.org", ENTRY, FIREFOX, 1)


def message(*, to: str = MESSAGE.to, user_agent: str = FIREFOX, **entry: Any) -> Message:
    """A message that differs in its address, its device's browser, or fields of its entry."""
    return replace(MESSAGE, to=to, user_agent=user_agent, entry=replace(ENTRY, **entry))
