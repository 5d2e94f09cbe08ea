"""The key that signs our events, as others are given it."""

import json

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from support.store import RING

from gateway.identity.event_key import ALGORITHM, jwk_set, key_id
from gateway.identity.jwks import read_keys
from gateway.store.keyring import new_keyring

KEY = RING.event_key()


def test_what_is_signed_with_it_is_proved_by_what_is_published() -> None:
    token = jwt.encode({"jti": "1"}, KEY, algorithm=ALGORITHM)
    published = jwt.PyJWKSet.from_dict(dict(jwk_set(KEY.public_key())))
    (key,) = published.keys
    assert (key.key_id, key.public_key_use) == (key_id(KEY.public_key()), "sig")
    assert jwt.decode(token, key.key, algorithms=[ALGORITHM]) == {"jti": "1"}


def test_another_gateway_can_read_it() -> None:
    (found,) = read_keys(json.dumps(jwk_set(KEY.public_key())), ("ES256",))
    assert found == key_id(KEY.public_key())


def test_another_ring_has_another_key() -> None:
    assert key_id(new_keyring().event_key().public_key()) != key_id(KEY.public_key())


def test_a_name_is_the_thumbprint() -> None:
    """RFC 7638, by hand, for the public key of the private key 1, which is the base point of P-256."""
    one = ec.derive_private_key(1, ec.SECP256R1()).public_key()
    members = jwk_set(one)["keys"][0]
    assert (members["x"], members["y"]) == (
        "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY",
        "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU",
    )
    assert members["kid"] == "xx0BcA-wMohw8atYDJOe6peGModklG2wRHBlXHMvl0M"
    assert "d" not in members
