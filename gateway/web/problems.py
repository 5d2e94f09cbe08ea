"""A refusal as a program sees it: RFC 9457 problem details, with a status for each reason."""

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from gateway.core.reasons import Reason
from gateway.errors import UpstreamFault

PROBLEM_TYPE = "application/problem+json"

_PROBLEMS: Mapping[str, tuple[int, str]] = {
    Reason.NO_SESSION: (401, "Sign in first"),
    Reason.SESSION_EXPIRED: (401, "Your session has expired"),
    Reason.SESSION_REVOKED: (401, "Your session was ended"),
    Reason.EPOCH_MISSING: (401, "Your session cannot be confirmed"),
    Reason.ACCOUNT_DISABLED: (401, "This account is disabled"),
    Reason.DEVICE_REVOKED: (401, "This device was revoked"),
    Reason.DEVICE_PENDING: (401, "This device is not authorised yet"),
    Reason.CODE_NEEDED: (401, "A code is needed"),
    Reason.FACTOR_MISSING: (401, "Set up an authenticator app first"),
    Reason.DEVICE_UNCONFIRMED: (401, "This device is not confirmed yet"),
    Reason.DENIED: (403, "Not allowed"),
    Reason.BAD_REQUEST: (400, "The request cannot be understood"),
    Reason.UNKNOWN_HOST: (421, "No app answers under this name"),
    Reason.METHOD_REFUSED: (405, "This method is not allowed here"),
    Reason.WRONG_ORIGIN: (403, "The request came from another site"),
    Reason.BODY_UNREADABLE: (400, "The request body cannot be understood"),
    Reason.BODY_TOO_LARGE: (413, "The request body is too large"),
    Reason.BODY_UNSEEN: (403, "This cannot be approved on this way"),
    Reason.NOT_FOUND: (404, "There is nothing here"),
    Reason.PROTECTION_LOCKED: (403, "This protection cannot be switched"),
    Reason.STORE_UNAVAILABLE: (503, "The gateway cannot check your session right now"),
    Reason.INTERNAL_ERROR: (500, "Something went wrong in the gateway"),
    Reason.OVERLOADED: (503, "The gateway is busy"),
    Reason.WRONG_CODE: (403, "The code is not right"),
    Reason.USED_CODE: (403, "The code was used already"),
    Reason.EXPIRED_CODE: (403, "The code is too old"),
    Reason.WRONG_CLOCK: (403, "The clock that made the code is off"),
    Reason.MALFORMED_CODE: (422, "A code is six digits"),
    Reason.FACTOR_ON_TRIAL: (403, "This authenticator app cannot take protection away yet"),
    Reason.WRONG_RECOVERY_CODE: (403, "The recovery code is not right, or was used already"),
    Reason.RECOVERY_NOT_ENOUGH: (403, "A recovery code is not enough for this"),
    Reason.TOO_MANY_ATTEMPTS: (429, "Too many attempts"),
    # Not 429: no waiting helps.
    Reason.CODES_LOCKED: (403, "Codes are locked"),
    Reason.CHALLENGE_EXPIRED: (410, "This request for a code has expired"),
    Reason.WRONG_CREDENTIALS: (401, "The name or the password is not right"),
    Reason.WRONG_PASSWORD: (403, "The current password is not right"),
    Reason.UNFIT_PASSWORD: (422, "This cannot be the new password"),
    Reason.UNFIT_NAME: (422, "This cannot be a name"),
    Reason.UNFIT_EMAIL: (422, "This cannot be an e-mail address"),
    Reason.EMAIL_FIXED: (403, "The e-mail address cannot be changed here"),
    Reason.INVALID_TOKEN: (401, "A valid token is needed"),
    Reason.INSUFFICIENT_SCOPE: (403, "The token does not allow this"),
    Reason.INVALID_BODY: (422, "The request body is not what is wanted here"),
    Reason.NOT_RESETTABLE: (409, "There is nothing to reset"),
    Reason.RESET_LIVE: (409, "The account has a case already"),
    Reason.RESET_NOT_OPEN: (409, "The case is approved already"),
    Reason.RESET_CLOSED: (409, "The case is closed"),
    Reason.RESET_EARLY: (409, "It is not time yet"),
    Reason.UNKNOWN_EVIDENCE: (422, "This is not on the checklist"),
    Reason.EVIDENCE_MISSING: (409, "The checklist is not complete"),
    Reason.EVIDENCE_FULL: (409, "The case holds no more statements"),
    Reason.SAME_OPERATOR: (403, "Somebody else has to approve"),
    UpstreamFault.REFUSED: (502, "The app cannot be reached"),
    UpstreamFault.BROKEN: (502, "The app broke off its answer"),
    UpstreamFault.TIMEOUT: (504, "The app did not answer in time"),
}


def status_of(reason: Reason | UpstreamFault) -> int:
    return _PROBLEMS[reason][0]


def title_of(reason: Reason | UpstreamFault) -> str:
    return _PROBLEMS[reason][1]


def problem(
    reason: Reason | UpstreamFault,
    detail: str = "",
    *,
    headers: Mapping[str, str] | None = None,
    **members: Any,
) -> web.Response:
    """The problem for `reason`; `members` are added to its JSON. It is never cached."""
    status, title = _PROBLEMS[reason]
    body = {
        "type": f"urn:watchword:problem:{reason}",
        "title": title,
        "status": status,
        "reason": str(reason),
        **({"detail": detail} if detail else {}),
        **members,
    }
    authenticate = {"WWW-Authenticate": "Bearer"} if status == 401 else {}  # RFC 9110 section 15.5.2
    return web.Response(
        status=status,
        body=json.dumps(body, ensure_ascii=False).encode(),
        headers={
            "Content-Type": PROBLEM_TYPE,
            "Cache-Control": "no-store",
            **authenticate,
            **(headers or {}),
        },
    )


def code_problem(reason: Reason, wait: int, clock_off_by: int = 0) -> web.Response:
    """Why a code was not taken.

    `wait` is in seconds: until the next one can be (0: that is no matter of time), or until the factor is
    no more on trial. So is `clock_off_by`, which is told of a wrong clock
    only: below zero when it is behind.
    """
    if reason is Reason.TOO_MANY_ATTEMPTS:
        return problem(
            reason,
            f"Try again in {wait} s.",
            headers={"Retry-After": str(wait)},
            retry_after=wait,
        )
    if reason is Reason.CODES_LOCKED:
        return problem(reason, "Use a recovery code, or ask support to unlock them.")
    if reason is Reason.FACTOR_ON_TRIAL:
        return problem(
            reason, f"It was set up with a recovery code. It counts for this in {wait} s.", full_in=wait
        )
    off = f"{abs(clock_off_by)} s {'behind' if clock_off_by < 0 else 'ahead'}"
    detail = {
        Reason.WRONG_CODE: f"Check the app and its clock. The next code comes in {wait} s.",
        Reason.USED_CODE: f"A code counts once. The next one comes in {wait} s.",
        Reason.EXPIRED_CODE: f"Send the one that the app shows now. The next one comes in {wait} s.",
        Reason.WRONG_CLOCK: f"The phone's clock seems to be about {off}: set it to automatic.",
        Reason.MALFORMED_CODE: "Send the six digits that the authenticator app shows, without spaces.",
        Reason.CHALLENGE_EXPIRED: "Repeat the request to get a new challenge.",
        Reason.WRONG_RECOVERY_CODE: "Send one of the account's sixteen-character codes that is left.",
        Reason.RECOVERY_NOT_ENOUGH: "Set up a new authenticator app with it; after a while that counts.",
    }.get(reason, "")
    members: dict[str, Any] = {"next_code_in": wait} if wait else {}
    if reason is Reason.WRONG_CLOCK:
        members["clock_off_by"] = clock_off_by
    return problem(reason, detail, **members)
