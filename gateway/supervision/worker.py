"""A worker's process, as its supervisor sees it."""

import asyncio
import os
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress

from gateway.supervision.handover import READY, Handed
from gateway.supervision.sockets import Openings

WORKER_OPTION = "--handed"


class Worker:
    """Started at once; `ended` is its exit code once it has one (a signal's number below zero).

    It must be made within a running event loop. `name` is what it counts under.
    """

    def __init__(
        self, command: Sequence[str], openings: Openings, *, slot: int, name: str, counts: str
    ) -> None:
        self.slot = slot
        self.name = name
        loop = asyncio.get_running_loop()
        self.started_at = loop.time()
        self.ended: asyncio.Future[int] = loop.create_future()
        self.is_ready = False
        orders, self._orders = os.pipe()
        self._ready, ready = os.pipe()
        os.set_blocking(self._orders, False)
        handed = Handed(
            slot=slot,
            name=name,
            counts=counts,
            slots=tuple(tuple(sock.fileno() for sock in sockets) for sockets in openings.slots),
            admin=tuple(sock.fileno() for sock in openings.admin),
            orders=orders,
            ready=ready,
        )
        try:
            self._process = subprocess.Popen(
                [*command, WORKER_OPTION, handed.to_text()],
                stdin=subprocess.DEVNULL,
                pass_fds=(*openings.descriptors(), orders, ready),
            )
        except BaseException:
            os.close(self._orders)
            os.close(self._ready)
            raise
        finally:
            os.close(orders)
            os.close(ready)
        self.pid = self._process.pid
        self.ended.add_done_callback(lambda _: os.close(self._orders))
        # A thread, as a child watcher is the event loop's affair, and uvloop reaps only what it started.
        threading.Thread(target=self._reap, args=(loop,), daemon=True).start()

    def _reap(self, loop: asyncio.AbstractEventLoop) -> None:
        code = self._process.wait()
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(self.ended.set_result, code)

    async def ready(self) -> bool:
        """Wait, once, until it serves; False when it will not."""
        loop = asyncio.get_running_loop()
        said: asyncio.Future[bytes] = loop.create_future()

        def read() -> None:
            loop.remove_reader(self._ready)
            said.set_result(os.read(self._ready, len(READY)))

        loop.add_reader(self._ready, read)
        try:
            self.is_ready = await said == READY
        finally:
            loop.remove_reader(self._ready)
            os.close(self._ready)
        return self.is_ready

    def say(self, order: bytes) -> None:
        """Give an order, unless nobody can hear it any more."""
        if not self.ended.done():
            # A full pipe is that of a worker which hangs, and is killed when its time is over.
            with suppress(BrokenPipeError, BlockingIOError):
                os.write(self._orders, order)

    def terminate(self) -> None:
        self._process.terminate()

    async def end(self, patience: float) -> None:
        """Wait until it has ended, and kill it after `patience` seconds."""
        await asyncio.wait([self.ended], timeout=patience)
        if not self.ended.done():
            self._process.kill()
            await asyncio.wait([self.ended])
