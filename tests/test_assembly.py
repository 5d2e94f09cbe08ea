"""Settings become limits of the parts; that a running gateway keeps them is for test_app to show."""

from pathlib import Path

import pytest
from support.store import RING
from support.tokens import ISSUER, keys_in

from gateway.assembly import (
    backchannel_faults,
    code_delay,
    identity_headers,
    listener_limits,
    sign_in_limits,
    transmitters_of,
    upstream_limits,
)
from gateway.backchannel_settings import BackChannel
from gateway.core.records import LaterDevices
from gateway.settings import (
    Assertion,
    Codes,
    Devices,
    Limits,
    Sessions,
    Settings,
    SignInLimits,
    UpstreamLimits,
)
from gateway.store.attempts import AttemptLimit, GrowingDelay
from gateway.store.opening import Store


def test_codes_slow_down_and_lock() -> None:
    settings = Settings(codes=Codes(attempts=3, delay=10, longest_delay=60, lock=50))
    assert code_delay(settings) == GrowingDelay(3, 10, 60, lock=50)


def test_passwords_slow_down_and_are_forgotten_but_never_lock() -> None:
    settings = Settings(
        sign_in=SignInLimits(attempts_by_account=4, delay=5, longest_delay=50, attempts_by_address=9, per=90),
        devices=Devices(later=LaterDevices.APPROVE),
    )
    limits = sign_in_limits(settings)
    assert limits.by_account == GrowingDelay(4, 5, 50, lock=None, forget_after=86_400)
    assert limits.by_address == AttemptLimit(9, 90)
    assert limits.later_devices is LaterDevices.APPROVE


def test_no_line_is_longer_than_the_head() -> None:
    small = listener_limits(Settings(limits=Limits(header_size=1000, header_count=7)))
    assert (small.line_bytes, small.head_bytes, small.headers) == (1000, 1000, 7)
    large = listener_limits(Settings(limits=Limits(header_size=100_000)))
    assert (large.line_bytes, large.head_bytes) == (8190, 100_000)


def test_an_upstream_has_its_own() -> None:
    limits = upstream_limits(Settings(upstream=UpstreamLimits(connect=1, first_byte=2, idle=3)))
    assert (limits.connect, limits.first_byte, limits.idle) == (1, 2, 3)


def test_as_many_identities_are_kept_as_sessions() -> None:
    settings = Settings(assertion=Assertion(lifetime=60), sessions=Sessions(cached=3))
    identities = identity_headers(settings, RING)
    assert (identities.lifetime, identities.most) == (60, 3)


def back_channel(keys: Path, authorization: Path) -> BackChannel:
    return BackChannel.model_validate(
        {
            "issuer": "https://exchange.example",
            "transmitters": [
                {"issuer": ISSUER, "audience": "us", "keys": keys},
                {"issuer": "https://b.example", "audience": "us", "jwks-url": "https://b.example/keys"},
            ],
            "receivers": [
                {
                    "name": "a",
                    "url": "https://a.example",
                    "audience": "a",
                    "authorization-file": authorization,
                }
            ],
        }
    )


async def test_other_parties_are_as_the_settings_say(store: Store, tmp_path: Path) -> None:
    authorization = tmp_path / "authorization"
    authorization.write_text("Bearer x")
    settings = back_channel(keys_in(tmp_path), authorization)
    assert list(backchannel_faults(settings)) == []
    parties = transmitters_of(settings, store)
    assert parties
    await parties.close()


def test_each_file_of_the_back_channel_that_cannot_be_used_is_a_fault(store: Store, tmp_path: Path) -> None:
    settings = back_channel(tmp_path / "no-keys", tmp_path / "no-authorization")
    keys, authorization = backchannel_faults(settings)
    assert keys.startswith(f"back-channel.transmitters.0.keys: those of {ISSUER} cannot be used: ")
    assert authorization.startswith("back-channel.receivers.0.authorization-file: that of a cannot be used: ")
    with pytest.raises(OSError, match="no-keys"):
        transmitters_of(settings, store)
