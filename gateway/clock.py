"""The only reader of the system clock. Everything else is told the time as `now`."""

import time


def now() -> float:
    """Unix time in seconds."""
    return time.time()


def stopwatch() -> float:
    """Seconds since some moment, to measure with: never steps back.

    Finer than uvloop's `loop.time()`, which counts milliseconds.
    """
    return time.perf_counter()


def boottime() -> float:
    """Seconds since the machine started, its sleep included: what a lease is counted in.

    No step of the wall clock moves it, and it goes on while this process is stopped. Where a system has no
    CLOCK_BOOTTIME (Linux has), the monotonic clock, which on some stands still while the machine sleeps.
    """
    return time.clock_gettime(_SINCE_BOOT)


_SINCE_BOOT: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
