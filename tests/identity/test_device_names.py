"""A name that a person recognises their browser by."""

import pytest

from gateway.identity.device_names import LONGEST_USER_AGENT, device_name

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
    ("user_agent", "name"),
    [
        (f"{LINUX} Chrome/131.0.0.0 Safari/537.36", "Chrome on Linux"),
        (ANDROID, "Firefox Mobile on Android"),
        (IPHONE, "Mobile Safari on iOS"),
        (WINDOWS, "Edge on Windows"),
        ("curl/8.5.0", "curl"),
        ("Mozilla/5.0 (X11; Linux x86_64)", "Linux"),
        ("", "Unknown device"),
        ("\ufffd\0", "Unknown device"),
        ("x" * 100_000, "Unknown device"),
    ],
)
def test_the_name_of_a_device(user_agent: str, name: str) -> None:
    assert device_name(user_agent) == name


def test_only_the_beginning_of_a_long_user_agent_is_read() -> None:
    assert device_name("x" * LONGEST_USER_AGENT + " curl/8.5.0") == "Unknown device"
