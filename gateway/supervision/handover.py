"""What a worker is given by its supervisor: on its command line, and as open files that it inherits.

Nothing of it is a setting: the environment and the settings file are the same for both.
"""

import json
import os
import shutil
import socket
from dataclasses import asdict, dataclass, fields
from pathlib import Path

READY = b"ready\n"


@dataclass(frozen=True, slots=True)
class Handed:
    """Numbers of open files, and what they are for.

    `slots` are the public sockets of all slots, of which `slot` is the worker's own; `orders` is read until
    the supervisor is gone, `ready` is written once. The worker counts as `name` in the folder `counts`.
    """

    slot: int
    name: str
    counts: str
    slots: tuple[tuple[int, ...], ...]
    admin: tuple[int, ...]
    orders: int
    ready: int

    def to_text(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    def sockets(self, slot: int) -> list[socket.socket]:
        """The public sockets of a slot: descriptors of their own, whose closing leaves the socket open."""
        return _duplicates(self.slots[slot])

    def admin_sockets(self) -> list[socket.socket]:
        return _duplicates(self.admin)

    @property
    def port(self) -> int:
        with socket.socket(fileno=os.dup(self.slots[self.slot][0])) as sock:
            return int(sock.getsockname()[1])

    def keep_to_oneself(self) -> None:
        """Let no process that this one starts inherit what it was given."""
        for sockets in (*self.slots, self.admin, (self.orders, self.ready)):
            for descriptor in sockets:
                os.set_inheritable(descriptor, False)

    def say_ready(self) -> None:
        """Tell the supervisor, once, that this worker serves."""
        try:
            os.write(self.ready, READY)
        except BrokenPipeError:
            pass  # it is gone, which the orders' end tells as well
        finally:
            os.close(self.ready)

    def forget_counts(self) -> None:
        """Remove what was counted: what a supervisor that was killed cannot do."""
        shutil.rmtree(self.counts, ignore_errors=True)

    @property
    def counts_folder(self) -> Path:
        return Path(self.counts)


def handed_from(text: str) -> Handed:
    """What `to_text` gave. Raises ValueError for anything else."""
    try:
        given = json.loads(text)
        if given.keys() != {field.name for field in fields(Handed)}:
            raise ValueError("other names")
        given["slots"] = tuple(tuple(map(int, slot)) for slot in given["slots"])
        given["admin"] = tuple(map(int, given["admin"]))
        return Handed(**given)
    except (ValueError, TypeError, AttributeError):
        raise ValueError("this is for a supervisor to give to its workers") from None


def _duplicates(descriptors: tuple[int, ...]) -> list[socket.socket]:
    return [socket.socket(fileno=os.dup(descriptor)) for descriptor in descriptors]
