"""Which keys of a JWK Set count, and for which one algorithm."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from support.tokens import jwk, key_set, keys_in

from gateway.backchannel_settings import Algorithm
from gateway.identity.jwks import LARGEST_SET, FileKeys, read_keys

ALL: tuple[Algorithm, ...] = ("RS256", "PS256", "ES256", "ES384", "EdDSA")
ONE = jwk("ES256")
WEAK = rsa.generate_private_key(65537, 1024)


def algorithms(*keys: dict[str, Any], taken: tuple[Algorithm, ...] = ALL) -> dict[str, str]:
    return {kid: key.algorithm for kid, key in read_keys(key_set(*keys), taken).items()}


def test_each_key_is_for_the_algorithm_that_it_names() -> None:
    assert algorithms(*map(jwk, ALL)) == {name: name for name in ALL}


def test_a_key_that_names_none_is_for_the_first_that_is_taken_of_its_kind() -> None:
    unnamed = jwk("RS256", alg=None)
    assert algorithms(unnamed) == {"RS256": "RS256"}
    assert algorithms(unnamed, taken=("PS256", "RS256")) == {"RS256": "PS256"}


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(jwk("ES256", kid=None), id="without a name"),
        pytest.param(jwk("ES256", kid=7), id="a number for a name"),
        pytest.param(jwk("ES256", use="enc"), id="to encrypt with"),
        pytest.param(jwk("ES256", key_ops=["encrypt"]), id="not to verify with"),
        pytest.param(jwk("ES384"), id="an algorithm that is not taken"),
        pytest.param(jwk("ES384", alg="ES256"), id="an algorithm of another curve"),
        pytest.param(jwk("RS256", alg="ES256"), id="an algorithm of another kind"),
        pytest.param(jwk("ES256", alg="HS256"), id="an algorithm of secrets"),
        pytest.param(jwk("ES256", alg="none"), id="no algorithm"),
        pytest.param(jwk("ES256", x="AAAA"), id="no point"),
        pytest.param(jwk("ES256", x=None), id="half a point"),
        pytest.param(jwk("RS256", private=WEAK), id="a short key"),
        pytest.param({"kty": "what", "kid": "w"}, id="an unknown kind"),
    ],
)
def test_keys_that_do_not_count_leave_the_others(other: dict[str, Any]) -> None:
    taken: tuple[Algorithm, ...] = ("ES256", "RS256", "EdDSA")
    assert algorithms(other, jwk("EdDSA"), taken=taken) == {"EdDSA": "EdDSA"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"keys": 1}',
        '{"keys": []}',
        '{"keys": ["key"]}',
        '{"keys": [{}]}',
        "[" * 100_000,
        key_set(jwk("ES384")),
        key_set(ONE, {"kty": "oct", "k": "c2VjcmV0", "kid": "s", "alg": "HS256"}),
        key_set(ONE, jwk("ES256", kid="private", d="c2VjcmV0")),
    ],
)
def test_what_is_no_set_of_public_keys(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a JWK Set|no key in it"):
        read_keys(text, ("ES256",))


@given(
    st.binary()
    | st.dictionaries(st.sampled_from([*ONE]), st.none() | st.text() | st.integers()).map(
        lambda other: json.dumps({"keys": [{**ONE, **other}]}).encode()
    )
)
def test_whatever_is_published_is_keys_or_a_fault(text: bytes) -> None:
    try:
        keys = read_keys(text, ALL)
    except ValueError:
        return
    assert all(key.algorithm in ALL for key in keys.values())


async def test_a_file_is_followed(tmp_path: Path) -> None:
    keys = FileKeys(keys_in(tmp_path, jwk("ES256")), ALL)
    assert await keys.find("ES256") is not None
    assert await keys.find("EdDSA") is None
    keys_in(tmp_path, jwk("EdDSA"))
    assert await keys.find("EdDSA") is not None
    assert await keys.find("ES256") is None, "a key that was taken out counts no more"


async def test_a_file_that_became_unusable_changes_nothing(tmp_path: Path) -> None:
    file = keys_in(tmp_path, jwk("ES256"))
    keys = FileKeys(file, ALL)
    file.write_text("{")
    assert await keys.find("ES256") is not None
    file.unlink()
    assert await keys.find("ES256") is not None
    await keys.close()


def test_files_that_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        FileKeys(tmp_path / "missing", ALL)
    large = tmp_path / "large"
    large.write_text(key_set() + " " * LARGEST_SET)
    with pytest.raises(ValueError, match="too large"):
        FileKeys(large, ALL)
