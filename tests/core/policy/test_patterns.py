"""Patterns are read in one canonical form only, and the merged trie finds what each alone would."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.policy import patterns
from gateway.core.policy.patterns import Pattern, compile_trie, parse_host, parse_pattern, parse_upstream
from gateway.core.target import parse_target

segments = st.lists(st.sampled_from(("a", "b", "c", "é x")), max_size=4).map(tuple)
pattern_lists = st.lists(
    st.builds(Pattern, st.lists(st.sampled_from(("a", "b", None)), max_size=4).map(tuple), st.booleans()),
    max_size=8,
)


@pytest.mark.parametrize(
    ("text", "segments", "rest"),
    [
        ("/", (), False),
        ("/a", ("a",), False),
        ("/a/", ("a",), False),
        ("/**", (), True),
        ("/static/**", ("static",), True),
        ("/static/**/", ("static",), True),
        ("/a/{id}/*/b", ("a", None, None, "b"), False),
        ("/Ä b/100%/a+b@c", ("Ä b", "100%", "a+b@c"), False),
        ("/.well-known/x", (".well-known", "x"), False),
    ],
)
def test_sound_patterns(text: str, segments: tuple[str | None, ...], rest: bool) -> None:
    assert parse_pattern(text) == Pattern(segments, rest)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must start with '/'"),
        ("a", "must start with '/'"),
        ("//", "empty segment"),
        ("/a//b", "empty segment"),
        ("/a//", "empty segment"),
        ("/./a", "dot segment"),
        ("/a/..", "dot segment"),
        ("/**/a", "must come last"),
        ("/a*", "whole segment"),
        ("/***", "whole segment"),
        ("/{id", "whole segment"),
        ("/{}", "whole segment"),
        ("/{id}.json", "whole segment"),
        ("/a?b=c", "neither query nor fragment"),
        ("/a#b", "neither query nor fragment"),
        ("/a;b", "';'"),
        ("/a\\b", "'\\'"),
        ("/a%20b", "as '/a b'"),
        ("/%61", "as '/a'"),
        ("/a\tb", "invisible"),
        ("/a\u200bb", "invisible"),
        ("/x" * 65, "more than 64 segments"),
    ],
)
def test_a_pattern_that_is_not_canonical_says_why(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_pattern(text)


@given(st.text("/ab*{}.%2é;\\?", max_size=12))
def test_what_a_literal_pattern_says_is_what_a_target_can_ask(text: str) -> None:
    """A pattern that is accepted, and has no wildcard, is matched by the target that is written so."""
    try:
        pattern = parse_pattern(f"/{text}")
    except ValueError:
        return
    if pattern.rest or None in pattern.segments:
        return
    escaped = "".join(
        f"%{octet:02X}" if octet >= 0x80 or octet in b"%{}" else chr(octet) for octet in f"/{text}".encode()
    )
    assert pattern.mismatch(parse_target("GET", escaped, "a.test").segments) is None


@pytest.mark.parametrize(
    ("pattern", "path", "mismatch"),
    [
        ("/", "/", None),
        ("/", "/a", (0, "the path goes on with 'a'")),
        ("/**", "/", None),
        ("/static/**", "/static", None),
        ("/static/**", "/static/", None),
        ("/static/**", "/static/a/b", None),
        ("/static/**", "/statics", (0, "'statics' is not 'static'")),
        ("/a/{id}/c", "/a/b/c/", None),
        ("/a/{id}/c", "/a/b", (2, "the path ends too early")),
        ("/a/{id}", "/a/", (1, "the path ends too early")),
        ("/a/{id}/c", "/a/b/d", (2, "'d' is not 'c'")),
        ("/a", "/a/b", (1, "the path goes on with 'b'")),
    ],
)
def test_how_far_a_path_fits(pattern: str, path: str, mismatch: tuple[int, str] | None) -> None:
    assert parse_pattern(pattern).mismatch(parse_target("GET", path, "a.test").segments) == mismatch


@given(pattern_lists, segments, st.sampled_from(((), ("",))))
def test_the_trie_finds_every_pattern_that_fits(
    given_patterns: list[Pattern], segments: tuple[str, ...], slash: tuple[str, ...]
) -> None:
    root = compile_trie(
        ((pattern, number) for number, pattern in enumerate(given_patterns)), lambda numbers: numbers
    )
    asked = (*segments, *slash)
    fitting = (number for number, pattern in enumerate(given_patterns) if pattern.mismatch(asked) is None)
    assert root.find(asked) == tuple(fitting)


def test_states_that_are_alike_are_one() -> None:
    root = compile_trie(
        [(parse_pattern("/a/{id}/x"), 0), (parse_pattern("/b/**"), 1)], lambda numbers: numbers
    )
    assert root.literals["a"].other is not None
    assert root.literals["a"].other.other is root.other


def test_a_trie_that_would_explode_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "MAX_STATES", 1000)
    tangled = [Pattern((*[None] * number, "x", *[None] * (12 - number)), False) for number in range(12)]
    with pytest.raises(ValueError, match="too many ways"):
        compile_trie(((pattern, number) for number, pattern in enumerate(tangled)), lambda numbers: numbers)
    compile_trie(((pattern, 0) for pattern in tangled[:5]), lambda numbers: numbers)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("exchange.localhost", "exchange.localhost"),
        ("EXCHANGE.Localhost", "exchange.localhost"),
        ("127.0.0.1", "127.0.0.1"),
        ("[::1]", "[::1]"),
        ("[0:0::1]", "[::1]"),
        ("a_b-c.x", "a_b-c.x"),
    ],
)
def test_a_host_is_read_as_targets_name_it(text: str, host: str) -> None:
    assert parse_host(text) == host
    assert parse_target("GET", "/", f"{host}:80").host == host


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a:80",
        "*.a",
        "a.",
        ".a",
        "a..b",
        "http://a",
        "a/b",
        "::1",
        "[::1",
        "[a]",
        "[]",
        "ä.x",
        "a b",
        "-a",
        "a\n",
    ],
)
def test_what_is_not_a_host(text: str) -> None:
    with pytest.raises(ValueError, match="is not a"):
        parse_host(text)


@pytest.mark.parametrize(
    ("text", "upstream"),
    [
        ("http://127.0.0.1:8001", "http://127.0.0.1:8001"),
        ("http://App", "http://app"),
        ("http://[::1]:65535", "http://[::1]:65535"),
    ],
)
def test_an_upstream(text: str, upstream: str) -> None:
    assert parse_upstream(text) == upstream


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "http://",
            "https://a",
            "a:80",
            "http://a/",
            "http://a/b",
            "http://a?b",
            "http://a#b",
            "HTTP://a",
        ),
        *(
            "http://u@a",
            "http://u:p@a",
            "http://a:",
            "http://a:0",
            "http://a:65536",
            "http://a:8 0",
            "http://a:80\n",
        ),
        *("http://[::1", "http://[x]", "http://a b", "http://a:٨"),
    ],
)
def test_what_is_not_an_upstream(text: str) -> None:
    with pytest.raises(ValueError, match="is not a"):
        parse_upstream(text)
