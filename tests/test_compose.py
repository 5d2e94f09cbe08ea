"""`docker-compose.yml` and the `Dockerfile`, as far as they can be held to account without Docker."""

import asyncio
import json
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pytest_aiohttp import AiohttpRawServer
from redis.asyncio import Redis
from redis.exceptions import RedisError
from ruamel.yaml import YAML

from gateway.documents import load_policy_directory
from gateway.settings import load_settings
from gateway.store.embedded import server_binary
from gateway.store.keyring import new_keyring
from gateway.store.opening import StoreOptions, open_store
from gateway.store.sessions import SessionLimits

ROOT = Path(__file__).parent.parent
COMPOSE = YAML(typ="safe").load(ROOT / "docker-compose.yml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
GATEWAY, VALKEY, EXCHANGE = SERVICES["gateway"], SERVICES["valkey"], SERVICES["exchange"]


def dockerfile_stages() -> list[list[tuple[str, str]]]:
    """The instructions of each stage, as pairs of a word and the rest; continued lines are joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", "")
    stages: list[list[tuple[str, str]]] = []
    for line in filter(None, text.splitlines()):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            stages.append([])
        stages[-1].append((word, rest))
    return stages


STAGES = dockerfile_stages()
INSTRUCTIONS = [instruction for stage in STAGES for instruction in stage]
FINAL = STAGES[-1]


def mounts(service: dict[str, Any]) -> dict[str, str]:
    """What is mounted where: the path in the container, and the path or volume behind it."""
    return {
        target: source for source, target, *_ in (mount.split(":") for mount in service.get("volumes", ()))
    }


# --- the Compose file


def schema_faults(text: str, tmp_path: Path) -> str:
    file = tmp_path / "docker-compose.yml"
    file.write_text(text)
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema=vendor.compose-spec"]
    checked = subprocess.run([*command, file.name], cwd=tmp_path, capture_output=True, text=True, check=False)
    return checked.stdout if checked.returncode else ""


def test_it_obeys_the_compose_specification(tmp_path: Path) -> None:
    assert schema_faults((ROOT / "docker-compose.yml").read_text(), tmp_path) == ""
    compose = ["docker", "compose"]
    if (
        shutil.which("docker")
        and subprocess.run([*compose, "version"], capture_output=True, check=False).returncode == 0
    ):
        subprocess.run([*compose, "config", "--quiet"], cwd=ROOT, check=True)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("read_only: true", "readonly: true"),
        ("condition: service_healthy", "condition: healthy"),
        ("cap_drop: [ALL]", "cap_drop: ALL"),
    ],
)
def test_the_schema_notices_a_slip(tmp_path: Path, right: str, wrong: str) -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    assert right in text
    assert schema_faults(text.replace(right, wrong), tmp_path) != ""


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_held_down(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "devices", "pid", "ipc", "network_mode"} & service.keys()
    assert "build" in service or service["user"].split(":")[0] not in {"0", "root"}


def test_only_the_gateway_is_published_and_only_on_loopback() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"gateway": ["127.0.0.1:8080:8080"]}
    inner = {name for name, network in COMPOSE["networks"].items() if network and network.get("internal")}
    assert set(VALKEY["networks"]) | set(EXCHANGE["networks"]) <= inner
    assert not set(VALKEY["networks"]) & set(EXCHANGE["networks"])


def test_it_starts_in_order_and_knows_who_is_well() -> None:
    assert GATEWAY["depends_on"] == {
        name: {"condition": "service_healthy"} for name in ("valkey", "exchange")
    }
    assert "healthcheck" in VALKEY
    assert "healthcheck" in EXCHANGE
    assert "HEALTHCHECK" in dict(FINAL)  # the gateway's


def test_all_that_is_mounted_exists() -> None:
    behind = [source for service in SERVICES.values() for source in mounts(service).values()]
    folders = {source for source in behind if source.startswith(".")}
    assert all((ROOT / folder).is_dir() for folder in folders)
    assert set(behind) - folders == set(COMPOSE["volumes"])


def test_no_secret_stands_in_it() -> None:
    keys = [key for service in SERVICES.values() for key in service.get("environment", ())]
    keys += [word for word, rest in INSTRUCTIONS if word in {"ENV", "ARG"} for word in shlex.split(rest)]
    assert not [key for key in keys if re.search("PASSWORD|SECRET|TOKEN", key)]


# --- what the services are told


def test_the_gateway_understands_its_settings() -> None:
    image = dict(pair.split("=", 1) for word, rest in FINAL if word == "ENV" for pair in shlex.split(rest))
    settings = load_settings(
        ROOT / mounts(GATEWAY)["/etc/watchword/config"] / "gateway.yaml", image | GATEWAY["environment"]
    )
    assert (settings.mode, settings.listen.host, settings.listen.port) == ("production", "0.0.0.0", 8080)
    assert (settings.admin.host, settings.admin.port) == ("127.0.0.1", 8081)
    assert settings.store.url == "redis://valkey:6379/0"
    assert str(settings.keys.parent) == str(settings.store.data_dir) == "/var/lib/watchword"
    assert "/var/lib/watchword" in mounts(GATEWAY)


def test_the_policy_is_the_shipped_one_with_the_exchanges_address() -> None:
    folder = ROOT / mounts(GATEWAY)["/etc/watchword/policies"]
    shipped = (ROOT / "policies" / "exchange.yaml").read_text()
    assert (folder / "exchange.yaml").read_text() == shipped.replace("127.0.0.1:8001", "exchange:8001")
    load_policy_directory(folder)
    assert EXCHANGE["command"] == ["--host", "0.0.0.0", "--port", "8001"]


async def test_the_exchange_starts_as_told() -> None:
    python, *arguments = EXCHANGE["entrypoint"]
    assert python == "python"
    told = [{"0.0.0.0": "127.0.0.1", "8001": "0"}.get(word, word) for word in EXCHANGE["command"]]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-u", *arguments, *told, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout
        assert b"Running on http://127.0.0.1:" in await process.stdout.readline()
    finally:
        process.terminate()
        await process.wait()


async def answers(client: Redis) -> bool:
    try:
        return bool(await client.ping())
    except RedisError:
        return False


async def test_the_gateway_relies_on_valkey_as_it_is_started(tmp_path: Path) -> None:
    program, *arguments = VALKEY["command"]
    assert program == "valkey-server"
    socket = tmp_path / "store.sock"
    here = ["--port", "0", "--unixsocket", str(socket), "--dir", str(tmp_path)]
    process = await asyncio.create_subprocess_exec(
        server_binary(), *arguments, *here, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        async with Redis(unix_socket_path=str(socket)) as client:
            while not await answers(client):
                assert process.returncode is None
                await asyncio.sleep(0.01)
        options = StoreOptions(url=f"unix://{socket}", data_dir=tmp_path, shards=1, timeout=2.0, strict=True)
        store, doubts = await open_store(
            options, new_keyring(), SessionLimits(idle=1.0, absolute=1.0, grace=1.0)
        )
        await store.close()
        assert doubts == []
    finally:
        process.terminate()
        await process.wait()


# --- the image


def test_the_images_have_versions() -> None:
    images = [rest.split()[0] for word, rest in INSTRUCTIONS if word == "FROM"]
    images += [service["image"] for service in SERVICES.values() if "build" not in service]
    assert not [image for image in images if not re.search(r":\d+\.\d+", image)]


def test_it_does_not_run_as_root() -> None:
    words = [word for word, _ in FINAL]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", dict(FINAL)["USER"])
    assert "RUN" not in words[words.index("USER") :]


def test_it_installs_only_what_is_locked() -> None:
    runs = [part for word, rest in INSTRUCTIONS if word == "RUN" for part in rest.split("&&")]
    installs = [part for part in runs if re.search(r"pip .*\b(install|wheel)\b", part)]
    locked = "--require-hashes --only-binary=:all: --requirement requirements/"
    ours = {"pip wheel": "--no-deps --no-build-isolation", "dist/*.whl": "--no-deps --no-index"}
    assert len(installs) == 4
    for install in installs:
        rule = next((rule for sign, rule in ours.items() if sign in install), locked)
        assert rule in install
    assert "ADD" not in dict(INSTRUCTIONS)


def test_all_that_is_copied_exists_and_is_let_in() -> None:
    copies = [rest.split() for word, rest in INSTRUCTIONS if word == "COPY" and "--from" not in rest]
    copied = [path for *paths, _ in copies for path in paths]
    let_in = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert [path for path in copied if not (ROOT / path).exists()] == []
    assert {path.split("/")[0] for path in copied} == set(let_in)


CHECKS = {
    "gateway": json.loads(dict(FINAL)["HEALTHCHECK"].partition(" CMD ")[2]),
    "exchange": EXCHANGE["healthcheck"]["test"][1:],
}


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
async def test_a_health_check_tells_well_from_ill(
    aiohttp_raw_server: AiohttpRawServer, name: str, status: int, healthy: bool
) -> None:
    async def answer(_: web.BaseRequest) -> web.Response:
        return web.Response(status=status)

    server = await aiohttp_raw_server(answer)
    python, *arguments = CHECKS[name]
    assert python == "python"
    here = [re.sub(r"(?<=127\.0\.0\.1:)\d+", str(server.port), argument) for argument in arguments]
    check = await asyncio.create_subprocess_exec(sys.executable, *here, stderr=asyncio.subprocess.DEVNULL)
    assert (await check.wait() == 0) is healthy


def test_what_is_copied_makes_a_whole_wheel(tmp_path: Path) -> None:
    for *paths, target in (rest.split() for word, rest in STAGES[0] if word == "COPY"):
        for path in paths:
            if (ROOT / path).is_dir():
                shutil.copytree(ROOT / path, tmp_path / target)
            else:
                (tmp_path / target).mkdir(exist_ok=True)
                shutil.copy(ROOT / path, tmp_path / target)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel"], cwd=tmp_path, check=True
    )
    [wheel] = (tmp_path / "dist").glob("*.whl")
    carried = set(zipfile.ZipFile(wheel).namelist())
    sources = [path for path in (ROOT / "gateway").rglob("*.*") if "__pycache__" not in path.parts]
    assert {str(path.relative_to(ROOT)) for path in sources} <= carried
