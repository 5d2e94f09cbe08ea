"""The embedded server: ours alone, one for each folder, gone with its last user, its data kept."""

import asyncio
import os
import signal
import stat
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import uvloop
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from support.commands import CommandLine, processes_in

from gateway.errors import StoreUnavailable
from gateway.store import embedded
from gateway.store.embedded import EmbeddedServer, server_binary, start_embedded
from gateway.store.ring_file import load_or_create

SECONDS = 60
"""Until a process has ended. Slow machines are no defect."""


@asynccontextmanager
async def running(*data_dirs: Path) -> AsyncIterator[list[EmbeddedServer]]:
    """What starting on each folder, all at once, gave."""
    servers = await asyncio.gather(*map(start_embedded, data_dirs))
    try:
        yield servers
    finally:
        for server in servers:
            await server.stop()


def is_alive(server: EmbeddedServer) -> bool:
    assert server.process is not None
    return Path(f"/proc/{server.process.pid}").exists()


async def gone(server: EmbeddedServer) -> None:
    """Wait until a process is no more, which whoever stopped it may be told of first; or be timed out."""
    while is_alive(server):
        await asyncio.sleep(0.01)


def client_of(server: EmbeddedServer) -> Redis:
    return Redis.from_url(server.url, decode_responses=True)


async def test_data_survive_a_restart(tmp_path: Path) -> None:
    for expected in (None, "kept"):
        async with running(tmp_path) as (server,), client_of(server) as client:
            assert await client.get("name") == expected
            await client.set("name", "kept")


async def test_data_survive_a_crash(tmp_path: Path) -> None:
    async with running(tmp_path) as (server,), client_of(server) as client:
        await client.set("name", "kept")
        assert server.process is not None
        server.process.kill()
        server.process.wait()
    async with running(tmp_path) as (server,), client_of(server) as client:
        assert await client.get("name") == "kept"


async def test_stopping_leaves_no_process_behind(tmp_path: Path) -> None:
    async with running(tmp_path) as (server,):
        assert is_alive(server)
        await server.stop()
        assert not is_alive(server)
        await server.stop()  # once more does nothing


async def test_the_server_is_for_its_owner_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)  # as a folder that was there before
    async with running(tmp_path) as (server,), client_of(server) as client:
        socket = Path(server.url.removeprefix("unix://"))
        assert stat.S_IMODE(socket.stat().st_mode) == 0o600
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
        assert (await client.config_get("port"))["port"] == "0"
        written = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert written
        assert all(socket.parent in path.parents for path in written)


async def test_what_was_told_is_kept_by_its_settings(tmp_path: Path) -> None:
    async with running(tmp_path) as (server,), client_of(server) as client:
        settings = await client.config_get("append*", "maxmemory-policy")
        assert settings["appendonly"] == "yes"
        assert settings["appendfsync"] == "always"
        assert settings["maxmemory-policy"] == "noeviction"


@pytest.mark.parametrize("owner_first", [True, False])
async def test_the_last_of_two_users_stops_the_server(tmp_path: Path, owner_first: bool) -> None:
    """`watchword user add` may have started the server that a gateway then joined."""
    async with running(tmp_path) as (owner,), running(tmp_path) as (guest,):
        assert (guest.url, guest.process) == (owner.url, None)
        first, last = (owner, guest) if owner_first else (guest, owner)
        async with client_of(last) as client:
            await client.set("name", "kept")
            await first.stop()
            assert await client.get("name") == "kept"
        assert is_alive(owner)
        await last.stop()
        await gone(owner)  # reaped, whoever stopped it


async def test_who_starts_while_the_last_one_stops_has_a_server(tmp_path: Path) -> None:
    server = await start_embedded(tmp_path)
    for number in range(1, 21):
        stopping = asyncio.create_task(server.stop())
        for _ in range(number):  # so that it comes at another moment each time
            await asyncio.sleep(0)
        server = await start_embedded(tmp_path)
        await stopping
        async with client_of(server) as client:
            assert await client.incr("uses") == number
    await server.stop()


async def pinged(server: EmbeddedServer) -> None:
    """Wait for the server to answer."""
    async with client_of(server) as client:
        while True:
            with suppress(RedisConnectionError):
                assert await client.ping()
                return
            await asyncio.sleep(0.01)


async def test_a_server_that_is_killed_comes_back(tmp_path: Path) -> None:
    async with running(tmp_path) as (server,), client_of(server) as client:
        await client.set("name", "kept")
        assert server.process is not None
        server.process.kill()
        server.process.wait()
        await pinged(server)
        assert await client.get("name") == "kept"
    assert not is_alive(server)


async def test_a_server_that_is_killed_comes_back_for_who_joined_it(tmp_path: Path) -> None:
    async with running(tmp_path) as (owner,), running(tmp_path) as (guest,):
        assert owner.process is not None
        await owner.stop()
        owner.process.kill()
        owner.process.wait()
        await pinged(guest)
        assert is_alive(guest)
    assert not is_alive(guest)


async def test_of_many_starts_at_once_one_starts_a_server(tmp_path: Path) -> None:
    """Two servers on one folder would write over each other's data."""
    async with running(*[tmp_path] * 5) as servers:
        assert len({server.url for server in servers}) == 1
        assert sum(server.process is not None for server in servers) == 1
        async with client_of(servers[0]) as client:
            await client.set("name", "kept")
    async with running(tmp_path) as (server,), client_of(server) as client:
        assert await client.get("name") == "kept"


async def test_a_server_that_cannot_be_reached_keeps_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its socket was swept away, or it still loads its data and whoever started it is gone."""
    async with running(tmp_path) as (server,):
        Path(server.url.removeprefix("unix://")).unlink()
        monkeypatch.setattr(embedded, "_PATIENCE_SECONDS", 0.3)
        with pytest.raises(StoreUnavailable, match=r"did not answer in 0 s; see .*\.log"):
            await start_embedded(tmp_path)


async def test_a_server_that_cannot_be_told_to_stop_is_left_to_the_next_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as (owner,), running(tmp_path) as (guest,):
        await owner.stop()
        socket = Path(guest.url.removeprefix("unix://"))
        away = socket.rename(socket.with_suffix(".away"))
        with monkeypatch.context() as patch:
            patch.setattr(embedded, "_PATIENCE_SECONDS", 0.3)
            with pytest.raises(StoreUnavailable, match=r"did not stop in 0 s; see .*\.log"):
                await guest.stop()
        away.rename(socket)
        async with running(tmp_path):
            assert is_alive(owner)
        await gone(owner)


async def test_two_folders_have_two_servers(tmp_path: Path) -> None:
    async with (
        running(tmp_path / "one", tmp_path / "two") as servers,
        client_of(servers[0]) as client,
        client_of(servers[1]) as other,
    ):
        await client.set("name", "one")
        assert await other.get("name") is None


async def test_a_start_that_is_called_off_leaves_no_process_behind(tmp_path: Path) -> None:
    """Ctrl-C before the server has answered for the first time."""
    starting = asyncio.create_task(start_embedded(tmp_path))
    while not (logs := list(tmp_path.rglob("*.log"))) or "Server initialized" not in logs[0].read_text():
        await asyncio.sleep(0)
    pid = int(logs[0].read_text().partition(":")[0])
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not Path(f"/proc/{pid}").exists()


async def test_a_folder_given_relatively(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with running(Path("data")) as (server,), client_of(server) as client:
        assert await client.ping()
    assert (tmp_path / "data").is_dir()


async def test_a_folder_with_a_long_name(tmp_path: Path) -> None:
    """A socket's path is short, whatever the folder's is; two of them are still two."""
    one, two = (tmp_path / ("x" * 120) / name for name in ("one", "two"))
    async with running(one, two, one) as servers:
        assert servers[0].url == servers[2].url != servers[1].url
        socket = Path(servers[0].url.removeprefix("unix://"))
        assert len(os.fsencode(socket)) <= 100
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700


async def test_a_folder_of_sockets_that_is_not_ours_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = tmp_path / f"watchword-{os.getuid()}"
    folder.mkdir(mode=0o755)
    with pytest.raises(StoreUnavailable, match="open to others"):
        await start_embedded(tmp_path / ("x" * 120))


async def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable):
        await start_embedded(tmp_path / "file" / "data")


async def test_data_that_the_server_refuses(tmp_path: Path) -> None:
    async with running(tmp_path) as (server,), client_of(server) as client:
        await client.set("name", "kept")
    for path in tmp_path.rglob("*.manifest"):
        path.write_text("nonsense\n")
    with pytest.raises(StoreUnavailable, match=r"did not start; see .*\.log"):
        await start_embedded(tmp_path)


def test_the_same_on_uvloop(tmp_path: Path) -> None:
    """The loop that the gateway runs on starts processes in its own way."""

    async def scenario() -> None:
        async with running(tmp_path, tmp_path) as servers:
            assert sum(server.process is not None for server in servers) == 1
            await asyncio.gather(*(server.stop() for server in servers))
            assert not any(server.process and is_alive(server) for server in servers)

    uvloop.run(scenario())


# --- users that are processes of their own

USER = """
import asyncio, sys
from pathlib import Path
from gateway.store.clients import connect
from gateway.store.embedded import start_embedded

async def use():
    for line in sys.stdin:
        server = await start_embedded(Path(sys.argv[1]))
        async with connect(server.url, password=None, timeout=20) as client:
            print(await client.incr("uses"), flush=True)
        if line == "stay\\n":
            sys.stdin.readline()
        await server.stop()

asyncio.run(use())
"""


@asynccontextmanager
async def user(folder: Path, orders: str) -> AsyncIterator[Process]:
    """Somebody who uses the server in `folder` for each line, and counts the uses in it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", USER, str(folder)), stdin=PIPE, stdout=PIPE, start_new_session=True
    )
    assert process.stdin is not None
    try:
        process.stdin.write(orders.encode())
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@asynccontextmanager
async def staying(folder: Path) -> AsyncIterator[Process]:
    async with user(folder, "stay\n") as process:
        assert process.stdout is not None
        assert await process.stdout.readline()
        yield process


async def stop(process: Process) -> None:
    await process.communicate(b"\n")
    assert process.returncode == 0


async def uses(folder: Path) -> int:
    async with running(folder) as (server,), client_of(server) as client:
        return int(await client.get("uses") or 0)


async def test_who_is_killed_leaves_a_server_that_the_next_user_stops(short_path: Path) -> None:
    async with staying(short_path) as process:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    left = processes_in(short_path)
    assert len(left) == 1
    async with running(short_path) as (server,):
        assert server.process is None
        assert processes_in(short_path) == left
    assert processes_in(short_path) == []
    assert await uses(short_path) == 1


async def test_who_is_killed_does_not_count_as_a_user(short_path: Path) -> None:
    async with staying(short_path) as owner, staying(short_path) as guest:
        owner.kill()
        await owner.wait()
        await stop(guest)
        assert processes_in(short_path) == []


@pytest.mark.parametrize("owner_first", [True, False])
async def test_the_server_outlives_the_process_that_started_it(short_path: Path, owner_first: bool) -> None:
    async with staying(short_path) as owner, staying(short_path) as guest:
        first, last = (owner, guest) if owner_first else (guest, owner)
        await stop(first)
        async with running(short_path) as (server,):
            assert server.process is None
        await stop(last)
        assert processes_in(short_path) == []


async def test_starts_and_stops_at_any_moment(short_path: Path) -> None:
    """The last one stops while another one starts: each has a server that works until it stops."""
    times = 10
    async with (
        user(short_path, "once\n" * times) as one,
        user(short_path, "once\n" * times) as two,
        user(short_path, "once\n" * times) as three,
    ):
        for process in (one, two, three):
            await process.communicate(b"")
            assert process.returncode == 0
    assert processes_in(short_path) == []
    assert await uses(short_path) == 3 * times, "no two servers wrote over each other's data"


def test_commands_while_a_gateway_starts(command: CommandLine, short_path: Path) -> None:
    environ = {"WATCHWORD_STORE__URL": "embedded", "WATCHWORD_STORE__DATA_DIR": str(short_path)}
    load_or_create(short_path / "keys.json")
    before = command.start("user", "list", **environ)
    gateway = command.start("run", **environ)
    try:
        meanwhile = [command.start("user", "list", **environ) for _ in range(2)]
        for process in (before, *meanwhile):
            _, err = process.communicate(timeout=SECONDS)
            assert process.returncode == 0, err
        assert gateway.stderr is not None
        assert any('"listening"' in line for line in gateway.stderr)
        assert len(processes_in(short_path)) == 1, "the gateway still uses it"
        gateway.send_signal(signal.SIGTERM)
        _, err = gateway.communicate(timeout=SECONDS)
        assert gateway.returncode == 0, err
        assert processes_in(short_path) == []
    finally:
        gateway.kill()
        gateway.communicate()


def test_a_server_on_the_path_goes_before_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    from_wheel = server_binary()
    for name in ("redis-server", "valkey-server"):
        (tmp_path / name).touch(mode=0o755)
        assert server_binary() == tmp_path / name
    assert from_wheel.parent != tmp_path
