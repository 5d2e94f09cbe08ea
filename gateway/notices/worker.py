"""One channel's worker: it empties the outbox, and comes back to what could not be sent.

It is alone with its channel: a mail server that hangs keeps no webhook waiting, and no request at all.
"""

import asyncio
from contextlib import suppress

import structlog

from gateway import clock
from gateway.errors import StoreUnavailable
from gateway.notices.sending import NotSent, Sender
from gateway.store.outbox import Message, Outbox
from gateway.web.metrics import Metrics, NoticeOutcome

AT_ONCE = 5
"""Messages that a node sends at the same time on one channel."""

CLAIM_SECONDS = 120.0
"""How long a node may take to send what it claimed: longer than any sender takes."""

IDLE_SECONDS = 5.0
"""How often a worker looks for what other nodes left, and for what is due again."""

_FIRST_DELAY, _LONGEST_DELAY = 5.0, 3600.0

_log = structlog.get_logger("gateway.notices")


def delay_after(attempts: int) -> float:
    """Seconds to wait after so many failures: twice as long each time, at most an hour."""
    return min(_FIRST_DELAY * 2.0 ** min(attempts - 1, 20), _LONGEST_DELAY)


class Worker:
    """Sends the messages of `channel`; what could not be sent for `keep` seconds is given up."""

    def __init__(
        self,
        channel: str,
        sender: Sender,
        outbox: Outbox,
        metrics: Metrics,
        *,
        keep: float,
        idle_seconds: float | None = None,
    ) -> None:
        self._channel = channel
        self._sender = sender
        self._outbox = outbox
        self._metrics = metrics
        self._keep = keep
        self._idle_seconds = idle_seconds
        self._wake = asyncio.Event()
        self._stopping = False

    def wake(self) -> None:
        """Look at once: there is something to send."""
        self._wake.set()

    def stop(self) -> None:
        """End, once what is being sent now was sent."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Work until told to stop. A store that does not answer is asked again later."""
        while not self._stopping:
            self._wake.clear()
            try:
                busy = await self.send_due()
            except StoreUnavailable as error:
                _log.error("the outbox cannot be read", channel=self._channel, error=str(error))
                busy = False
            except Exception:  # a mistake of ours must not silence this channel
                _log.exception("this should not happen", channel=self._channel)
                busy = False
            if not busy and not self._stopping:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._idle_seconds or IDLE_SECONDS):
                        await self._wake.wait()

    async def send_due(self) -> bool:
        """Send what is due, a few at a time; whether there was any. Raises StoreUnavailable."""
        claimed = await self._outbox.claim(self._channel, clock.now(), seconds=CLAIM_SECONDS, most=AT_ONCE)
        outcomes = await asyncio.gather(*map(self._settle, claimed), return_exceptions=True)
        self._metrics.notices_waiting(self._channel, await self._outbox.waiting(self._channel))
        for outcome in outcomes:
            if isinstance(outcome, BaseException):  # the store, after a message: its claim will end
                raise outcome
        return bool(claimed)

    async def _settle(self, message: Message) -> None:
        """Send a message, and say in the outbox what became of it."""
        failure = await self._try(message)
        now = clock.now()
        if failure is None:
            outcome = NoticeOutcome.SENT
            await self._outbox.done(message)
        elif failure.final or now - message.entry.at >= self._keep:
            outcome = NoticeOutcome.GIVEN_UP
            await self._outbox.done(message)
        else:
            outcome = NoticeOutcome.FAILED
            await self._outbox.again(message, now + delay_after(message.attempts))
        self._metrics.notice(self._channel, outcome)
        if failure is not None:
            given_up = outcome is NoticeOutcome.GIVEN_UP
            (_log.error if given_up else _log.warning)(
                "a notice was given up" if given_up else "a notice was not sent, and will be tried again",
                channel=self._channel,
                notice=message.id,
                about=message.entry.event,
                attempts=message.attempts,
                why=str(failure),
            )

    async def _try(self, message: Message) -> NotSent | None:
        """Why a message was not sent; None if it was."""
        try:
            await self._sender.send(message)
        except NotSent as failure:
            return failure
        except Exception:  # a mistake of ours must not cost a message
            _log.exception("this should not happen", channel=self._channel, notice=message.id)
            return NotSent("a mistake of ours")
        return None
