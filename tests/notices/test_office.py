"""All channels together, on real servers: what one of them cannot do is no matter to the others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from support.mail import Mailbox, mail_server
from support.metrics import samples
from support.store import NOW, RING, account_added
from support.webhooks import SECRET, receiving

from gateway import clock
from gateway.core.telling import TOLD, Channel
from gateway.notice_settings import Notices
from gateway.notices import office as office_module
from gateway.notices import worker as worker_module
from gateway.notices.office import Office
from gateway.store.audit import MOST_WAITING, AuditEntry
from gateway.store.opening import Store
from gateway.web.metrics import Metrics


def by_mail(port: int) -> dict[str, Any]:
    mail = {"host": "localhost", "port": port, "from": "no-reply@exchange.example", "security": "none"}
    return {"mail": mail, "address": "https://exchange.example"}


def by_webhook(url: str) -> dict[str, Any]:
    return {"webhook": {"url": url, "secret": SECRET}}


@asynccontextmanager
async def office(store: Store, **notices: Any) -> AsyncIterator[Metrics]:
    """Open an office that only wakes when it is told to, so that nothing here depends on luck."""
    metrics = Metrics()
    opened = Office(store, Notices.model_validate(notices), "Exchange", metrics, RING)
    try:
        yield metrics
    finally:
        await opened.stop(10)


@pytest.fixture(autouse=True)
def woken_only(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "IDLE_SECONDS", 3600)
    monkeypatch.setattr(clock, "now", lambda: NOW)


async def tell(store: Store, event: str = "factor-removed") -> None:
    await account_added(store, "ada")
    await store.audit.record(AuditEntry(NOW, event, "account:ada", "ada"))


async def test_what_is_recorded_here_is_sent_at_once_on_every_channel(store: Store) -> None:
    async with (
        mail_server() as mailbox,
        receiving() as receiver,
        office(store, **by_mail(mailbox.port), **by_webhook(receiver.url)),
    ):
        await tell(store)
        (mail,), (call,) = await mailbox.until(1), await receiver.until(1)
    assert mail["Subject"] == "Exchange: An authenticator app was removed"
    assert call.headers["webhook-id"] not in mail["Message-ID"], "a message for each"
    assert [await store.outbox.waiting(channel) for channel in Channel] == [0, 0]


async def test_a_channel_that_hangs_keeps_no_other_waiting(store: Store) -> None:
    connected, let_go = asyncio.Event(), asyncio.Event()

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await let_go.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with receiving() as receiver, office(store, **by_mail(port), **by_webhook(receiver.url)):
        await tell(store)
        await connected.wait()
        await tell(store)
        await receiver.until(2)
        let_go.set()
    server.close()


async def test_what_waits_at_the_start_is_sent(store: Store) -> None:
    await tell(store)
    async with mail_server() as mailbox, office(store, **by_mail(mailbox.port)):
        await mailbox.until(1)


async def test_stopping_lets_what_is_being_sent_be_sent(store: Store) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()
    mailbox = Mailbox()
    kept = mailbox.handle_DATA

    async def slow(*arguments: Any) -> str:
        asked.set()
        await answer.wait()
        return await kept(*arguments)

    mailbox.handle_DATA = slow  # type: ignore[method-assign]
    async with mail_server(mailbox):
        opened = Office(store, Notices.model_validate(by_mail(mailbox.port)), "Exchange", Metrics(), RING)
        await tell(store)
        await asked.wait()
        stopping = asyncio.create_task(opened.stop(60))
        await asyncio.sleep(0)
        answer.set()
        await stopping
    assert len(mailbox.mails) == 1
    assert await store.outbox.waiting(Channel.MAIL) == 0


async def test_stopping_does_not_wait_for_a_server_that_hangs(store: Store) -> None:
    """And what it had is not lost: it waits for the end of the claim."""
    connected, never = asyncio.Event(), asyncio.Event()

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await never.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    opened = Office(store, Notices.model_validate(by_mail(port)), "Exchange", Metrics(), RING)
    await tell(store)
    await connected.wait()
    await opened.stop(0.01)
    never.set()
    server.close()
    assert await store.outbox.waiting(Channel.MAIL) == 1
    later = NOW + worker_module.CLAIM_SECONDS
    assert len(await store.outbox.claim(Channel.MAIL, later, seconds=60, most=10)) == 1


async def test_too_many_are_counted(store: Store) -> None:
    async with office(store) as metrics:
        for _ in range(MOST_WAITING + 3):
            await tell(store)
        assert samples(metrics)["notices_total", "mail", "dropped"] == 3


async def test_messages_of_a_channel_that_is_gone_are_given_up_in_the_end(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(office_module, "_SELDOM_SECONDS", 0.01)
    monkeypatch.setattr(worker_module, "delay_after", lambda _: 0.0)
    await tell(store)
    async with office(store, keep="7d") as metrics:
        while not samples(metrics)["notices_total", "webhook", "failed"]:
            await asyncio.sleep(0.001)
        assert await store.outbox.waiting(Channel.WEBHOOK) == 1
        monkeypatch.setattr(clock, "now", lambda: NOW + 8 * 86400)
        while await store.outbox.waiting(Channel.WEBHOOK):
            await asyncio.sleep(0.001)
        assert samples(metrics)["notices_total", "webhook", "given-up"] == 1


async def test_two_offices_send_each_message_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for subject in ("ada", "bob", "eve"):
        await account_added(store, subject)
        for event in TOLD:
            await store.audit.record(AuditEntry(NOW, event, f"account:{subject}", subject))
    total = 3 * len(TOLD)
    async with (
        receiving() as receiver,
        office(store, **by_webhook(receiver.url)) as one,
        office(store, **by_webhook(receiver.url)) as other,
    ):
        await receiver.until(total)
        while await store.outbox.waiting(Channel.WEBHOOK):
            await asyncio.sleep(0.001)
    assert len({call.headers["webhook-id"] for call in receiver.calls}) == len(receiver.calls) == total
    sent = [samples(metrics)["notices_total", "webhook", "sent"] for metrics in (one, other)]
    assert sum(sent) == total and all(sent), "both had their part"
