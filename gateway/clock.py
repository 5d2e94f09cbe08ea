"""The only reader of the system clock. Everything else is told the time as `now`.

These are the system's own functions: each request asks them several times.
"""

import time
from collections.abc import Callable
from functools import partial

now: Callable[[], float] = time.time
"""Unix time in seconds."""

stopwatch: Callable[[], float] = time.perf_counter
"""Seconds since some moment, to measure with: never steps back.

Finer than uvloop's `loop.time()`, which counts milliseconds.
"""

boottime: Callable[[], float] = partial(
    time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
)
"""Seconds since the machine started, its sleep included: what a lease is counted in.

No step of the wall clock moves it, and it goes on while this process is stopped. Where a system has no
CLOCK_BOOTTIME (Linux has), the monotonic clock, which on some stands still while the machine sleeps.
"""
