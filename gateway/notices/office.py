"""All channels together: a worker for each, which wakes when this node has something to tell.

A receiver of events is a channel of its own, so that one that is down keeps no other waiting.
"""

import asyncio
from collections.abc import Mapping, Sequence

from gateway.core.telling import Channel, events_channel
from gateway.notice_settings import Notices
from gateway.notices.letters import Letters
from gateway.notices.mail import MailSender
from gateway.notices.sending import Nowhere, Sender
from gateway.notices.webhook import WebhookSender
from gateway.notices.worker import Worker
from gateway.store.keyring import Seals
from gateway.store.opening import Store
from gateway.web.metrics import Metrics, NoticeOutcome

_SELDOM_SECONDS = 3600.0
"""How often messages of a channel that is no longer there are looked at."""


class Office:
    def __init__(
        self,
        store: Store,
        notices: Notices,
        service: str,
        metrics: Metrics,
        ring: Seals,
        *,
        events: Mapping[str, Sender] = {},
    ) -> None:
        """`service` is what mails call us, `ring` proves their links; `events` are the senders to receivers
        of events, by name. Made within a running event loop.
        """
        self._metrics = metrics
        self._senders = _senders(notices, service, ring)
        for receiver in store.outbox.receivers:
            self._senders[events_channel(receiver)] = events.get(receiver, Nowhere())
        used = {*notices.channels, *map(events_channel, events)}
        self._workers = {
            channel: Worker(
                channel,
                sender,
                store.outbox,
                metrics,
                keep=notices.keep,
                idle_seconds=None if channel in used else _SELDOM_SECONDS,
            )
            for channel, sender in self._senders.items()
        }
        self._tasks = [asyncio.create_task(worker.run()) for worker in self._workers.values()]
        store.audit.follow(self._hear)

    async def stop(self, seconds: float) -> None:
        """Let what is being sent be sent within `seconds`. What is not goes on in another process."""
        for worker in self._workers.values():
            worker.stop()
        _, late = await asyncio.wait(self._tasks, timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for sender in self._senders.values():
            await sender.close()

    def _hear(self, queued: Sequence[str], dropped: Sequence[str]) -> None:
        for channel in dropped:
            self._metrics.notice(channel, NoticeOutcome.DROPPED)
        for channel in queued:
            self._workers[channel].wake()


def _senders(notices: Notices, service: str, ring: Seals) -> dict[str, Sender]:
    senders: dict[str, Sender] = {channel: Nowhere() for channel in Channel}
    if notices.mail is not None:
        letters = Letters.load("en", service, notices.address or "", ring)
        senders[Channel.MAIL] = MailSender(notices.mail, letters)
    if notices.webhook is not None:
        senders[Channel.WEBHOOK] = WebhookSender(notices.webhook)
    return senders
