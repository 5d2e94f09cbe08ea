"""What operators order: bodies read strictly, with every fault told at once, and those of revocations."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import ErrorDetails

from gateway.admin.call import Refused
from gateway.core.fields import read_fields
from gateway.core.reasons import Reason
from gateway.errors import BadRequest
from gateway.identity.passwords import LONGEST, SHORTEST
from gateway.identity.sign_in import LONGEST_SUBJECT

LARGEST_BODY = 64 * 1024
"""Bytes."""

LONGEST_REASON = 500


def visible(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise ValueError("must be one line of visible text")
    return value


# People paste the wrong thing. What does not look like an id goes no further than here, since what is
# looked up is written to the audit stream, and it might have been the value of a cookie.
RecordId = Annotated[str, StringConstraints(pattern="^[0-9a-f]{32}$")]
Subject = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_SUBJECT), AfterValidator(visible)]
Why = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_REASON), AfterValidator(visible)]


class Body(BaseModel):
    """What a call may send: exactly the fields of the model, in their own types."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


B = TypeVar("B", bound=Body)


class _Order(Body):
    reason: Why


class UnlockCodes(_Order):
    """Let an account's codes count again."""


class SetPassword(_Order):
    """Give an account a new password, and end all its sessions."""

    password: Annotated[str, StringConstraints(min_length=SHORTEST, max_length=LONGEST)] = Field(
        repr=False, json_schema_extra={"format": "password", "writeOnly": True}
    )


class RevokeSession(_Order):
    """End one session."""

    scope: Literal["session"]
    id: RecordId


class RevokeDevice(_Order):
    """End one device, and every session on it."""

    scope: Literal["device"]
    id: RecordId


class RevokeAccount(_Order):
    """End all sessions of an account."""

    scope: Literal["account"]
    subject: Subject


class RevokeEverybody(_Order):
    """End every session there is."""

    scope: Literal["everybody"]


Order = RevokeSession | RevokeDevice | RevokeAccount | RevokeEverybody

ORDERS: Mapping[str, type[Order]] = {
    "session": RevokeSession,
    "device": RevokeDevice,
    "account": RevokeAccount,
    "everybody": RevokeEverybody,
}


class _NoOrder(_Order):
    """What a body is judged by whose scope is missing or unknown, to find its other faults as well."""

    scope: Literal["session", "device", "account", "everybody"]
    id: RecordId = ""
    subject: Subject = ""


async def read_order(request: web.Request) -> Order:
    """The order in a request's body. Raises Refused, with all faults of the body."""
    return parse_order(await _fields(request))


async def read_body(request: web.Request, shape: type[B]) -> B:
    """A request's body, which has to be a `shape`. Raises Refused, with all faults of the body."""
    return _validated(shape, await _fields(request))


async def _fields(request: web.Request) -> Mapping[str, Any]:
    if request.content_type != "application/json":
        raise invalid_body([("", "the body must be application/json")])
    try:
        return read_fields(await request.read(), request.headers["Content-Type"])
    except web.HTTPRequestEntityTooLarge:
        raise Refused(Reason.BODY_TOO_LARGE, f"The body may have {LARGEST_BODY} bytes.") from None
    except web.RequestPayloadError:
        raise invalid_body([("", "the body is broken off, or not in its encoding")]) from None
    except BadRequest as error:
        raise invalid_body([("", str(error))]) from None


def parse_order(fields: Mapping[str, Any]) -> Order:
    """The revocation that a JSON object is. Raises Refused."""
    shape = ORDERS.get(str(fields.get("scope")))
    if shape is not None:
        return _validated(shape, fields)
    _validated(_NoOrder, fields)
    raise AssertionError("a body without a scope has a fault")


def _validated(shape: type[B], fields: Mapping[str, Any]) -> B:
    try:
        return shape.model_validate(fields)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
    raise invalid_body([(str(fault["loc"][0]), _message(fault)) for fault in faults])


def invalid_body(faults: list[tuple[str, str]]) -> Refused:
    """The refusal of a body with these faults, each a field's name and what is wrong with it."""
    told = [{"field": field, "message": message} for field, message in faults]
    return Refused(Reason.INVALID_BODY, "Every fault is listed.", members={"faults": told})


def _message(detail: ErrorDetails) -> str:
    context = detail.get("ctx", {})
    match detail["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return "does not belong here"
        case "literal_error":
            return f"must be {context['expected']}"
        case "string_too_short":
            least = context["min_length"]
            return "must not be empty" if least == 1 else f"must have at least {least} characters"
        case "string_too_long":
            return f"must have at most {context['max_length']} characters"
        case "string_pattern_mismatch":
            return "must be 32 hexadecimal digits"
        case "value_error":
            return str(context["error"])
        case _:
            return "must be text"
