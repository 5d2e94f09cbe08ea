import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from aiohttp.test_utils import TestClient
from yarl import URL

from gateway.demo import start

PAGES = ("/", "/transfers", "/withdrawals", "/withdrawals/W1022", "/profile")


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_is_private_and_runs_nothing_inline(ada: TestClient, path: str) -> None:
    response = await ada.get(path)
    html = await response.text()
    assert (response.status, response.content_type) == (200, "text/html")
    assert "default-src 'self'; connect-src 'self'" in response.headers["Content-Security-Policy"]
    assert response.headers["Cache-Control"] == "no-store"
    assert " style=" not in html
    assert "<style" not in html
    assert html.count("<script") == html.count('<script type="module" src="/static/')
    assert "http://" not in html
    assert "https://" not in html


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_leads_to_the_gateways_pages(ada: TestClient, path: str) -> None:
    html = await (await ada.get(path)).text()
    assert '<a href="/.watchword/devices">' in html
    assert '<a href="/.watchword/security">' in html
    assert '<form method="post" action="/.watchword/sign-out">' in html


async def test_a_name_is_shown_as_text_and_not_as_markup(visit: Callable[..., Awaitable[TestClient]]) -> None:
    eve = await visit("eve", Remote_Name="<script>alert(1)</script>")
    html = await (await eve.get("/")).text()
    assert "Hello, &lt;script&gt;" in html
    assert "<script>alert" not in html


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/static/style.css", "text/css"),
        ("/static/live.js", "/javascript"),
        ("/static/icons.svg", "image/svg+xml"),
        ("/favicon.ico", "image/svg+xml"),
    ],
)
async def test_static_files_are_revalidated(
    visit: Callable[..., Awaitable[TestClient]], path: str, content_type: str
) -> None:
    anybody = await visit()
    first = await anybody.get(path)
    assert first.status == 200
    assert first.content_type.endswith(content_type)
    assert first.headers["Cache-Control"] == "no-cache"
    assert first.headers["X-Content-Type-Options"] == "nosniff"
    again = await anybody.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, await again.read()) == (304, b"")


@pytest.mark.parametrize("path", ["/nowhere", "/withdrawals/W9999"])
async def test_an_unknown_address_is_explained(ada: TestClient, path: str) -> None:
    to_person = await ada.get(path, headers={"Accept": "text/html"})
    assert (to_person.status, to_person.content_type) == (404, "text/html")
    assert "There is nothing at this address." in await to_person.text()
    to_program = await ada.get(path)
    assert (to_program.status, to_program.content_type) == (404, "application/problem+json")
    assert (await to_program.json())["status"] == 404


@pytest.mark.parametrize("path", ["/static/nothing.css", "/static/%2e%2e/app.py", "/static/"])
async def test_static_files_are_only_those(visit: Callable[..., Awaitable[TestClient]], path: str) -> None:
    anybody = await visit()
    assert (await anybody.get(URL(path, encoded=True))).status in {403, 404}


async def test_a_wrong_method_names_the_right_ones(ada: TestClient) -> None:
    response = await ada.delete("/withdrawals")
    assert response.status == 405
    assert set(response.headers["Allow"].split(",")) == {"GET", "HEAD", "POST"}


async def test_a_form_that_is_too_large_is_refused(ada: TestClient) -> None:
    response = await ada.post("/withdrawals", data={"amount": "1", "address": "x" * 70_000})
    assert response.status == 413


async def test_it_starts_on_a_free_port_and_stops_with_a_ticker_running() -> None:
    running = await start("127.0.0.1", 0)
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{running.port}"
        async with session.ws_connect(f"{url}/ws") as ticker, session.get(f"{url}/events") as events:
            await ticker.receive_json()
            await events.content.readline()
            await running.cleanup()
            while (message := await ticker.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
            assert message.type is aiohttp.WSMsgType.CLOSE
            assert message.data == aiohttp.WSCloseCode.GOING_AWAY
            await events.content.read()
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(url)


async def test_a_port_in_use_is_an_error() -> None:
    running = await start("127.0.0.1", 0)
    with pytest.raises(OSError, match="in use"):
        await start("127.0.0.1", running.port)
    await running.cleanup()


async def test_it_runs_as_a_module(unused_tcp_port: int) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.demo", "--host", "127.0.0.1", "--port", str(unused_tcp_port)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert str(unused_tcp_port).encode() in await process.stdout.readline()
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{unused_tcp_port}/") as response,
    ):
        assert response.status == 200
    process.send_signal(signal.SIGTERM)
    await process.communicate()
    assert process.returncode == 0
