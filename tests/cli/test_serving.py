"""`watchword run`, as a process that starts, is told things, and stops."""

import asyncio
import os
import signal
import socket
import urllib.error
from pathlib import Path

import pytest
import typer
from support.commands import POLICY, CommandLine, processes_in
from support.gateway import SWITCHING, UPGRADE
from support.raw_client import RawClient
from support.serving import EMBEDDED, SECONDS, running, stop
from support.upstreams import Peer, serving

from gateway.cli.serving import number_of_workers
from gateway.version import version


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_it_runs_until_it_is_told_to_stop(command: CommandLine, number: signal.Signals) -> None:
    with running(command) as node:
        started = node.logged("listening")
        assert node.status_of(started["port"], "/private") == 401
        assert node.status_of(started["port"], "/", host="other.localhost") == 421
        assert node.status_of(started["admin_port"], "/healthz") == 200
        assert "stopping" in stop(node, number)
        with pytest.raises(urllib.error.URLError):
            node.status_of(started["port"], "/")


@pytest.mark.parametrize("requests", ["on", "off"])
@pytest.mark.parametrize("workers", [(), ("--workers", "2")], ids=["one", "several"])
def test_requests_are_logged_as_the_settings_say(
    command: CommandLine, workers: tuple[str, ...], requests: str
) -> None:
    with running(command, *workers, WATCHWORD_LOG__REQUESTS=requests) as node:
        started = node.logged("listening")
        assert started["version"] == version()
        assert node.status_of(started["port"], "/private") == 401
        assert "stopping" in stop(node, signal.SIGTERM)
        logged = [line for line in node.lines if '"event": "request"' in line]
        assert len(logged) == (1 if requests == "on" else 0)


@pytest.mark.parametrize("workers", [(), ("--workers", "2")], ids=["one", "several"])
def test_a_gateway_that_has_started_is_not_looked_through_for_garbage(
    command: CommandLine, workers: tuple[str, ...]
) -> None:
    """See `gateway.garbage`. A start is some hundred thousand objects."""
    site = command.folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import atexit, gc, sys\n"
        "atexit.register(lambda: sys.stderr.write(f'frozen {gc.get_freeze_count()}\\n'))"
    )
    with running(command, *workers, PYTHONPATH=str(site)) as node:
        node.logged("listening")
        stop(node, signal.SIGTERM)
        frozen = [int(line.split()[1]) for line in node.lines if line.startswith("frozen ")]
        assert max(frozen) > 50_000


@pytest.mark.parametrize(
    ("number", "workers"),
    [
        (signal.SIGTERM, ()),
        (signal.SIGTERM, ("--workers", "2")),
        (signal.SIGUSR2, ("--workers", "2")),
    ],
    ids=["one stops", "several stop", "several are replaced"],
)
async def test_websockets_are_told_that_their_gateway_goes(
    command: CommandLine, number: signal.Signals, workers: tuple[str, ...]
) -> None:
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.say(SWITCHING)
        heard.set_result(await peer.rest())
        peer.hang_up()

    async with serving(script) as app:
        (command.folder / "policies" / "exchange.yaml").write_text(
            POLICY.replace("http://127.0.0.1:1", app.address)
        )
        with running(command, *workers) as node:
            port = (await asyncio.to_thread(node.logged, "listening"))["port"]
            async with await RawClient.connect(port) as client:
                fields = "".join(f"{name}: {text}\r\n" for name, text in UPGRADE.items())
                await client.send(
                    f"GET /static/ws HTTP/1.1\r\nHost: exchange.localhost\r\n{fields}\r\n".encode()
                )
                assert (await client.answer()).status == 101
                node.process.send_signal(number)
                assert await client.reader.read(-1) == b"\x88\x16\x03\xf4the gateway restarts"
                client.writer.close()
                told = await heard
                code = bytes(a ^ b for a, b in zip(told[6:8], told[2:4], strict=True))
                assert (told[:2], int.from_bytes(code)) == (b"\x88\x96", 1001)
            if number is signal.SIGUSR2:
                await asyncio.to_thread(node.logged, "replaced the workers")
            await asyncio.to_thread(stop, node, signal.SIGTERM)


def test_it_takes_its_settings_from_a_file(command: CommandLine) -> None:
    config = command.folder / "config" / "gateway.yaml"
    config.parent.mkdir()
    config.write_text("log: {format: console}\nmode: demo\npolicies: elsewhere\n")
    (command.folder / "policies").rename(command.folder / "elsewhere")
    process = command.start("run")
    assert process.stderr is not None
    try:
        text = ""
        while "listening" not in text:
            text = process.stderr.readline()
            assert text, "it ended"
    finally:
        process.terminate()
        process.communicate(timeout=SECONDS)
    assert process.returncode == 0


WORKERS = [(), ("--workers", "2")]


@pytest.mark.parametrize("workers", WORKERS, ids=["one", "several"])
@pytest.mark.parametrize("told", [True, False], ids=["SIGHUP", "a change of a file"])
def test_policies_are_reloaded_and_a_faulty_one_is_not_taken(
    command: CommandLine, told: bool, workers: tuple[str, ...]
) -> None:
    folder = command.folder / "policies"
    if told:  # where a link leads to is not watched, so that nothing but the signal tells
        folder.rename(command.folder / "first")
        folder.symlink_to("first")

    def change(name: str, text: str) -> None:
        if not told:
            (folder / "exchange.yaml").write_text(text)
            return
        other = command.folder / name
        other.mkdir()
        (other / "exchange.yaml").write_text(text)
        folder.unlink()
        folder.symlink_to(name)
        node.process.send_signal(signal.SIGHUP)

    def each(event: str, **fields: str) -> None:
        for _ in range(2 if workers else 1):
            assert ":10:" in node.logged(event, **fields).get("fault", ":10:")

    def statuses() -> set[int]:
        return {node.status_of(port, "/static/x") for _ in range(20)}

    with running(command, *workers) as node:
        port = node.logged("listening")["port"]
        assert statuses() == {502}, "allowed, and there is no upstream"
        change("second", POLICY.replace("need: public", "need: deny"))
        each("policies loaded")
        assert statuses() == {403}
        change("third", POLICY.replace("need: public", "ned: public"))
        each("policy fault, the policies in use stay")
        assert statuses() == {403}
        change("fourth", POLICY)
        each("policies loaded")
        assert statuses() == {502}
        stop(node, signal.SIGTERM)


@pytest.mark.parametrize("workers", WORKERS, ids=["one", "several"])
def test_faults_stop_the_start(command: CommandLine, workers: tuple[str, ...]) -> None:
    (command.folder / "policies" / "exchange.yaml").write_text("app: exchange\n")
    process = command.start("run", *workers, WATCHWORD_ISUER="x")
    out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, out) == (1, "")
    assert "exchange.yaml:1:" in err
    assert "WATCHWORD_ISUER" in err


@pytest.mark.parametrize("workers", WORKERS, ids=["one", "several"])
@pytest.mark.parametrize("which", ["LISTEN", "ADMIN"])
def test_a_port_that_is_taken_stops_the_start(
    command: CommandLine, short_path: Path, which: str, workers: tuple[str, ...]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        data = short_path / "data"
        environ = {**EMBEDDED, f"WATCHWORD_{which}__PORT": port, "WATCHWORD_STORE__DATA_DIR": str(data)}
        process = command.start("run", *workers, **environ)
        out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, out) == (1, "")
    assert err == (
        f"{which.lower()}.port: 127.0.0.1:{port} is in use already; "
        "choose another port, or stop what listens there.\n"
    )
    assert processes_in(short_path) == []
    assert not data.exists(), "neither a store nor a key ring"


@pytest.mark.parametrize("workers", WORKERS, ids=["one", "several"])
def test_a_store_that_does_not_answer_stops_the_start(command: CommandLine, workers: tuple[str, ...]) -> None:
    process = command.start("run", *workers, WATCHWORD_STORE__URL="unix:///nowhere.sock")
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 3
    assert err.count("The store is not available") == 1


@pytest.mark.parametrize("workers", WORKERS, ids=["one", "several"])
def test_the_embedded_store_stops_with_it(
    command: CommandLine, short_path: Path, workers: tuple[str, ...]
) -> None:
    with running(command, *workers, WATCHWORD_STORE__DATA_DIR=str(short_path), **EMBEDDED) as node:
        node.logged("listening")
        assert processes_in(short_path) != []
        stop(node, signal.SIGTERM)
        assert processes_in(short_path) == []


@pytest.mark.parametrize("workers", WORKERS, ids=["one", "several"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_during_the_start_leaves_nothing_behind(
    command: CommandLine, short_path: Path, number: signal.Signals, workers: tuple[str, ...]
) -> None:
    with running(command, *workers, WATCHWORD_STORE__DATA_DIR=str(short_path), **EMBEDDED) as node:
        while not processes_in(short_path):
            assert node.process.poll() is None
        stop(node, number)
        assert processes_in(short_path) == []


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("12", 12), (3, 3)])
def test_the_number_of_workers(text: str | int, number: int) -> None:
    assert number_of_workers(text) == number


def test_auto_is_one_worker_for_each_processor_that_we_may_use() -> None:
    assert number_of_workers("auto") == len(os.sched_getaffinity(0))


@pytest.mark.parametrize("text", ["0", "-1", "257", "two", "", "1.5", "\N{SUPERSCRIPT TWO}"])
def test_what_is_no_number_of_workers(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        number_of_workers(text)
