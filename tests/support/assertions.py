"""What an app does with an assertion, as docs/guide.md shows it."""

from collections.abc import Mapping
from typing import Any

import jwt
from support.raw_client import Answer

HOURS_AHEAD: Any = {"verify_exp": False, "verify_iat": False}
"""A scene's clock is not the system's, which PyJWT reads."""


def verified(token: str, keys: Mapping[str, Any], audience: str, issuer: str) -> dict[str, Any]:
    """The claims; raises PyJWTError for what does not count, KeyError for an unknown key."""
    header = jwt.get_unverified_header(token)
    if header["typ"] != "watchword-assertion+jwt":
        raise jwt.InvalidTokenError("this is some other token")
    key = jwt.PyJWKSet.from_dict(dict(keys))[header["kid"]]
    required = ["iss", "aud", "sub", "exp", "iat"]
    claims: dict[str, Any] = jwt.decode(
        token,
        key.key,
        algorithms=["ES256"],
        audience=audience,
        issuer=issuer,
        options={**HOURS_AHEAD, "require": required},
    )
    return claims


def key_set(answer: Answer) -> Mapping[str, Any]:
    found: Mapping[str, Any] = answer.json
    return found
