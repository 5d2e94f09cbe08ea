"""From raw requests to what the gateway knows of them."""

from dataclasses import replace
from ipaddress import IPv4Network, ip_network

import pytest
from aiohttp import web
from structlog.testing import capture_logs
from support.listening import listening
from support.raw_client import RawClient
from support.receiving import READER, head, read
from support.store import NOW
from support.upstreams import until

from gateway.errors import BadRequest
from gateway.web.cookies import CookieJar, OwnCookies
from gateway.web.forward_auth import Dialect
from gateway.web.reading import Envelope, Reader
from gateway.web.strangers import Strangers


async def test_a_request_is_read_once() -> None:
    raw = head("X-B: 1", "Cookie: a=1; ww-session=s; ww-device=d", "x-a: 2", line="POST /a/%7eb?c=%7e")
    inbound = await read(raw)
    target = inbound.target
    assert (target.method, target.host, target.path_and_query) == ("POST", "localhost", "/a/~b?c=%7e")
    assert inbound.headers == (
        (b"Host", b"localhost"),
        (b"X-B", b"1"),
        (b"Cookie", b"a=1; ww-session=s; ww-device=d"),
        (b"x-a", b"2"),
    )
    assert inbound.cookies == OwnCookies(session="s", device="d", resume=None)
    assert (inbound.route, inbound.scheme, inbound.now, inbound.body) == (("127.0.0.1",), "http", NOW, None)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("GET /a/../b", "dot segment"),
        ("GET /a%2fb", "separator"),
        ("GET /a;b", "not allowed"),
        ('GET /?"', "query"),
        ("GET http://localhost/", "must be a path"),
        ("OPTIONS *", "must be a path"),
    ],
)
async def test_a_target_that_says_two_things_is_refused(line: str, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        await read(head(line=line))


@pytest.mark.parametrize("host", [b"", b"a b", b"a@b", b"a,b", b"a:99999", b"-a"])
async def test_a_host_that_is_none_is_refused(host: bytes) -> None:
    with pytest.raises(BadRequest, match="Host"):
        await read(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host)


async def test_without_a_host_there_is_no_target() -> None:
    with pytest.raises(BadRequest, match="Host"):
        await read(b"GET / HTTP/1.0\r\n\r\n")


async def test_https_has_cookies_of_its_own() -> None:
    reader = Reader("https", (), CookieJar(secure=True))
    inbound = await read(head("Cookie: ww-session=plain; __Host-ww-session=secure"), reader)
    assert (inbound.cookies.session, inbound.origin) == ("secure", "https://localhost")


@pytest.mark.parametrize(
    ("trusted", "route"),
    [
        ((), ("127.0.0.1",)),
        (("10.0.0.0/8",), ("127.0.0.1",)),
        (("127.0.0.0/8",), ("198.51.100.4", "127.0.0.1")),
        (("127.0.0.0/8", "198.51.100.0/24"), ("203.0.113.9", "198.51.100.4", "127.0.0.1")),
    ],
)
async def test_only_proxies_that_are_trusted_say_where_a_request_is_from(
    trusted: tuple[str, ...], route: tuple[str, ...]
) -> None:
    reader = replace(READER, trusted=tuple(map(ip_network, trusted)))
    raw = head("X-Forwarded-For: 203.0.113.9", "x-forwarded-for: 198.51.100.4")
    assert (await read(raw, reader)).route == route


ASKED = (
    "X-Forwarded-Method: POST",
    "X-Forwarded-Host: app.test",
    "X-Forwarded-Uri: /a",
    "Cookie: ww-resume=r; ww-session=s",
)
LOOPBACK = (ip_network("127.0.0.0/8"),)


async def test_a_question_is_read_as_the_request_that_it_is_about() -> None:
    reader = replace(READER, trusted=LOOPBACK, asks=True)
    inbound = await read(
        head("X-Forwarded-For: 192.0.2.9", *ASKED, line="GET /.watchword/forward-auth"), reader
    )
    assert (inbound.asked_about, inbound.target.method, inbound.origin) == (True, "POST", "http://app.test")
    assert (inbound.address, inbound.cookies.session, inbound.cookies.resume) == ("192.0.2.9", "s", None)
    own = await read(head(*ASKED, line="GET /a"), reader)
    assert (own.asked_about, own.target.host, own.cookies.resume) == (False, "localhost", "r")


@pytest.mark.parametrize(("trusted", "asks"), [((), True), (LOOPBACK, False)])
async def test_a_question_of_somebody_else_is_a_request_for_that_address(
    trusted: tuple[IPv4Network, ...], asks: bool
) -> None:
    reader = replace(READER, trusted=trusted, asks=asks, strangers=Strangers())
    with capture_logs() as said:
        inbound = await read(head(*ASKED, line="GET /.watchword/forward-auth"), reader)
    assert (inbound.asked_about, inbound.target.path) == (False, "/.watchword/forward-auth")
    (entry,) = said
    assert (entry["address"], entry["setting"]) == (
        "127.0.0.1",
        "trusted-proxies" if asks else "forward-auth",
    )
    assert "ww-session=s" not in str(entry), "nothing of what it sent is told"


async def test_other_requests_are_no_question_to_log() -> None:
    reader = replace(READER, trusted=LOOPBACK, asks=True, strangers=Strangers())
    with capture_logs() as said:
        await read(head(*ASKED, line="GET /.watchword/forward-auth"), reader)
        await read(head(*ASKED, line="GET /.watchword/forward-authx"), replace(reader, trusted=()))
    assert said == []


PEER = ("198.51.100.4", 4000)


@pytest.mark.parametrize(
    ("hosts", "host"),
    [((), ""), ((b"Local",), "Local"), ((b"a", b"a"), ""), ((b"\xe4",), "\xe4"), ((b"",), "")],
)
def test_only_one_host_is_a_host(hosts: tuple[bytes, ...], host: str) -> None:
    envelope = READER.envelope(tuple((b"hOST", each) for each in hosts), PEER)
    assert envelope == Envelope(host, OwnCookies(None, None, None), ("198.51.100.4",))


def test_what_an_envelope_says() -> None:
    reader = replace(READER, trusted=(ip_network("198.51.100.0/24"),))
    headers = (
        (b"COOKIE", b"ww-session=s; a=1"),
        (b"X-Forwarded-For", b"203.0.113.9"),
        (b"Host", b"a"),
        (b"x-forwarded-for", b"203.0.113.7"),
    )
    assert reader.envelope(headers, PEER) == Envelope(
        "a", OwnCookies(session="s", device=None, resume=None), ("203.0.113.7", "198.51.100.4")
    )
    assert reader.envelope(headers, None).route == ("unknown",)


async def test_a_proxy_that_has_hung_up_is_still_the_one_that_is_trusted() -> None:
    """As nginx does with its question when its own client leaves."""
    reader = replace(READER, trusted=LOOPBACK, asks=True, strangers=Strangers())
    found: list[tuple[object, str]] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        await until(lambda: request.transport is None)
        found.append((reader.asked_by(request), reader.read(request, NOW).address))
        return web.Response()

    question = head("X-Original-Method: GET", "X-Original-URI: /a", line="GET /.watchword/forward-auth/nginx")
    with capture_logs() as logs:
        async with listening(handler) as port:
            async with await RawClient.connect(port) as client:
                await client.send(question)
            await until(lambda: bool(found))
    assert (found, logs) == ([(Dialect.NGINX, "127.0.0.1")], [])
