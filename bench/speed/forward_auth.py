"""The other proxies once more, asking Watchword about each request, by the files in `deploy`."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from bench.speed import machine, watchword, workloads
from bench.speed.programs import NGINX, peer, peer_files
from bench.speed.proxies import NGINX_ON_ONE_CORE, Proxy, started
from bench.speed.rounds import Measured, Plan
from bench.speed.upstream import Upstream, nginx_user

SHIPPED = Path(__file__).parents[2] / "deploy" / "forward-auth"

_Command = tuple[list[str | Path], Mapping[str, str]]
"""A command, and what it needs in its environment."""

_NGINX = (
    NGINX_ON_ONE_CORE
    + """\
  include %(folder)s/nginx.conf;
}
"""
)
_TRAEFIK = """\
entryPoints: {web: {address: "127.0.0.1:%(port)d"}}
providers: {file: {filename: %(folder)s/traefik.yaml, watch: false}}
global: {checkNewVersion: false, sendAnonymousUsage: false}
serversTransport: {maxIdleConnsPerHost: 512}
log: {level: ERROR}
"""


def _nginx(folder: Path, port: int) -> _Command:
    del port
    (folder / "main.conf").write_text(_NGINX % {"folder": folder, "user": nginx_user()})
    return [NGINX, "-c", folder / "main.conf", "-p", folder], {}


def _caddy(folder: Path, port: int) -> _Command:
    del port
    file = folder / "Caddyfile"
    file.write_text("{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n}\n" + file.read_text())
    home = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    return [peer("caddy"), "run", "--config", file, "--adapter", "caddyfile"], {"GOMAXPROCS": "1", **home}


def _traefik(folder: Path, port: int) -> _Command:
    config = folder / "static.yaml"
    config.write_text(_TRAEFIK % {"folder": folder, "port": port})
    return [peer("traefik"), f"--configFile={config}"], {"GOMAXPROCS": "1"}


def _envoy(folder: Path, port: int) -> _Command:
    del port
    options = ("--concurrency", "1", "--log-level", "error", "--disable-hot-restart")
    return [peer_files() / "envoy" / "_bin" / "envoy", "-c", folder / "envoy.yaml", *options], {}


_ASKING: dict[str, tuple[str, Callable[[Path, int], _Command]]] = {
    "nginx": ("nginx.conf", _nginx),
    "caddy": ("Caddyfile", _caddy),
    "traefik": ("traefik.yaml", _traefik),
    "envoy": ("envoy.yaml", _envoy),
}
"""The shipped file of each, and how it is started with that."""

NAMES = tuple(_ASKING)


@asynccontextmanager
async def asking(name: str, folder: Path, app: int, gateway: Proxy) -> AsyncIterator[Proxy]:
    """A proxy in front of an app that asks a gateway about each request, for its signed-in person."""
    folder.mkdir(parents=True)
    file, command = _ASKING[name]
    port = machine.free_port()
    text = (SHIPPED / file).read_text().replace("notes.localhost", "127.0.0.1")
    for shipped, ours in ((":8080", f":{gateway.port}"), (":3000", f":{app}"), (":8000", f":{port}")):
        text = text.replace(shipped, ours)
    for shipped, ours in (("8080", gateway.port), ("3000", app), ("8000", port)):
        text = text.replace(f"port_value: {shipped}", f"port_value: {ours}")
    (folder / file).write_text(text.replace("keepalive 16", "keepalive 512"))
    words, environment = command(folder, port)
    async with started(name, words, port, folder, environment, headers=gateway.headers) as proxy:
        yield replace(proxy, user=gateway.user)


async def measure(folder: Path, app: Upstream, plan: Plan, names: tuple[str, ...] = NAMES) -> Measured:
    """The small GET through each of these proxies; Watchword is on the proxy's core as well."""
    async with AsyncExitStack() as stack:
        own = folder / "watchword"
        own.mkdir(parents=True)
        gateway = await stack.enter_async_context(watchword.running_and_asked(own, app.port))
        proxies = [
            await stack.enter_async_context(asking(name, folder / name, app.port, gateway)) for name in names
        ]
        asked = replace(workloads.SMALL_GET, title="Small GET, asking Watchword")
        return await workloads.measure(asked, proxies, app, plan)
