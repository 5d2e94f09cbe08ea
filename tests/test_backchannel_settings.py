"""Who may end sessions, and who is told: what the settings say, and what they may not."""

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.backchannel_settings import BackChannel

LOGIN = {"issuer": "https://login.example", "audience": "us", "keys": "keys.json"}
PAYMENTS = {"name": "payments", "url": "https://pay.example/events", "audience": "payments"}
OURS = "https://exchange.example"


def read(**values: Any) -> BackChannel:
    return BackChannel.model_validate(values)


def test_nobody_by_default() -> None:
    found = read()
    assert (found.issuer, found.transmitters, found.receivers) == (None, (), ())
    assert (found.logout_age, found.event_age) == (300, 86_400)


def test_what_may_be_left_out() -> None:
    (transmitter,) = read(transmitters=[LOGIN]).transmitters
    assert (transmitter.subject, transmitter.algorithms) == ("sub", ("RS256", "ES256", "EdDSA"))
    (receiver,) = read(issuer=OURS, receivers=[PAYMENTS]).receivers
    assert receiver.authorization_file is None


def test_one_algorithm_need_not_be_a_list() -> None:
    assert read(transmitters=[{**LOGIN, "algorithms": "ES384"}]).transmitters[0].algorithms == ("ES384",)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"transmitters": [LOGIN, LOGIN]}, "in the list twice"),
        ({"transmitters": [{**LOGIN, "jwks-url": "https://login.example/keys"}]}, "one of them"),
        ({"transmitters": [{"issuer": "a", "audience": "b"}]}, "one of them"),
        ({"transmitters": [{"issuer": "a", "audience": "b", "jwks-url": "http://a.example"}]}, "https"),
        ({"transmitters": [{**LOGIN, "algorithms": []}]}, "empty"),
        ({"transmitters": [{**LOGIN, "algorithms": ["HS256"]}]}, "HS256"),
        ({"transmitters": [{**LOGIN, "algorithms": ["none"]}]}, "none"),
        ({"transmitters": [{**LOGIN, "subject": "name"}]}, "sub"),
        ({"transmitters": [{**LOGIN, "audience": ""}]}, "visible"),
        ({"receivers": [PAYMENTS]}, "give the issuer"),
        ({"issuer": OURS, "receivers": [PAYMENTS, {**PAYMENTS, "url": OURS}]}, "in the list twice"),
        ({"issuer": OURS, "receivers": [{**PAYMENTS, "url": "http://pay.example"}]}, "https"),
        ({"issuer": OURS, "receivers": [{**PAYMENTS, "name": "Pay:ments"}]}, "not a name"),
        ({"issuer": "us"}, "address"),
    ],
)
def test_what_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        read(**values)
