"""What a channel is: it sends a message, or says why not."""

from typing import Protocol

from gateway.errors import WatchwordError
from gateway.store.outbox import Message


class NotSent(WatchwordError):
    """A message that could not be sent. `final`: nor ever will be, so trying again is of no use.

    The text goes to the log, so it holds no address, and nothing that a server made up.
    """

    def __init__(self, why: str, *, final: bool = False) -> None:
        super().__init__(why)
        self.final = final


class Sender(Protocol):
    async def send(self, message: Message, /) -> None:
        """Send a message, or raise NotSent."""

    async def close(self) -> None:
        """Let go of what is held open."""


class Nowhere:
    """The sender of a channel that the settings no longer have: its messages wait, until given up."""

    async def send(self, _: Message) -> None:
        raise NotSent("the settings do not have this channel")

    async def close(self) -> None:
        """There is nothing to close."""
