"""The app behind every proxy: nginx with files, on the load's core."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.speed import machine
from bench.speed.programs import NGINX

KIB, MIB = 2**10, 2**20

BODIES = {"1k": KIB, "64k": 64 * KIB, "10m": 10 * MIB}
"""The files that it has, by path, and their sizes in bytes."""

_CONFIG = """\
daemon off;
worker_processes 1;
error_log stderr error;
pid %(folder)s/nginx.pid;
%(user)s
events { worker_connections 8192; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_timeout 1h;
  keepalive_requests 1000000000;
  open_file_cache max=100;
  server {
    listen 127.0.0.1:%(port)d backlog=4096 reuseport;
    default_type application/octet-stream;
    root %(folder)s/files;
    location / { try_files /1k =404; }
    location = /64k {}
    location = /10m {}
    location = /seen {
      default_type text/plain;
      return 200 "$http_remote_user";
    }
  }
}
"""


@dataclass(frozen=True)
class Upstream:
    """Where the app answers, and the bodies that it answers with, by path."""

    port: int
    bodies: dict[str, bytes]


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Upstream]:
    """The app, with its files in `folder`, until the block ends.

    `/64k` and `/10m` are the larger files, `/seen` tells which user the request came with, and every other
    path is the small one.
    """
    files = folder / "files"
    files.mkdir(parents=True)
    bodies = {}
    for name, size in BODIES.items():
        bodies[name] = bytes(range(32, 96)) * (size // 64)
        (files / name).write_bytes(bodies[name])
    port = machine.free_port()
    config, log = folder / "nginx.conf", folder / "upstream.log"
    config.write_text(_CONFIG % {"folder": folder, "port": port, "user": nginx_user()})
    async with machine.running(
        *(NGINX, "-c", config, "-p", folder), core=machine.LOAD_CORE, log=log
    ) as process:
        await machine.accepting(port, process, log)
        yield Upstream(port, bodies)


def nginx_user() -> str:
    """The line that lets nginx read our folder when root runs it: else it becomes `nobody`."""
    return "user root root;" if os.geteuid() == 0 else ""
