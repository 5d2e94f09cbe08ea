"""Fields of a JSON or form body, read so that no two readers can disagree.

A key that comes twice, a body that is not what its type says, an encoding in disguise: the app might
read another value than the one that a person is shown. All of it is rejected.
"""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NoReturn
from urllib.parse import unquote_plus

from gateway.errors import BadRequest

_FORM = "application/x-www-form-urlencoded"


def read_fields(body: bytes, content_type: str | None) -> Mapping[str, Any]:
    """The top-level fields of a body: text from a form, JSON values from a JSON object.

    Raises BadRequest for any other type, and for everything malformed or ambiguous.
    """
    kind, _, parameters = (content_type or "").partition(";")
    kind = kind.strip().lower()
    is_json = kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
    if kind != _FORM and not is_json:
        raise BadRequest(f"only {_FORM} and JSON bodies can be read here")
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    if charset not in ("", "utf-8"):
        raise BadRequest("the body must be UTF-8")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest("the body is not UTF-8") from None
    return _json_fields(text) if is_json else _form_fields(text)


def pick(fields: Mapping[str, Any], path: str) -> str | None:
    """The field at a dotted `path`, as text to show; None when there is none."""
    value: Any = fields
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    if isinstance(value, str | Decimal):
        return str(value)  # a number in full: rounded, it would be another one
    return json.dumps(value, ensure_ascii=False, default=str)


def _form_fields(text: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for pair in filter(None, text.split("&")):
        name, _, value = pair.partition("=")
        if ";" in pair:
            raise BadRequest("a form separates its fields with & only")
        try:
            key, content = (unquote_plus(part, errors="strict") for part in (name, value))
        except UnicodeDecodeError:
            raise BadRequest("a form field is not UTF-8") from None
        if key in fields:
            raise BadRequest("a field of the body comes twice")  # unnamed: this goes to the log
        fields[key] = content
    return fields


def _json_fields(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_float=Decimal, parse_constant=_no_constant)
        if "\\u" in text:  # half a surrogate pair is text to some readers only (RFC 8259 section 8.2)
            json.dumps(value, ensure_ascii=False, default=str).encode()
    except (ValueError, RecursionError, ArithmeticError):  # the last for 1e9999999999999999999
        raise BadRequest("the body is not JSON") from None
    if not isinstance(value, dict):
        raise BadRequest("the body must be a JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise BadRequest("a field of the body comes twice")
    return fields


def _no_constant(name: str) -> NoReturn:
    raise BadRequest(f"{name} is not JSON")
