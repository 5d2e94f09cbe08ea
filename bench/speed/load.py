"""The load: wrk on the load's core, with a browser's headers, the same for everybody."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

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


async def check(proxy: Proxy, path: str, body: bytes) -> None:
    """See that it serves: 200, the right body, and the right user at the app. Raises NotMeasurable."""
    headers = {**BROWSER, **proxy.headers}
    async with ClientSession(cookie_jar=DummyCookieJar(), auto_decompress=False) as client:
        async with client.get(f"http://127.0.0.1:{proxy.port}/{path}", headers=headers) as answer:
            got = await answer.read()
            if answer.status != 200 or got != body:
                raise machine.NotMeasurable(
                    f"{proxy.name} answers {answer.status} with {len(got)} bytes, not 200 with {len(body)}"
                )
        async with client.get(f"http://127.0.0.1:{proxy.port}/seen", headers=headers) as answer:
            user = (await answer.read()).decode()
            if user != proxy.user:
                raise machine.NotMeasurable(f"the app behind {proxy.name} sees the user {user!r}")


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
    wanted = {**BROWSER, **proxy.headers, **(headers or {})}
    core = machine.CoreUse(machine.PROXY_CORE)
    process = await asyncio.create_subprocess_exec(
        *("taskset", "--cpu-list", str(machine.LOAD_CORE), wrk(), "--threads", "1"),
        *("--connections", str(connections), "--duration", f"{seconds}s", "--timeout", "20s"),
        *("--script", str(SCRIPTS / f"{script}.lua")),
        *(part for name, value in wanted.items() for part in ("--header", f"{name}: {value}")),
        *(f"http://127.0.0.1:{proxy.port}/{path}", "--", *arguments),
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
    return _read(proxy.name, said.decode(), core.share())


def _read(name: str, said: str, busy: float) -> Rate:
    try:
        found = json.loads(said.splitlines()[-1])
    except (ValueError, IndexError):
        raise machine.NotMeasurable(f"wrk said of {name}: {said[-500:]}") from None
    if found["refused"] or not found["requests"]:
        raise machine.NotMeasurable(f"{name} refused {found['refused']} of {found['requests']} requests")
    seconds = found["microseconds"] / 1e6
    return Rate(found["requests"] / seconds, found["bytes"] / seconds, busy, found["broken"])
