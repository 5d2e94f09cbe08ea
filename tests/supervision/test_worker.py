"""A worker's process, seen from outside: a small program in the gateway's place."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.settings import AdminListen, Listen, Settings
from gateway.supervision.orders import RETIRE
from gateway.supervision.sockets import Openings, opened
from gateway.supervision.worker import Worker

BEGIN = "import json, os, signal, sys; handed = json.loads(sys.argv[-1]); "
READY = "os.write(handed['ready'], b'ready\\n'); os.close(handed['ready']); "
OBEYS = "sys.exit(7 if os.read(handed['orders'], 99) == b'retire\\n' else 8)"
DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN); "


@pytest.fixture
async def openings() -> AsyncIterator[Openings]:
    with opened(Settings(listen=Listen(port=0), admin=AdminListen(port=0)), 2) as sockets:
        yield sockets


def started(openings: Openings, program: str) -> Worker:
    command = [sys.executable, "-c", BEGIN + program]
    return Worker(command, openings, slot=1, name="1a", counts="counts")


async def test_it_serves_obeys_and_ends(openings: Openings) -> None:
    worker = started(openings, READY + OBEYS)
    assert await worker.ready()
    assert worker.is_ready
    worker.say(RETIRE)
    assert await worker.ended == 7
    worker.say(RETIRE)
    await worker.end(0)


async def test_it_has_the_sockets(openings: Openings) -> None:
    checks = "[os.fstat(fd) for fds in [*handed['slots'], handed['admin']] for fd in fds]; "
    worker = started(openings, checks + READY)
    assert await worker.ready()
    assert await worker.ended == 0


async def test_one_that_ends_before_it_serves(openings: Openings) -> None:
    worker = started(openings, "sys.exit(3)")
    assert not await worker.ready()
    assert await worker.ended == 3


async def test_one_that_does_not_end_is_killed(openings: Openings) -> None:
    worker = started(openings, DEAF + READY + "signal.pause()")
    assert await worker.ready()
    worker.terminate()
    await worker.end(0.05)
    assert worker.ended.result() == -9


async def test_what_cannot_be_started_leaves_nothing_open(openings: Openings) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(FileNotFoundError):
        Worker(["/nowhere/watchword"], openings, slot=0, name="0a", counts="counts")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    await asyncio.sleep(0)
