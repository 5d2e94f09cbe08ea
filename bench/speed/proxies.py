"""The other proxies, each as a plain one: no checks, no access log, one core, connections kept both ways."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from aiohttp import ClientSession

from bench.speed import machine
from bench.speed.programs import NGINX, peer, peer_files
from bench.speed.upstream import nginx_user

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Proxy:
    """One that runs: where it listens, its processes, and the headers that its load brings."""

    name: str
    port: int
    pid: int
    headers: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    """Whom the app behind it is told that it serves; a plain proxy tells nothing."""


Starter = Callable[[Path, int], AbstractAsyncContextManager[Proxy]]
"""Starts a proxy with its files in a new folder, in front of an app on that port."""


@asynccontextmanager
async def started(
    name: str,
    command: Sequence[str | Path],
    port: int,
    folder: Path,
    environment: Mapping[str, str],
    headers: Mapping[str, str] = NO_HEADERS,
) -> AsyncIterator[Proxy]:
    log = folder / f"{name}.log"
    async with machine.running(
        *command, core=machine.PROXY_CORE, log=log, environment=environment
    ) as process:
        await machine.accepting(port, process, log)
        await _serving(name, port, headers)
        yield Proxy(name, port, process.pid, headers)


async def _serving(name: str, port: int, headers: Mapping[str, str]) -> None:
    """Wait until it knows the app: some accept connections before they have read where to send them."""
    try:
        async with asyncio.timeout(machine.START_SECONDS), ClientSession() as client:
            while True:
                async with client.get(f"http://127.0.0.1:{port}/seen", headers=headers) as answer:
                    if answer.status == 200:
                        return
                await asyncio.sleep(machine.POLL_SECONDS)
    except TimeoutError:
        raise machine.NotMeasurable(f"{name} does not reach the app behind it") from None


NGINX_ON_ONE_CORE = """\
daemon off;
worker_processes 1;
error_log stderr error;
pid %(folder)s/nginx.pid;
%(user)s
events { worker_connections 32768; }
worker_rlimit_nofile 65536;
http {
  access_log off;
  keepalive_timeout 1h;
  keepalive_requests 1000000000;
"""
"""The beginning of its configuration, up to what it serves within `http`."""

_NGINX = (
    NGINX_ON_ONE_CORE
    + """\
  client_max_body_size 0;
  large_client_header_buffers 8 32k;
  upstream app { server 127.0.0.1:%(upstream)d; keepalive 512; keepalive_requests 1000000000; }
  map $http_upgrade $connection_upgrade { default upgrade; "" ""; }
  server {
    listen 127.0.0.1:%(port)d backlog=4096;
    location / {
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Host $http_host;
      proxy_request_buffering off;
      proxy_max_temp_file_size 0;
    }
  }
}
"""
)


def nginx(folder: Path, upstream: int) -> AbstractAsyncContextManager[Proxy]:
    """Answers are buffered, as is its default, but never on the disk, where it is slow; bodies are not."""
    port = machine.free_port()
    config = folder / "nginx.conf"
    config.write_text(_NGINX % {"folder": folder, "port": port, "upstream": upstream, "user": nginx_user()})
    return started("nginx", [NGINX, "-c", config, "-p", folder], port, folder, {})


_CADDY = """\
{
  admin off
  auto_https off
  persist_config off
}
http://127.0.0.1:%(port)d {
  bind 127.0.0.1
  reverse_proxy 127.0.0.1:%(upstream)d {
    transport http {
      keepalive_idle_conns_per_host 512
    }
  }
}
"""


def caddy(folder: Path, upstream: int) -> AbstractAsyncContextManager[Proxy]:
    port = machine.free_port()
    config = folder / "Caddyfile"
    config.write_text(_CADDY % {"port": port, "upstream": upstream})
    home = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    command = [peer("caddy"), "run", "--config", config, "--adapter", "caddyfile"]
    return started("caddy", command, port, folder, {"GOMAXPROCS": "1", **home})


def traefik(folder: Path, upstream: int) -> AbstractAsyncContextManager[Proxy]:
    port = machine.free_port()
    routes = folder / "routes.json"
    routes.write_text(json.dumps(_traefik_routes(upstream)))
    config = folder / "traefik.json"
    config.write_text(
        json.dumps(
            {
                "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
                "log": {"level": "ERROR"},
                "entryPoints": {"web": {"address": f"127.0.0.1:{port}"}},
                "serversTransport": {"maxIdleConnsPerHost": 512},
                "providers": {"file": {"filename": str(routes), "watch": False}},
            }
        )
    )
    command = [peer("traefik"), f"--configFile={config}"]
    return started("traefik", command, port, folder, {"GOMAXPROCS": "1"})


def _traefik_routes(upstream: int) -> dict[str, object]:
    return {
        "http": {
            "routers": {"app": {"rule": "PathPrefix(`/`)", "entryPoints": ["web"], "service": "app"}},
            "services": {"app": {"loadBalancer": {"servers": [{"url": f"http://127.0.0.1:{upstream}"}]}}},
        }
    }


def envoy(folder: Path, upstream: int) -> AbstractAsyncContextManager[Proxy]:
    port = machine.free_port()
    config = folder / "envoy.json"
    config.write_text(json.dumps(_envoy_config(port, upstream)))
    command = [
        *(peer_files() / "envoy" / "_bin" / "envoy", "--config-path", config),
        *("--concurrency", "1", "--log-level", "error", "--disable-hot-restart"),
    ]
    return started("envoy", command, port, folder, {})


_TYPES = "type.googleapis.com/envoy.extensions.filters"


def _envoy_config(port: int, upstream: int) -> dict[str, object]:
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "app", "timeout": "0s"}}]
    manager = {
        "@type": f"{_TYPES}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "web",
        "generate_request_id": False,
        "max_request_headers_kb": 96,
        "common_http_protocol_options": {"max_headers_count": 200},
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "route_config": {"virtual_hosts": [{"name": "app", "domains": ["*"], "routes": routes}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{_TYPES}.http.router.v3.Router"}}],
    }
    most = {"max_connections": 10000, "max_pending_requests": 10000, "max_requests": 10000}
    return {
        "static_resources": {
            "listeners": [
                {
                    "address": _address(port),
                    "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
                }
            ],
            "clusters": [
                {
                    "name": "app",
                    "type": "STATIC",
                    "circuit_breakers": {"thresholds": [most]},
                    "load_assignment": {
                        "cluster_name": "app",
                        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(upstream)}}]}],
                    },
                }
            ],
        }
    }


def _address(port: int) -> dict[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def naive(folder: Path, upstream: int) -> AbstractAsyncContextManager[Proxy]:
    port = machine.free_port()
    command = [sys.executable, "-m", "bench.speed.naive", str(port), str(upstream)]
    return started("naive_aiohttp", command, port, folder, {})


PLAIN: dict[str, Starter] = {
    "nginx": nginx,
    "caddy": caddy,
    "traefik": traefik,
    "envoy": envoy,
    "naive_aiohttp": naive,
}
