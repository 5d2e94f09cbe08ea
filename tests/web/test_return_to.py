"""CASE 24: where a browser is sent back to is a path of ours, or the front page."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.telling import TOLD
from gateway.web.return_to import checked_return

HOST = "exchange.localhost"


@pytest.mark.parametrize(
    "hostile",
    [
        "//e",
        "///e",
        "/\\e",
        "\\\\e",
        "/%09/e",
        "/\t/e",
        "https:e",
        "https://e",
        "javascript:alert(1)",
        "good@e",
        "@e",
        "good.e",
        "e",
        "/%2f/e",
        "/a/../..//e",
        "/ok\r\nSet-Cookie: a=b",
        "/.watchword/sign-out",
        "/.watchword/sign-in",
        "/.watchword/security/factors",
        "/.watchword",
        "/%2ewatchword/sign-out",
        "",
        None,
    ],
)
def test_anything_else_leads_to_the_front_page(hostile: str | None) -> None:
    assert checked_return(hostile, HOST) == "/"


@pytest.mark.parametrize(
    "path", [*dict.fromkeys(TOLD.values()), "/", "/withdrawals", "/a/b?c=d&e=//f", "/caf%C3%A9", "/a/"]
)
def test_a_path_of_ours_stays(path: str) -> None:
    """The pages that mails lead to are among them: most people have to sign in first."""
    assert checked_return(path, HOST) == path


@given(st.text(max_size=40))
def test_the_result_is_always_a_plain_path(text: str) -> None:
    result = checked_return(text, HOST)
    assert result.startswith("/")
    assert not result.startswith("//")
    assert result.isascii() and result.isprintable() and "\\" not in result.partition("?")[0]
