"""Settings become limits of the parts; that a running gateway keeps them is for test_app to show."""

from gateway.assembly import code_delay, listener_limits, sign_in_limits, upstream_limits
from gateway.core.records import LaterDevices
from gateway.settings import Codes, Devices, Limits, Settings, SignInLimits, UpstreamLimits
from gateway.store.attempts import AttemptLimit, GrowingDelay


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
