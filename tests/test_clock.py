import time

from gateway import clock


def test_now_is_unix_time_in_seconds() -> None:
    before = time.time()
    now = clock.now()
    assert before <= now <= time.time()
