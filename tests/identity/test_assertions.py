"""Assertions are signed with the key that the ring has now, and name it."""

from pathlib import Path

import jwt
from support.store import RING

from gateway.identity.assertions import Assertions
from gateway.identity.event_key import jwk_set
from gateway.store.keyring import new_keyring
from gateway.store.live_ring import LiveKeyRing
from gateway.store.ring_file import changing, load_or_create

CLAIMS = {"sub": "ada", "aud": "notes"}


def test_a_token_says_what_it_is_and_who_signed_it() -> None:
    token = Assertions(RING).sign(CLAIMS)
    assert token.isascii()
    (key,) = jwk_set(RING.event_key().public_key())["keys"]
    header = jwt.get_unverified_header(token)
    assert header == {"alg": "ES256", "typ": "watchword-assertion+jwt", "kid": key["kid"]}
    assert jwt.decode(token, jwt.PyJWK(key).key, algorithms=["ES256"], audience="notes") == CLAIMS


def test_another_key_in_the_ring_signs_from_then_on(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    ring = LiveKeyRing(path, load_or_create(path))
    assertions = Assertions(ring)
    before = jwt.get_unverified_header(assertions.sign(CLAIMS))["kid"]
    assert not assertions.follow()
    newer = new_keyring()
    with changing(path) as file:
        old = file.ring
        file.put(
            type(newer)(
                active=newer.active,
                keys={**old.keys, **newer.keys},
                operator_seed=newer.operator_seed,
                times={**old.times, **newer.times},
            )
        )
    assert assertions.follow() and not assertions.follow()
    token = assertions.sign(CLAIMS)
    (key,) = jwk_set(newer.event_key().public_key())["keys"]
    assert jwt.get_unverified_header(token)["kid"] == key["kid"] != before
    assert jwt.decode(token, jwt.PyJWK(key).key, algorithms=["ES256"], audience="notes") == CLAIMS
