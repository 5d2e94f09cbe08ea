"""Our cookies: one of each name counts, two prove nothing, and they are written with every protection."""

import pytest

from gateway.web.cookies import CookieJar, CookieKind, OwnCookies

SECURE, PLAIN = CookieJar(secure=True), CookieJar(secure=False)


@pytest.mark.parametrize(
    ("header", "session"),
    [
        (b"__Host-ww-session=a", "a"),
        (b"x=1; __Host-ww-session=a; y=2", "a"),
        (b"__Host-ww-session=a=b", "a=b"),
        (b"\t__Host-ww-session=a ", "a"),
        (b"__Host-ww-session=a; __Host-ww-session=b", None),
        (b"__Host-ww-session=a; __Host-ww-session=a", None),
        (b"__Host-ww-session=; __Host-ww-session=a", None),
        (b"ww-session=a", None),
        (b"__host-ww-session=a", None),
        (b'x="; __Host-ww-session=a; "', "a"),
        (b"", None),
    ],
)
def test_the_session_cookie_is_read_only_when_there_is_exactly_one(
    header: bytes, session: str | None
) -> None:
    assert SECURE.read([(b"Cookie", header)]).session == session


def test_two_cookie_headers_count_together() -> None:
    headers = [(b"cookie", b"__Host-ww-session=a"), (b"COOKIE", b"__Host-ww-session=b")]
    assert SECURE.read(headers).session is None


def test_each_kind_is_read_by_itself() -> None:
    header = b"ww-session=s; ww-device=d; ww-resume=r; ww-resume=r2"
    assert PLAIN.read([(b"Cookie", header)]) == OwnCookies(session="s", device="d", resume=None)


def test_a_cookie_is_written_with_every_protection() -> None:
    assert SECURE.write(CookieKind.SESSION, "v", 60.5) == (
        "__Host-ww-session=v; Path=/; Max-Age=60; HttpOnly; Secure; SameSite=Lax"
    )


def test_plain_http_has_no_secure_cookies() -> None:
    assert (
        PLAIN.write(CookieKind.DEVICE, "v", 60) == "ww-device=v; Path=/; Max-Age=60; HttpOnly; SameSite=Lax"
    )


def test_forgetting_a_cookie_empties_it() -> None:
    assert SECURE.forget(CookieKind.RESUME).startswith("__Host-ww-resume=; Path=/; Max-Age=0;")


def test_what_is_written_is_read_back() -> None:
    pair = SECURE.write(CookieKind.DEVICE, "abc", 1).split(";")[0]
    assert SECURE.read([(b"Cookie", pair.encode())]).device == "abc"
