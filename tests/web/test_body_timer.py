import asyncio

from aiohttp import web
from support.listening import GET, Recorder, drip_until_cut, listening, patient, post
from support.raw_client import RawClient


async def test_a_client_that_drips_a_body_is_cut_off() -> None:
    """Case 38: each byte comes in time, but a thousand a second were asked for."""
    limits = patient(body_seconds=0.3, body_rate=1000)
    async with listening(Recorder(), limits) as port, await RawClient.connect(port) as client:
        await client.send(post(10**9))
        assert await drip_until_cut(client, b"x") == b""


async def test_a_client_is_not_blamed_for_a_handler_that_reads_late() -> None:
    reading = asyncio.Event()

    async def late(request: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(0.3)
        asyncio.get_running_loop().call_soon(reading.set)
        return web.Response(body=await request.read())

    async with listening(late, patient(body_seconds=0.2)) as port, await RawClient.connect(port) as client:
        await client.send(post(10, b"hello"))
        await reading.wait()
        await client.send(b"world")
        assert (await client.answer()).body == b"helloworld"


EXPECT = b"Expect: 100-continue\r\n"


async def test_100_is_sent_when_a_handler_waits_for_the_body() -> None:
    waiting = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        await waiting.wait()
        return web.Response(body=await request.read())

    async with listening(handler) as port, await RawClient.connect(port) as client:
        await client.send(post(10, extra=EXPECT))
        early = asyncio.create_task(client.answer())
        await asyncio.wait([early], timeout=0.1)
        assert not early.done()
        waiting.set()
        assert (await early).status == 100
        await client.send(b"hello")
        await client.send(b"world")
        answer = await client.answer()
        assert (answer.status, answer.body) == (200, b"helloworld")


async def test_100_is_not_sent_to_who_is_refused() -> None:
    async def refuse(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=401)

    async with listening(refuse) as port, await RawClient.connect(port) as client:
        await client.send(post(5, extra=EXPECT))
        assert (await client.answer()).status == 401
        await client.send(b"hello" + GET)
        assert (await client.answer()).status == 401


async def test_100_is_not_sent_when_the_body_is_here_or_the_client_speaks_http_1_0() -> None:
    async with listening(Recorder()) as port:
        async with await RawClient.connect(port) as client:
            await client.send(post(5, b"hello", extra=EXPECT))
            assert (await client.answer()).status == 200
        async with await RawClient.connect(port) as client:
            await client.send(post(5, extra=EXPECT).replace(b"HTTP/1.1", b"HTTP/1.0"))
            await asyncio.sleep(0.05)  # enough for a 100 that must not come
            await client.send(b"hello")
            assert (await client.answer()).status == 200
