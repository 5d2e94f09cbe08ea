"""The short cut answers as the ordinary way does, byte for byte, to client and app, or not at all."""

import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from support.crossing import settled
from support.gateway import OpenScene, Scene
from support.metrics import samples
from support.raw_client import RawClient
from support.recording import Received, ok
from support.short_cut import note_taken
from support.transcript import Transcript, transcript
from support.upstreams import until

from gateway.assembly import listener_limits
from gateway.web.listener import Listener

POLICY = """
app: exchange
hosts: [localhost, 127.0.0.1]
upstream: UPSTREAM
unmatched: session
actions:
  change-password: {title: Changing your password, protect: always, fresh: 5m}
rules:
  - {name: public, paths: ["/public/**"], need: public}
  - {name: password, paths: [/password], action: change-password}
  - {name: staff, paths: ["/staff/**"], groups: [staff], need: session}
  - {name: nobody, paths: [/admin, "/staff/**"], need: deny}
  - {name: device, paths: ["/device/{id}"], need: device}
  - {name: files, methods: [GET], paths: ["/files/*"], need: public}
"""


def respond(received: Received) -> bytes:
    """Answers of many forms, by the path that was asked for."""
    path = received.line.split(" ", 1)[1].partition("?")[0]
    if path == "/public/last":
        return ok(received)
    body = b"" if received.line.startswith("HEAD ") else path.encode()
    match len(path) % 7:
        case 0:
            chunks = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            end = b"" if received.line.startswith("HEAD ") else b"0\r\nX-Trailer: dropped\r\n\r\n"
            return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA:b\r\n\r\n" + chunks + end
        case 1:
            return b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 12\r\n\r\n'
        case 2:
            return b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\nX: \r\n\r\n"
        case 3:
            head = (
                b"HTTP/1.1 200 OK\r\nSet-Cookie: ww-session=evil\r\nSet-Cookie: a=1\r\nConnection: x-hop\r\n"
            )
            return head + b"X-Hop: 1\r\nContent-Length: %d\r\n\r\n%b" % (len(path), body)
        case 4:
            return b"HTTP/1.1 404 Not Found \xe4\r\nServer:  app \r\nContent-Length: %d\r\n\r\n%b" % (
                len(path),
                body,
            )
        case 5:
            return b"HTTP/1.1 500\r\nBroken header\r\n\r\n"
        case _:
            return b"HTTP/1.1 200 OK\r\nProxy-Authenticate: x\r\nContent-Length: %d\r\n\r\n%b" % (
                len(path),
                body,
            )


ANOTHER = b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n"
"""Stands behind some requests, in the same packet."""

SHORT = {"header_deadline": 3.0, "body_deadline": 3.0, "keep_alive": 3.0}
"""For the few conversations in which each side waits for the other one."""


@dataclass(repr=False)
class Both:
    """One gateway, reached by two ways: its own port has the short cut, `ordinary` has none."""

    scene: Scene
    ordinary: int
    cookies: list[str]
    plain: Listener | None = None
    taken: list[bytes] = field(default_factory=list)

    async def told(self, port: int, requests: list[bytes]) -> tuple[list[bytes], list[bytes]]:
        """What the client and the app are told of requests on one connection, one after the other."""
        before = len(self.scene.app.requests)
        answers = []
        async with await RawClient.connect(port, "localhost") as client:
            for request in requests:
                try:
                    await client.send(request)
                    answers.append(await answer_of(client, request))
                    if request.endswith(ANOTHER) and request != ANOTHER:
                        answers.append(await answer_of(client, ANOTHER))
                except (ConnectionError, EOFError):
                    answers.append(b"hung up")
                    break
                except (ValueError, IndexError):  # an answer without a body was taken for one with it
                    answers.append(b"out of step")
                    break
        await self.scene.seen()  # what was on its way to the app has arrived
        seen = self.scene.app.requests[before:-1]
        return answers, [received.head + received.body for received in seen]


async def answer_of(client: RawClient, request: bytes) -> bytes:
    answer = await client.answer(to_head=request.lstrip().startswith(b"HEAD "))
    return steady(answer.head + b"\r\n\r\n" + answer.body)


def steady(answer: bytes) -> bytes:
    """Without what differs from one moment to the next."""
    return re.sub(rb"Date: [^\r]*|[0-9a-f]{8}(?=</)", b"", answer)


@pytest.fixture
async def both(open_scene: OpenScene, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Both]:
    async with open_scene(policy=POLICY, limits=SHORT) as scene:
        scene.app.respond = respond
        ada, bob = await scene.signed_in("ada"), await scene.signed_in("bob", groups=("staff",))
        plain = Listener(scene.gateway.pipeline.handle, listener_limits(scene.gateway.settings))
        both = Both(scene, await plain.start("localhost", 0), [ada.session, bob.session], plain)
        both.taken = note_taken(monkeypatch)
        try:
            yield both
        finally:
            await plain.stop(grace=0)


# What requests are made of. `{ada}` and `{bob}` stand for the cookies of their sessions.

METHODS = st.sampled_from(
    ["GET"] * 9
    + ["HEAD", "HEAD", "POST", "POST", "POST", "PUT", "PATCH", "DELETE", "DELETE", "OPTIONS"]
    + ["PROPFIND", "TRACE", "get", "post", "GE\tT", ""]
)
SOME_TARGETS = [
    "/",
    "/public/a",
    "/public/ab",
    "/public/abc",
    "/public/abcd",
    "/public/abcde",
    "/public/abcdef",
    "/public/x?y=1",
    "/x",
    "/xy",
    "/xyz",
    "/x?a=/public",
    "/files/1",
    "/device/7",
    "/staff/1",
    "/admin",
    "/password",
    "/.watchword/sign-in",
    "/.watchword/x",
    "/public/../x",
    "//public",
    "/./x",
    "/%2e%2e/x",
    "/%252e",
    "/a%2fb",
    "/a%5cb",
    "/a\\b",
    "/a%00",
    "/a;b",
    "/%zz",
    "/%61bc",
    "/ABC",
    "/x/",
    "/x.",
    "/public#/x",
    "/x#y",
    "*",
    "http://localhost/x",
    "http://evil.test/",
    "/%ff",
    "/%c3%a4",
    "/?",
    "/x?%zz",
    "/x?a%20b",
    "/[x]|^",
    "/~%7e",
]
TARGETS = st.one_of(
    st.sampled_from(SOME_TARGETS),
    st.text("aZ/.%~?#;=2e5fF\\:@&+!$'(),*|^[]{}\"<>` \t\x00\x7f\xe4", max_size=12).map("/".__add__),
)
VERSIONS = st.sampled_from(
    ["HTTP/1.1"] * 20 + ["HTTP/1.0", "HTTP/2.0", "HTTP/0.9", "http/1.1", "HTTP/1.1 ", ""]
)
SOME_COOKIES = (
    ["ww-session={ada}"] * 6
    + ["a=1; ww-session={bob}; b=2", "ww-session={ada};", " ww-session={ada}", "ww-session = {ada}"]
    + ["ww-session={ada}; ww-session={bob}", "ww-session=00.unknown", "ww-session=", 'ww-session="{ada}"']
    + ["ww-resume=x; ww-session={ada}", "a=ww-session={ada}", "__Host-ww-session={ada}", "a=1"]
    + ["\xe4=1; ww-session={ada}"]
)
COOKIES = st.sampled_from(SOME_COOKIES)
ODD_LINES = (
    "Accept: */*|accept:a/b|User-Agent:  x \t|X-Empty:|X-Empty: |X-A: 1|x-a: 2|Remote-User: evil"
    "|remote_user: evil|X.Auth.User: evil|Watchword-Assertion: evil|X-Forwarded-For: 6.6.6.6"
    "|X-Forwarded-Proto: https|Forwarded: for=6.6.6.6|Via: 1.0 x|Connection: close"
    "|Connection: keep-alive|Connection: Keep-Alive|Connection: x-a, cookie"
    "|Connection: Remote-User|Connection: upgrade"
    "|Upgrade: h2c|Upgrade: websocket|HTTP2-Settings: x|TE: trailers|Trailer: x|Keep-Alive: timeout=5"
    "|Proxy-Connection: close|Content-Length: 0|Content-Length: 2|Content-Length: +2"
    "|Content-Length: 0, 0|Transfer-Encoding: chunked|Transfer-Encoding: identity"
    "|Transfer-Encoding: gzip, chunked|Expect: 100-continue|Expect: x|Watchword-Code: 123456"
    "|X-HTTP-Method-Override: DELETE|Host: localhost|Host: evil.test|host: LOCALHOST"
    "|Sec-Fetch-Mode: navigate|Accept: text/html|Authorization: Bearer x|Range: bytes=0-1"
    "|Sec-WebSocket-Key1: x|Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==|X-Utf: \xc3\xa4|X-Latin: \xe4"
    "|X-Tab: a\tb|X Space: 1|X-Colon : 1|: 1|NoColon| folded|X-Nul: a\x00b|X-Cr: a\rb|X-Lf: a\nb"
    "|X-Del: \x7f|(X): 1|X-Long: " + "a" * 9000
).split("|")
LINES = st.one_of(
    COOKIES.map("Cookie: ".__add__),
    st.sampled_from(ODD_LINES),
    st.tuples(st.text("aZ-_.9:; ", max_size=6), st.text("aZ9 :;,=\t\xe4", max_size=8)).map(": ".join),
)
HOSTS = st.sampled_from(
    ["Host: localhost"] * 30 + ["Host: LocalHost", "Host: evil.test", "Host: localhost:80", "X: y"]
)
BODIES = st.sampled_from([""] * 20 + ["ok", "0\r\n\r\n", ANOTHER.decode(), "\r\n"])


def body_for(head: str) -> str:
    """What a head declares, as far as it declares anything that is clear."""
    return "ok" if "Content-Length: 2" in head else "0\r\n\r\n" if "chunked" in head else ""


FRAMING = re.compile("content-length|transfer-encoding|upgrade", re.IGNORECASE)


@st.composite
def conversations(draw: st.DrawFn) -> list[bytes]:
    """Requests of one connection. Often they share their header lines, as those of one browser do.

    In some, one byte is another one, or missing, or one too many.
    """
    requests: list[str] = []
    block = ""
    for _ in range(draw(st.integers(1, 4))):
        if not block or draw(st.integers(0, 3)) == 0:
            cookie = ["Cookie: " + draw(COOKIES)] if draw(st.integers(0, 4)) else []
            body = ["Content-Length: 2"] if draw(st.integers(0, 4)) == 0 else []
            lines = [draw(HOSTS), *cookie, *body, *draw(st.lists(LINES, max_size=4))]
            block = "".join(line + "\r\n" for line in draw(st.permutations(lines))) + "\r\n"
        line = f"{draw(METHODS)} {draw(TARGETS)} {draw(VERSIONS)}\r\n"
        requests.append(line + block + (body_for(block) or draw(BODIES)))
    number = draw(st.integers(0, 3 * len(requests)))
    if number < len(requests) and not FRAMING.search(requests[number]):
        text = requests[number]
        place, longer = draw(st.integers(0, 400)) % (len(text) - 4), draw(st.integers(0, 1))
        byte = draw(st.sampled_from([*"\r\n\x00 \t:;/.%\x7f\xff0A", ""]))
        requests[number] = text[:place] + byte + text[place + 1 - longer :]
    return [request.encode("latin-1") for request in requests]


@example(
    conversation=[
        ANOTHER.replace(b"x", b"", 1),
        ANOTHER.replace(b"x", b"", 1) + ANOTHER,
        b"HEAD " + ANOTHER[4:],
        ANOTHER,
    ]
)
@settings(
    max_examples=1000,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(conversation=conversations())
async def test_both_ways_say_the_same(both: Both, conversation: list[bytes]) -> None:
    ada, bob = both.cookies
    requests = [each.replace(b"{ada}", ada.encode()).replace(b"{bob}", bob.encode()) for each in conversation]
    by_short_cut = await both.told(both.scene.gateway.port, requests)
    assert by_short_cut == await both.told(both.ordinary, requests)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_each_oddity_by_itself(both: Both, method: str) -> None:
    """Between two plain requests, of which the second one shows that both ways are still in step."""
    ada, bob = both.cookies
    plain = f"{method} /public/x HTTP/1.1\r\nHost: localhost\r\nCookie: ww-session={{ada}}\r\n\r\n"
    if method == "POST":
        plain = plain.replace("Cookie", "Content-Length: 2\r\nCookie")
    odd = [plain.replace("\r\n\r\n", f"\r\n{line}\r\n\r\n") for line in ODD_LINES]
    odd += [plain.replace("ww-session={ada}", cookie) for cookie in SOME_COOKIES]
    odd += [plain.replace("/public/x", target) for target in SOME_TARGETS]
    for text in odd:
        requests = [
            (each + body_for(each)).replace("{ada}", ada).replace("{bob}", bob).encode("latin-1")
            for each in (plain, text, plain)
        ]
        by_short_cut = await both.told(both.scene.gateway.port, requests)
        assert by_short_cut == await both.told(both.ordinary, requests), text
    assert len(both.taken) > len(odd)


# --- the same with the client's bytes in any pieces, and several requests on their way at once

LAST = b"GET /public/last HTTP/1.1\r\nHost: localhost\r\n\r\n"
CLOSE = b"GET /public/last HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
"""Stands at the end of each conversation; what it is taken for tells whether both ways are in step there."""

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

Pieces = list[tuple[bytes, int]]


@dataclass(frozen=True)
class Heard:
    """What came of a conversation: what was answered, what the app saw, and what is on record."""

    answers: bytes
    seen: list[bytes]
    counted: dict[tuple[str, ...], float]
    logged: list[dict[str, Any]]


async def heard(both: Both, port: int, pieces: Pieces) -> Heard:
    """Of a conversation on a connection on which the last request was quick, where there is a short cut."""
    quick = both.scene.gateway._front.listener
    listener = quick if port == both.scene.gateway.port else both.plain
    assert listener is not None
    async with transcript(port) as client:
        await ask_at_first(both, client, until_taken=listener is quick)
        await settled(listener)
        before, seen = counted(both), len(both.scene.app.requests)
        client.received = b""
        with capture_logs() as logged:
            await client.say(pieces)
            await client.over.wait()
            await until(lambda: not listener._connections)
        after = counted(both)
    await both.scene.seen()  # what was on its way to the app has arrived
    return Heard(
        # Whether a client is asked for a body depends on whether that has come already.
        steady(client.received.replace(CONTINUE, b"")),
        [received.head + received.body for received in both.scene.app.requests[seen:-1]],
        {name: count - before.get(name, 0) for name, count in after.items() if count != before.get(name)},
        [{name: said for name, said in entry.items() if name not in VARYING} for entry in logged],
    )


VARYING = ("ms", "reference")


async def ask_at_first(both: Both, client: Transcript, *, until_taken: bool) -> None:
    before = len(both.taken)
    while not client.received or (until_taken and len(both.taken) == before):
        client.received = b""
        await client.say([(LAST, 0)])
        await until(lambda: client.received.endswith(b"GET /public/last"))


def counted(both: Both) -> dict[tuple[str, ...], float]:
    found = samples(both.scene.gateway.pipeline._metrics)
    return {name: count for name, count in found.items() if name[0].endswith(("_total", "_count"))}


Cuts = list[tuple[int | None, int, int]]

LOOKALIKE = b"GET /public/x HTTP/1.1\r\nX: " + LAST
"""Cut in its midst, its second piece looks like a whole request."""

CUTS = st.lists(
    st.tuples(
        st.sampled_from([None, None, -len(LAST), -4, -3, -2, -1, 0, 0, 0, 1, 5]),
        st.integers(0, 999),
        st.sampled_from([0, 1, 2, 3, 5, 8, 30]),
    ),
    max_size=5,
)
"""Where to cut, and how many turns of the event loop to wait there.

So many bytes from the end of the request of that number, or with None, so many thousandths from the start.
"""


APART = st.sampled_from([None, 1, 2, 3, 5, 8, 30])
"""Turns to wait behind every request, for a client that says each in a piece of its own."""


def cut(requests: list[bytes], cuts: Cuts, apart: int | None = None) -> Pieces:
    stream = b"".join([*requests, CLOSE])
    ends = list(accumulate(map(len, requests)))
    turns = {0: 0, len(stream): 0}
    if apart is not None:
        turns |= dict.fromkeys(ends, apart)
    for near, number, wait in cuts:
        place = len(stream) * number // 1000 if near is None else ends[number % len(ends)] + near
        turns[min(max(place, 0), len(stream))] = wait
    return [(stream[begin:end], turns[end]) for begin, end in pairwise(sorted(turns))]


@st.composite
def pipelines(draw: st.DrawFn) -> list[bytes]:
    """Requests without anything odd, of one person or of several, with bodies that look like requests."""
    requests = []
    for _ in range(draw(st.integers(1, 6))):
        if draw(st.integers(0, 7)) == 0:
            requests.append(LOOKALIKE)
            continue
        method = draw(st.sampled_from(["GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]))
        target = draw(st.sampled_from([target for target in SOME_TARGETS if "xyz" not in target][:14]))
        cookie = draw(
            st.sampled_from(["Cookie: ww-session={ada}\r\n"] * 3 + ["Cookie: a=1; ww-session={bob}\r\n", ""])
        )
        size = draw(st.sampled_from([None, 0, 1, 2, 100, 5000, 150_000]))
        body = "" if size is None or method in ("GET", "HEAD") else (LAST.decode() * (size // 30 + 1))[:size]
        length = f"Content-Length: {len(body)}\r\n" if body or (size == 0 and method != "GET") else ""
        requests.append(
            f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n{cookie}{length}\r\n{body}".encode()
        )
    return requests


def signed(both: Both, requests: Iterable[bytes]) -> list[bytes]:
    ada, bob = both.cookies
    return [each.replace(b"{ada}", ada.encode()).replace(b"{bob}", bob.encode()) for each in requests]


@example(conversation=[LOOKALIKE], cuts=[(-len(LAST), 0, 30)], apart=30)
@settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(conversation=st.one_of(pipelines(), pipelines(), conversations()), cuts=CUTS, apart=APART)
async def test_both_ways_say_the_same_whatever_the_pieces(
    both: Both, conversation: list[bytes], cuts: Cuts, apart: int | None
) -> None:
    pieces = cut(signed(both, conversation), cuts, apart)
    assert await heard(both, both.scene.gateway.port, pieces) == await heard(both, both.ordinary, pieces)


@pytest.mark.parametrize("turns", [0, 3, 30])
async def test_two_requests_cut_at_each_place(both: Both, turns: int) -> None:
    """The one whose head was whole crosses, and the rest of its body comes behind, whatever it looks like."""
    head = b"POST /public/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(ANOTHER)
    post = head + ANOTHER
    for place in range(len(post + LAST)):
        pieces = cut([post, LAST], [(place - len(post), 0, turns)])
        both.taken.clear()
        by_short_cut = await heard(both, both.scene.gateway.port, pieces)
        crossed = [data for data in both.taken if data.startswith(b"POST")]
        assert by_short_cut == await heard(both, both.ordinary, pieces), pieces
        assert by_short_cut.seen[0].endswith(b"\r\n\r\n" + ANOTHER)
        assert by_short_cut.counted["requests_total", "exchange", "2xx"] == 3
        assert bool(crossed) == (len(head) <= place <= len(post)) or turns < 30
