import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy import header
from gateway.proxy.header import header_of, headers_of

NAME = st.text("aB9-_.~!", min_size=1, max_size=10).map(str.encode)
VALUE = st.binary(max_size=20).filter(lambda value: not set(value) & set(b"\r\n"))


def test_a_header_is_taken_apart() -> None:
    read = header_of(b"X_Custom.Name:  a b\t")
    assert (read.key, read.folded, read.name) == (b"x_custom.name", b"x-custom-name", b"X_Custom.Name")
    assert (read.value, read.line) == (b"a b", b"X_Custom.Name: a b\r\n")
    assert read.from_client
    assert read.from_upstream


def parts(read: header.Header) -> tuple[object, ...]:
    return (
        *(read.key, read.folded, read.name, read.value, read.line),
        *(read.from_client, read.from_upstream, read.is_fit, read.may_be_secret),
    )


@given(NAME, VALUE)
def test_what_is_remembered_is_what_would_be_read(name: bytes, value: bytes) -> None:
    line = name + b":" + value
    assert parts(header_of(line)) == parts(header_of(line)) == parts(header.Header(line))
    assert list(map(parts, headers_of([(name, value)]))) == [parts(header.Header(line))]


@pytest.mark.parametrize(
    "line",
    [
        b"Cookie: ww-session=secret",
        b"cookie:secret",
        b"SET-COOKIE: a=secret",
        b"Authorization: Bearer secret",
        b"Proxy-Authorization: Basic secret",
        b"X-CSRF-Token: secret",
        b"X-Api-Key: secret",
        b"Watchword-Code: 123456",
        b"Private-Token: secret",
        b"Referer: http://a/?token=secret",
        b"Location: /reset?token=secret",
        b"Sec-WebSocket-Protocol: bearer.secret",
        b"X-Long: " + b"a" * 200,
    ],
)
def test_secrets_and_long_lines_are_not_remembered(line: bytes) -> None:
    header._remembered.clear()
    header_of(line)
    assert not header._remembered
    header_of(b"Accept: */*")
    assert set(header._remembered) == {b"Accept: */*"}


def test_only_so_many_are_remembered() -> None:
    for number in range(2 * header._REMEMBERED):
        header_of(b"X: %d" % number)
        assert len(header._remembered) <= header._REMEMBERED
