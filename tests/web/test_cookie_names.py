import pytest

from gateway.web.cookie_names import PREFIX, is_ours
from gateway.web.cookies import CookieJar, CookieKind


@pytest.mark.parametrize("secure", [True, False])
@pytest.mark.parametrize("kind", CookieKind)
def test_every_cookie_that_we_set_is_ours(kind: CookieKind, secure: bool) -> None:
    name = CookieJar(secure=secure).name(kind)
    assert is_ours(name.encode())
    assert name.removeprefix("__Host-").startswith(PREFIX)


@pytest.mark.parametrize(
    "name",
    [
        b"ww-session",
        b"__Host-ww-session",
        b"__host-WW-Session",
        b"__SECURE-ww-device",
        b"ww-",
        b"ww-anything-later",
        b" ww-session",
        b"\t__Host-ww-session \x00",
        b"\x0b\x7fww-session",
        b"ww-session=value",
        b"=ww-session",
        b" = ww-session=value",
    ],
)
def test_whatever_could_be_taken_for_ours_is_ours(name: bytes) -> None:
    assert is_ours(name)


@pytest.mark.parametrize(
    "name", [b"", b"ww", b"www-session", b"session", b"__Host-session", b"a ww-session", b"a=ww-session"]
)
def test_the_apps_cookies_are_theirs(name: bytes) -> None:
    assert not is_ours(name)
