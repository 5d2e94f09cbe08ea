"""The key ring: what is secret in the store is sealed under keys that the store never sees.

AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce. A sealed value names its key and is bound
to the record it belongs to by the associated data, so that a value copied to another record, or
to another account, does not open.
"""

import base64
import hashlib
import hmac
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway import entropy
from gateway.errors import Fault, Faulty, SealBroken

_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Sealing keys by name, of which one is active, and the key that signs operators' tokens."""

    active: str
    keys: Mapping[str, bytes] = field(repr=False)
    operator_seed: bytes = field(repr=False)

    def seal(self, plain: bytes, *, bound_to: str) -> bytes:
        """Encrypt `plain` for the record named `bound_to`."""
        nonce = entropy.octets(_NONCE_BYTES)
        sealed = AESGCM(self.keys[self.active]).encrypt(nonce, plain, bound_to.encode())
        return b".".join((self.active.encode(), base64.urlsafe_b64encode(nonce + sealed)))

    def open(self, sealed: bytes, *, bound_to: str) -> bytes:
        """Decrypt what `seal` made for `bound_to`. Raises SealBroken."""
        name, _, body = sealed.partition(b".")
        key = self.keys.get(name.decode(errors="replace"))
        if key is None:
            raise SealBroken("the key of a sealed value is not in the key ring")
        try:
            raw = base64.urlsafe_b64decode(body)
            return AESGCM(key).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], bound_to.encode())
        except (InvalidTag, ValueError):
            raise SealBroken("a sealed value was altered, or belongs to another record") from None

    def tag(self, text: str) -> str:
        """A proof that this ring was asked about `text`, as 43 URL-safe characters: HMAC-SHA256 (RFC 2104).

        Its key is derived from the operators' seed, which itself does nothing but sign.
        """
        key = hmac.digest(self.operator_seed, b"watchword tags", hashlib.sha256)
        digest = hmac.digest(key, text.encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def operator_key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.operator_seed)


def new_keyring() -> KeyRing:
    name = f"k-{entropy.identifier()[:8]}"
    return KeyRing(active=name, keys={name: entropy.octets(32)}, operator_seed=entropy.octets(32))


def load_or_create(path: Path) -> KeyRing:
    """The ring in `path`; made there, with mode 0600, when there is none.

    Two processes that start at once end up with one ring. Raises Faulty for a file that others may
    read, or that is not a key ring (such a file is never overwritten), and where none can be made.
    """
    try:
        if not path.exists():
            _create(path, new_keyring())
    except OSError as error:
        raise _faulty(path, f"the key ring cannot be made here: {error.strerror}") from None
    return load(path)


def load(path: Path) -> KeyRing:
    """The ring in `path`. Raises Faulty."""
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise _faulty(path, "the key ring may be read by others: chmod 600 it")
        document = json.loads(path.read_text())
        ring = KeyRing(
            active=str(document["active"]),
            keys={name: base64.b64decode(key) for name, key in document["keys"].items()},
            operator_seed=base64.b64decode(document["operator"]),
        )
    except FileNotFoundError:
        raise _faulty(path, "there is no key ring; it is made at the first start") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _faulty(path, f"this is not a key ring ({type(error).__name__})") from None
    if ring.active not in ring.keys or any(
        len(key) != 32 for key in (*ring.keys.values(), ring.operator_seed)
    ):
        raise _faulty(path, "the key ring has no active key, or a key that is not 256 bits long")
    return ring


def _create(path: Path, ring: KeyRing) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    document = {
        "active": ring.active,
        "keys": {name: base64.b64encode(key).decode() for name, key in ring.keys.items()},
        "operator": base64.b64encode(ring.operator_seed).decode(),
    }
    draft = path.with_name(f".{path.name}.{entropy.identifier()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            json.dump(document, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)  # unlike a rename, this never replaces a ring made meanwhile
        except FileExistsError:
            return
    finally:
        draft.unlink()


def _faulty(path: Path, message: str) -> Faulty:
    return Faulty([Fault(str(path), 1, 1, message)])
