import json

from aiohttp import ClientWebSocketResponse, WSMessage, WSMsgType
from aiohttp.test_utils import TestClient

from gateway.demo.prices import ticker_message


async def next_echo(socket: ClientWebSocketResponse) -> WSMessage:
    """The next message that is not from the ticker."""
    while True:
        message = await socket.receive()
        if message.type is not WSMsgType.TEXT or not message.data.startswith('{"type":"prices"'):
            return message


async def test_prices_come_at_once_and_keep_coming(ada: TestClient, now: float) -> None:
    async with ada.ws_connect("/ws") as socket:
        assert await socket.receive_str() == ticker_message(now)
        assert await socket.receive_str() == ticker_message(now)


async def test_messages_come_back_as_they_were(ada: TestClient) -> None:
    async with ada.ws_connect("/ws") as socket:
        for text in ("hello", "", "ünïcode", "x" * 100_000):
            await socket.send_str(text)
            message = await next_echo(socket)
            assert (message.type, message.data) == (WSMsgType.TEXT, text)
        await socket.send_bytes(bytes(range(256)))
        message = await next_echo(socket)
        assert (message.type, message.data) == (WSMsgType.BINARY, bytes(range(256)))


async def test_the_sub_protocol_is_spoken_to_who_asks(ada: TestClient) -> None:
    async with ada.ws_connect("/ws", protocols=("other", "prices")) as socket:
        assert socket.protocol == "prices"
    async with ada.ws_connect("/ws") as socket:
        assert socket.protocol is None


async def test_a_close_is_answered_with_its_code(ada: TestClient) -> None:
    socket = await ada.ws_connect("/ws")
    await socket.close(code=4001)
    assert socket.close_code == 4001


async def test_a_plain_request_is_no_websocket(ada: TestClient) -> None:
    assert (await ada.get("/ws")).status == 400


async def test_events_are_the_same_messages(ada: TestClient, now: float) -> None:
    async with ada.get("/events") as response:
        assert response.content_type == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-store"
        for _ in range(2):
            line = await response.content.readline()
            assert await response.content.readline() == b"\n"
            assert json.loads(line.removeprefix(b"data: ")) == json.loads(ticker_message(now))
