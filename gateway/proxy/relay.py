"""An allowed request on its way to an upstream, and the answer on its way back.

Nothing is collected: each side is read only as fast as the other one takes it. The answer is written as
the upstream gave it, status, reason, headers and body; only the framing is that of the client's connection.
An answer that the upstream breaks off is broken off, so that nobody takes a part for the whole.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Sequence
from typing import cast

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_websocket import WebSocketReader
from aiohttp.web_protocol import RequestPayloadError

from gateway.core.decision import Permit
from gateway.errors import BadRequest, PayloadTooLarge, UpstreamFailed
from gateway.proxy.answer import answer_head, switching_head
from gateway.proxy.record import CLIENT_LEFT
from gateway.proxy.tunnel import ClientBytes, Splice
from gateway.proxy.upstream import RawHeaders, Upstream, UpstreamResponse
from gateway.proxy.wire import LAST_CHUNK, WITH_CONTENT, Lines, chunk
from gateway.web.connection import Connection


class Relayed(web.StreamResponse):
    """An answer that is written already; aiohttp only learns its status, and whether to go on.

    `complete` is False when either side broke it off; `failure` is the upstream's, if it was that side.
    """

    def __init__(
        self,
        status: int,
        *,
        keep_alive: bool,
        complete: bool = True,
        failure: UpstreamFailed | None = None,
    ) -> None:
        super().__init__(status=status)
        self._keep_alive = keep_alive
        self.complete = complete
        self.failure = failure

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        del request
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        del data


class Relay:
    """One request and its answer; `run` it once. `close` and `cut` end it, at any time, from outside.

    Once either has returned, not one byte more is passed on, in either direction. What the operating system
    has taken before is out of reach, but for a reset that makes it drop what the client was not sent yet.

    `headers` are for the upstream (`outbound`), `extra` are added to the answer, which is then not
    to be cached. `body` is for one that was read already; otherwise the request's own is streamed, up to
    the app's `body_limit`.
    """

    def __init__(
        self,
        request: web.BaseRequest,
        permit: Permit,
        upstream: Upstream,
        headers: RawHeaders | Lines,
        *,
        body: bytes | None = None,
        extra: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        self._request = request
        self._permit = permit
        self._upstream = upstream
        self._headers = headers
        self._given_body = body
        self._extra = extra
        self._connection = cast("Connection", request.protocol)
        self._may_pass: Callable[[], bool] = _nothing_against_it
        self._task: asyncio.Task[object] | None = None
        self._abort_upstream: Callable[[], None] | None = None
        self._splice: Splice | None = None
        self._cut = False
        self._status = CLIENT_LEFT

    def close(self) -> None:
        """Cut both sides off at once; nothing that is still under way arrives."""
        self._connection.abort()
        if self._abort_upstream is not None:
            self._abort_upstream()
        self._stop()

    def cut(self, reason: str) -> Callable[[], None] | None:
        """The same, but both sides of a WebSocket are told why, where that is possible (see `Splice.cut`)."""
        if self._splice is not None:
            return self._splice.cut(reason)
        self.close()
        return None

    def _stop(self) -> None:
        if self._task is not None and not self._cut and self._task is not asyncio.current_task():
            self._task.cancel()
        self._cut = True

    async def run(self, may_pass: Callable[[], bool] | None = None) -> Relayed:
        """Send the request and the answer.

        `may_pass` is asked before each part is passed on; where it says no, it has called `cut` already.

        As long as the client was sent nothing, failures are raised: UpstreamFailed, PayloadTooLarge,
        BadRequest for a malformed body. From then on they show in the answer being broken off.
        """
        if self._is_too_late():
            return self._broken_off()
        self._may_pass = may_pass or self._may_pass
        self._task = task = asyncio.current_task()
        self._connection.on_lost = self._stop
        try:
            return await self._exchange()
        except asyncio.CancelledError:
            if task is None or not self._cut or task.uncancel() > 0:
                raise
            return self._broken_off()
        except ConnectionError:  # the client's: an upstream's would be UpstreamFailed
            return self._broken_off()
        finally:
            self._task = self._abort_upstream = self._splice = None
            self._connection.on_lost = self._connection.on_drain = None

    def _is_too_late(self) -> bool:
        return self._cut or self._request.transport is None

    def _broken_off(self, failure: UpstreamFailed | None = None) -> Relayed:
        self._connection.abort()
        return Relayed(self._status, keep_alive=False, complete=False, failure=failure)

    async def _exchange(self) -> Relayed:
        body, length = self._body()
        # A request that was resumed is another one than the client's, which may look like a handshake.
        upgrade = self._request._message.upgrade and self._permit.target.method == "GET" and body is None
        response = await self._upstream.send(
            self._permit, self._headers, body, length=length, upgrade=upgrade, begins=self._begin
        )
        self._status = response.status
        try:
            if response.status == 101:
                return await self._tunnel(response)
            return await self._answer(response)
        except UpstreamFailed as failure:
            return self._broken_off(None if self._cut else failure)
        except (PayloadTooLarge, BadRequest):
            return self._broken_off()
        finally:
            await response.close()

    def _begin(self, abort_upstream: Callable[[], None]) -> None:
        self._abort_upstream = abort_upstream
        self._check()

    def _check(self) -> None:
        """Before anything is passed on. Raises ConnectionAbortedError after a cut."""
        if self._cut or not self._may_pass():
            raise ConnectionAbortedError("cut off")

    # the request

    def _body(self) -> tuple[AsyncIterable[bytes] | bytes | None, int | None]:
        """What to send, and its length if that is known."""
        if self._given_body is None and self._request.body_exists:
            length, limit = self._request.content_length, self._permit.match.app.body_limit
            if length is not None and limit is not None and length > limit:
                raise PayloadTooLarge(f"the body may have {limit} bytes here")
            return self._stream(limit), length
        if self._given_body or self._permit.target.method in WITH_CONTENT:
            return self._given_body or b"", None
        return None, None

    async def _stream(self, limit: int | None) -> AsyncGenerator[bytes, None]:
        size = 0
        try:
            while data := await self._request.content.readany():
                size += len(data)
                if limit is not None and size > limit:
                    raise PayloadTooLarge(f"the body may have {limit} bytes here")
                self._check()
                yield data
        except RequestPayloadError:
            raise BadRequest("the body is malformed") from None

    # the answer

    async def _answer(self, response: UpstreamResponse) -> Relayed:
        is_1_1 = self._request.version == HttpVersion11
        head = answer_head(
            response.reader, is_1_1=is_1_1, keep_alive=self._request.keep_alive, extra=self._extra
        )
        writer, whole = self._request.writer, response.whole()
        self._check()
        if whole is not None:
            await writer.write(head.whole(whole))
        else:
            await writer.write(head.data)  # at once: the first event of a stream may be long in coming
            async for data in response.chunks():
                self._check()
                await writer.write(chunk(data) if head.chunked else data)
            if head.chunked:
                await writer.write(LAST_CHUNK)
        return Relayed(response.status, keep_alive=head.keep_alive)

    async def _tunnel(self, response: UpstreamResponse) -> Relayed:
        head = switching_head(response.head, self._extra)
        self._check()
        await self._request.writer.write(head)
        client = ClientBytes(self._connection)
        self._connection.set_parser(cast("WebSocketReader", client))
        self._connection.on_lost = None  # what the client said before it left is still to be passed on
        self._splice = Splice(client, self._request.writer, response.tunnel(), self._may_pass)
        self._connection.on_drain = self._splice.leave
        if self._connection.draining:
            self._splice.leave()
        await self._splice.run()
        return Relayed(101, keep_alive=False)


def _nothing_against_it() -> bool:
    return True
