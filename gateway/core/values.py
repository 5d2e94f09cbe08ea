"""The types of values in documents: durations, sizes, switches, names. For the fields of a `Shape`.

Each turns what a person writes into what the code uses, or raises ValueError with a message that
says what to write instead.
"""

import re
from collections.abc import Callable, Sized
from ipaddress import ip_address
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from gateway.core.located import nearest

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_BYTES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_QUANTITY = re.compile(r"([0-9]{1,12})([A-Za-z]+)", re.ASCII)
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)
_SWITCH = {"on": True, "yes": True, "true": True, "off": False, "no": False, "false": False}


def parse_duration(text: str) -> float:
    """Seconds from text such as `500ms`, `30s`, `5m`, `1h` or `7d`; more than zero."""
    found = _QUANTITY.fullmatch(text)
    if found is None or found[2] not in _SECONDS or not int(found[1]):
        raise ValueError(f"{text!r} is not a duration; write one such as 30s, 5m, 1h or 7d")
    return float(int(found[1]) * _SECONDS[found[2]])


def parse_size(text: str) -> int:
    """Bytes from text such as `512B`, `64KiB` (1024s), `10MiB` or `1GB` (1000s)."""
    found = _QUANTITY.fullmatch(text)
    if found is None or found[2] not in _BYTES:
        raise ValueError(f"{text!r} is not a size; write one such as 512B, 64KiB, 10MiB or 1GB")
    return int(found[1]) * _BYTES[found[2]]


def _with_unit(parse: Callable[[str], float]) -> BeforeValidator:
    def convert(value: Any, info: ValidationInfo) -> Any:
        """A bare number has no unit, so a document may not hold one; Python code means the base unit."""
        return value if info.context is None and not isinstance(value, str) else parse(str(value))

    return BeforeValidator(convert)


def _switch(value: Any) -> bool:
    """YAML 1.2 reads `on` and `yes` as text, and people still mean a switch by them."""
    found = _SWITCH.get(str(value).lower())
    if found is None:
        raise ValueError(f"must be on or off, not {value!r}")
    return found


def _not_a_switch(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a whole number, not true or false")  # noqa: TRY004 - pydantic collects ValueError
    return value


def _text(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise ValueError("must be one line of visible text")
    return value.strip()


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError(f"{value!r} is not a name; use small letters, digits and single hyphens")
    return value


def is_loopback(host: str) -> bool:
    """Whether a host name or address (with brackets or without) can only be this machine."""
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761 section 6.3
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def one_of(known: tuple[str, ...], what: str) -> AfterValidator:
    """A validator for text that must be one of `known`, each of which is `what`."""

    def check(value: str) -> str:
        if value not in known:
            raise ValueError(f"{value!r} is not {what}{nearest(value.upper(), known)}")
        return value

    return AfterValidator(check)


Duration = Annotated[float, _with_unit(parse_duration)]
"""Seconds."""

Size = Annotated[int, _with_unit(parse_size)]
"""Bytes."""

Switch = Annotated[bool, BeforeValidator(_switch)]
Count = Annotated[int, BeforeValidator(_not_a_switch), Field(ge=1)]
CountFromZero = Annotated[int, BeforeValidator(_not_a_switch), Field(ge=0)]
Port = Annotated[int, BeforeValidator(_not_a_switch), Field(ge=0, le=65535)]
Text = Annotated[str, AfterValidator(_text)]
Name = Annotated[str, AfterValidator(_name)]


def _not_empty(value: Sized) -> Sized:
    if not value:
        raise ValueError("must not be empty; leave the key out instead")
    return value


NOT_EMPTY = AfterValidator(_not_empty)


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


ONE_OR_MANY = BeforeValidator(_as_list)
"""Lets a single piece of text stand for a list of one."""
