"""The file that holds the key ring: its owner's alone, read whole, and replaced whole or not at all."""

import base64
import fcntl
import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gateway import entropy
from gateway.errors import Fault, Faulty
from gateway.store.keyring import KEY_BYTES, KeyRing, KeyTimes, new_keyring


def load(path: Path) -> KeyRing:
    """The ring in `path`. Raises Faulty."""
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise _faulty(path, "the key ring may be read by others: chmod 600 it")
        ring = _ring_of(json.loads(path.read_text()))
    except FileNotFoundError:
        raise _faulty(path, "there is no key ring; it is made at the first start") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _faulty(path, f"this is not a key ring ({type(error).__name__})") from None
    if ring.active not in ring.keys or any(
        len(key) != KEY_BYTES for key in (*ring.keys.values(), ring.operator_seed)
    ):
        raise _faulty(path, "the key ring has no active key, or a key that is not 256 bits long")
    return ring


def load_or_create(path: Path) -> KeyRing:
    """The ring in `path`; made there, with mode 0600, when there is none.

    Two processes that start at once end up with one ring. Raises Faulty for a file that others may
    read, or that is not a key ring (such a file is never overwritten), and where none can be made.
    """
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with _draft(path, new_keyring()) as draft, suppress(FileExistsError, FileNotFoundError):
                os.link(draft, path)  # unlike a rename, this never replaces a ring made meanwhile
    except OSError as error:
        raise _faulty(path, f"the key ring cannot be made here: {error.strerror}") from None
    return load(path)


class RingFile:
    """A ring that nobody else changes for the time being, to be replaced."""

    def __init__(self, path: Path, ring: KeyRing) -> None:
        self._path = path
        self.ring = ring

    def put(self, ring: KeyRing) -> None:
        """Replace the ring; once this returns, a power failure does not bring the old one back.

        Whoever reads meanwhile, or after a crash, finds one of the two, whole. Raises OSError.
        """
        with _draft(self._path, ring, owner=self._path.stat()) as draft:
            draft.replace(self._path)
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        self.ring = ring


@contextmanager
def changing(path: Path) -> Iterator[RingFile]:
    """The ring in `path`, held for one change: others wait, and then find what this one left.

    The folder is what is locked, since the file itself is replaced. Raises Faulty.
    """
    path = path.resolve()  # a link stays one
    load(path)
    try:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            _sweep(path)
            yield RingFile(path, load(path))
        finally:
            os.close(folder)
    except OSError as error:
        raise _faulty(path, f"the key ring cannot be changed: {error.strerror}") from None


def _ring_of(document: Any) -> KeyRing:
    """Raises whatever a document of another shape brings about."""
    return KeyRing(
        active=str(document["active"]),
        keys={name: base64.b64decode(key) for name, key in document["keys"].items()},
        operator_seed=base64.b64decode(document["operator"]),
        times={
            name: KeyTimes(**{event: float(at) for event, at in times.items()})
            for name, times in document.get("times", {}).items()
        },
    )


def _document_of(ring: KeyRing) -> dict[str, Any]:
    return {
        "active": ring.active,
        "keys": {name: base64.b64encode(key).decode() for name, key in ring.keys.items()},
        "operator": base64.b64encode(ring.operator_seed).decode(),
        "times": {
            name: {event: at for event, at in asdict(times).items() if at is not None}
            for name, times in ring.times.items()
        },
    }


@contextmanager
def _draft(path: Path, ring: KeyRing, owner: os.stat_result | None = None) -> Iterator[Path]:
    """A ring on disk beside `path`, for as long as it is needed; whose `path` is, if `owner` says so."""
    draft = path.with_name(f".{path.name}.{entropy.identifier()}.draft")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            if owner is not None and (owner.st_uid, owner.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(handle, owner.st_uid, owner.st_gid)  # or a gateway could not read what root wrote
            json.dump(_document_of(ring), file, indent=2)
            file.flush()
            os.fsync(handle)
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def _sweep(path: Path) -> None:
    """Remove the drafts of those who were killed: they hold keys as well."""
    name = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{32}}\.draft")
    for entry in path.parent.iterdir():
        if name.fullmatch(entry.name):
            entry.unlink(missing_ok=True)


def _faulty(path: Path, message: str) -> Faulty:
    return Faulty([Fault(str(path), 1, 1, message)])
