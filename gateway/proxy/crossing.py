"""One request on the short cut: it is sent on as it comes, and its answer is passed on piece by piece.

No task waits for anything here. Each side is read only as fast as the other one takes it. Once an answer
has begun, whatever breaks it breaks it off; before that, the ordinary way tells what went wrong.
"""

import re

from gateway import clock
from gateway.errors import UpstreamFailed, UpstreamFault
from gateway.proxy.answer import AnswerHead, answer_head
from gateway.proxy.connection import Connection
from gateway.proxy.live import Handle, LiveConnections
from gateway.proxy.passage import Passage
from gateway.proxy.pool import Address
from gateway.proxy.record import CLIENT_LEFT, Records
from gateway.proxy.response_head import broken
from gateway.proxy.upstream import Upstream
from gateway.proxy.wire import LAST_CHUNK, Lines, ResponseReader, chunk
from gateway.web.connection import Earlier
from gateway.web.short_cut import QuickConnection

_LENGTH_LINE = re.compile(rb"(?i)\r\ncontent-length:[^\r]*")


class Crossing:
    """`head` is the request's, with the empty line; `body` what has come of its body, which has `length`
    bytes in all, or None where there is none. `address` is where its client is.
    """

    __slots__ = (
        "_address",
        "_began",
        "_body",
        "_client",
        "_handle",
        "_head",
        "_headers",
        "_length",
        "_queue",
        "_reader",
        "_records",
        "_request_head",
        "_to",
        "_upstream",
        "passage",
    )

    def __init__(
        self,
        client: QuickConnection,
        head: bytes,
        passage: Passage,
        address: str,
        records: Records,
        *,
        length: int | None = None,
        body: bytes = b"",
    ) -> None:
        self.passage = passage
        self._client = client
        self._request_head = head
        self._length = length
        self._body = body
        self._address = address
        self._records = records
        self._began = clock.stopwatch()
        self._reader = ResponseReader(passage.forward.permit.target.method)
        self._head: AnswerHead | None = None
        self._handle: Handle | None = None
        self._upstream: Connection | None = None
        self._queue: Address | None = None

    def begin(self, upstream: Upstream, headers: Lines, live: LiveConnections) -> bool:
        """Send the request on, now or as soon as a connection to the upstream is free.

        False where it had better go the ordinary way.
        """
        connection = upstream.free_now()
        if connection is None:
            self._queue = upstream.enqueue(self)
            if self._queue is None:
                return False
        self._to, self._headers, self._upstream = upstream, headers, connection
        self._client.cross(self, (self._length or 0) - len(self._body))
        snapshot = self.passage.snapshot
        if snapshot is not None:
            self._handle = live.register(snapshot.session, self.cut, since=self.passage.as_of)
        if self._upstream is not None:  # else it was cut, as its session has ended, or it waits
            self._send(self._upstream)
        elif self._queue is not None:
            self._client.hold_body()
        else:
            self._close_handle()
        return True

    def _send(self, connection: Connection) -> None:
        permit, body, self._body = self.passage.forward.permit, self._body, b""
        self._to.send_now(permit, self._headers, connection, self, length=self._length, body=body)
        self._sent(connection)

    def _sent(self, upstream: Connection) -> None:
        """A part of the request was written."""
        if self._client.body_left and not upstream.is_writable:
            self._client.hold_body()
        self._await(upstream)

    def _await(self, upstream: Connection) -> None:
        """Give the upstream a deadline, if it is the one who has to do something.

        While its answer waits for the client, it need not. The client's own connection knows how long a body
        may take.
        """
        if not self._client.is_writable:
            upstream.expect(None)
        elif not self._client.body_left:
            upstream.expect(self._to.limits.first_byte if self._head is None else self._to.limits.idle)
        elif not upstream.is_writable:
            upstream.expect(self._to.limits.idle)

    # what the pool does with it, where it has to wait

    def served(self, connection: Connection) -> bool:
        if self._handle is not None and not self._handle.may_pass():
            return False  # it was cut just now
        self._queue, self._upstream = None, connection
        self._send(connection)
        self._client.release_body()
        return True

    def sent_away(self, failure: UpstreamFailed | None) -> None:
        self._queue = None
        self._close_handle()
        earlier = None if failure is None else Earlier(failure, self._began)
        self._client.turn_back(self._request_head + self._body, earlier)

    # what ends it from outside

    def cut(self, reason: str) -> None:
        """End both sides at once; nothing that is still under way arrives."""
        del reason
        self.lost()
        self._client.abort()

    def _may_pass(self) -> bool:
        """Where the answer is no, this was cut already."""
        return self._upstream is not None and (self._handle is None or self._handle.may_pass())

    # what the upstream's connection does with it

    def writable(self) -> None:
        if self._upstream is not None and self._client.body_left:
            self._upstream.expect(None)
            self._client.release_body()

    def received(self, data: bytes) -> None:
        reader = self._reader
        try:
            body = reader.feed(data)
        except UpstreamFailed as failure:
            self._fail(failure)
            return
        if reader.body is None or not self._may_pass():
            return
        if self._head is not None:
            self._pass_on(self._head, body)
        else:
            head = self._head = answer_head(reader, is_1_1=True, keep_alive=not self._client.draining)
            if reader.complete:
                self._client.write(head.whole(body))
                self._finish(head)
                return
            self._client.write(head.data)  # at once: the first event of a stream may be long in coming
            self._pass_on(head, body)

    def _pass_on(self, head: AnswerHead, body: bytes) -> None:
        if body:
            self._client.write(chunk(body) if head.chunked else body)
        if self._reader.complete:
            self._complete(head)
        elif self._upstream is not None and self._client.is_writable and not self._client.body_left:
            self._upstream.expect(self._to.limits.idle)

    def ended(self, error: Exception | None) -> None:
        try:
            if error is not None:
                raise broken(f"the connection to the upstream broke: {error}")
            self._reader.end()
        except UpstreamFailed as failure:
            self._fail(failure)
            return
        if self._head is not None and self._may_pass():
            self._complete(self._head)

    def overdue(self) -> None:
        still_sending = bool(self._client.body_left)
        detail = "the upstream stopped reading the request" if still_sending else "the upstream stays silent"
        self._fail(UpstreamFailed(UpstreamFault.TIMEOUT, detail))

    # what the client's connection does with it

    def body(self, data: bytes) -> None:
        if self._may_pass() and self._upstream is not None:
            self._upstream.write(data)
            self._sent(self._upstream)

    def lost(self) -> None:
        if self._upstream is not None or self._queue is not None:  # else it is over, and on record
            self._give_up()
            self._keep_record()

    def pause(self) -> None:
        if self._upstream is not None:
            self._upstream.pause_reading()
            self._upstream.expect(None)

    def resume(self) -> None:
        if self._upstream is not None:
            self._upstream.resume_reading()
            self._await(self._upstream)

    # ends

    def _complete(self, head: AnswerHead) -> None:
        if head.chunked:
            self._client.write(LAST_CHUNK)
        self._finish(head)

    def _finish(self, head: AnswerHead) -> None:
        """The answer is complete."""
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.receiver = None
            if self._reader.reusable and not self._client.body_left:
                upstream.release()
            else:
                upstream.abort()
        self._keep_record()
        self._client.crossed(keep_alive=head.keep_alive)

    def _fail(self, failure: UpstreamFailed) -> None:
        if self._upstream is not None:
            self._upstream.home.failed()
        self._give_up()
        if self._head is not None:
            self._records.upstream_failed(self.passage.match.app.name, failure)
            self._keep_record()
            self._client.abort()
            return
        self._close_handle()
        # What was passed on of the body is gone; the head, as aiohttp reads it now, is that of the rest.
        rest = _LENGTH_LINE.sub(b"\r\nContent-Length: %d" % self._client.body_left, self._request_head)
        self._client.turn_back(rest, Earlier(failure, self._began))

    def _give_up(self) -> None:
        queue, self._queue = self._queue, None
        if queue is not None:
            queue.leave(self)
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.receiver = None
            upstream.abort()

    def _keep_record(self) -> None:
        self._close_handle()
        status = CLIENT_LEFT if self._head is None else self._reader.status
        self._records.keep_forwarded(
            self.passage.forward, self._address, status, clock.stopwatch() - self._began
        )

    def _close_handle(self) -> None:
        """It refers to this: a cycle that would wait for the garbage collector."""
        handle, self._handle = self._handle, None
        if handle is not None:
            handle.close()
