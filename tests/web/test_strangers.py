"""What the log says of peers that ask and may not, and how much of it."""

from structlog.testing import capture_logs

from gateway.web.strangers import Strangers

NOW = 1_800_000_000.0


def logged(strangers: Strangers, *asked: tuple[str, float]) -> list[str]:
    """The addresses that are logged when these ask, so many seconds after NOW."""
    with capture_logs() as said:
        for address, seconds in asked:
            strangers.asked(address, NOW + seconds, forward_auth=True)
    return [entry["address"] for entry in said]


def test_it_names_the_address_and_the_setting() -> None:
    with capture_logs() as said:
        Strangers().asked("172.18.0.5", NOW, forward_auth=True)
        Strangers().asked("172.18.0.5", NOW, forward_auth=False)
    assert [(entry["log_level"], entry["address"], entry["setting"]) for entry in said] == [
        ("warning", "172.18.0.5", "trusted-proxies"),
        ("warning", "172.18.0.5", "forward-auth"),
    ]
    assert "add its address to trusted-proxies" in said[0]["advice"]
    assert "forward-auth is off" in said[1]["advice"]


def test_an_address_is_logged_once_a_minute() -> None:
    strangers = Strangers()
    assert logged(strangers, ("a", 0), ("a", 1), ("b", 2), ("a", 59.9)) == ["a", "b"]
    assert logged(strangers, ("a", 60), ("a", 61), ("b", 61)) == ["a", "b"]


def test_many_addresses_do_not_flood_the_log() -> None:
    strangers = Strangers()
    assert len(logged(strangers, *((f"2001:db8::{number:x}", number / 100) for number in range(1000)))) == 10
    assert logged(strangers, ("2001:db8::ffff", 60)) == ["2001:db8::ffff"]


def test_a_clock_that_is_set_back_silences_nobody() -> None:
    assert logged(Strangers(), ("a", 0), ("a", -3600), ("a", -3599)) == ["a", "a"]
