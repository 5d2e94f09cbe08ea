"""A name that a person recognises their browser by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.device_names import LONGEST_NAME, LONGEST_USER_AGENT, Client, chosen_name, client_of

LINUX = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"
ANDROID = "Mozilla/5.0 (Android 15; Mobile; rv:130.0) Gecko/130.0 Firefox/130.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.1 Mobile/15E148 Safari/604.1"
)
WINDOWS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0"
)


@pytest.mark.parametrize(
    ("user_agent", "browser", "system", "name"),
    [
        (f"{LINUX} Chrome/131.0.0.0 Safari/537.36", "Chrome", "Linux", "Chrome on Linux"),
        (ANDROID, "Firefox Mobile", "Android", "Firefox Mobile on Android"),
        (IPHONE, "Mobile Safari", "iOS", "Mobile Safari on iOS"),
        (WINDOWS, "Edge", "Windows", "Edge on Windows"),
        ("curl/8.5.0", "curl", "", "curl"),
        ("Mozilla/5.0 (X11; Linux x86_64)", "", "Linux", "Linux"),
        ("", "", "", "Unknown device"),
        ("\ufffd\0", "", "", "Unknown device"),
        ("x" * 100_000, "", "", "Unknown device"),
    ],
)
def test_the_name_of_a_device(user_agent: str, browser: str, system: str, name: str) -> None:
    client = client_of(user_agent)
    assert (client, client.name) == (Client(browser, system), name)


def test_only_the_beginning_of_a_long_user_agent_is_read() -> None:
    assert client_of("x" * LONGEST_USER_AGENT + " curl/8.5.0") == Client()


@pytest.mark.parametrize(
    "text", ["Ada's laptop", "x", "x" * LONGEST_NAME, "Büro 2", "<b>", "電話", "👩\u200d💻 1"]
)
def test_what_can_be_the_name_of_a_device(text: str) -> None:
    assert chosen_name(f"  {text} ") == text


@pytest.mark.parametrize(
    "text",
    ["", "   ", "x" * (LONGEST_NAME + 1), "two\nlines", "\u202eesrever", "a\u200bb", "a\0", "\x1b[31m"],
)
def test_what_cannot(text: str) -> None:
    assert chosen_name(text) is None


@given(st.text())
def test_a_chosen_name_is_one_visible_line(text: str) -> None:
    name = chosen_name(text)
    if name is not None:
        assert name in text
        assert 0 < len(name) <= LONGEST_NAME
        assert len(name.splitlines()) == 1 and name == name.strip()
        assert not set(name) & set("\u200b\u202e\u2066\0")
        assert chosen_name(name) == name
