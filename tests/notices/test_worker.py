"""What becomes of messages: sent once, tried again ever more seldom, given up in the end; never lost."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs
from support.gateway import Clock
from support.metrics import samples
from support.store import LIKE_OURS, NOW, account_added, opened_store, running_server

from gateway import clock as system_clock
from gateway.core.telling import TOLD, Channel
from gateway.notices import worker as worker_module
from gateway.notices.sending import NotSent
from gateway.notices.worker import AT_ONCE, CLAIM_SECONDS, Worker, delay_after
from gateway.store.audit import AuditEntry
from gateway.store.opening import Store
from gateway.store.outbox import Message
from gateway.web.metrics import Metrics

DAY = 86400.0


@dataclass
class Postman:
    """Sends nothing anywhere; fails with `trouble` while there is one."""

    trouble: Exception | None = None
    sent: list[Message] = field(default_factory=list)
    tried: list[Message] = field(default_factory=list)
    some: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, message: Message) -> None:
        self.tried.append(message)
        if self.trouble is not None:
            raise self.trouble
        self.sent.append(message)
        self.some.set()

    async def close(self) -> None: ...


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    standing = Clock()
    monkeypatch.setattr(system_clock, "now", standing)
    yield standing


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def postman() -> Postman:
    return Postman()


@pytest.fixture
def worker(store: Store, postman: Postman, metrics: Metrics, clock: Clock) -> Worker:
    return Worker(Channel.MAIL, postman, store.outbox, metrics, keep=7 * DAY)


async def tell(store: Store, *events: str) -> None:
    await account_added(store, "ada")
    for event in events or ("factor-removed",):
        await store.audit.record(AuditEntry(system_clock.now(), event, "account:ada", "ada"))


def counted(metrics: Metrics) -> dict[str, float]:
    found = samples(metrics)
    return {
        name[2]: value for name, value in found.items() if name[:2] == ("notices_total", "mail") and value
    }


async def test_what_is_due_is_sent_once(
    store: Store, worker: Worker, postman: Postman, metrics: Metrics
) -> None:
    await tell(store, "factor-removed", "password-changed")
    assert await worker.send_due()
    assert not await worker.send_due()
    assert {message.entry.event for message in postman.sent} == {"factor-removed", "password-changed"}
    assert len(postman.sent) == 2
    assert counted(metrics) == {"sent": 2}
    assert samples(metrics)["notices_waiting", "mail"] == 0
    assert await store.outbox.waiting(Channel.MAIL) == 0
    assert await store.outbox.waiting(Channel.WEBHOOK) == 2, "somebody else's"


async def test_a_failure_is_tried_again_ever_more_seldom(
    store: Store, worker: Worker, postman: Postman, clock: Clock, metrics: Metrics
) -> None:
    await tell(store)
    postman.trouble = NotSent("away")
    for attempts, delay in enumerate([5, 10, 20, 40, 80], start=1):
        assert await worker.send_due()
        assert postman.tried[-1].attempts == attempts
        clock.advance(delay - 0.1)
        assert not await worker.send_due(), "too early"
        clock.advance(0.2)
    assert counted(metrics) == {"failed": 5}
    assert samples(metrics)["notices_waiting", "mail"] == 1
    postman.trouble = None
    assert await worker.send_due()
    assert len({message.id for message in postman.tried}) == 1, "the same id each time"
    assert counted(metrics) == {"failed": 5, "sent": 1}


@pytest.mark.parametrize(
    ("attempts", "delay"), [(1, 5), (2, 10), (3, 20), (10, 2560), (11, 3600), (1000, 3600), (10**9, 3600)]
)
def test_how_long_it_waits(attempts: int, delay: float) -> None:
    assert delay_after(attempts) == delay


async def test_what_is_refused_for_good_is_given_up_and_said(
    store: Store, worker: Worker, postman: Postman, metrics: Metrics
) -> None:
    await tell(store)
    postman.trouble = NotSent("no such mailbox", final=True)
    with capture_logs() as said:
        await worker.send_due()
    (entry,) = said
    assert (entry["event"], entry["log_level"]) == ("a notice was given up", "error")
    assert (entry["about"], entry["why"], entry["channel"]) == ("factor-removed", "no such mailbox", "mail")
    assert not {"ada", "ada@example.org"} & {str(value) for value in entry.values()}
    assert counted(metrics) == {"given-up": 1}
    assert await store.outbox.waiting(Channel.MAIL) == 0


async def test_after_a_week_it_is_given_up_and_said(
    store: Store, worker: Worker, postman: Postman, clock: Clock, metrics: Metrics
) -> None:
    await tell(store)
    postman.trouble = NotSent("away")
    tries = 0
    while await store.outbox.waiting(Channel.MAIL):
        tries += await worker.send_due()
        clock.advance(1800)
    assert clock.now - NOW == pytest.approx(7 * DAY, abs=2 * 3600)
    assert counted(metrics) == {"failed": tries - 1, "given-up": 1}
    assert 7 * 24 <= tries <= 7 * 24 + 15


async def test_a_message_of_long_ago_is_tried_before_it_is_given_up(
    store: Store, worker: Worker, postman: Postman, clock: Clock
) -> None:
    await tell(store)
    clock.advance(30 * DAY)
    await worker.send_due()
    assert len(postman.sent) == 1


async def test_what_a_dead_node_had_is_sent_by_another(
    store: Store, worker: Worker, postman: Postman, clock: Clock
) -> None:
    await tell(store)
    await store.outbox.claim(Channel.MAIL, clock.now, seconds=CLAIM_SECONDS, most=10)
    assert not await worker.send_due()
    clock.advance(CLAIM_SECONDS)
    assert await worker.send_due()
    assert [message.attempts for message in postman.sent] == [2]


async def test_a_mistake_of_ours_costs_no_message(
    store: Store, worker: Worker, postman: Postman, clock: Clock
) -> None:
    await tell(store)
    postman.trouble = ZeroDivisionError()
    with capture_logs() as said:
        await worker.send_due()
    assert said[0]["event"] == "this should not happen"
    postman.trouble = None
    clock.advance(5)
    await worker.send_due()
    assert len(postman.sent) == 1


async def test_a_few_at_a_time_until_all_are_sent(store: Store, worker: Worker, postman: Postman) -> None:
    await tell(store, *TOLD)
    sizes = []
    while await worker.send_due():
        sizes.append(len(postman.sent))
    assert sizes[0] == AT_ONCE
    assert sizes[-1] == len(TOLD)


# --- as it runs


async def test_it_wakes_and_stops_when_told_to(
    store: Store, worker: Worker, postman: Postman, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "IDLE_SECONDS", 3600)
    running = asyncio.create_task(worker.run())
    await tell(store)
    worker.wake()
    await postman.some.wait()
    worker.stop()
    await running
    assert len(postman.sent) == 1


async def test_it_looks_by_itself_for_what_others_left(
    store: Store, worker: Worker, postman: Postman, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "IDLE_SECONDS", 0.01)
    running = asyncio.create_task(worker.run())
    await tell(store)
    await postman.some.wait()
    worker.stop()
    await running


async def test_it_outlives_its_store(
    short_path: Path, postman: Postman, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "IDLE_SECONDS", 0.01)
    with running_server(short_path, *LIKE_OURS) as server:
        store = await opened_store(server.url)
        monkeypatch.setattr(system_clock, "now", Clock())
        await tell(store)
    with capture_logs() as said:
        running = asyncio.create_task(Worker(Channel.MAIL, postman, store.outbox, metrics, keep=DAY).run())
        while not said:
            await asyncio.sleep(0.001)
    assert said[0]["event"] == "the outbox cannot be read"
    assert not running.done()
    with running_server(short_path, *LIKE_OURS):
        await postman.some.wait()
        running.cancel()
    await store.close()


async def test_a_record_that_cannot_be_read_does_not_end_it(
    store: Store, worker: Worker, postman: Postman, valkey: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "IDLE_SECONDS", 0.01)
    await tell(store)
    (broken,) = [
        key for key in await valkey.keys("*:message:*") if await valkey.hget(key, "channel") == "mail"
    ]
    await valkey.hset(broken, "at", "not a time")
    with capture_logs() as said:
        running = asyncio.create_task(worker.run())
        while not said:
            await asyncio.sleep(0.001)
    assert said[0]["event"] == "this should not happen"
    await tell(store)
    await postman.some.wait()
    worker.stop()
    await running
