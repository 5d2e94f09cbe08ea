"""What a client may ask for, and in which one form everybody else sees it (cases 1 to 6)."""

import re
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.targets import parts

from gateway.core import target as targets
from gateway.core.target import Target, parse_target, recent_target
from gateway.errors import BadRequest

HOST = "exchange.localhost"


def parsed(raw_target: str) -> Target:
    return parse_target("GET", raw_target, HOST)


REJECTED = {
    "case 1: a parent segment": "/public/../admin",
    "case 1: a parent segment at the end": "/public/..",
    "case 1: a dot segment": "/./admin",
    "case 1: a dot segment at the end": "/admin/.",
    "case 1: an empty first segment": "//admin",
    "case 1: an empty segment inside": "/a//b",
    "case 1: two slashes at the end": "/admin//",
    "case 2: an escaped parent segment": "/%2e%2e/admin",
    "case 2: a half escaped parent segment": "/.%2E/admin",
    "case 2: escaped twice": "/%252e%252e/admin",
    "case 2: escaped twice, the inner digits escaped": "/%25%32%65%25%32%65/admin",
    "case 2: escaped twice, one inner digit escaped": "/%252%65",
    "case 2: an escaped slash": "/..%2fadmin",
    "case 2: an escaped slash in capitals": "/a%2Fb",
    "case 2: an escaped backslash": "/a%5cb",
    "case 2: a backslash": "/a\\b",
    "case 4: an escaped NUL": "/admin%00",
    "case 4: a path parameter": "/admin;x",
    "case 4: an escaped path parameter": "/admin%3bx",
    "case 4: no hexadecimal digits": "/%zz",
    "case 4: a cut escape": "/%6",
    "case 4: a lone percent sign": "/%",
    "case 4: not UTF-8": "/%ff",
    "case 4: overlong UTF-8 for a slash": "/%c0%af",
    "case 4: half a surrogate pair": "/%ed%a0%80",
    "case 4: bare bytes beyond ASCII": "/caf\xe9",
    "case 5: a fragment": "/public#/admin",
    "case 5: a fragment in the query": "/public?a#/admin",
    "case 6: absolute form": "http://other.example/admin",
    "case 6: absolute form without an authority": "http:/admin",
    "authority form": "other.example:443",
    "asterisk form": "*",
    "nothing": "",
    "only a query": "?a=1",
    "a line break": "/a\r\nHost: b",
    "a trailing line break": "/a\n",
    "an escaped line break": "/a%0d%0ab",
    "a deleted character": "/a%7f",
    "a space": "/a b",
    "a space in the query": "/a?b c",
    "a line break in the query": "/a?b\n",
    "a quotation mark in the query": '/a?"',
    "beyond ASCII in the query": "/a?\xe9",
}


@pytest.mark.parametrize("raw_target", REJECTED.values(), ids=REJECTED.keys())
def test_what_is_ambiguous_is_rejected(raw_target: str) -> None:
    with pytest.raises(BadRequest):
        parsed(raw_target)


@pytest.mark.parametrize(
    ("raw_target", "path", "query", "segments"),
    [
        ("/", "/", None, ("",)),
        ("/a", "/a", None, ("a",)),
        ("/a/", "/a/", None, ("a", "")),
        ("/a/b.html", "/a/b.html", None, ("a", "b.html")),
        ("/?", "/", "", ("",)),
        ("/a?", "/a", "", ("a",)),
        ("/a?b=/c?d", "/a", "b=/c?d", ("a",)),
        ("/a?b=%2e%2E&%zz", "/a", "b=%2e%2E&%zz", ("a",)),  # a query is kept, never read
        # case 3: the neighbours of /admin are other paths, except that %61 counts as a
        ("/%61dmin", "/admin", None, ("admin",)),
        ("/ADMIN", "/ADMIN", None, ("ADMIN",)),
        ("/admin.", "/admin.", None, ("admin.",)),
        ("/admin/", "/admin/", None, ("admin", "")),
        ("/...", "/...", None, ("...",)),
        # RFC 3986 section 6.2.2: the case of escapes, and escapes of unreserved characters
        ("/caf%c3%a9", "/caf%C3%A9", None, ("café",)),
        ("/%7Eada", "/~ada", None, ("~ada",)),
        ("/a%20b", "/a%20b", None, ("a b",)),
        ("/100%25", "/100%25", None, ("100%",)),
        ("/a%3Fb", "/a%3Fb", None, ("a?b",)),
        ("/a%2Bb+c", "/a%2Bb+c", None, ("a+b+c",)),
        ("/[x]|^$&'()*,=:@!", "/[x]|^$&'()*,=:@!", None, ("[x]|^$&'()*,=:@!",)),
    ],
)
def test_the_canonical_form(raw_target: str, path: str, query: str | None, segments: tuple[str, ...]) -> None:
    target = parsed(raw_target)
    assert (target.path, target.query, target.segments) == (path, query, segments)


@pytest.mark.parametrize(("raw_target", "sent"), [("/a", "/a"), ("/a?", "/a?"), ("/%61?b", "/a?b")])
def test_path_and_query_tell_no_query_from_an_empty_one(raw_target: str, sent: str) -> None:
    assert parsed(raw_target).path_and_query == sent


@pytest.mark.parametrize(
    ("header", "host", "authority"),
    [
        ("exchange.localhost", "exchange.localhost", "exchange.localhost"),
        ("Exchange.LOCALHOST:8080", "exchange.localhost", "exchange.localhost:8080"),
        ("127.0.0.1:1", "127.0.0.1", "127.0.0.1:1"),
        ("[::1]:8080", "[::1]", "[::1]:8080"),
        ("a", "a", "a"),
    ],
)
def test_the_host(header: str, host: str, authority: str) -> None:
    target = parse_target("GET", "/", header)
    assert (target.host, target.authority) == (host, authority)


@pytest.mark.parametrize(
    "header",
    [
        *("", " a", "a ", "a,b", "a/b", "a\\b", "a@b", "a?b", "a#b", "%61", "ä", "a\n", "-a", "a.", "a;b"),
        *("a:", "a:x", "a:65536", "a:123456", "a:80:80", "a:\uff18", "a:-1", "::1", "[::1", "[]", "[::1]x"),
    ],
)
def test_a_malformed_host_is_rejected(header: str) -> None:
    with pytest.raises(BadRequest):
        parse_target("GET", "/", header)


@pytest.mark.parametrize("method", ["GET", "PROPFIND", "M-SEARCH", "X"])
def test_a_method_is_kept(method: str) -> None:
    assert parse_target(method, "/", HOST).method == method


@pytest.mark.parametrize("method", ["", "get", "Get", "G ET", "GET\n", "-GET", "GÉT", "G" * 33, "GET/1"])
def test_a_malformed_method_is_rejected(method: str) -> None:
    with pytest.raises(BadRequest):
        parse_target(method, "/", HOST)


# Pieces that mean something to one parser or another, and any byte at all.
PIECES = ["/", ".", "..", "a", "A", "%61", "%2e", "%2F", "%5C", "%25", "%32", "%65", "%3b", "%00", "%zz", "%"]
PIECES += ["%c3%a9", "%c3", "%a9", ";", "\\", "?", "#", "&", "=", " ", "\xe9", "\n", "+", "~", "%7e", "%20"]
ANY_TARGET = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=12).map(lambda pieces: "/" + "".join(pieces)),
    st.lists(st.sampled_from(["%25", "%32", "%65", "2", "e", "5"]), max_size=6).map(
        lambda pieces: "/" + "".join(pieces)
    ),
    st.binary(max_size=40).map(lambda octets: octets.decode("latin-1")),
    st.text(max_size=40),
)


def accepted(raw_target: str) -> Target | None:
    try:
        return parsed(raw_target)
    except BadRequest:
        return None


@given(ANY_TARGET)
def test_a_canonical_target_is_its_own_canonical_form(raw_target: str) -> None:
    target = accepted(raw_target)
    if target is not None:
        again = parse_target(target.method, target.path_and_query, target.authority)
        assert parts(again) == parts(target)


@given(ANY_TARGET)
def test_nobody_who_decodes_reads_another_path(raw_target: str) -> None:
    target = accepted(raw_target)
    if target is None:
        return
    raw_path, mark, query = raw_target.partition("?")
    decoded = unquote_to_bytes(target.path)
    assert decoded == unquote_to_bytes(raw_path), "nothing was repaired"
    assert target.query == (query if mark else None), "the query is kept byte for byte"
    assert decoded.decode().split("/") == ["", *target.segments], "no escape hides a separator"
    # A second decoding, as some frameworks do, neither finds a separator nor a dot segment.
    assert unquote_to_bytes(decoded) == decoded


@given(ANY_TARGET)
def test_a_path_is_clean(raw_target: str) -> None:
    target = accepted(raw_target)
    if target is None:
        return
    assert target.path.startswith("/")
    assert not {".", ".."} & set(target.segments)
    assert "" not in target.segments[:-1]
    assert not re.search(r"[\x00-\x1f\x7f\\;/]", "".join(target.segments))
    assert target.path_and_query.isascii() and target.path_and_query.isprintable()


@pytest.mark.parametrize("length", [10, 255, 256, 257, 5000])
def test_what_was_asked_for_lately_is_read_the_same_way(length: int) -> None:
    path = "/" + "a" * (length - 1)
    for method, host in (("GET", "a.test"), ("HEAD", "a.test"), ("GET", "b.test:80"), ("GET", "a.test")):
        assert parts(recent_target(method, path, host)) == parts(parse_target(method, path, host))


def test_what_was_refused_lately_is_refused_again() -> None:
    for _ in range(2):
        for method, path, host in (("GET", "/a/../b", HOST), ("get", "/", HOST), ("GET", "/", "a b")):
            with pytest.raises(BadRequest):
                recent_target(method, path, host)


def test_long_targets_are_not_kept() -> None:
    """Or memory would fill with what nobody asks for twice."""
    assert recent_target("GET", "/" + "x" * 200, HOST) is recent_target("GET", "/" + "x" * 200, HOST)
    assert recent_target("GET", "/" + "x" * 256, HOST) is not recent_target("GET", "/" + "x" * 256, HOST)


def test_what_is_long_is_not_kept() -> None:
    """Whoever makes up hosts and targets fills no memory."""
    targets._recent.cache_clear()
    for number in range(20):
        recent_target("GET", f"/{number}", "a" * 5000)
        recent_target("GET", f"/{number}" + "a" * 5000, "a")
    assert targets._recent.cache_info().currsize == 0
    recent_target("GET", "/", "a")
    assert targets._recent.cache_info().currsize == 1
