"""The only reader of the system clock. Everything else is told the time as `now`."""

import time


def now() -> float:
    """Unix time in seconds."""
    return time.time()
