"""Following streams on a connection that does nothing else, whatever comes over it."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop
from redis.asyncio import Redis
from support.nodes import until
from support.store import LIKE_OURS, running_server

from gateway.errors import StoreUnavailable
from gateway.store.clients import connect
from gateway.store.wire import Ear, Follower

Replies = Callable[[bytes], list[bytes]]


@asynccontextmanager
async def wire_to(url: str, timeout: float = 5.0) -> AsyncIterator[Follower]:
    client = connect(url, password=None, timeout=timeout, most=1)
    wire = await Follower.taken_from(client)
    try:
        yield wire
    finally:
        await wire.close()
        await client.aclose()


@asynccontextmanager
async def ear_on(url: str, channel: str, hear: Callable[[str], None]) -> AsyncIterator[Ear]:
    client = connect(url, password=None, timeout=5.0, most=1)
    ear = await Ear.taken_from(client)
    try:
        await ear.listen(channel, hear)
        yield ear
    finally:
        await ear.close()
        await client.aclose()


async def test_what_came_is_read_and_what_is_told_goes_out_with_the_next_reading(
    valkey: Redis, valkey_url: str
) -> None:
    told: list[str] = []
    first = await valkey.xadd("one", {"n": "ä", "m": "2"})
    second = await valkey.xadd("two", {"n": "3"})
    async with wire_to(valkey_url) as wire:
        found = await wire.read({"one": "0-0", "two": "0-0"}, block=0.01, most=10)
        assert found == {"one": [(first, {"n": "ä", "m": "2"})], "two": [(second, {"n": "3"})]}
        async with ear_on(valkey_url, "a", told.append):
            assert await wire.read({"one": first}, block=0.01, most=10, tells=[("a", "x"), ("a", "ä")]) == {}
            await until(lambda: told == ["x", "ä"])
        reading = asyncio.create_task(wire.read({"one": first}, block=5.0, most=1))
        third = await valkey.xadd("one", {"n": "4"})
        assert await reading == {"one": [(third, {"n": "4"})]}


async def test_a_connection_that_is_given_back_is_made_anew(valkey: Redis, valkey_url: str) -> None:
    client = connect(valkey_url, password=None, timeout=5.0, most=1)
    for _ in range(3):
        wire = await Follower.taken_from(client)
        reading = asyncio.create_task(wire.read({"one": "0-0"}, block=1.0, most=1))
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])
        with pytest.raises(StoreUnavailable, match="is lost"):  # the answer may still come
            await wire.read({"one": "0-0"}, block=1.0, most=1)
        await wire.close()
        assert await client.ping()
    wire = await Follower.taken_from(client)  # nobody has closed this one before its client
    await client.aclose()
    await wire.close()


async def test_a_server_that_says_nothing_does_not_answer(short_path: Path) -> None:
    with running_server(short_path, *LIKE_OURS) as server:
        async with wire_to(server.url, timeout=0.05) as wire:
            server.process.send_signal(signal.SIGSTOP)
            with pytest.raises(StoreUnavailable, match="TimeoutError"):
                await wire.read({"one": "0-0"}, block=0.01, most=1)
            server.process.send_signal(signal.SIGCONT)
            assert wire.is_lost


async def test_a_connection_that_is_killed_is_lost_whether_or_not_it_waits(
    valkey: Redis, valkey_url: str
) -> None:
    for waits in (True, False):
        async with wire_to(valkey_url) as wire:
            reading = asyncio.create_task(wire.read({"one": "0-0"}, block=9.0 if waits else 0.01, most=1))
            if waits:
                await blocked(valkey)
            else:
                await reading
            for client in await valkey.client_list(_type="normal"):
                if client["cmd"] == "xread":
                    await valkey.client_kill_filter(_id=client["id"])
            await until(lambda: wire.is_lost)
            with pytest.raises(StoreUnavailable):
                await (reading if waits else wire.read({"one": "0-0"}, block=0.01, most=1))


async def blocked(valkey: Redis) -> None:
    while not any(client["cmd"] == "xread" for client in await valkey.client_list(_type="normal")):
        await asyncio.sleep(0.005)


async def test_a_refusal_is_no_answer(valkey: Redis, valkey_url: str) -> None:
    await valkey.set("one", "no stream")
    async with wire_to(valkey_url) as wire:
        with pytest.raises(StoreUnavailable, match="WRONGTYPE"):
            await wire.read({"one": "0-0"}, block=0.01, most=1)
        with pytest.raises(StoreUnavailable, match="is lost"):
            await wire.read({"two": "0-0"}, block=0.01, most=1)


@asynccontextmanager
async def saying(replies: Replies) -> AsyncIterator[str]:
    """A server that answers each reading with these pieces; its address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.read(2**16):
            if b"XREAD" not in request:  # the client library introduces itself
                writer.write(b"+OK\r\n" * request.count(b"*"))
                continue
            for piece in replies(request):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"


ANSWER = b"*1\r\n*2\r\n$3\r\none\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nn\r\n$2\r\n\xc3\xa4\r\n"


async def test_an_answer_may_come_in_any_pieces() -> None:
    def byte_by_byte(request: bytes) -> list[bytes]:
        whole = b":1\r\n" * request.count(b"PUBLISH") + ANSWER
        return [whole[place : place + 1] for place in range(len(whole))]

    async with saying(byte_by_byte) as url, wire_to(url) as wire:
        for _ in range(2):
            found = await wire.read({"one": "0-0"}, block=1.0, most=1, tells=[("a", "x")])
            assert found == {"one": [("1-1", {"n": "ä"})]}


@pytest.mark.parametrize("answer", [b"what?\r\n", b"*-7\r\n", ANSWER.replace(b"\xc3", b"\xff")])
async def test_what_is_no_answer_is_not_taken_for_one(answer: bytes) -> None:
    async with saying(lambda _: [answer]) as url, wire_to(url) as wire:
        with pytest.raises(StoreUnavailable):
            await wire.read({"one": "0-0"}, block=1.0, most=1)
        assert wire.is_lost


async def test_an_ear_hears_its_channel_until_it_is_lost(valkey: Redis, valkey_url: str) -> None:
    told: list[str] = []
    async with ear_on(valkey_url, "a", told.append) as ear:
        for channel, message in [("b", "0"), ("a", "1"), ("a", "2")]:
            await valkey.publish(channel, message)
        await until(lambda: told == ["1", "2"])
        await valkey.client_kill_filter(_type="pubsub")
        await until(lambda: ear.is_lost)


def test_on_uvloop_it_is_the_same(valkey_url: str) -> None:
    async def read() -> None:
        async with wire_to(valkey_url) as wire:
            assert await wire.read({"none": "0-0"}, block=0.01, most=1, tells=[("a", "x")]) == {}
            wire._transport.abort()
            with pytest.raises(StoreUnavailable):
                await wire.read({"none": "0-0"}, block=1.0, most=1)

    uvloop.run(read())
