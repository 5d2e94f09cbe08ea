"""The application as a whole: what holds for every answer."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis
from support.operators import Operators, token_of
from support.raw_client import RawClient
from support.store import LIKE_OURS, opened_store, running_server, signed_in

from gateway.admin.tokens import Scope
from gateway.store.opening import Store

ALL = token_of("grace", *Scope)


@pytest.mark.parametrize("token", [None, ALL])
@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", "/", 404, "not-found"),
        ("GET", "/v1", 404, "not-found"),
        ("GET", "/v1/accounts", 404, "not-found"),
        ("GET", "/v1/accounts/", 404, "not-found"),
        ("GET", "/v1/accounts/ada/", 404, "not-found"),
        ("GET", "/v1/accounts/ada/passwords", 404, "not-found"),
        ("GET", "/V1/revocations", 404, "not-found"),
        ("DELETE", "/v1/accounts/ada", 405, "method-refused"),
        ("PUT", "/v1/revocations", 405, "method-refused"),
        ("OPTIONS", "/v1/revocations", 405, "method-refused"),
        ("POST", "/metrics", 405, "method-refused"),
    ],
)
async def test_what_is_not_there_is_a_problem(
    operators: Operators, token: str | None, method: str, path: str, status: int, reason: str
) -> None:
    answer = await operators.call(method, path, token)
    assert (answer.status, answer.body["reason"]) == (status, reason)
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_a_wrong_method_is_told_the_right_ones(operators: Operators) -> None:
    answer = await operators.call("PATCH", "/v1/revocations")
    assert set(answer.headers["Allow"].split(",")) == {"GET", "HEAD", "POST"}


@pytest.mark.parametrize(
    ("path", "token", "status"),
    [
        ("/healthz", None, 200),
        ("/metrics", None, 200),
        ("/openapi.json", None, 200),
        ("/v1/revocations", ALL, 200),
        ("/v1/revocations", None, 401),
        ("/v1/accounts/nobody", ALL, 404),
        ("/nowhere", None, 404),
    ],
)
async def test_no_answer_is_kept_guessed_at_or_shared(
    operators: Operators, path: str, token: str | None, status: int
) -> None:
    answer = await operators.call(
        "GET", path, token, headers=[("Origin", "https://elsewhere.example"), ("Cookie", "a=b")]
    )
    assert answer.status == status
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert not [name for name in answer.headers if name.startswith("Access-Control-") or name == "Set-Cookie"]


async def test_a_head_is_answered_where_a_get_is(operators: Operators) -> None:
    for path in ("/healthz", "/v1/revocations"):
        answer = await operators.call("HEAD", path, ALL)
        assert (answer.status, answer.text) == (200, "")


@pytest.mark.parametrize("subject", [b"\xff", b"\xed\xa0\x80", b"a\x01"])
async def test_bytes_that_are_no_text_are_no_address(operators: Operators, subject: bytes) -> None:
    async with await RawClient.connect(operators.client.port) as client:
        bearer = f"Authorization: Bearer {ALL}".encode()
        await client.send(b"GET /v1/accounts/%s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n" % (subject, bearer))
        assert (await client.answer()).status == 400


async def test_without_the_store_nothing_is_certain(
    start_operators: Callable[[Store], Awaitable[Operators]], short_path: Path
) -> None:
    with running_server(short_path, *LIKE_OURS) as server:
        store = await opened_store(server.url)
        operators = await start_operators(store)
        await signed_in(store)
    for answer in [
        await operators.read("/v1/accounts/ada"),
        await operators.revoke(scope="everybody"),
        await operators.read("/v1/accounts/ada/devices"),
        await operators.call("GET", "/v1/revocations"),
        await operators.call("GET", "/nowhere", ALL),
    ]:
        assert (answer.status, answer.body["reason"]) == (503, "store-unavailable")
        assert answer.headers["Retry-After"] == "5"
        assert str(short_path) not in answer.text
    assert "watchword_store_errors_total 5.0" in operators.metrics.exposition().decode()
    await store.close()


async def test_what_cannot_be_recorded_is_not_shown(
    operators: Operators, store: Store, valkey: Redis
) -> None:
    """The audit stream alone fails here: its key holds something else."""
    await signed_in(store)
    await valkey.set("ww:{s00}:audit", "not a stream")
    answer = await operators.read("/v1/accounts/ada")
    assert (answer.status, "ada@example.org" in answer.text) == (503, False)


async def test_a_mistake_of_ours_is_a_problem_that_tells_nothing(
    operators: Operators, store: Store, valkey: Redis
) -> None:
    await signed_in(store)
    await valkey.hset("ww:{s00}:account:ada", "groups", "{not JSON: pa55word")
    answer = await operators.read("/v1/accounts/ada")
    assert (answer.status, answer.body["reason"]) == (500, "internal-error")
    assert "pa55word" not in answer.text


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        (b"Content-Length: 9\r\nContent-Encoding: gzip", b"not gzip.", 422),
        (b"Transfer-Encoding: chunked", b"3\r\n{  \r\nzz\r\n", 400),
        (b"Content-Length: 3\r\nTransfer-Encoding: chunked", b"0\r\n\r\n", 400),
    ],
)
async def test_a_broken_body_is_no_mistake_of_ours(
    operators: Operators, headers: bytes, body: bytes, status: int
) -> None:
    async with await RawClient.connect(operators.client.port) as client:
        head = f"POST /v1/revocations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ALL}\r\n".encode()
        await client.send(head + b"Content-Type: application/json\r\n" + headers + b"\r\n\r\n" + body)
        assert (await client.answer()).status == status
