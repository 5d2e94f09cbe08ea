"""What another proxy is told of a request that it asks about: yes and who asks, or the answer for the client.

Nothing but `Verdicts` says yes, and it does so to a permit alone.
"""

import json
from typing import Any

from aiohttp import web

from gateway.core.decision import Permit
from gateway.core.reasons import Reason
from gateway.proxy.headers import without_our_cookies
from gateway.proxy.identity_headers import NAMES, IdentityHeaders, fields_of
from gateway.web.forward_auth import Dialect
from gateway.web.problems import PROBLEM_TYPE, problem
from gateway.web.visit import Visit

PROBLEM = "Watchword-Problem"
"""Carries the problem for a program where the proxy hands on no body."""

_NGINX_SAYS_NO = (401, 403)
_STORE_DOWN = 503


class Allowed(web.Response):
    """Yes."""


class Verdicts:
    """Says yes to what may be forwarded, in place of forwarding it."""

    def __init__(self, identities: IdentityHeaders) -> None:
        self._identities = identities

    async def __call__(self, visit: Visit, permit: Permit) -> web.StreamResponse:
        """Every header that names who asks is there: an empty one takes the place of the client's own.

        So does Cookie, without our cookies, which are not for the app to see.
        """
        inbound = visit.inbound
        identity = self._identities.lines(permit, visit.snapshot, inbound.origin, inbound.now)
        told = dict(fields_of(identity))
        headers = {name.decode("ascii"): told.get(name, b"").decode() for name in NAMES}
        cookies = inbound.header(b"cookie") or ""
        headers["Cookie"] = without_our_cookies(cookies.encode()).decode()
        return visit.answered(Allowed(status=200, headers={**headers, "Cache-Control": "no-store"}))


def worded(dialect: Dialect, answer: web.StreamResponse, origin: str = "") -> web.StreamResponse:
    """The same answer in the way in which the proxy that asked understands it.

    All take what has a status of 200 for a yes. nginx takes 401 and 403 for a no, hands on neither their
    body nor their other headers by itself, and takes everything else for a fault. Traefik takes the address
    of a redirect for one at the gateway, so it is told all of it: `origin` is where the client is.
    """
    if isinstance(answer, Allowed):
        return answer
    if answer.status < 300:
        answer = problem(Reason.INTERNAL_ERROR)  # whatever it was, it was no verdict
    if dialect is Dialect.FORWARDED and answer.headers.get("Location", "").startswith("/"):
        answer.headers["Location"] = origin + answer.headers["Location"]
    if dialect is not Dialect.NGINX or answer.status == _STORE_DOWN:
        return answer
    status = answer.status if answer.status in _NGINX_SAYS_NO else 403
    kept = {name: answer.headers[name] for name in ("Location", "WWW-Authenticate") if name in answer.headers}
    if "Location" in kept:
        status = 401
    if isinstance(answer, web.Response) and answer.content_type == PROBLEM_TYPE:
        kept[PROBLEM] = _in_one_line(answer, status)
    return web.Response(status=status, headers={"Cache-Control": "no-store", **kept})


def _in_one_line(answer: web.Response, status: int) -> str:
    """The problem in ASCII, with the status that the client will see."""
    said: dict[str, Any] = json.loads(answer.body if isinstance(answer.body, bytes) else b"{}")
    return json.dumps({**said, "status": status})
