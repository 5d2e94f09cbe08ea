"""The supervisor: starts its workers, keeps them, replaces them one by one, and ends them."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from gateway.supervision.orders import RELOAD, RETIRE, cover
from gateway.supervision.sockets import Openings
from gateway.supervision.worker import Worker
from gateway.web.shared_metrics import SupervisorMetrics

_FIRST_DELAY, _LONGEST_DELAY = 0.5, 30.0
_SETTLED_SECONDS = 60.0
"""A worker that lived so long did not die of its start."""

_log = structlog.get_logger("gateway.supervisor")


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds until a worker is killed: that was told to stop, and that was told to retire."""

    stop: float
    retire: float


@dataclass(slots=True, eq=False)
class _Slot:
    """`worker` serves it, unless it is None; `changing` is held by whoever starts another one."""

    number: int
    worker: Worker | None = None
    deaths: int = 0
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)


def delay_after(deaths: int) -> float:
    """Seconds until a worker is started again after so many deaths in a row: none at first, then growing."""
    return 0.0 if deaths <= 1 else min(_FIRST_DELAY * 2.0 ** min(deaths - 2, 20), _LONGEST_DELAY)


class Supervisor:
    """`command` starts a worker, when told what it is handed; `counts` is the folder they count in."""

    def __init__(self, command: Sequence[str], openings: Openings, counts: Path, patience: Patience) -> None:
        self._command = command
        self._openings = openings
        self._counts = counts
        self._patience = patience
        self._metrics = SupervisorMetrics(counts)
        self._slots = [_Slot(number) for number in range(len(openings.slots))]
        self._alive: set[Worker] = set()
        self._replace_all = asyncio.Event()
        self._reloads = 0

    def reload(self) -> None:
        """Have the policies on disk taken up by all workers."""
        self._reloads += 1
        self._tell(RELOAD)

    def replace_all(self) -> None:
        """Put new workers in the place of all, one by one, once no other such round is on its way."""
        self._replace_all.set()

    async def run(self, told: asyncio.Event, announce: Callable[[], None]) -> int:
        """Serve until told to stop; 0, or the exit code of a worker that failed at the first start.

        `announce` is called when all workers serve.
        """
        work = asyncio.create_task(self._work(announce))
        stopping = asyncio.create_task(told.wait())
        try:
            await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            work.cancel()
            (code,) = await asyncio.gather(work, return_exceptions=True)
            await self._end_all()
        if isinstance(code, Exception):
            raise code
        return code if isinstance(code, int) else 0

    async def _work(self, announce: Callable[[], None]) -> int:
        first, *others = self._slots
        # One alone at first: what keeps it from starting is told once, and a new store or key ring is
        # made by one.
        code = await self._fill(first) or max(await asyncio.gather(*map(self._fill, others)), default=0)
        if code:
            return code
        announce()
        async with asyncio.TaskGroup() as tasks:
            for slot in self._slots:
                tasks.create_task(self._keep(slot))
            tasks.create_task(self._keep_replacing())
        return 0

    async def _fill(self, slot: _Slot) -> int:
        """Start a worker for a slot, and wait until it serves; 0, or the exit code why it does not.

        The worker that was there before, if any, is told to retire.
        """
        try:
            worker, reloads = self._started(slot), self._reloads
        except OSError as error:  # such as no memory, or a command that is being replaced
            _log.error("a worker did not start", worker=slot.number, error=str(error))
            return 1
        if not await worker.ready() or worker.ended.done():
            code = await asyncio.shield(worker.ended)
            _log.error("a worker did not start", worker=slot.number, code=code)
            return code if code > 0 else 1
        old, slot.worker = slot.worker, worker
        if reloads != self._reloads:
            worker.say(RELOAD)  # it may have read what was there before
        self._changed()
        if old is not None:
            old.say(RETIRE)
            await old.end(self._patience.retire)
        return 0

    def _started(self, slot: _Slot) -> Worker:
        # Two names in turn: who follows under a name goes on with its counts, so there are never more files.
        taken = {worker.name for worker in self._alive}
        name = next(name for turn in "ab" if (name := f"{slot.number}{turn}") not in taken)
        worker = Worker(self._command, self._openings, slot=slot.number, name=name, counts=str(self._counts))
        self._alive.add(worker)
        worker.ended.add_done_callback(lambda _: self._bury(worker))
        return worker

    def _bury(self, worker: Worker) -> None:
        self._alive.discard(worker)
        self._metrics.forget(worker.name)
        slot = self._slots[worker.slot]
        if slot.worker is worker:
            slot.worker = None
            self._changed()

    def _changed(self) -> None:
        """Have the slots that nobody serves covered by all the others, and say who there is."""
        serving = {slot.number: slot.worker.pid for slot in self._slots if slot.worker is not None}
        self._tell(cover({slot.number for slot in self._slots} - serving.keys()))
        self._metrics.workers(serving)

    def _tell(self, order: bytes) -> None:
        for slot in self._slots:
            if slot.worker is not None:
                slot.worker.say(order)

    async def _keep(self, slot: _Slot) -> None:
        """Start a worker again whenever there is none."""
        while True:
            worker = slot.worker
            if worker is not None:
                code = await asyncio.shield(worker.ended)
                if slot.worker is not None:
                    continue  # another one had taken its place
                lived = asyncio.get_running_loop().time() - worker.started_at
                slot.deaths = 1 if lived >= _SETTLED_SECONDS else slot.deaths + 1
                self._metrics.death()
                _log.error("a worker died", worker=slot.number, code=code, again_in=delay_after(slot.deaths))
            await asyncio.sleep(delay_after(slot.deaths))
            async with slot.changing:
                if slot.worker is None and await self._fill(slot):
                    slot.deaths += 1

    async def _keep_replacing(self) -> None:
        while True:
            await self._replace_all.wait()
            self._replace_all.clear()
            _log.info("replacing the workers")
            for slot in self._slots:
                async with slot.changing:
                    if await self._fill(slot):
                        _log.error("the workers in use stay", replaced=slot.number)
                        break
            else:
                _log.info("replaced the workers", workers=len(self._slots))

    async def _end_all(self) -> None:
        for worker in self._alive:
            worker.terminate()
        await asyncio.gather(*(worker.end(self._patience.stop) for worker in tuple(self._alive)))
