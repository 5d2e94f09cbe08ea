"""What makes an operator's token count, and the ways to forge one."""

import base64
import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from support.store import RING

from gateway.admin.tokens import LONGEST_TOKEN, Operator, Scope, TokenFault, issue_token, verify_token
from gateway.store.keyring import new_keyring

NOW = 1_760_000_000.5
LIFETIME = 3600.0
KEY = RING.operator_key()
GENUINE = issue_token(RING, "grace", frozenset({Scope.READ, Scope.REVOKE}), LIFETIME, NOW)
CLAIMS: dict[str, Any] = jwt.decode(GENUINE, options={"verify_signature": False})
OUR_HEADER = {"alg": "EdDSA", "typ": "JWT"}
HEADER, PAYLOAD, SIGNATURE = GENUINE.split(".")


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def signed(claims: object, header: object = OUR_HEADER) -> str:
    """Any header and any payload, with a genuine signature."""
    text = f"{part(header)}.{part(claims)}"
    signature = base64.urlsafe_b64encode(KEY.sign(text.encode())).rstrip(b"=").decode()
    return f"{text}.{signature}"


def public_key(encoding: Encoding, form: PublicFormat) -> bytes:
    return KEY.public_key().public_bytes(encoding, form)


def hs256(secret: bytes) -> str:
    """What PyJWT itself refuses to make: an HMAC keyed with a public key."""
    algorithm = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    text = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{PAYLOAD}"
    return f"{text}.{base64.urlsafe_b64encode(algorithm.sign(text.encode(), secret)).rstrip(b'=').decode()}"


def test_a_token_tells_who_may_do_what() -> None:
    operator = verify_token(GENUINE, RING, NOW)
    assert operator == Operator("grace", frozenset({Scope.READ, Scope.REVOKE}), CLAIMS["jti"])
    assert dict(CLAIMS) == {
        "iss": "watchword",
        "aud": "watchword-operators",
        "sub": "grace",
        "scope": "read revoke",
        "iat": 1_760_000_000,
        "exp": 1_760_003_600,
        "jti": CLAIMS["jti"],
    }


def test_the_helper_signs_what_counts() -> None:
    assert isinstance(verify_token(signed(CLAIMS), RING, NOW), Operator)


def test_no_two_tokens_have_one_id() -> None:
    tokens = [issue_token(RING, "grace", frozenset({Scope.READ}), 60, NOW) for _ in range(2)]
    first, second = (verify_token(token, RING, NOW) for token in tokens)
    assert isinstance(first, Operator)
    assert isinstance(second, Operator)
    assert first.token_id != second.token_id


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (-6.5, TokenFault.NOT_YET_VALID),
        (-5.5, None),  # clocks may be 5 s apart
        (3600, None),
        (3604, None),
        (3604.5, TokenFault.EXPIRED),
        (1e9, TokenFault.EXPIRED),
    ],
)
def test_a_token_counts_in_its_time(after: float, expected: TokenFault | None) -> None:
    found = verify_token(GENUINE, RING, NOW + after)
    assert isinstance(found, Operator) if expected is None else found is expected


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(jwt.encode(CLAIMS, None, algorithm="none"), id="alg none"),
        pytest.param(f"{part({'alg': 'none', 'typ': 'JWT'})}.{PAYLOAD}.{SIGNATURE}", id="alg none, signed"),
        pytest.param(f"{part({'alg': 'nOnE', 'typ': 'JWT'})}.{PAYLOAD}.", id="alg nOnE"),
        pytest.param(signed(CLAIMS, {"alg": ["EdDSA"], "typ": "JWT"}), id="algs"),
        pytest.param(signed(CLAIMS, {"typ": "JWT"}), id="no alg"),
        pytest.param(hs256(public_key(Encoding.Raw, PublicFormat.Raw)), id="HS256 with the public key"),
        pytest.param(
            hs256(public_key(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)), id="HS256 with its PEM"
        ),
        pytest.param(hs256(b""), id="HS256 with nothing"),
        pytest.param(
            jwt.encode(CLAIMS, Ed25519PrivateKey.from_private_bytes(b"x" * 32), algorithm="EdDSA"),
            id="another key",
        ),
        pytest.param(f"{HEADER}.{part({**CLAIMS, 'scope': 'reset'})}.{SIGNATURE}", id="another payload"),
        pytest.param(f"{HEADER}.{PAYLOAD}.{part('x' * 46)}", id="another signature"),
        pytest.param(f"{HEADER}.{PAYLOAD}.", id="no signature"),
    ],
)
def test_what_this_gateway_did_not_sign_does_not_count(token: str) -> None:
    assert verify_token(token, RING, NOW) is TokenFault.FORGED


@pytest.mark.parametrize("name", ["kid", "jku", "jwk", "x5c", "crit", "zip", "cty"])
def test_a_header_that_is_not_ours_does_not_count(name: str) -> None:
    header = {**OUR_HEADER, name: ["exp"]}
    assert verify_token(signed(CLAIMS, header), RING, NOW) is TokenFault.MALFORMED


@pytest.mark.parametrize("header", [{"alg": "EdDSA"}, {"alg": "EdDSA", "typ": "jwt"}])
def test_a_token_says_that_it_is_one(header: object) -> None:
    assert verify_token(signed(CLAIMS, header), RING, NOW) is TokenFault.MALFORMED


@pytest.mark.parametrize("claim", sorted(CLAIMS))
def test_no_claim_may_be_missing(claim: str) -> None:
    claims = {name: value for name, value in CLAIMS.items() if name != claim}
    assert verify_token(signed(claims), RING, NOW) is TokenFault.MALFORMED


@pytest.mark.parametrize(
    ("claim", "value", "fault"),
    [
        ("iss", "somebody", TokenFault.FOREIGN),
        ("iss", ["watchword"], TokenFault.MALFORMED),
        ("aud", "watchword-apps", TokenFault.FOREIGN),
        ("aud", ["watchword-operators"], TokenFault.MALFORMED),
        ("aud", "", TokenFault.FOREIGN),
        ("sub", "", TokenFault.MALFORMED),
        ("sub", None, TokenFault.MALFORMED),
        ("sub", "?", TokenFault.MALFORMED),
        ("sub", "grace\noperator:ada", TokenFault.MALFORMED),
        ("sub", "g" * 65, TokenFault.MALFORMED),
        ("scope", ["read", "revoke"], TokenFault.MALFORMED),
        ("scope", {"read": True}, TokenFault.MALFORMED),
        ("scope", True, TokenFault.MALFORMED),
        ("scope", "", TokenFault.MALFORMED),
        ("scope", "read  revoke", TokenFault.MALFORMED),
        ("scope", "READ", TokenFault.MALFORMED),
        ("scope", "read,revoke", TokenFault.MALFORMED),
        ("scope", "read everything", TokenFault.MALFORMED),
        ("iat", NOW + 60, TokenFault.MALFORMED),
        ("iat", int(NOW) + 60, TokenFault.NOT_YET_VALID),
        ("iat", "0", TokenFault.MALFORMED),
        ("iat", True, TokenFault.MALFORMED),
        ("exp", int(NOW) - 60, TokenFault.EXPIRED),
        ("exp", str(int(NOW) + 60), TokenFault.MALFORMED),
        ("exp", float("inf"), TokenFault.MALFORMED),
        ("exp", float("nan"), TokenFault.MALFORMED),
        ("exp", None, TokenFault.MALFORMED),
        ("jti", 7, TokenFault.MALFORMED),
        ("nbf", int(NOW) + 60, TokenFault.MALFORMED),  # not one of ours: nothing is taken that is not judged
        ("admin", True, TokenFault.MALFORMED),
    ],
)
def test_a_claim_counts_only_in_its_own_form(claim: str, value: object, fault: TokenFault) -> None:
    assert verify_token(signed({**CLAIMS, claim: value}), RING, NOW) is fault


@pytest.mark.parametrize("claims", [[], "claims", None, 1, [CLAIMS]])
def test_claims_are_an_object(claims: object) -> None:
    assert verify_token(signed(claims), RING, NOW) is TokenFault.MALFORMED


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b.c",
        GENUINE + ".x",
        "." + GENUINE,
        GENUINE + " ",
        "\udcff" + GENUINE[1:],
        "é" + GENUINE[1:],
        GENUINE + "A" * LONGEST_TOKEN,
        base64.urlsafe_b64encode(b"[" * 3000).decode() + ".e30.",
    ],
)
def test_what_is_no_token_does_not_count(token: str) -> None:
    assert verify_token(token, RING, NOW) is TokenFault.MALFORMED


def test_a_long_token_is_not_looked_at() -> None:
    claims = {**CLAIMS, "jti": "0" * LONGEST_TOKEN}
    assert verify_token(signed(claims), RING, NOW) is TokenFault.MALFORMED


@given(st.text())
def test_no_text_is_a_token(text: str) -> None:
    assert isinstance(verify_token(text, RING, NOW), TokenFault)


@given(st.integers(0, len(GENUINE) - 1), st.characters(codec="ascii"))
def test_one_other_character_makes_it_void(position: int, character: str) -> None:
    changed = GENUINE[:position] + character + GENUINE[position + 1 :]
    assert changed == GENUINE or isinstance(verify_token(changed, RING, NOW), TokenFault)


def test_another_key_ring_has_other_operators() -> None:
    assert verify_token(GENUINE, new_keyring(), NOW) is TokenFault.FORGED


@pytest.mark.parametrize("name", ["grace", "grace.hopper@example.org", "on-call_2", "a" * 64])
def test_names_that_a_token_may_have(name: str) -> None:
    operator = verify_token(issue_token(RING, name, frozenset({Scope.READ}), 60, NOW), RING, NOW)
    assert isinstance(operator, Operator)
    assert operator.name == name


@pytest.mark.parametrize(
    "issue",
    [
        lambda: issue_token(RING, "", frozenset({Scope.READ}), 60, NOW),
        lambda: issue_token(RING, "two words", frozenset({Scope.READ}), 60, NOW),
        lambda: issue_token(RING, "a" * 65, frozenset({Scope.READ}), 60, NOW),
        lambda: issue_token(RING, "grace\n", frozenset({Scope.READ}), 60, NOW),
        lambda: issue_token(RING, "grace", frozenset(), 60, NOW),
        lambda: issue_token(RING, "grace", frozenset({Scope.READ}), 0, NOW),
        lambda: issue_token(RING, "grace", frozenset({Scope.READ}), -60, NOW),
    ],
)
def test_tokens_that_are_not_made(issue: Callable[[], str]) -> None:
    with pytest.raises(ValueError, match=r"an operator's name has|a token needs"):
        issue()
