"""The apps behind every proxy, on the load's core: nginx with files, and one that takes uploads."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.speed import machine
from bench.speed.programs import NGINX

KIB, MIB = 2**10, 2**20

BODIES = {"1k": KIB, "64k": 64 * KIB, "10m": 10 * MIB}
"""The files that it has, by path, and their sizes in bytes."""

LARGEST = 2**30

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
  map $http_watchword_assertion $signed { default " signed"; "" ""; }
  server {
    listen 127.0.0.1:%(port)d backlog=4096 reuseport;
    default_type application/octet-stream;
    root %(folder)s/files;
    location / { try_files /1k =404; }
    location = /64k {}
    location = /10m {}
    location = /1g {}
    location = /seen {
      default_type text/plain;
      return 200 "$http_remote_user$http_x_forwarded_user$signed";
    }
    location = /upload {
      client_max_body_size 0;
      proxy_request_buffering off;
      proxy_http_version 1.1;
      proxy_pass http://127.0.0.1:%(sink)d;
    }
  }
}
"""


@dataclass(frozen=True)
class Upstream:
    """Where the two apps answer, and the bodies that the first answers with, by path."""

    port: int
    sink: int
    bodies: dict[str, bytes]


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Upstream]:
    """The apps, with their files in `folder`, until the block ends.

    `/64k`, `/10m` and `/1g` are the larger files, `/seen` tells which user the request came with, and every
    other path is the small one. `/upload` leads to the second app, which also takes WebSockets itself: it is
    asked without this step in between wherever speed is measured.
    """
    files = folder / "files"
    files.mkdir(parents=True)
    bodies = {}
    for name, size in BODIES.items():
        bodies[name] = bytes(range(32, 96)) * (size // 64)
        (files / name).write_bytes(bodies[name])
    with (files / "1g").open("wb") as large:
        large.truncate(LARGEST)  # nothing but zeros, which take no place on the disk
    port, sink = machine.free_port(), machine.free_port()
    config, log = folder / "nginx.conf", folder / "upstream.log"
    config.write_text(_CONFIG % {"folder": folder, "port": port, "sink": sink, "user": nginx_user()})
    async with (
        machine.running(
            *(sys.executable, "-m", "bench.speed.sink", str(sink)), core=machine.LOAD_CORE, log=log
        ) as second,
        machine.running(*(NGINX, "-c", config, "-p", folder), core=machine.LOAD_CORE, log=log) as first,
    ):
        await machine.accepting(sink, second, log)
        await machine.accepting(port, first, log)
        yield Upstream(port, sink, bodies)


def nginx_user() -> str:
    """The line that lets nginx read our folder when root runs it: else it becomes `nobody`."""
    return "user root root;" if os.geteuid() == 0 else ""
