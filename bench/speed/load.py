"""The load: wrk on the load's core, with a browser's headers, the same for everybody."""

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, DummyCookieJar

from bench.speed import machine
from bench.speed.programs import wrk
from bench.speed.proxies import Proxy

SCRIPTS = Path(__file__).parent / "scripts"

BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept": "application/json, text/plain, */*",
    "Accept-Language": "en-GB,en;q=0.7,de;q=0.3",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Referer": "http://127.0.0.1/overview",
    "Sec-GPC": "1",
    "Sec-Fetch-Dest": "empty",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Site": "same-origin",
    "Cookie": "theme=dark; ww-session=00.mTqLz0m3f1oY5oJ8bT4s2dC9eWv7uRkXhQnPaGyZ6iE",
}
"""With Host, eleven headers. Only Watchword knows a session by its cookie; the others carry one as long."""


@dataclass(frozen=True)
class Rate:
    """What a load came to: requests and bytes of answers in a second, and how busy the proxy's core was."""

    requests: float
    bytes: float
    busy: float
    broken: int = 0


async def check(proxy: Proxy, path: str, body: bytes | None) -> None:
    """See that it serves: 200, the right body, and the right user at the app. Raises NotMeasurable."""
    async with ClientSession(cookie_jar=DummyCookieJar(), auto_decompress=False) as client:
        for wanted, what in ((body, path), (proxy.user.encode(), "seen")):
            url = f"http://127.0.0.1:{proxy.port}/{what}"
            async with client.get(url, headers=headers_for(proxy)) as answer:
                got = await answer.read()
                if answer.status != 200 or wanted not in (got, None):
                    raise machine.NotMeasurable(
                        f"{proxy.name} answers {answer.status} with {got[:200]!r}, not 200 with "
                        f"{(wanted or b'')[:200]!r}"
                    )


async def measure(
    proxy: Proxy,
    path: str,
    *,
    connections: int,
    seconds: int,
    script: str = "plain",
    headers: Mapping[str, str] | None = None,
    arguments: tuple[str, ...] = (),
) -> Rate:
    """Load a proxy for so long. Raises NotMeasurable where it gives other answers than 2xx."""
    wanted = {**headers_for(proxy), **(headers or {})}
    core = machine.CoreUse(machine.PROXY_CORE)
    said = await _said(
        *(wrk(), "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"),
        *("--timeout", "20s", "--script", str(SCRIPTS / f"{script}.lua")),
        *(part for name, value in wanted.items() for part in ("--header", f"{name}: {value}")),
        *(f"http://127.0.0.1:{proxy.port}/{path}", "--", *arguments),
    )
    return _read(proxy.name, said, core.share())


async def of_module(module: str, proxy: Proxy, order: Mapping[str, object]) -> dict[str, Any]:
    """What a load of our own says in the end, which runs as a process like wrk. Raises NotMeasurable."""
    whole = {"port": proxy.port, "headers": headers_for(proxy), **order}
    said = await _said(sys.executable, "-m", module, json.dumps(whole))
    try:
        found: dict[str, Any] = json.loads(said.splitlines()[-1])
    except (ValueError, IndexError):
        raise machine.NotMeasurable(f"{module} said of {proxy.name}: {said[-1500:]}") from None
    return found


def headers_for(proxy: Proxy) -> dict[str, str]:
    return {**BROWSER, **proxy.headers}


async def _said(*command: str) -> str:
    """What a process says that runs on the load's core, to its end or to ours."""
    process = await asyncio.create_subprocess_exec(
        *("taskset", "--cpu-list", str(machine.LOAD_CORE), *command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return said.decode(errors="replace")


def _read(name: str, said: str, busy: float) -> Rate:
    try:
        found = json.loads(said.splitlines()[-1])
    except (ValueError, IndexError):
        raise machine.NotMeasurable(f"wrk said of {name}: {said[-500:]}") from None
    if found["refused"] or not found["requests"]:
        raise machine.NotMeasurable(f"{name} refused {found['refused']} of {found['requests']} requests")
    seconds = found["microseconds"] / 1e6
    return Rate(found["requests"] / seconds, found["bytes"] / seconds, busy, found["broken"])
