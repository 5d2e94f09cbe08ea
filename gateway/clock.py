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
