"""Case 38: ten thousand clients that have their answer by the short cut, and say nothing more."""

import asyncio
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import idle_clients
from support.gateway import OpenScene
from support.recording import Received
from support.short_cut import note_taken

COUNT = 10_000


@pytest.fixture
def many_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def respond(_: Received) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nidle"


@pytest.mark.usefixtures("many_files")
@pytest.mark.timeout(240)
async def test_ten_thousand_idle_sockets(open_scene: OpenScene, monkeypatch: pytest.MonkeyPatch) -> None:
    """All are closed at their deadline, and somebody who asks is served all the while."""
    taken = note_taken(monkeypatch)
    async with open_scene(limits={"connections": COUNT + 10, "keep_alive": 60.0}) as scene:
        scene.app.respond = respond
        ada = await scene.signed_in()
        connections = scene.gateway._front.listener._connections
        program = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                Path(idle_clients.__file__),
                str(scene.gateway.port),
                str(COUNT),
                "/public/idle",
            ),
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            assert program.stdout is not None
            assert await program.stdout.readline() == b"open\n"
            assert len(connections) >= COUNT
            assert len(taken) > COUNT * 0.99  # the first ones made the way ready
            closed = asyncio.create_task(program.stdout.readline())
            while not closed.done():
                assert (await ada.call("GET /mine")).status == 200
            assert closed.result() == b"closed\n"
            assert len(connections) <= 10
        finally:
            if program.returncode is None:
                program.terminate()
            await program.wait()
