"""The customer's profile."""

from collections.abc import Mapping

from aiohttp import web

from gateway.demo.fields import Fields, Rejected, Unreadable, is_json, phone_of, read_fields, text
from gateway.demo.ledger import Profile
from gateway.demo.rendering import page, problem
from gateway.demo.visit import Visit, visit_of

NAME_LENGTH = 60
"""Characters that a display name may have."""


async def show(request: web.Request) -> web.Response:
    """`GET /profile`: the form."""
    visit = visit_of(request)
    return _form(visit, visit.customer.profile, {})


async def update(request: web.Request) -> web.Response:
    """`POST /profile` with `display_name`, `phone` and `price_alerts`, as a form or as JSON.

    What is missing is cleared, as with an emptied field or an unticked box.
    """
    try:
        fields = await read_fields(request)
    except Unreadable as error:
        return problem(400, str(error))
    visit = visit_of(request)
    try:
        visit.customer.profile = profile = profile_of(fields)
    except Rejected as error:
        if is_json(request):
            return problem(422, str(error), errors=error.errors)
        return _form(visit, _as_sent(fields), error.errors)
    if is_json(request):
        return web.json_response(
            {
                "display_name": profile.display_name,
                "phone": profile.phone,
                "price_alerts": profile.price_alerts,
            }
        )
    return _form(visit, profile, {}, saved=True)


def profile_of(fields: Fields) -> Profile:
    """Check the fields. Raises Rejected."""
    errors = {}
    profile = _as_sent(fields)
    if len(profile.display_name) > NAME_LENGTH:
        errors["display_name"] = f"Keep the name to {NAME_LENGTH} characters."
    try:
        phone_of(fields)
    except ValueError as error:
        errors["phone"] = str(error)
    if errors:
        raise Rejected(errors)
    return profile


def _as_sent(fields: Fields) -> Profile:
    return Profile(
        text(fields, "display_name"), text(fields, "phone"), fields.get("price_alerts") in ("on", True)
    )


def _form(visit: Visit, profile: Profile, errors: Mapping[str, str], *, saved: bool = False) -> web.Response:
    return page(
        visit,
        "profile.html",
        status=422 if errors else 200,
        profile=profile,
        errors=errors,
        saved=saved,
        name_length=NAME_LENGTH,
    )
