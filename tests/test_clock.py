import itertools
import time

from gateway import clock


def test_now_is_unix_time_in_seconds() -> None:
    before = time.time()
    now = clock.now()
    assert before <= now <= time.time()


def test_the_stopwatch_never_steps_back_and_tells_less_than_a_millisecond() -> None:
    read = [clock.stopwatch() for _ in range(10_000)]
    assert read == sorted(read)
    assert 0 < min(b - a for a, b in itertools.pairwise(read) if b > a) < 0.001
