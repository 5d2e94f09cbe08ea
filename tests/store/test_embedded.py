"""The embedded server: ours alone, one for each folder, gone when it is stopped, its data kept."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import uvloop
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from gateway.errors import StoreUnavailable
from gateway.store import embedded
from gateway.store.embedded import EmbeddedServer, server_binary, start_embedded


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
        await server.process.wait()
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


async def test_a_second_start_joins_the_server_that_runs(tmp_path: Path) -> None:
    async with running(tmp_path) as (first,):
        second = await start_embedded(tmp_path)
        assert (second.url, second.process) == (first.url, None)
        await second.stop()
        assert is_alive(first), "it is not the second one's to stop"


async def pinged(server: EmbeddedServer) -> None:
    """Wait for the server to answer."""
    async with client_of(server) as client:
        while True:
            with suppress(RedisConnectionError):
                assert await client.ping()
                return
            await asyncio.sleep(0.01)


async def test_who_joined_goes_on_when_the_owner_stops(tmp_path: Path) -> None:
    """`watchword user add` may have started the server that a gateway then joined."""
    async with running(tmp_path) as (owner,), client_of(owner) as client:
        await client.set("name", "kept")
        async with running(tmp_path) as (guest,):
            assert guest.process is None
            await owner.stop()
            while guest.process is None:
                await asyncio.sleep(0.01)
            assert is_alive(guest)
            assert await client.get("name") == "kept"
        assert not is_alive(guest)


async def test_a_server_that_is_killed_comes_back(tmp_path: Path) -> None:
    async with running(tmp_path) as (server,), client_of(server) as client:
        await client.set("name", "kept")
        assert server.process is not None
        server.process.kill()
        await server.process.wait()
        await pinged(server)
        assert await client.get("name") == "kept"
    assert not is_alive(server)


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
        monkeypatch.setattr(embedded, "_START_SECONDS", 0.3)
        with pytest.raises(StoreUnavailable, match=r"did not answer in 0 s; see .*\.log"):
            await start_embedded(tmp_path)


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


def test_a_server_on_the_path_goes_before_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    from_wheel = server_binary()
    for name in ("redis-server", "valkey-server"):
        (tmp_path / name).touch(mode=0o755)
        assert server_binary() == tmp_path / name
    assert from_wheel.parent != tmp_path
