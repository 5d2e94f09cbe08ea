"""The short cut answers as the ordinary way does, byte for byte, to client and app, or not at all."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.gateway import OpenScene, Scene
from support.raw_client import RawClient
from support.recording import Received, ok
from support.short_cut import note_taken

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
        both = Both(scene, await plain.start("localhost", 0), [ada.session, bob.session])
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
