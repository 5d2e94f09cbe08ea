"""A client's connection with a short cut: what is offered to it, and what waits while a request crosses."""

import asyncio

import pytest
from aiohttp import web
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.listening import drip_until_cut, patient
from support.quick import MEGABYTE, QUICK, SLOW, Server, post, serving, settled
from support.upstreams import until

from gateway.web.connection import Earlier
from gateway.web.short_cut import QuickConnection


class Waiting(Server):
    """Whose ordinary answers wait until they are let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = asyncio.Event()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        await self.go_on.wait()
        return await super().handle(request)


# what is offered


async def test_what_is_taken_never_reaches_the_ordinary_way() -> None:
    async with serving() as (server, client):
        server.at_once = b"quick"
        for _ in range(3):
            await client.send(QUICK)
            assert (await client.answer()).body == b"quick"
        assert (server.offered, server.ordinary) == ([QUICK] * 3, [])


async def test_what_is_not_taken_goes_the_ordinary_way_whole() -> None:
    async with serving() as (server, client):
        server.at_once = b"quick"
        for request, body in ((SLOW, b"ordinary"), (QUICK, b"quick"), (SLOW, b"ordinary")):
            await client.send(request)
            assert (await client.answer()).body == body
            await settled(server)
        assert server.offered == [SLOW, QUICK, SLOW]
        assert server.paths == ["GET /slow"] * 2


@pytest.mark.parametrize(
    "pieces",
    [
        (SLOW[:-2] + b"X: ", QUICK),
        (b"\r\n", QUICK),
        (SLOW[:-2], b"X: ", QUICK),
        (SLOW[:-2] + b"X: y", b"\r\nX", b": ", QUICK),
        (SLOW + SLOW[:-2] + b"X: ", QUICK),
        (SLOW[:-2] + b"X: y\r\n\r\n" + SLOW[:-2] + b"X: ", QUICK),
        (post(b"ok") + SLOW[:-2] + b"X: ", QUICK),
        (post(b"")[:-4] + b"\r\n", b"\r\n" + SLOW[:-2] + b"X: ", QUICK),
        (post(b"ok")[:-2], b"ok" + SLOW[:-2] + b"X: ", QUICK),
        (post(b"o\r\n\r\n")[:-4], b"\r\n\r\n" + SLOW[:-2] + b"X: ", QUICK),
        (post(b"\r\n\r\n" * 2)[:-4], b"\r\n\r\n" + SLOW[:-4] + b"\r\nX: ", QUICK),
        # The end of a head in two pieces, behind which a body holds what looks like one.
        (post(b"x\r\n\r\n")[:-6], b"\nx\r\n\r\n", SLOW[:5], QUICK),
        (post(b"a\r\n\r\nbcde")[:-10], b"\na\r\n\r\nbcde" + SLOW[:5], QUICK),
    ],
)
async def test_what_looks_like_a_request_but_is_the_rest_of_another_is_not_offered(
    pieces: tuple[bytes, ...],
) -> None:
    """Bytes that came behind a whole request belong to the next one, however innocent that request was."""
    async with serving() as (server, client):
        server.at_once = b"quick"
        sent = 0
        for piece in pieces:
            if piece is pieces[-1]:
                await settled(server)
            await client.send(piece)
            sent += len(piece)
            await until(lambda: len(server.arrived) == sent)  # noqa: B023 - it waits here
        assert QUICK not in server.offered
        assert server.crossings == []


CHUNKED = b"POST /slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "pieces",
    [
        (post(b"hello"),),
        (post(b""),),
        (post(b"\r\n\r\n"),),
        (post(b"hello")[:-5], b"hello"),
        (post(b"hello")[:-3], b"l", b"lo"),
        (CHUNKED, b"5\r\nhello\r\n0\r\n\r\n"),
    ],
)
async def test_once_a_request_was_whole_the_next_one_is_offered_again(pieces: tuple[bytes, ...]) -> None:
    async with serving() as (server, client):
        server.at_once = b"quick"
        for _ in range(2):
            sent = len(server.arrived)
            for piece in pieces:
                await client.send(piece)
                sent += len(piece)
                await until(lambda: len(server.arrived) == sent)  # noqa: B023 - it waits here
            assert (await client.answer()).body == b"ordinary"
            await settled(server)
            await client.send(QUICK)
            assert (await client.answer()).body == b"quick"
        assert server.paths == ["POST /slow"] * 2


@pytest.mark.parametrize(
    "data", [CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", post(b"one") + post(b"two"), b"\r\n\r\n" + post(b"hello")]
)
async def test_where_it_is_not_known_whether_anything_is_left_nothing_is_offered(data: bytes) -> None:
    """Until a request came that was nothing but its head."""
    async with serving() as (server, client):
        server.at_once = b"quick"
        await client.send(data)
        for _ in range(data.count(b"POST")):
            assert (await client.answer()).body == b"ordinary"
        for body in (b"ordinary", b"quick"):
            await settled(server)
            await client.send(QUICK)
            assert (await client.answer()).body == body


BODIES = st.lists(st.sampled_from([b"x", b"\r\n", b"\r\n\r\n", QUICK, SLOW[:20]]), max_size=3).map(b"".join)
REQUESTS = st.lists(st.just(QUICK) | st.just(SLOW) | BODIES.map(post), min_size=1, max_size=6)


@given(REQUESTS, st.lists(st.integers(1, 120), max_size=12), st.booleans())
@settings(max_examples=60, deadline=None)
def test_wherever_they_are_cut_requests_are_answered_in_their_order(
    requests: list[bytes], sizes: list[int], slowly: bool
) -> None:
    """A body that looks like requests is none of them, and nothing that is one is taken for a body."""

    async def answers() -> list[bytes]:
        stream, sent = b"".join(requests), 0
        async with serving() as (server, client):
            server.at_once = b"quick"
            for size in [*sizes, len(stream)]:
                await client.send(stream[sent : sent + size])
                sent = min(sent + size, len(stream))
                await until(lambda: len(server.arrived) >= sent)  # noqa: B023 - it waits here
                for _ in range(5 * slowly):  # an ordinary answer is given, if all of its request came
                    await asyncio.sleep(0)
            bodies = [(await client.answer()).body for _ in requests]
            await settled(server)
            asked = [line for line in server.paths if line != "GET /quick"]
            assert asked == [
                "GET /slow" if request == SLOW else "POST /slow" for request in requests if request != QUICK
            ]
            assert len(server.crossings) + server.paths.count("GET /quick") == requests.count(QUICK)
            return bodies

    for request, body in zip(requests, asyncio.run(answers()), strict=True):
        assert body in ((b"quick", b"ordinary") if request == QUICK else (b"ordinary",))


async def test_what_comes_while_the_ordinary_way_answers_follows_it() -> None:
    async with serving(kind=Waiting) as (server, client):
        assert isinstance(server, Waiting)
        server.at_once = b"quick"
        await client.send(SLOW)
        await until(lambda: bool(server.arrived))
        await client.send(QUICK)
        await until(lambda: server.arrived.endswith(QUICK))
        assert server.offered == [SLOW]
        server.go_on.set()
        assert [(await client.answer()).body for _ in range(2)] == [b"ordinary", b"quick"]
        assert (server.offered, server.paths) == ([SLOW, QUICK], ["GET /slow"])


async def test_who_asks_again_at_once_is_not_kept_on_the_ordinary_way() -> None:
    """The next request of a quick client comes before aiohttp has put the one before away."""

    class Busy(Server):
        async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
            assert isinstance(request.protocol, QuickConnection)
            asyncio.get_running_loop().call_soon(ask_again, request.protocol)
            return await super().handle(request)

    def ask_again(connection: QuickConnection) -> None:
        assert connection._waiter is None
        connection.data_received(QUICK[:9])
        connection.data_received(QUICK[9:])

    async with serving(kind=Busy) as (server, client):
        server.at_once = b"quick"
        await client.send(SLOW)
        assert [(await client.answer()).body for _ in range(2)] == [b"ordinary", b"quick"]
        assert (server.offered, server.paths) == ([SLOW, QUICK], ["GET /slow"])


async def test_what_waits_for_an_ordinary_answer_is_not_read_without_bound() -> None:
    async with serving(kind=Waiting) as (server, client):
        assert isinstance(server, Waiting)
        await client.send(SLOW)
        await until(lambda: bool(server.arrived))
        client.writer.write(SLOW * (8 * MEGABYTE // len(SLOW)))
        (connection,) = server.listener._connections
        assert isinstance(connection, QuickConnection)
        await until(lambda: connection.transport is not None and not connection.transport.is_reading())
        assert len(connection._held) <= MEGABYTE
        server.go_on.set()
        for _ in range(1000):
            assert (await client.answer()).body == b"ordinary"


async def test_what_waits_at_a_connection_that_is_closing_is_not_looked_at_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Last(Waiting):
        async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
            await self.go_on.wait()
            answer = web.Response(body=bytes(8 * MEGABYTE))
            answer.force_close()
            return answer

    looked = 0
    ordinary = QuickConnection._go_on

    def noted(self: QuickConnection) -> None:
        nonlocal looked
        looked += 1
        ordinary(self)

    monkeypatch.setattr(QuickConnection, "_go_on", noted)
    async with serving(kind=Last, receive_buffer=4096) as (server, client):
        assert isinstance(server, Last)
        (connection,) = server.listener._connections
        transport = connection.transport
        assert transport is not None
        transport.set_write_buffer_limits(high=64 * MEGABYTE)  # so that it does not count as slow
        await client.send(SLOW)
        await until(lambda: bool(server.arrived))
        await client.send(QUICK)
        await until(lambda: server.arrived.endswith(QUICK))
        server.go_on.set()
        await until(transport.is_closing)
        for _ in range(1000):
            await asyncio.sleep(0)
        assert looked < 10


async def test_a_client_that_leaves_while_its_next_request_waits_is_forgotten() -> None:
    async with serving(kind=Waiting) as (server, client):
        assert isinstance(server, Waiting)
        await client.send(SLOW)
        await until(lambda: bool(server.arrived))
        await client.send(QUICK)
        await until(lambda: server.arrived.endswith(QUICK))
        client.writer.transport.abort()
        (connection,) = server.listener._connections
        await until(lambda: connection.transport is None)
        server.go_on.set()
        await until(lambda: not server.listener._connections)
        assert server.offered == [SLOW]


async def test_a_listener_that_stops_offers_nothing() -> None:
    """Its answers have to say so."""
    async with serving() as (server, client):
        for connection in server.listener._connections:
            connection.draining = True
        await client.send(QUICK)
        assert (await client.answer()).header(b"connection") == [b"close"]
        assert server.offered == []


# while a request crosses


@pytest.mark.parametrize("next_", [QUICK, SLOW])
async def test_what_is_sent_while_a_request_crosses_waits_for_its_answer(next_: bytes) -> None:
    async with serving() as (server, client):
        await client.send(QUICK)
        await until(lambda: bool(server.crossings))
        await client.send(next_)
        await until(lambda: server.arrived.endswith(next_) and len(server.arrived) > len(QUICK))
        assert (server.offered, server.ordinary) == ([QUICK], [])
        server.at_once = b"second"
        server.crossings[0].finish(b"first")
        assert (await client.answer()).body == b"first"
        assert (await client.answer()).body == (b"second" if next_ == QUICK else b"ordinary")
        assert server.offered == [QUICK, next_]


async def test_many_requests_at_once_are_answered_in_their_order() -> None:
    async with serving() as (server, client):
        await client.send(QUICK)
        await until(lambda: bool(server.crossings))
        await client.send(b"".join(SLOW.replace(b"/slow", b"/%d" % number) for number in range(50)))
        server.crossings[0].finish()
        assert (await client.answer()).body == b"quick"
        for _ in range(50):
            assert (await client.answer()).body == b"ordinary"
        assert server.paths == [f"GET /{number}" for number in range(50)]


async def test_what_waits_is_not_read_without_bound() -> None:
    async with serving() as (server, client):
        await client.send(QUICK)
        await until(lambda: bool(server.crossings))
        client.writer.write(SLOW * (8 * MEGABYTE // len(SLOW)))
        await until(lambda: len(server.arrived) > len(QUICK))
        await until(lambda: not server.crossings[0].connection.transport.is_reading())  # type: ignore[union-attr]
        assert len(server.crossings[0].connection._held) <= MEGABYTE
        server.crossings[0].finish()
        assert (await client.answer()).body == b"quick"
        for _ in range(1000):
            assert (await client.answer()).body == b"ordinary"


async def test_a_request_that_is_turned_back_is_answered_the_ordinary_way_with_its_failure() -> None:
    async with serving() as (server, client):
        await client.send(QUICK)
        await until(lambda: bool(server.crossings))
        await client.send(SLOW)
        await until(lambda: server.arrived.endswith(SLOW))
        failure = RuntimeError("of the upstream")
        server.crossings[0].connection.turn_back(QUICK, Earlier(failure, 0.0))
        assert [(await client.answer()).body for _ in range(2)] == [b"ordinary"] * 2
        assert server.ordinary == [("GET /quick", failure), ("GET /slow", None)]
        await settled(server)
        await client.send(QUICK)
        await until(lambda: len(server.crossings) == 2)


async def test_a_crossing_learns_that_its_client_is_gone() -> None:
    async with serving() as (server, client):
        await client.send(QUICK)
        await until(lambda: bool(server.crossings))
        client.writer.transport.abort()
        await until(lambda: not server.listener._connections)
        assert server.crossings[0].events == ["lost"]


async def test_a_client_that_hangs_up_half_is_gone() -> None:
    """As it is for the ordinary way."""
    async with serving() as (server, client):
        await client.send(QUICK)
        await until(lambda: bool(server.crossings))
        client.writer.write_eof()
        await until(lambda: server.crossings[0].events == ["lost"])
        assert await client.rest() == b""


async def test_what_is_over_learns_nothing_more() -> None:
    async with serving() as (server, client):
        server.at_once = b"quick"
        await client.send(QUICK)
        await client.answer()
        client.writer.transport.abort()
        await until(lambda: not server.listener._connections)
        assert server.crossings[0].events == []


# a client that reads slowly


async def test_a_crossing_learns_whether_its_client_reads() -> None:
    async with serving(receive_buffer=4096) as (server, client):
        await client.send(QUICK)
        await until(lambda: bool(server.crossings))
        (crossing,) = server.crossings
        assert crossing.connection.is_writable
        crossing.connection.write(bytes(8 * MEGABYTE))
        await until(lambda: crossing.events == ["pause"])
        assert not crossing.connection.is_writable
        await client.reader.readexactly(8 * MEGABYTE)
        assert (crossing.events, crossing.connection.is_writable) == (["pause", "resume"], True)


@pytest.mark.parametrize("next_", [QUICK, SLOW])
async def test_who_has_not_read_an_answer_is_not_given_another(next_: bytes) -> None:
    """Or its answers would pile up here."""
    async with serving(receive_buffer=4096) as (server, client):
        server.at_once = bytes(8 * MEGABYTE)
        await client.send(QUICK)
        (connection,) = server.listener._connections
        await until(lambda: connection.writing_paused)
        client.writer.write(next_)
        await until(lambda: server.arrived == QUICK + next_)
        assert (len(server.crossings), server.ordinary) == (1, [])
        connection.drain()
        assert len((await client.answer()).body) == 8 * MEGABYTE
        second = await client.answer()
        assert (second.body, second.header(b"connection")) == (b"ordinary", [b"close"])
        assert await client.rest() == b""


async def test_a_client_that_stops_reading_within_an_answer_is_cut_off() -> None:
    """Case 38."""
    async with serving(patient(stall_seconds=0.1), receive_buffer=4096) as (server, client):
        await client.send(QUICK)
        await until(lambda: bool(server.crossings))
        server.crossings[0].connection.write(bytes(8 * MEGABYTE))
        await until(lambda: server.crossings[0].events == ["pause", "lost"])


# deadlines


async def test_an_answer_may_take_longer_than_a_head_and_than_a_connection_may_be_idle() -> None:
    async with serving(patient(head_seconds=0.05, idle_seconds=0.05)) as (server, client):
        await client.send(QUICK)
        await until(lambda: bool(server.crossings))
        loop = asyncio.get_running_loop()
        began = loop.time()
        await until(lambda: loop.time() > began + 0.2)
        server.crossings[0].finish()
        assert (await client.answer()).body == b"quick"
        assert await client.rest() == b""  # and then it was idle


async def test_a_connection_that_was_quick_may_wait_for_longer_than_a_head_may_take() -> None:
    async with serving(patient(head_seconds=0.1)) as (server, client):
        server.at_once = b"quick"
        loop = asyncio.get_running_loop()
        for _ in range(2):
            await client.send(QUICK)
            assert (await client.answer()).body == b"quick"
            answered_at = loop.time()
            await until(lambda: loop.time() > answered_at + 0.25)  # noqa: B023 - it waits here
        assert len(server.listener._connections) == 1


@pytest.mark.parametrize("data", [SLOW[:-2] + b"X: y\r\n" * 2000, b"\r\n"])
async def test_a_slow_head_on_a_connection_that_was_quick_is_cut_off(data: bytes) -> None:
    """Case 38."""
    async with serving(patient(head_seconds=0.2)) as (server, client):
        server.at_once = b"quick"
        await client.send(QUICK)
        assert (await client.answer()).body == b"quick"
        assert await drip_until_cut(client, data) == b""


# ends


async def test_a_connection_that_is_not_to_be_kept_is_closed_behind_the_answer() -> None:
    async with serving() as (server, client):
        await client.send(QUICK)
        await until(lambda: bool(server.crossings))
        server.crossings[0].finish(keep_alive=False)
        assert (await client.answer()).body == b"quick"
        assert await client.rest() == b""


async def test_a_listener_that_stops_lets_a_crossing_end() -> None:
    async with serving() as (server, client):
        await client.send(QUICK)
        await until(lambda: bool(server.crossings))
        stopping = asyncio.create_task(server.listener.stop(grace=60))
        await until(lambda: server.crossings[0].connection.draining)
        await asyncio.sleep(0)
        assert not stopping.done()
        server.crossings[0].finish()
        assert (await client.answer()).body == b"quick"
        assert await client.rest() == b""
        await stopping
        assert server.crossings[0].events == []


async def test_a_listener_that_stops_cuts_off_what_does_not_end_in_time() -> None:
    async with serving() as (server, client):
        await client.send(QUICK)
        await until(lambda: bool(server.crossings))
        await server.listener.stop(grace=0)
        assert server.crossings[0].events == ["lost"]
        assert await client.is_reset()


async def test_an_idle_connection_that_was_quick_ends_with_its_listener() -> None:
    async with serving() as (server, client):
        server.at_once = b"quick"
        await client.send(QUICK)
        assert (await client.answer()).body == b"quick"
        await server.listener.stop(grace=60)
        assert await client.rest() == b""


async def test_a_client_that_says_more_and_leaves_is_noticed() -> None:
    async with serving() as (server, client):
        await client.send(QUICK)
        await until(lambda: bool(server.crossings))
        await client.send(SLOW)
        await until(lambda: server.arrived.endswith(SLOW))
        client.writer.transport.abort()
        await until(lambda: "lost" in server.crossings[0].events)


CHUNKS = CHUNKED + b"4\r\n\r\n\r\n\r\n0\r\n\r\n"
STREAMS = st.lists(st.sampled_from([SLOW, QUICK, CHUNKS, b"\r\n"]) | BODIES.map(post), max_size=4).map(
    b"".join
)


@given(
    STREAMS, st.lists(st.integers(0, 400), max_size=6, unique=True), st.lists(st.integers(0, 3), max_size=6)
)
@example(post(b"x\r\n\r\n") + SLOW, [len(post(b"x\r\n\r\n")) - n for n in (6, 0, -5)], [])
@example(post(b"a\r\n\r\nbcde") + SLOW, [len(post(b"a\r\n\r\nbcde")) - n for n in (10, -5)], [])
@settings(max_examples=500, deadline=None)
def test_nothing_is_left_in_the_parser_where_that_is_said(
    stream: bytes, cuts: list[int], at_ends: list[int]
) -> None:
    """aiohttp's parser is asked, with one more request: it finds that request and no other."""

    async def check() -> None:
        async def unused(_: web.BaseRequest) -> web.StreamResponse:
            raise AssertionError

        connection = QuickConnection(web.Server(unused), patient(), set(), lambda *_: False)
        ends = [at for at in range(len(stream)) if stream.startswith(b"\r\n\r\n", at)]
        places = sorted({*cuts, *(end + at for end, at in zip(ends, at_ends, strict=False))})
        for begin, end in zip([0, *places], [*places, places[-1] if places else len(stream)], strict=True):
            piece = stream[begin:end]
            if not piece:
                continue
            connection._take_the_ordinary_way(piece)
            while connection._messages and connection._messages[0][1].is_eof():
                connection._body = connection._messages.popleft()[1]
        if connection._owed == 0 and connection._newest_body().is_eof():
            assert connection._parser is not None
            ((message, _),), _, _ = connection._parser.feed_data(QUICK)
            assert (message.method, message.path) == ("GET", "/quick")

    asyncio.run(check())
