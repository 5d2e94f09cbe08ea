"""The key ring of a running process, which follows its file: a rotation takes no restart.

The file is looked at again before something is sealed, and when a sealed value names an unknown key.
That costs one `stat` unless the file changed. What cannot be used is logged, and changes nothing.
"""

from pathlib import Path

import structlog
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.errors import Faulty, KeyMissing
from gateway.store.keyring import KeyRing
from gateway.store.ring_file import load

_log = structlog.get_logger("gateway.keys")


class LiveKeyRing:
    """Seals, opens and signs as the ring in its file does."""

    def __init__(self, path: Path, ring: KeyRing) -> None:
        """`ring` is what `path` held just now, and counts until the file says otherwise."""
        self._path = path
        self._ring = ring
        self._looked_at: tuple[int, ...] | None = None

    def current(self) -> KeyRing:
        """The ring in the file, or the last one that could be used."""
        state = self._state()
        if state != self._looked_at:
            self._looked_at = state
            self._take_up()
        return self._ring

    def seal(self, plain: bytes, *, bound_to: str) -> bytes:
        """As `KeyRing.seal`, under the key that is active now."""
        return self.current().seal(plain, bound_to=bound_to)

    def open(self, sealed: bytes, *, bound_to: str) -> bytes:
        """As `KeyRing.open`, also what another process sealed with a key that came since."""
        try:
            return self._ring.open(sealed, bound_to=bound_to)
        except KeyMissing:
            return self.current().open(sealed, bound_to=bound_to)

    def operator_key(self) -> Ed25519PrivateKey:
        return self.current().operator_key()

    def event_key(self) -> EllipticCurvePrivateKey:
        return self.current().event_key()

    def tag(self, text: str) -> str:
        """As `KeyRing.tag`."""
        return self.current().tag(text)

    def _state(self) -> tuple[int, ...]:
        """What changes whenever the file does; empty when there is none."""
        try:
            status = self._path.stat()
        except OSError:
            return ()
        return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    def _take_up(self) -> None:
        try:
            ring = load(self._path)
        except Faulty as error:
            _log.error("the key ring cannot be read, the one in use stays", fault=str(error))
            return
        if not _follows(ring, self._ring):
            _log.error("this ring is of another store, or older; the one in use stays", path=str(self._path))
        elif ring != self._ring:
            self._ring = ring
            _log.info("took up a changed key ring", active=ring.active, keys=sorted(ring.keys))


def _follows(new: KeyRing, old: KeyRing) -> bool:
    """Whether a ring can be what became of another one: not an old backup, nor another store's.

    The key that is active here is kept until it was not used for a while. So a ring that lacks it is one from
    before it, unless its own active key is newer: then this process was away for long.
    """
    if new.keys.get(old.active) == old.keys[old.active]:
        return True
    related = new.operator_seed == old.operator_seed or bool(new.keys.items() & old.keys.items())
    return related and (new.since(new.active) or 0.0) > (old.since(old.active) or 0.0)
