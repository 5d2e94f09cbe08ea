"""The keys of those whose tokens count: JWK Sets (RFC 7517), each key with the one algorithm it is for.

A token never says how it is to be checked. The algorithm is that of the key that it names, and only
public-key algorithms are known here, so that nobody signs with what is public.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import jwt
import structlog

from gateway.backchannel_settings import Algorithm

LARGEST_SET = 256 * 1024
"""Bytes of a JWK Set."""

_LEAST_RSA_BITS = 2048

_log = structlog.get_logger("gateway.backchannel")


@dataclass(frozen=True, slots=True)
class Key:
    """`public` is what PyJWT takes for `algorithm`."""

    algorithm: Algorithm
    public: Any


Keys = Mapping[str, Key]
"""By `kid`."""


class KeySource(Protocol):
    """Where the keys of one issuer come from."""

    async def find(self, kid: str) -> Key | None:
        """The key of this name; None if there is none such. Raises KeysUnavailable."""

    async def close(self) -> None:
        """Let go of what is held open."""


def read_keys(text: str | bytes, algorithms: Sequence[Algorithm]) -> Keys:
    """The keys of a JWK Set that serve one of `algorithms`. Raises ValueError where there are none."""
    try:
        document = json.loads(text)
        entries = document["keys"]
        keys = {entry["kid"]: key for entry in entries if (key := _key_of(entry, algorithms))}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"this is not a JWK Set ({type(error).__name__})") from None
    if not keys:
        raise ValueError(f"no key in it has a kid and serves one of {', '.join(algorithms)}")
    return keys


def _key_of(entry: Mapping[str, Any], algorithms: Sequence[Algorithm]) -> Key | None:
    """One key; None for one that signs nothing, has no name, or is for an algorithm that is not taken."""
    if entry["kty"] == "oct" or "d" in entry:
        raise TypeError("a secret is not for publishing")
    if not isinstance(entry.get("kid"), str) or entry.get("use", "sig") != "sig":
        return None
    if "verify" not in entry.get("key_ops", ["verify"]):
        return None
    algorithm = next((name for name in algorithms if _fits(entry, name)), None)
    if algorithm is None:
        return None
    try:
        public = jwt.PyJWK(dict(entry), algorithm).key
    except jwt.PyJWTError:
        return None
    if getattr(public, "key_size", _LEAST_RSA_BITS) < _LEAST_RSA_BITS and entry["kty"] == "RSA":
        return None
    return Key(algorithm, public)


def _fits(entry: Mapping[str, Any], algorithm: Algorithm) -> bool:
    """Whether a key is for an algorithm: it says so, or it says nothing and is of that kind."""
    kind = {"RS": ("RSA", None), "PS": ("RSA", None), "Ed": ("OKP", "Ed25519")}.get(
        algorithm[:2], ("EC", {"ES256": "P-256", "ES384": "P-384"}.get(algorithm))
    )
    return (entry["kty"], entry.get("crv")) == kind and entry.get("alg", algorithm) == algorithm


class FileKeys:
    """The keys in a file, which is looked at again whenever it was replaced."""

    def __init__(self, path: Path, algorithms: Sequence[Algorithm]) -> None:
        """Raises OSError, ValueError."""
        self._path = path
        self._algorithms = algorithms
        self._looked_at = self._state()
        self._keys = self._read()

    async def find(self, kid: str) -> Key | None:
        """The key of this name in the file of now, or in the last one that could be used."""
        state = self._state()
        if state != self._looked_at:
            self._looked_at = state
            try:
                self._keys = self._read()
            except (OSError, ValueError) as error:
                _log.error(
                    "these keys cannot be read, those in use stay", path=str(self._path), why=str(error)
                )
        return self._keys.get(kid)

    async def close(self) -> None:
        """There is nothing to close."""

    def _read(self) -> Keys:
        with self._path.open("rb") as file:
            text = file.read(LARGEST_SET + 1)
        if len(text) > LARGEST_SET:
            raise ValueError("it is too large for a JWK Set")
        return read_keys(text, self._algorithms)

    def _state(self) -> tuple[int, ...]:
        """What changes whenever the file does; empty when there is none."""
        try:
            status = self._path.stat()
        except OSError:
            return ()
        return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
