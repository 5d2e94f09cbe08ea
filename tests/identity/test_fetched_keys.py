"""Keys from an issuer's own address: fetched when they are needed, and no oftener."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from support.tokens import jwk, key_set
from support.webhooks import Receiver, receiving

from gateway.errors import KeysUnavailable
from gateway.identity.fetched_keys import FRESH_SECONDS, KEPT_SECONDS, SOONEST_SECONDS, FetchedKeys
from gateway.identity.jwks import LARGEST_SET

ALGORITHMS = ("ES256", "EdDSA")


class Scene:
    """An issuer that publishes `text`, and a clock that stands still."""

    def __init__(self, receiver: Receiver) -> None:
        self.issuer = receiver
        self.seconds = 1000.0
        self.text = key_set(jwk("ES256"))
        self.keys = FetchedKeys(receiver.url, ALGORITHMS, lambda: self.seconds)


@asynccontextmanager
async def publishing() -> AsyncIterator[Scene]:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=receiver.status, text=scene.text)

    async with receiving(200, respond=answer) as receiver:
        scene = Scene(receiver)
        yield scene
        await scene.keys.close()


async def test_they_are_fetched_once() -> None:
    async with publishing() as scene:
        found = await asyncio.gather(*(scene.keys.find("ES256") for _ in range(10)))
        assert all(found)
        scene.seconds += FRESH_SECONDS - 1
        assert await scene.keys.find("ES256")
        assert len(scene.issuer.calls) == 1


async def test_a_new_key_is_found_and_one_that_was_withdrawn_forgotten() -> None:
    async with publishing() as scene:
        assert await scene.keys.find("ES256")
        scene.text = key_set(jwk("EdDSA"))
        scene.seconds += SOONEST_SECONDS
        assert await scene.keys.find("EdDSA")
        assert await scene.keys.find("ES256") is None


async def test_a_withdrawn_key_is_forgotten_even_if_nobody_names_another() -> None:
    async with publishing() as scene:
        assert await scene.keys.find("ES256")
        scene.text = key_set(jwk("EdDSA"))
        scene.seconds += FRESH_SECONDS
        assert await scene.keys.find("ES256") is None


async def test_names_of_no_key_cost_the_issuer_little() -> None:
    """And while it may not be asked, nobody knows that they are of none."""
    async with publishing() as scene:
        assert await scene.keys.find("made-up") is None
        for number in range(20):
            scene.seconds += 1
            with pytest.raises(KeysUnavailable, match="may be a new one"):
                await scene.keys.find(f"made-up-{number}")
            assert await scene.keys.find("ES256")
        assert len(scene.issuer.calls) == 1
        scene.seconds += SOONEST_SECONDS - 20
        assert await scene.keys.find("made-up") is None
        assert len(scene.issuer.calls) == 2


async def test_a_new_key_counts_as_soon_as_it_may_be_fetched() -> None:
    async with publishing() as scene:
        assert await scene.keys.find("ES256")
        scene.text = key_set(jwk("ES256"), jwk("EdDSA"))
        scene.seconds += SOONEST_SECONDS - 1
        with pytest.raises(KeysUnavailable):
            await scene.keys.find("EdDSA")
        scene.seconds += 1
        assert await scene.keys.find("EdDSA")


async def test_what_was_asked_for_before_this_call_tells_nothing_of_a_name() -> None:
    """The issuer may have published the key while its answer, without it, was on its way."""
    asked, answered = asyncio.Event(), asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        asked.set()
        await answered.wait()
        return web.Response(text=key_set(jwk("ES256")))

    seconds = 1000.0
    async with receiving(respond=answer) as issuer:
        keys = FetchedKeys(issuer.url, ALGORITHMS, lambda: seconds)
        first = asyncio.create_task(keys.find("made-up"))
        await asked.wait()
        seconds += 1
        late, known = (asyncio.create_task(keys.find(kid)) for kid in ("EdDSA", "ES256"))
        await asyncio.sleep(0)  # both have begun
        answered.set()
        assert await first is None
        with pytest.raises(KeysUnavailable):
            await late
        assert await known
        assert len(issuer.calls) == 1
        await keys.close()


async def test_of_a_silent_issuer_nobody_knows_that_it_has_no_such_key() -> None:
    async with publishing() as scene:
        assert await scene.keys.find("ES256")
        scene.issuer.status = 500
        scene.seconds += SOONEST_SECONDS
        with pytest.raises(KeysUnavailable):
            await scene.keys.find("EdDSA")


async def test_an_issuer_that_falls_silent_is_known_for_a_while() -> None:
    async with publishing() as scene:
        assert await scene.keys.find("ES256")
        scene.issuer.status = 500
        scene.seconds += KEPT_SECONDS - 1
        assert await scene.keys.find("ES256")
        scene.seconds += 1 + SOONEST_SECONDS
        with pytest.raises(KeysUnavailable):
            await scene.keys.find("ES256")
        scene.issuer.status = 200
        scene.seconds += SOONEST_SECONDS
        assert await scene.keys.find("ES256")


@pytest.mark.parametrize("text", ["", "{}", key_set() + " " * LARGEST_SET])
async def test_what_is_no_set_of_keys(text: str) -> None:
    async with publishing() as scene:
        scene.text = text
        with pytest.raises(KeysUnavailable):
            await scene.keys.find("ES256")


async def test_nobody_leads_elsewhere() -> None:
    async def elsewhere(request: web.Request) -> web.Response:
        if request.path == "/in":
            raise web.HTTPFound("/other")
        return web.Response(text=key_set())

    async with receiving(respond=elsewhere) as issuer:
        keys = FetchedKeys(issuer.url, ALGORITHMS)
        with pytest.raises(KeysUnavailable):
            await keys.find("ES256")
        await keys.close()


async def test_nobody_there(unused_tcp_port: int) -> None:
    keys = FetchedKeys(f"http://127.0.0.1:{unused_tcp_port}/", ALGORITHMS)
    with pytest.raises(KeysUnavailable):
        await keys.find("ES256")
    await keys.close()
