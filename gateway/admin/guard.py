"""Who calls, whether they may, and the record of it.

An answer to an operator leaves only once its entry is in the audit stream. Strangers, who have no valid
token, are recorded too, but only so many a minute: a flood must not wash out everything else.
"""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic_core import to_json

from gateway import clock
from gateway.admin.call import Call, Outcome, Refused, address_of
from gateway.admin.tokens import Operator, Scope, TokenFault, verify_token
from gateway.core.reasons import Reason
from gateway.store.audit import Audit, AuditEntry
from gateway.store.keyring import Seals
from gateway.web.problems import problem

Operation = Callable[[Call], Awaitable[Outcome]]

STRANGER = "operator:?"
"""The actor of a call without a valid token; no operator can have this name."""

MOST_STRANGERS = 30
"""Entries about strangers within a minute."""

_REALM = 'Bearer realm="watchword-operators"'


class Budget:
    """At most `most` of something within `seconds`, and the number of those that were too many."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._until = float("-inf")
        self._left = 0
        self._missed = 0

    def spend(self, at: float) -> int | None:
        """Take one: None if there is none left, else how many were missed since the last one."""
        if at >= self._until:
            self._until, self._left = at + self._seconds, self._most
        if self._left == 0:
            self._missed += 1
            return None
        missed, self._missed = self._missed, 0
        self._left -= 1
        return missed


class Guard:
    def __init__(self, ring: Seals, audit: Audit) -> None:
        self._ring = ring
        self._audit = audit
        self._strangers = Budget(MOST_STRANGERS, 60.0)

    def protect(self, scope: Scope, operation: Operation) -> Handler:
        """A handler that does `operation` for those whose token has `scope`."""

        async def handle(request: web.Request) -> web.Response:
            now = clock.now()
            who = self._identify(request, now)
            if isinstance(who, TokenFault):
                return await self._turn_away(request, who, now)
            call = Call(request, who, now)
            try:
                _demand(scope, who)
                outcome = await operation(call)
            except Refused as refused:
                return await self._refuse(call, refused)
            if outcome.entry is not None:
                await self._audit.record(outcome.entry)
            return web.Response(
                status=outcome.status,
                headers={"Location": outcome.location} if outcome.location else {},
                body=to_json(outcome.answer),
                content_type="application/json",
            )

        return handle

    @web.middleware
    async def unrouted(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answers where no handler is. What operators try there is recorded as well."""
        try:
            return await handler(request)
        except web.HTTPNotFound:
            refused = Refused(Reason.NOT_FOUND)
        except web.HTTPMethodNotAllowed as error:
            refused = Refused(Reason.METHOD_REFUSED, headers={"Allow": error.headers["Allow"]})
        now = clock.now()
        who = self._identify(request, now)
        if isinstance(who, TokenFault):
            return _problem(refused)
        return await self._refuse(Call(request, who, now), refused)

    def _identify(self, request: web.Request, now: float) -> Operator | TokenFault:
        headers = request.headers.getall("Authorization", [])
        if not headers:
            return TokenFault.MISSING
        scheme, _, token = headers[0].partition(" ")
        if len(headers) > 1 or scheme.lower() != "bearer":
            return TokenFault.MALFORMED
        return verify_token(token, self._ring, now)

    async def _turn_away(self, request: web.Request, fault: TokenFault, now: float) -> web.Response:
        """401 for a stranger, in the words of RFC 6750 section 3."""
        detail = f"The token is {fault}."
        missed = self._strangers.spend(asyncio.get_running_loop().time())
        if missed is not None:
            more = f" {missed} more were not recorded." if missed else ""
            reason = f"{_place(request)}: {detail}{more}"
            await self._audit.record(
                AuditEntry(now, "token-refused", STRANGER, address=address_of(request), reason=reason)
            )
        error = (
            "" if fault is TokenFault.MISSING else f', error="invalid_token", error_description="{detail}"'
        )
        return problem(Reason.INVALID_TOKEN, detail, headers={"WWW-Authenticate": _REALM + error})

    async def _refuse(self, call: Call, refused: Refused) -> web.Response:
        about = f" ({refused.about})" if refused.about else ""
        reason = f"{_place(call.request)}: {refused.reason}{about}"
        await self._audit.record(call.entry("operator-refused", refused.subject, reason=reason))
        return _problem(refused)


def _demand(scope: Scope, operator: Operator) -> None:
    if scope not in operator.scopes:
        raise Refused(
            Reason.INSUFFICIENT_SCOPE,
            f"This takes a token with the scope {scope}.",
            about=scope,
            headers={"WWW-Authenticate": f'{_REALM}, error="insufficient_scope", scope="{scope}"'},
        )


def _place(request: web.Request) -> str:
    """What was called, without anything that was typed: `GET /v1/accounts/{subject}`."""
    resource = request.match_info.route.resource
    return f"{request.method} {resource.canonical if resource else 'an unknown address'}"


def _problem(refused: Refused) -> web.Response:
    return problem(refused.reason, refused.detail, headers=refused.headers, **refused.members)
