"""An app that keeps every request it gets, byte for byte, and answers as a test likes."""

from collections.abc import Callable
from dataclasses import dataclass

from support.upstreams import Peer


@dataclass(frozen=True)
class Received:
    """A request as it came; its body without the framing."""

    head: bytes
    body: bytes = b""
    trailers: bytes = b""

    @property
    def line(self) -> str:
        """Method and target."""
        return self.head.split(b" HTTP/", 1)[0].decode()

    @property
    def headers(self) -> list[tuple[str, str]]:
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        return [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines if line)]

    def header(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]


def ok(received: Received) -> bytes:
    """200, with the line of the request as the body."""
    body = received.line.encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


class Recorder:
    """The script of an upstream (see `support.upstreams.serving`). `respond` writes its answers."""

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.respond: Callable[[Received], bytes] = ok

    async def __call__(self, peer: Peer) -> None:
        while True:
            head = await peer.head()
            received = await _with_body(peer, Received(head))
            self.requests.append(received)
            await peer.say(self.respond(received))

    @property
    def lines(self) -> list[str]:
        return [received.line for received in self.requests]


async def _with_body(peer: Peer, received: Received) -> Received:
    if received.header("transfer-encoding"):
        body = b""
        while size := int(await peer.reader.readuntil(b"\r\n"), 16):
            body += (await peer.reader.readexactly(size + 2))[:-2]
        trailers = b""
        while (line := await peer.reader.readuntil(b"\r\n")) != b"\r\n":
            trailers += line
        return Received(received.head, body, trailers)
    lengths = received.header("content-length")
    return Received(received.head, await peer.reader.readexactly(int(lengths[0])) if lengths else b"")
