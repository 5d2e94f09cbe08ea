"""Where other parties end sessions: OpenID back-channel logout, and pushed security events (RFC 8935).

Whoever calls is known by the signed token alone; cookies are not looked at. Nothing that is answered tells
whether there is such an account.
"""

import json
from collections.abc import Mapping
from urllib.parse import parse_qsl

import structlog
from aiohttp import web

from gateway.core.ending import Scope
from gateway.core.policy.model import Need
from gateway.core.security_event import Fault, Kind, Outcome, Refusal
from gateway.errors import KeysUnavailable, PayloadTooLarge
from gateway.identity.event_key import jwk_set
from gateway.identity.sign_in import place_of
from gateway.identity.transmitters import LONGEST_TOKEN, Transmitters
from gateway.portal.call import Call, Handler
from gateway.store.attempts import Attempt, AttemptLimit, Attempts
from gateway.store.keyring import Seals
from gateway.web.metrics import Metrics
from gateway.web.routes import Route

LOGOUT_PATH = "/.watchword/backchannel-logout"
EVENTS_PATH = "/.watchword/events"
KEYS_PATH = "/.watchword/jwks.json"

REFUSALS = AttemptLimit(most=30, window=60.0)
"""How many tokens that do not count are answered, and logged, for each address: nobody can guess a signature,
but everybody can fill a log.
"""

_KIND = "event"
_LARGEST_FORM = 4 * LONGEST_TOKEN
_LONGEST_CACHED = 3600
_NO_STORE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_LATER = {"Retry-After": "2"}

_log = structlog.get_logger("gateway.backchannel")


class BackChannel:
    def __init__(self, transmitters: Transmitters, attempts: Attempts, metrics: Metrics, ring: Seals) -> None:
        """`ring` signs what receivers and apps are told."""
        self._transmitters = transmitters
        self._attempts = attempts
        self._metrics = metrics
        self._ring = ring

    def routes(self) -> tuple[Route[Handler], ...]:
        """Tokens are taken only where the settings name somebody whose tokens count."""
        taken = (
            Route("POST", LOGOUT_PATH, self.log_out, Need.PUBLIC),
            Route("POST", EVENTS_PATH, self.take, Need.PUBLIC),
        )
        told = (Route("GET", KEYS_PATH, self.keys, Need.PUBLIC),)
        return (*(taken if self._transmitters else ()), *told)

    async def log_out(self, call: Call) -> web.Response:
        """OpenID Connect Back-Channel Logout 1.0 sections 2.5 to 2.8."""
        outcome = await self._judge(call, Kind.LOGOUT, await _logout_token(call))
        if isinstance(outcome, Refusal):
            return await self._refuse(
                call, outcome, {"error": "invalid_request", "error_description": outcome.why}
            )
        return _busy() if outcome is Outcome.BUSY else web.Response(status=200, headers=_NO_STORE)

    async def take(self, call: Call) -> web.Response:
        """RFC 8935 section 2."""
        outcome = await self._judge(call, Kind.EVENT, await _event_token(call))
        if isinstance(outcome, Refusal):
            return await self._refuse(call, outcome, {"err": str(outcome.fault), "description": outcome.why})
        return _busy() if outcome is Outcome.BUSY else web.Response(status=202, headers=_NO_STORE)

    async def keys(self, _: Call) -> web.Response:
        """The public key with which our events and assertions are signed."""
        return web.Response(
            body=json.dumps(jwk_set(self._ring.event_key().public_key())).encode(),
            content_type="application/jwk-set+json",
            headers={
                "Cache-Control": f"public, max-age={_LONGEST_CACHED}",
                "X-Content-Type-Options": "nosniff",
            },
        )

    async def _judge(self, call: Call, kind: Kind, token: str | Refusal) -> Outcome | Refusal:
        """Do what a token says, if it counts."""
        if isinstance(token, Refusal):
            return token
        now = call.inbound.now
        try:
            event = await self._transmitters.verify(token, kind, now)
        except KeysUnavailable as error:
            # Whoever makes up names of keys comes here as well, and is not to fill the log.
            if (await self._count(call)).allowed:
                _log.error("a token cannot be checked, its sender is to ask again", why=str(error))
            return Outcome.BUSY
        if isinstance(event, Refusal):
            return event
        outcome = await self._transmitters.act(event, now)
        self._metrics.event(outcome)
        if outcome is Outcome.REVOKED:
            self._metrics.revocation(Scope.ACCOUNT)
        _log.info("an event came in", issuer=event.issuer, event_type=event.what, outcome=outcome)
        return outcome

    async def _refuse(self, call: Call, refusal: Refusal, said: Mapping[str, str]) -> web.Response:
        """400 and why; after too many of them only 429."""
        self._metrics.event(Outcome.REFUSED)
        attempt = await self._count(call)
        if not attempt.allowed:
            return web.Response(status=429, headers={**_NO_STORE, "Retry-After": str(attempt.retry_after)})
        _log.warning(
            "a token was refused", fault=refusal.fault, why=refusal.why, address=call.inbound.address
        )
        return web.Response(
            status=400,
            body=json.dumps(said).encode(),
            content_type="application/json",
            headers={**_NO_STORE, "Content-Language": "en"},
        )

    async def _count(self, call: Call) -> Attempt:
        """One more token of this address that did not count."""
        return await self._attempts.count(_KIND, place_of(call.inbound.address), REFUSALS)


def _busy() -> web.Response:
    """Not known yet: whoever asks again is told what became of it."""
    return web.Response(status=503, headers={**_NO_STORE, **_LATER})


async def _logout_token(call: Call) -> str | Refusal:
    """The token in the form that a logout request is; other fields may be there (section 2.5)."""
    text = await _body(call, "application/x-www-form-urlencoded", _LARGEST_FORM)
    if isinstance(text, Refusal):
        return text
    try:
        fields = parse_qsl(text, keep_blank_values=True, max_num_fields=20)
    except ValueError:
        fields = []
    tokens = [value for name, value in fields if name == "logout_token"]
    if len(tokens) != 1:
        return Refusal(Fault.REQUEST, "the form must have exactly one logout_token")
    return tokens[0]


async def _event_token(call: Call) -> str | Refusal:
    return await _body(call, f"application/{Kind.EVENT}", LONGEST_TOKEN)


async def _body(call: Call, content_type: str, most: int) -> str | Refusal:
    """The body as text, if it is of this type and ASCII, as a token is."""
    given = (call.inbound.header(b"content-type") or "").partition(";")[0].strip().lower()
    if given != content_type:
        return Refusal(Fault.REQUEST, f"the Content-Type must be {content_type}")
    try:
        return (await call.inbound.read_body(most)).decode("ascii")
    except PayloadTooLarge:
        return Refusal(Fault.REQUEST, f"the body is larger than {most} bytes")
    except UnicodeDecodeError:
        return Refusal(Fault.REQUEST, "the body must be ASCII text")
