"""The load at a fixed rate: requests leave when they are due, whether or not the earlier ones are answered.

    python -m bench.speed.openloop '{"port": 8080, "path": "/1k", "headers": {...}, "rate": 5000, ...}'

A request's time counts from when it was due, so that a proxy that stands still is charged for all that had
to wait for it (there is no "coordinated omission"). Prints the spread of these times and, to judge them by,
of how late the requests left. Plain system calls without an event loop: as little as can be of what is
measured is the load's own time.
"""

import ctypes
import gc
import json
import os
import select
import socket
import sys
import time
from collections import deque
from itertools import count

_MONOTONIC = 1
_ABSOLUTE = 1
_WARM_UP_SECONDS = 0.5
_GRACE_SECONDS = 2.0
"""How long the last answers are waited for."""

_HEAD_END = b"\r\n\r\n"


class Timer:
    """A file that becomes readable at a moment, exact to microseconds, which `epoll`'s own wait is not."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self._libc.timerfd_create(_MONOTONIC, os.O_NONBLOCK)
        self._setting = (ctypes.c_long * 4)()

    def set(self, moment: float) -> None:
        self._setting[2], self._setting[3] = int(moment), int(moment % 1 * 1e9) or 1
        self._libc.timerfd_settime(self.fd, _ABSOLUTE, self._setting, None)


class Load:
    def __init__(self, port: int, request: bytes, connections: int) -> None:
        self._request = request
        self._sockets: dict[int, socket.socket] = {}
        self._epoll = select.epoll()
        self._timer = Timer()
        self._epoll.register(self._timer.fd, select.EPOLLIN)
        for _ in range(connections):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setblocking(False)
            self._sockets[connection.fileno()] = connection
            self._epoll.register(connection.fileno(), select.EPOLLIN)
        self._idle = deque(self._sockets)
        self._due_of: dict[int, float] = {}
        self._unfinished: dict[int, bytes] = {}
        self._answer_size: int | None = None

    def run(self, rate: float, seconds: float) -> tuple[list[float], list[float], int]:
        """Seconds that each answer took, seconds that each request left late, and how many had no answer."""
        start = time.monotonic() + 0.01
        dues = (start + number / rate for number in count())
        due, end = next(dues), start + seconds
        waiting: deque[float] = deque()
        took, late = [], []
        self._timer.set(due)
        while True:
            for fd, _ in self._epoll.poll(1.0):
                if fd != self._timer.fd and self._is_answered(fd):
                    took.append(time.monotonic() - self._due_of.pop(fd))
                    self._idle.append(fd)
            now = time.monotonic()
            while due <= now and due < end:
                waiting.append(due)
                due = next(dues)
            while waiting and self._idle:
                first = waiting.popleft()
                fd = self._idle.popleft()
                self._due_of[fd] = first
                self._sockets[fd].send(self._request)
                late.append(time.monotonic() - first)
            if due < end:
                self._timer.set(due)
            elif not self._due_of or now > end + _GRACE_SECONDS:
                return took, late, len(waiting) + len(self._due_of)
            else:
                self._timer.set(end + _GRACE_SECONDS)

    def _is_answered(self, fd: int) -> bool:
        data = self._unfinished.pop(fd, b"") + self._sockets[fd].recv(65536)
        if not data:
            raise ConnectionError("a connection was closed")
        if len(data) == self._answer_size:
            return True
        head_end = data.find(_HEAD_END)
        if head_end >= 0:
            size = _size(data[:head_end])
            if len(data) == head_end + len(_HEAD_END) + size:
                self._answer_size = len(data)
                return True
        self._unfinished[fd] = data
        return False


def _size(head: bytes) -> int:
    if not head.startswith(b"HTTP/1.1 200"):
        raise ConnectionError(head[:200].decode("latin-1"))
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise ConnectionError("an answer without Content-Length")


def spread(values: list[float]) -> dict[str, float]:
    """Percentiles in milliseconds."""
    ordered = sorted(values)
    return {
        name: round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 3)
        for name, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))
    }


def main() -> None:
    order = json.loads(sys.argv[1])
    headers = {**order["headers"], "Host": f"127.0.0.1:{order['port']}"}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    load = Load(order["port"], f"GET {order['path']} HTTP/1.1\r\n{head}\r\n".encode(), order["connections"])
    gc.disable()
    load.run(order["rate"], _WARM_UP_SECONDS)
    took, late, unanswered = load.run(order["rate"], order["seconds"])
    print(json.dumps({**spread(took), "late": spread(late), "asked": len(late), "unanswered": unanswered}))


if __name__ == "__main__":
    main()
