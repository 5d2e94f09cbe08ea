"""A proxy that does nothing: it wakes whenever a request would be due, on the proxy's core.

    python -m bench.speed.pauses '{"rate": 5000, "seconds": 2}'

How late it wakes is what the machine takes of every proxy's latency: pauses of a virtual processor, threads
of the kernel's, the time that waking takes. Prints the spread of that.
"""

import gc
import json
import os
import select
import sys
import time
from itertools import count

from bench.speed import machine
from bench.speed.openloop import Timer, spread


def lateness(rate: float, seconds: float) -> list[float]:
    """How late each waking was, in seconds; those that were due meanwhile count as well."""
    epoll, timer = select.epoll(), Timer()
    epoll.register(timer.fd, select.EPOLLIN)
    start = time.monotonic() + 0.01
    late: list[float] = []
    for due in (start + number / rate for number in count()):
        if due >= start + seconds:
            return late
        while (now := time.monotonic()) < due:
            timer.set(due)
            epoll.poll(1.0)
        late.append(now - due)
    return late


def main() -> None:
    order = json.loads(sys.argv[1])
    os.sched_setaffinity(0, {machine.PROXY_CORE})
    gc.disable()
    print(json.dumps(spread(lateness(order["rate"], order["seconds"]))))


if __name__ == "__main__":
    main()
