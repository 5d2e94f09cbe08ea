"""What another proxy asks about: read from where its kind says it, and from nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.targets import parts

from gateway.errors import BadRequest
from gateway.web.forward_auth import Dialect, Question, RawHeaders, dialect_of, question

FORWARDED = (
    (b"Host", b"127.0.0.1:8080"),
    (b"X-Forwarded-Method", b"POST"),
    (b"X-Forwarded-Host", b"App.test:8443"),
    (b"X-Forwarded-Uri", b"/a/%7eb?c=%7e"),
)
NGINX = (
    (b"Host", b"App.test:8443"),
    (b"X-Original-Method", b"POST"),
    (b"X-Original-URI", b"/a/%7eb?c=%7e"),
)
ENVOY = ((b"Host", b"App.test:8443"),)


def asked(dialect: Dialect, headers: RawHeaders, path: str = "/a/%7eb?c=%7e") -> Question:
    if dialect is Dialect.ENVOY:
        return question(dialect, "POST", f"{dialect}{path}", headers)
    return question(dialect, "GET", dialect, headers)


BY_DIALECT = [(Dialect.FORWARDED, FORWARDED), (Dialect.NGINX, NGINX), (Dialect.ENVOY, ENVOY)]


@pytest.mark.parametrize(
    ("target", "dialect"),
    [
        ("/.watchword/forward-auth", Dialect.FORWARDED),
        ("/.watchword/forward-auth?x=/.watchword/forward-auth/nginx", Dialect.FORWARDED),
        ("/.watchword/forward-auth/nginx", Dialect.NGINX),
        ("/.watchword/forward-auth/envoy/", Dialect.ENVOY),
        ("/.watchword/forward-auth/envoy/nginx?x", Dialect.ENVOY),
        ("/.watchword/forward-auth/envoy//x", Dialect.ENVOY),
        ("/.watchword/forward-auth/envoy", None),
        ("/.watchword/forward-auth/envoy?/x", None),
        ("/.watchword/forward-auth/envoyx/", None),
        ("/.watchword/forward-auth/", None),
        ("/.watchword/forward-auth/nginx/", None),
        ("/.watchword/forward-auth/caddy", None),
        ("/.watchword/forward-authx", None),
        ("/.watchword/%66orward-auth", None),
        ("/.watchword//forward-auth", None),
        ("/.Watchword/forward-auth", None),
        ("http://localhost/.watchword/forward-auth", None),
        ("/", None),
    ],
)
def test_only_one_spelling_asks(target: str, dialect: Dialect | None) -> None:
    assert dialect_of(target) is dialect


@pytest.mark.parametrize(("dialect", "headers"), BY_DIALECT)
def test_what_is_asked(dialect: Dialect, headers: RawHeaders) -> None:
    found = asked(dialect, headers)
    target = found.target
    assert (target.method, target.host, target.authority) == ("POST", "app.test", "app.test:8443")
    assert target.path_and_query == "/a/~b?c=%7e"
    assert found.headers == headers


@pytest.mark.parametrize(
    ("dialect", "headers", "missing"),
    [
        (dialect, headers, name)
        for dialect, headers in BY_DIALECT
        for name, _ in headers
        if not (dialect is Dialect.FORWARDED and name == b"Host")
    ],
)
def test_what_is_missing_or_said_twice(dialect: Dialect, headers: RawHeaders, missing: bytes) -> None:
    without = tuple(pair for pair in headers if pair[0] != missing)
    (value,) = (value for name, value in headers if name == missing)
    for other in (without, (*headers, (missing, value)), (*headers, (missing.lower(), b"/public"))):
        with pytest.raises(BadRequest, match="once"):
            asked(dialect, other)


FOREIGN = [
    (Dialect.FORWARDED, ((b"X-Original-URI", b"/public"), (b"X-Original-Method", b"GET"))),
    (Dialect.NGINX, ((b"X-Forwarded-Uri", b"/public"), (b"X-Forwarded-Host", b"other"))),
    (Dialect.ENVOY, ((b"X-Forwarded-Uri", b"/public"), (b"X-Original-URI", b"/public"))),
]


@pytest.mark.parametrize(("dialect", "forged"), FOREIGN)
def test_what_another_kind_would_say_is_the_clients_and_is_not_heeded(
    dialect: Dialect, forged: RawHeaders
) -> None:
    spelled = ((b"X_Forwarded_Uri", b"/public"), (b"X.Original.URI", b"/public"))
    headers = dict(BY_DIALECT)[dialect]
    found = asked(dialect, (*forged, *spelled, *headers))
    assert (found.target.method, found.target.authority) == ("POST", "app.test:8443")
    assert found.target.path == "/a/~b"


@pytest.mark.parametrize(
    "path",
    [
        "/public/../a", "//a", "/%2e%2e/a", "/a%2fb", "/a;b", "/a%00", "/a%zz", "/a#b", "a", "http://app.test/a",
        "/.watchword/sign-in", "/%2ewatchword/static/x.css", "/.watchword",
    ],
)  # fmt: skip
@pytest.mark.parametrize(("dialect", "headers"), BY_DIALECT)
def test_a_target_that_is_ambiguous_or_ours(dialect: Dialect, headers: RawHeaders, path: str) -> None:
    said = tuple((name, path.encode() if value[:1] == b"/" else value) for name, value in headers)
    with pytest.raises(BadRequest):
        asked(dialect, said, path)


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "get", "", "GET POST"])
def test_a_method_that_is_not_served(method: str) -> None:
    headers = tuple((name, method.encode() if value == b"POST" else value) for name, value in FORWARDED)
    with pytest.raises(BadRequest):
        asked(Dialect.FORWARDED, headers)
    with pytest.raises(BadRequest):
        question(Dialect.ENVOY, method, f"{Dialect.ENVOY}/a", ENVOY)


def test_a_websocket_is_known_by_its_key() -> None:
    key = (b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ==")
    assert asked(Dialect.ENVOY, (*ENVOY, key)).headers == ((b"Upgrade", b"websocket"), *ENVOY, key)
    upgrade = (b"upgrade", b"websocket")
    assert asked(Dialect.ENVOY, (*ENVOY, upgrade, key)).headers == (*ENVOY, upgrade, key)


def test_a_code_that_comes_along_is_not_heeded() -> None:
    assert asked(Dialect.ENVOY, (*ENVOY, (b"Watchword-Code", b"123456"))).headers == ENVOY


@given(st.text("/.ab%2eE?#&=\\", max_size=12), st.sampled_from(BY_DIALECT))
def test_every_kind_reads_a_target_in_the_same_way(path: str, known: tuple[Dialect, RawHeaders]) -> None:
    said = tuple((name, path.encode() if value[:1] == b"/" else value) for name, value in known[1])
    try:
        found = asked(known[0], said, path).target
    except BadRequest:
        found = None
    try:
        plain = question(Dialect.ENVOY, "POST", f"{Dialect.ENVOY}{path}", ENVOY).target
    except BadRequest:
        plain = None
    assert parts(found) == parts(plain)
