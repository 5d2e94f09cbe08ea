"""What people are told of, and where it leads them."""

from gateway.core.telling import TOLD, Channel, channel_of, events_channel, is_by_transmitter
from gateway.core.values import _NAME


def test_the_issue_s_list_is_told() -> None:
    wanted = {
        *("device-new", "factor-confirmed", "factor-removed", "reset-opened", "reset-done"),
        *("recovery-code-used", "protection-off", "account-revoked"),
    }
    assert wanted <= set(TOLD)


def test_events_are_names_and_lead_to_pages_of_the_account() -> None:
    assert all(_NAME.fullmatch(event) for event in TOLD)
    assert {page.rpartition("/")[0] for page in TOLD.values()} == {"/.watchword"}


def test_what_happens_all_the_time_is_not_told() -> None:
    assert not {"signed-in", "sign-in-refused", "code-taken", "code-refused", "account-read"} & set(TOLD)


def test_channels_are_as_settings_and_metrics_name_them() -> None:
    assert list(Channel) == ["mail", "webhook"]


def test_a_receiver_of_events_has_a_channel_of_its_own() -> None:
    assert events_channel("payments") == "events:payments"
    assert channel_of("events:payments:account") == "events:payments"
    assert channel_of("mail:profile-changed:also") == Channel.MAIL


def test_who_is_another_party() -> None:
    assert is_by_transmitter("transmitter:https://login.example")
    assert not any(map(is_by_transmitter, ("account:transmitter", "operator:grace", "cli:root", "gateway")))
