import hashlib
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from aiohttp.test_utils import TestClient
from yarl import URL

from gateway.demo.bodies import content


@pytest.mark.parametrize("size", [0, 1, 65_521, 65_536, 200_000])
async def test_a_download_is_as_long_as_asked_and_always_the_same(ada: TestClient, size: str) -> None:
    response = await ada.get("/download", params={"size": size})
    body = await response.read()
    assert response.status == 200
    assert response.headers["Content-Length"] == str(size)
    assert response.headers["Accept-Ranges"] == "bytes"
    assert len(body) == size
    assert body == (await (await ada.get("/download?size=300000")).read())[:size]


async def test_a_download_is_one_mebibyte_unless_told(ada: TestClient) -> None:
    assert len(await (await ada.get("/download")).read()) == 1 << 20


@pytest.mark.parametrize("size", ["", "-1", "1e3", "\u0663", "9" * 14, str((1 << 40) + 1)])
async def test_a_size_that_is_none_is_refused(ada: TestClient, size: str) -> None:
    response = await ada.get("/download", params={"size": size})
    assert response.status == 400
    assert "whole number" in (await response.json())["detail"]


@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=65500-131100", 65_500, 131_101),
        ("bytes=199990-", 199_990, 200_000),
        ("bytes=-5", 199_995, 200_000),
        ("bytes=-999999", 0, 200_000),
        ("bytes=199999-300000", 199_999, 200_000),
    ],
)
async def test_a_range_is_that_part_of_the_whole(ada: TestClient, wanted: str, start: int, stop: int) -> None:
    whole = await (await ada.get("/download?size=200000")).read()
    response = await ada.get("/download?size=200000", headers={"Range": wanted})
    assert response.status == 206
    assert response.headers["Content-Range"] == f"bytes {start}-{stop - 1}/200000"
    assert await response.read() == whole[start:stop]


@pytest.mark.parametrize(
    "headers",
    [
        {"Range": "bytes=0-1,5-6"},
        {"Range": "items=0-1"},
        {"Range": "bytes=5-2"},
        {"Range": "bytes=0-1", "If-Range": '"x"'},
    ],
)
async def test_a_range_that_cannot_be_served_alone_gives_the_whole(
    ada: TestClient, headers: dict[str, str]
) -> None:
    response = await ada.get("/download?size=100", headers=headers)
    assert (response.status, len(await response.read())) == (200, 100)
    assert "Content-Range" not in response.headers


@pytest.mark.parametrize("wanted", ["bytes=100-", "bytes=500-600"])
async def test_a_range_past_the_end_is_refused(ada: TestClient, wanted: str) -> None:
    response = await ada.get("/download?size=100", headers={"Range": wanted})
    assert response.status == 416
    assert response.headers["Content-Range"] == "bytes */100"


async def test_head_announces_what_get_would_send(ada: TestClient) -> None:
    response = await ada.head(f"/download?size={1 << 40}", headers={"Range": "bytes=1-"})
    assert response.status == 206
    assert response.headers["Content-Length"] == str((1 << 40) - 1)
    assert await response.read() == b""


def test_the_content_is_known_and_no_chunk_can_be_lost_unseen() -> None:
    assert content(0, 32) == hashlib.sha256(b"\0\0").digest()
    assert content(5, 9) == content(0, 9)[5:]
    assert content(0, 65_536) != content(65_536, 131_072)


@pytest.fixture
def peak_of_memory() -> Iterator[Callable[[], int]]:
    """The bytes that this process held at most since the test began."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


async def test_an_upload_is_measured_and_not_kept(ada: TestClient, peak_of_memory: Callable[[], int]) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(512):
            yield bytes(65_536)

    response = await ada.post("/upload", data=body())
    assert peak_of_memory() < 8 << 20
    expected = hashlib.sha256(bytes(65_536) * 512)
    assert await response.json() == {"bytes": 512 * 65_536, "sha256": expected.hexdigest()}


async def test_a_download_is_made_as_it_is_read(ada: TestClient, peak_of_memory: Callable[[], int]) -> None:
    async with ada.get(f"/download?size={32 << 20}") as response:
        received = 0
        async for chunk in response.content.iter_any():
            received += len(chunk)
    assert received == 32 << 20
    assert peak_of_memory() < 8 << 20


async def test_the_echo_says_what_came_in_the_order_it_came(ada: TestClient) -> None:
    headers = [("X-First", "1"), ("x-second", "zwei ünd"), ("X-First", "2")]
    response = await ada.post(URL("/echo?b=%20&a=%2F", encoded=True), data=b"abc", headers=headers)
    echo = await response.json()
    assert (echo["method"], echo["path"]) == ("POST", "/echo?b=%20&a=%2F")
    received = [tuple(pair) for pair in echo["headers"]]
    assert [pair for pair in received if pair[0].lower().startswith("x-")] == headers
    assert ("Remote-User", "ada") in received
    assert (echo["bytes"], echo["sha256"]) == (3, hashlib.sha256(b"abc").hexdigest())


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_the_echo_answers_any_method(ada: TestClient, method: str) -> None:
    assert (await (await ada.request(method, "/echo")).json())["method"] == method
