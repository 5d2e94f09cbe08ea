import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.records import Account
from gateway.proxy import headers
from gateway.proxy.header import headers_of
from gateway.proxy.headers import answer_lines, outbound
from gateway.proxy.wire import NO_LINES, header_lines

Headers = list[tuple[bytes, bytes]]

ADA = Account("ada", "Ada Lovelace", "ada@example.org", frozenset({"staff", "admin"}), False, 1, 0)
OURS = [
    (b"Remote-User", b"ada"),
    (b"Remote-Name", b"Ada Lovelace"),
    (b"Remote-Email", b"ada@example.org"),
    (b"Remote-Groups", b"admin,staff"),
    (b"Watchword-Assertion", b"e30.e30.x"),
]
FORWARDED = [
    (b"X-Forwarded-For", b"203.0.113.9"),
    (b"X-Forwarded-Proto", b"https"),
    (b"X-Forwarded-Host", b"app.test:8443"),
    (b"Via", b"1.1 watchword"),
]
HOST = (b"Host", b"app.test:8443")


def sent(raw: Headers, account: Account | None = ADA) -> Headers:
    told = outbound(headers_of(raw), "app.test:8443", route=["203.0.113.9"], scheme="https")
    named = header_lines(OURS if account else [])
    return fields(told.around(named).data)


def fields(lines: bytes) -> Headers:
    return [(name, value) for name, _, value in (line.partition(b": ") for line in lines.split(b"\r\n")[:-1])]


def passed(raw: Headers) -> Headers:
    """What of `raw` an app gets to see; our own additions are checked and taken off."""
    headers = sent(raw, None)
    assert headers[0] == HOST
    assert headers[-4:] == FORWARDED
    return headers[1:-4]


# requests


def test_an_app_sees_who_is_asking_and_what_the_client_asked_for() -> None:
    raw = [(b"Host", b"app.test:8443"), (b"Accept", b"*/*"), (b"accept", b"a/b"), (b"User-Agent", b"x")]
    assert sent(raw) == [HOST, *raw[1:], *OURS, *FORWARDED]


def test_nobody_is_named_on_a_public_path() -> None:
    assert sent([], None) == [HOST, *FORWARDED]


CASE_8 = b"X-HTTP-Method-Override X-HTTP-Method X-Method-Override x_http_method_override"
CASE_10 = (
    b"Remote-User remote_user REMOTE.USER Remote~User Remote-Groups Remote-Email Remote-Name"
    b" X-Remote-User X_Remote_Group X-Auth-Request-User X-Auth-Request-Email X-Auth-Token X.Auth.User"
    b" X-Forwarded-User X_Forwarded_User X-Forwarded-Preferred-Username X-Forwarded-Groups X-Forwarded-Email"
    b" Watchword-Subject watchword_code Watchword-Assertion watchword_assertion WATCHWORD.ASSERTION"
)
CASE_12 = (
    b"X-Forwarded-Uri X-Forwarded-Host X-Forwarded-For X-Forwarded-Proto X-Forwarded-Method X-Forwarded-Port"
    b" X-Forwarded-Prefix X-Forwarded Forwarded X-Real-IP X_Real_IP X-Original-URL X-Original-Method"
    b" X-Rewrite-URL True-Client-IP X-Client-IP X-Cluster-Client-IP"
)
CONNECTION = (
    b"Connection Keep-Alive Proxy-Connection Proxy-Authorization TE Trailer Upgrade Transfer-Encoding"
    b" Transfer_Encoding Content-Length Content_Length HTTP2-Settings Expect Host Proxy"
)


@pytest.mark.parametrize("name", b" ".join((CASE_8, CASE_10, CASE_12, CONNECTION)).split())
def test_what_only_the_gateway_may_say_does_not_pass(name: bytes) -> None:
    assert passed([(name, b"forged"), (b"Accept", b"*/*")]) == [(b"Accept", b"*/*")]


ORDINARY = (
    b"Authorization Cookie X-Custom X_Custom Range Referer Origin Via Content-Type Content-Encoding"
    b" X-Requested-With X-Request-Id Accept-Encoding Upgrade-Insecure-Requests"
    b" Sec-WebSocket-Key Sec-WebSocket-Protocol Sec-WebSocket-Extensions Sec-WebSocket-Version"
)


@pytest.mark.parametrize("name", ORDINARY.split())
def test_what_is_the_clients_to_say_passes_as_it_is(name: bytes) -> None:
    assert passed([(name, b"value\xc3\xa9")]) == [(name, b"value\xc3\xa9")]


def test_what_connection_lists_goes_and_ours_still_comes() -> None:
    """Case 11."""
    raw = [
        (b"Connection", b"close, remote-user ,X-Forwarded-For"),
        (b"X-Hop", b"1"),
        (b"connection", b"x_hop,, Via,Host"),
        (b"Via", b"1.0 other"),
    ]
    assert sent(raw) == [HOST, *OURS, *FORWARDED]


def test_the_route_is_passed_on_from_the_client_to_the_peer() -> None:
    raw = [(b"X-Forwarded-For", b"6.6.6.6")]
    told = outbound(headers_of(raw), "app.test", route=["1.2.3.4", "10.0.0.1"], scheme="http")
    assert (b"X-Forwarded-For", b"1.2.3.4, 10.0.0.1") in fields(told.around(NO_LINES).data)


@pytest.mark.parametrize(
    ("cookie", "left"),
    [
        (b"a=1; b=2", b"a=1; b=2"),
        (b'a=1;b="2;c";; =x', b'a=1;b="2;c";; =x'),
        (b"a=1; __Host-ww-session=s; b=2", b"a=1; b=2"),
        (b"__Host-ww-session=s; a=1;  b=2", b"a=1;  b=2"),
        (b"a=1; ww-session=s", b"a=1"),
        (b"ww-session=s;ww-device=d; __Host-ww-resume=r", None),
        (b"a=1; __HOST-WW-Session=s", b"a=1"),
        (b"a=1;\t ww-session = s", b"a=1"),
        (b"a=1; ww-session", b"a=1"),
        (b"a=1; =ww-session=s", b"a=1"),
        (b"a=ww-session=s; www-session=1", b"a=ww-session=s; www-session=1"),
        (b"", None),
    ],
)
def test_our_cookies_stay_here_and_the_apps_are_left_as_they_were(cookie: bytes, left: bytes | None) -> None:
    assert passed([(b"Cookie", cookie)]) == ([] if left is None else [(b"Cookie", left)])


token = st.text("abcXYZ019-_.~!", min_size=1).map(str.encode)
value = st.binary(max_size=20).map(
    lambda data: bytes(byte for byte in data if byte >= 0x20 and byte != 0x7F).strip(b" ")
)
harmless = st.tuples(st.just("X-Plain-").flatmap(lambda s: token.map(lambda t: s.encode() + t)), value)


@st.composite
def forged_names(draw: st.DrawFn) -> bytes:
    """One of ours in any disguise: any case, any mark for each dash."""
    name = draw(st.sampled_from([name for name, _ in OURS + FORWARDED[:3]]))
    marks = st.sampled_from(b"-_.~!#$%&'*+^`|")
    letters = [draw(marks) if byte == ord("-") else byte ^ (0x20 * draw(st.booleans())) for byte in name]
    return bytes(letters)


@given(st.lists(st.one_of(harmless, st.tuples(forged_names(), value), st.tuples(token, value))))
def test_ours_arrive_once_whatever_a_client_sends(raw: Headers) -> None:
    headers = sent(raw)
    for name, content in OURS + FORWARDED[:3]:
        folded = name.lower().decode()
        found = [
            data
            for key, data in headers
            if "".join(c if c.isalnum() else "-" for c in key.decode().lower()) == folded
        ]
        assert found == [content]


@given(st.lists(st.one_of(harmless, st.tuples(forged_names(), value))))
def test_the_other_headers_keep_their_order_and_their_bytes(raw: Headers) -> None:
    assert passed(raw) == [header for header in raw if header[0].startswith(b"X-Plain-")]


# responses


def answered(raw: Headers) -> Headers:
    headers = fields(answer_lines(headers_of(raw)))
    assert headers[-1] == (b"Via", b"1.1 watchword")
    return headers[:-1]


def test_an_answer_keeps_its_headers_their_order_and_repetition() -> None:
    raw = [
        (b"server", b"app"),
        (b"Set-Cookie", b"a=1; Path=/"),
        (b"X", b"1"),
        (b"set-cookie", b"b=2"),
        (b"x", b"1"),
        (b"Content-Encoding", b"gzip"),
        (b"Remote-User", b"caf\xe9"),
        (b"Via", b"1.0 inner"),
    ]
    assert answered(raw) == raw


@pytest.mark.parametrize(
    "name",
    b"Connection Keep-Alive Transfer-Encoding Content-Length Trailer TE Upgrade Proxy-Authenticate".split(),
)
def test_what_belongs_to_the_upstreams_connection_stays_there(name: bytes) -> None:
    assert answered([(name, b"x"), (b"A", b"b")]) == [(b"A", b"b")]


def test_what_the_upstream_lists_in_connection_stays_there() -> None:
    assert answered([(b"X-Hop", b"1"), (b"Connection", b"keep-alive, x-hop"), (b"A", b"b")]) == [(b"A", b"b")]


@pytest.mark.parametrize(
    "cookie",
    [
        b"__Host-ww-session=evil; Path=/; Secure",
        b"ww-session=evil",
        b"WW-Session=evil",
        b"__hOST-ww-DEVICE=evil",
        b"__Secure-ww-session=evil",
        b"  ww-session =evil",
        b"\tww-session\t=evil",
        b"ww-session",
        b"=ww-session=evil",
        b" = __Host-ww-session=evil",
        b"ww-session; Path=/",
        b"ww-=",
    ],
)
def test_an_app_cannot_set_our_cookies(cookie: bytes) -> None:
    """Case 27."""
    assert answered([(b"Set-Cookie", cookie), (b"SET-COOKIE", cookie), (b"Set-Cookie", b"a=1")]) == [
        (b"Set-Cookie", b"a=1")
    ]


@given(st.lists(harmless))
def test_an_answers_other_headers_are_left_alone(raw: Headers) -> None:
    assert answered(raw) == raw


def test_long_hosts_are_not_kept() -> None:
    before = headers._recently_added.cache_info().currsize
    for number in range(20):
        outbound([], "a" * 5000 + str(number), route=["203.0.113.9"], scheme="https")
    assert headers._recently_added.cache_info().currsize == before


def test_every_name_in_connection_is_one() -> None:
    """Also the word that ends a connection: whatever is called so was for the next hop."""
    assert passed([(b"Connection", b"close"), (b"Close", b"1"), (b"A", b"b")]) == [(b"A", b"b")]
    assert answered([(b"Connection", b"close"), (b"Close", b"1"), (b"A", b"b")]) == [(b"A", b"b")]


def test_who_asks_next_is_named_in_place_of_who_asked_before() -> None:
    told = outbound(headers_of([(b"Accept", b"*/*")]), "a", route=["203.0.113.9"], scheme="https")
    ada, zoe = (header_lines([(b"Remote-User", name)]) for name in (b"ada", b"zoe"))
    for named, user in ((ada, [b"ada"]), (ada, [b"ada"]), (zoe, [b"zoe"]), (NO_LINES, []), (ada, [b"ada"])):
        lines = fields(told.around(named).data)
        assert [value for name, value in lines if name == b"Remote-User"] == user
        assert lines[0] == (b"Host", b"a")
        assert lines[-1] == (b"Via", b"1.1 watchword")
