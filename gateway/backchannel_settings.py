"""Who may end sessions here by a signed token, and who is told when some ended: `back-channel`."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, model_validator

from gateway.core.located import Shape
from gateway.core.security_event import SubjectName
from gateway.core.values import NOT_EMPTY, ONE_OR_MANY, Duration, Name, Text
from gateway.notice_settings import Url

Algorithm = Literal["RS256", "PS256", "ES256", "ES384", "EdDSA"]

_MINUTE, _DAY = 60.0, 86_400.0


class Transmitter(Shape):
    """Somebody whose tokens count; their keys are in a file, or fetched from `jwks-url`."""

    issuer: Text
    audience: Text
    keys: Path | None = None
    jwks_url: Url | None = None
    algorithms: Annotated[tuple[Algorithm, ...], ONE_OR_MANY, NOT_EMPTY] = (
        "RS256",
        "ES256",
        "EdDSA",
    )
    subject: SubjectName = "sub"

    @model_validator(mode="after")
    def _one_place_of_keys(self) -> Self:
        if bool(self.keys) == bool(self.jwks_url):
            raise ValueError("give keys or jwks-url, one of them")
        return self


class Receiver(Shape):
    """Somebody who is told; `authorization-file` holds what the header Authorization says to them."""

    name: Name
    url: Url
    audience: Text
    authorization_file: Path | None = None


def _one_of_each_issuer(transmitters: tuple[Transmitter, ...]) -> tuple[Transmitter, ...]:
    _no_doubles([transmitter.issuer for transmitter in transmitters])
    return transmitters


def _one_of_each_name(receivers: tuple[Receiver, ...]) -> tuple[Receiver, ...]:
    _no_doubles([receiver.name for receiver in receivers])
    return receivers


def _no_doubles(names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name!r} is in the list twice")


class BackChannel(Shape):
    """`issuer` is what we call ourselves in events; the ages are how old a token may be that comes in."""

    issuer: Url | None = None
    logout_age: Duration = 5 * _MINUTE
    event_age: Duration = _DAY
    transmitters: Annotated[tuple[Transmitter, ...], AfterValidator(_one_of_each_issuer)] = ()
    receivers: Annotated[tuple[Receiver, ...], AfterValidator(_one_of_each_name)] = ()

    @model_validator(mode="after")
    def _has_a_name(self) -> Self:
        if self.receivers and not self.issuer:
            raise ValueError("receivers must know who tells them: give the issuer")
        return self
