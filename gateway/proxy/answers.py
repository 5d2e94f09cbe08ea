"""How a request that is not allowed (yet) is answered: a page for a person, a problem for a program.

Programs get statuses and members to act on (RFC 9457, RFC 9470), people an address to go to (303) or a page.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from aiohttp import web

from gateway.core.policy.model import Action, App, Need
from gateway.core.reasons import Reason
from gateway.errors import UpstreamFault
from gateway.store.challenges import Challenge
from gateway.web.inbound import Inbound, RawHeaders, is_navigation
from gateway.web.problems import problem, status_of
from gateway.web.visit import Visit

SIGN_IN = "/.watchword/sign-in"
WAITING = "/.watchword/waiting"
WAITING_CALL = "/.watchword/api/waiting"
SECURITY = "/.watchword/security"
RESET = "/.watchword/reset"

RefusalPage = Callable[[Reason | UpstreamFault, int, str, str | None, bool], str]
"""Renders the page of a refusal: why, with which status, its reference in the log, the title of the app if
there is one, and whether to offer a reload."""

_PASSING = frozenset({Reason.STORE_UNAVAILABLE, Reason.OVERLOADED, Reason.INTERNAL_ERROR, *UpstreamFault})
"""What may be over by the time that somebody tries again."""


@dataclass(frozen=True, slots=True)
class Answers:
    page: RefusalPage
    page_headers: Mapping[str, str]

    def refuse(
        self,
        cause: Reason | UpstreamFault,
        inbound: Inbound | None,
        app: App | None = None,
        *,
        reference: str = "",
        detail: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> web.Response:
        """No, and why. `app` is the one whose host was asked for."""
        if inbound is not None and inbound.is_navigation:
            repeatable = inbound.is_safe and cause in _PASSING
            return self._refusal_page(cause, reference, app, repeatable=repeatable, headers=headers)
        return problem(cause, detail, headers=headers)

    def unreadable(self, headers: RawHeaders, detail: str, reference: str = "") -> web.Response:
        """No to a request of which only the headers could be read."""
        if is_navigation(headers):
            return self._refusal_page(Reason.BAD_REQUEST, reference, None, repeatable=False)
        return problem(Reason.BAD_REQUEST, detail)

    def _refusal_page(
        self,
        cause: Reason | UpstreamFault,
        reference: str,
        app: App | None,
        *,
        repeatable: bool,
        headers: Mapping[str, str] | None = None,
    ) -> web.Response:
        status = status_of(cause)
        html = self.page(cause, status, reference, app.title if app else None, repeatable)
        return web.Response(status=status, text=html, headers={**self.page_headers, **(headers or {})})

    def sign_in(self, visit: Visit, reason: Reason) -> web.Response:
        first = reason is Reason.NO_SESSION
        if visit.inbound.is_navigation:
            why = "" if first else f"&reason={reason}"
            return see_other(
                f"{SIGN_IN}?return_to={quote(visit.inbound.target.path_and_query, safe='/')}{why}"
            )
        error = "" if first else ', error="invalid_token"'
        return problem(
            reason,
            "Sign in, then repeat the request.",
            headers={"WWW-Authenticate": f'Bearer realm="{visit.app.name}"{error}'},
            sign_in=SIGN_IN,
        )

    def authorise_device(self, visit: Visit, reason: Reason) -> web.Response:
        need = f"&need={Need.DEVICE}" if reason is Reason.DEVICE_UNCONFIRMED else ""
        return_to = quote(visit.inbound.target.path_and_query, safe="/")
        page = f"{WAITING}?return_to={return_to}{need}"
        if visit.inbound.is_navigation:
            return see_other(page)
        return problem(
            reason,
            "Confirm this device on one that is confirmed already, or by a code where one serves; then "
            "repeat the request.",
            headers={"WWW-Authenticate": f'Bearer realm="{visit.app.name}"'},
            waiting=f"{WAITING}{need.replace('&', '?')}",
            answer=WAITING_CALL,
        )

    def tell_of_reset(self, visit: Visit) -> web.Response:
        """Lead a person to the page about their reset, from which they come back."""
        return see_other(f"{RESET}?return_to={quote(visit.inbound.target.path_and_query, safe='/')}")

    def factor_missing(self, visit: Visit, action: Action) -> web.Response:
        if visit.inbound.is_navigation:
            return see_other(f"/.watchword/factor-needed?action={action.name}")
        return self._insufficient(
            action,
            Reason.FACTOR_MISSING,
            "Set up an authenticator app, then repeat the request.",
            set_up=SECURITY,
        )

    def step_up(self, visit: Visit, action: Action, challenge: Challenge) -> web.Response:
        """RFC 9470 for programs; the page of the challenge for people."""
        page = f"/.watchword/step-up/{challenge.id}"
        if visit.inbound.is_navigation:
            return see_other(page)
        return self._insufficient(
            action,
            Reason.CODE_NEEDED,
            "Answer the challenge with a code from an authenticator app, then repeat the request.",
            challenge=challenge.id,
            step_up=page,
            answer=f"/.watchword/api/step-up/{challenge.id}",
            expires_at=datetime.fromtimestamp(challenge.expires_at, UTC).isoformat(timespec="seconds"),
            approves=[{"label": label, "value": value} for label, value in challenge.shown],
        )

    def _insufficient(self, action: Action, reason: Reason, detail: str, **members: Any) -> web.Response:
        max_age = "" if action.fresh == float("inf") else f', max_age="{int(action.fresh)}"'
        if action.single_use:
            max_age = ', max_age="0"'
        authenticate = f'Bearer error="insufficient_user_authentication", acr_values="otp"{max_age}'
        return problem(
            reason,
            detail,
            headers={"WWW-Authenticate": authenticate},
            action=action.name,
            action_title=action.title,
            **members,
        )


def see_other(address: str) -> web.Response:
    """303 to a path on this host, which the browser follows with a GET."""
    return web.Response(status=303, headers={"Location": address, "Cache-Control": "no-store"})
