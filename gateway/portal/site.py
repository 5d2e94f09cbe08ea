"""The map of the gateway's own addresses: what each needs, and who answers."""

from collections.abc import Iterable
from typing import Protocol

from aiohttp import web

from gateway.core.decision import Permit
from gateway.core.policy.model import OWN_SEGMENT, App, Match, Need
from gateway.core.policy.own import ADD_FACTOR, CHANGE_PASSWORD, MANAGE_PROTECTION, REMOVE_FACTOR
from gateway.core.target import Target
from gateway.portal.account_app import own_match
from gateway.portal.api import Api
from gateway.portal.call import Call, Handler
from gateway.portal.forms import Forms
from gateway.web.inbound import Inbound
from gateway.web.routes import Route, Routes
from gateway.web.visit import Deliver, Visit

# Open to everybody: signing in and out, and what somebody who is not fully let in yet has to do.
# These look up for themselves who asks.
_OPEN = Need.PUBLIC


def _routes(forms: Forms, api: Api) -> tuple[Route[Handler], ...]:
    return (*_pages("/.watchword", forms), *_calls("/.watchword/api", api))


def _pages(own: str, forms: Forms) -> tuple[Route[Handler], ...]:
    return (
        Route("GET", own, forms.back_to_security),
        Route("GET", f"{own}/", forms.back_to_security),
        Route("GET", f"{own}/static/{{name}}", forms.asset, _OPEN),
        Route("GET", f"{own}/sign-in", forms.sign_in_form, _OPEN),
        Route("POST", f"{own}/sign-in", forms.sign_in, _OPEN),
        Route("POST", f"{own}/sign-out", forms.sign_out, _OPEN),
        Route("GET", f"{own}/step-up/{{challenge}}", forms.step_up_form, _OPEN),
        Route("POST", f"{own}/step-up/{{challenge}}", forms.step_up, _OPEN),
        Route("GET", f"{own}/factor-needed", forms.factor_needed),
        Route("GET", f"{own}/security", forms.security),
        Route("GET", f"{own}/security/factors", forms.back_to_security),
        Route("POST", f"{own}/security/factors", forms.add_factor, action=ADD_FACTOR),
        Route("GET", f"{own}/security/factors/{{id}}", forms.factor_setup),
        Route("GET", f"{own}/security/factors/{{id}}/confirm", forms.factor_setup),
        Route("POST", f"{own}/security/factors/{{id}}/confirm", forms.confirm_factor),
        Route("GET", f"{own}/security/factors/{{id}}/remove", forms.back_to_security),
        Route("POST", f"{own}/security/factors/{{id}}/remove", forms.remove_factor),
        Route("GET", f"{own}/security/protection", forms.back_to_security),
        Route("POST", f"{own}/security/protection", forms.switch, action=MANAGE_PROTECTION),
        Route("GET", f"{own}/password", forms.password, action=CHANGE_PASSWORD),
        Route("POST", f"{own}/password", forms.change_password, action=CHANGE_PASSWORD),
    )


def _calls(own: str, api: Api) -> tuple[Route[Handler], ...]:
    return (
        Route("POST", f"{own}/sign-in", api.sign_in, _OPEN),
        Route("POST", f"{own}/sign-out", api.sign_out, _OPEN),
        Route("GET", f"{own}/me", api.me),
        Route("POST", f"{own}/factors", api.add_factor, action=ADD_FACTOR),
        Route("POST", f"{own}/factors/{{id}}/confirm", api.confirm_factor),
        Route("DELETE", f"{own}/factors/{{id}}", api.remove_factor, action=REMOVE_FACTOR),
        Route("GET", f"{own}/protection", api.protections),
        Route("PUT", f"{own}/protection", api.switch, action=MANAGE_PROTECTION),
        Route("PUT", f"{own}/password", api.change_password, action=CHANGE_PASSWORD),
        Route("GET", f"{own}/step-up/{{challenge}}", api.show_challenge, _OPEN),
        Route("POST", f"{own}/step-up/{{challenge}}", api.answer_challenge, _OPEN),
    )


class Topic(Protocol):
    """A module of the portal with its own pages and calls."""

    def routes(self) -> tuple[Route[Handler], ...]: ...


class Site:
    """The gateway's own pages and calls, on the host of every app."""

    def __init__(self, forms: Forms, api: Api, topics: Iterable[Topic] = ()) -> None:
        self._forms = forms
        routes = (route for topic in topics for route in topic.routes())
        self._routes: Routes[Handler] = Routes((*_routes(forms, api), *routes))

    def asset(self, inbound: Inbound) -> web.Response | None:
        """The style sheet, script or icon that is asked for; None if it is something else."""
        own, *rest = inbound.target.segments
        if not inbound.is_safe or own != OWN_SEGMENT or len(rest) != 2 or rest[0] != "static":
            return None
        return self._forms.asset_named(rest[1], inbound)

    def find(self, account: App, app: App, target: Target) -> tuple[Match, Deliver] | frozenset[str]:
        """The match for one of our addresses on the host of `app`; else the methods it allows, perhaps none.

        `account` is what our own pages are by the policies of now.
        """
        found = self._routes.find(target)
        if isinstance(found, frozenset):
            return found
        route, captured = found.route, found.captured

        async def deliver(visit: Visit, permit: Permit) -> web.StreamResponse:
            answer = await route.handler(Call(visit, captured, permit.proof))
            return answer if answer.prepared else visit.answered(answer)

        return own_match(account, app, route.need, route.action), deliver
