"""The key ring: what is secret in the store is sealed under keys that the store never sees.

AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce. A sealed value names its key and is bound
to the record it belongs to by the associated data, so that a value copied to another record, or
to another account, does not open.

One key of a ring is active: it seals. The others open only. A key waits until it is made the active one,
so that every machine can have it before anything is sealed with it; after the next one took its place
it is kept, until nothing is sealed with it any more and it is taken out.
"""

import base64
import functools
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway import clock, entropy
from gateway.errors import KeyMissing, SealBroken

KEY_BYTES = 32
_NONCE_BYTES = 12
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class Seals(Protocol):
    """What seals and opens: a ring, or the ring that a file holds now."""

    def seal(self, plain: bytes, *, bound_to: str) -> bytes: ...

    def open(self, sealed: bytes, *, bound_to: str) -> bytes: ...

    def operator_key(self) -> Ed25519PrivateKey: ...

    def event_key(self) -> EllipticCurvePrivateKey: ...

    def tag(self, text: str) -> str: ...


class KeyState(StrEnum):
    """What a ring does with a key."""

    ACTIVE = "active"
    WAITING = "waiting"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class KeyTimes:
    """When a key was made, and from and until when it was the active one.

    Unix seconds; None for what has not happened, or happened before rings kept it.
    """

    made_at: float | None = None
    active_from: float | None = None
    active_until: float | None = None


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Sealing keys by name, of which one is active, and the key that signs operators' tokens."""

    active: str
    keys: Mapping[str, bytes] = field(repr=False)
    operator_seed: bytes = field(repr=False)
    times: Mapping[str, KeyTimes] = field(default_factory=dict)

    def seal(self, plain: bytes, *, bound_to: str) -> bytes:
        """Encrypt `plain` for the record named `bound_to`."""
        nonce = entropy.octets(_NONCE_BYTES)
        sealed = AESGCM(self.keys[self.active]).encrypt(nonce, plain, bound_to.encode())
        return b".".join((self.active.encode(), base64.urlsafe_b64encode(nonce + sealed)))

    def open(self, sealed: bytes, *, bound_to: str) -> bytes:
        """Decrypt what `seal` made for `bound_to`. Raises SealBroken, and of its kind KeyMissing."""
        name, _, body = sealed.partition(b".")
        key = self.keys.get(name.decode(errors="replace"))
        if key is None:
            raise KeyMissing("the key of a sealed value is not in the key ring")
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

    def event_key(self) -> EllipticCurvePrivateKey:
        """The P-256 key that signs what other parties verify, of whom many know no Ed25519: events, and the
        assertions for apps.

        Derived from the operators' seed by HKDF-SHA256 (RFC 5869), so every node has the same one without a
        further secret to hand out. 384 bits are taken, so that no private key is likelier than another
        (FIPS 186-5 section A.2.1).
        """
        return _event_key(self.operator_seed)

    def operator_key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.operator_seed)

    def state(self, name: str) -> KeyState:
        """What this ring does with one of its keys."""
        if name == self.active:
            return KeyState.ACTIVE
        times = self.times.get(name, KeyTimes())
        began = times.active_from is not None or times.active_until is not None
        return KeyState.WAITING if times.made_at is not None and not began else KeyState.KEPT

    def since(self, name: str) -> float | None:
        """From when a key has been in its state; None where the ring does not know."""
        times = self.times.get(name, KeyTimes())
        match self.state(name):
            case KeyState.ACTIVE:
                return times.active_from
            case KeyState.WAITING:
                return times.made_at
            case KeyState.KEPT:
                return times.active_until

    def waiting(self) -> str | None:
        """The newest key that has never been active."""
        waiting = [name for name in self.keys if self.state(name) is KeyState.WAITING]
        return max(waiting, key=lambda name: self.since(name) or 0.0, default=None)

    def with_new_key(self, now: float) -> "KeyRing":
        """The same ring with one more key, which waits."""
        name = _new_name()
        while name in self.keys:  # a name stands for one key, or what the other one sealed is lost
            name = _new_name()
        return replace(
            self,
            keys={**self.keys, name: entropy.octets(KEY_BYTES)},
            times={**self.times, name: KeyTimes(made_at=now)},
        )

    def activated(self, name: str, now: float) -> "KeyRing":
        """The same keys, of which `name` seals from now on."""
        if self.state(name) is KeyState.ACTIVE:
            return self
        old, new = self.times.get(self.active, KeyTimes()), self.times.get(name, KeyTimes())
        return replace(
            self,
            active=name,
            times={
                **self.times,
                self.active: replace(old, active_until=now),
                name: replace(new, active_from=now, active_until=None),
            },
        )

    def without(self, name: str) -> "KeyRing":
        """The same ring with one key less. Raises ValueError for the active key."""
        if name == self.active:
            raise ValueError("a ring has an active key")
        return replace(
            self,
            keys={other: key for other, key in self.keys.items() if other != name},
            times={other: times for other, times in self.times.items() if other != name},
        )


def new_keyring() -> KeyRing:
    name, now = _new_name(), clock.now()
    return KeyRing(
        active=name,
        keys={name: entropy.octets(KEY_BYTES)},
        operator_seed=entropy.octets(KEY_BYTES),
        times={name: KeyTimes(made_at=now, active_from=now)},
    )


def _new_name() -> str:
    return f"k-{entropy.identifier()[:8]}"


@functools.lru_cache(maxsize=2)
def _event_key(seed: bytes) -> EllipticCurvePrivateKey:
    """Kept, since assertions are signed by the hundred: to derive it takes longer than to sign."""
    wide = HKDF(hashes.SHA256(), length=48, salt=None, info=b"watchword events").derive(seed)
    return ec.derive_private_key(int.from_bytes(wide, "big") % (_P256_ORDER - 1) + 1, ec.SECP256R1())
