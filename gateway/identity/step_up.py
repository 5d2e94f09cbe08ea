"""Step-up: a challenge for an action, the code that answers it, and the request parked meanwhile."""

import base64
import json
from dataclasses import dataclass

import structlog

from gateway import entropy
from gateway.core.policy.model import Action
from gateway.core.records import Grant, Snapshot
from gateway.core.target import Target
from gateway.errors import SealBroken
from gateway.identity.recovery import Recovery
from gateway.identity.second_factor import CodeRefused, CodeTaken, GivenCode, SecondFactor
from gateway.store.challenges import Challenge
from gateway.store.factors import Spending
from gateway.store.keyring import Seals
from gateway.store.opening import Store
from gateway.store.sealed import PARKED_REQUESTS

RESUME_SECONDS = 60
"""How long a browser has to come back for its parked request once the code was right."""

_log = structlog.get_logger("gateway.step_up")

RawHeaders = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class ParkedRequest:
    """What is kept of a request while its challenge is answered; cookies are not."""

    method: str
    headers: RawHeaders
    body: bytes


@dataclass(frozen=True, slots=True)
class Approved:
    """A challenge that was answered. `resume_cookie` lets its parked request go, once."""

    taken: CodeTaken
    challenge: Challenge
    resume_cookie: str | None


class StepUps:
    def __init__(
        self, store: Store, ring: Seals, factor: SecondFactor, recovery: Recovery, lifetime: float
    ) -> None:
        self._store = store
        self._ring = ring
        self._factor = factor
        self._recovery = recovery
        self._lifetime = lifetime

    async def challenge(
        self,
        action: Action,
        target: Target,
        snapshot: Snapshot,
        now: float,
        *,
        shown: tuple[tuple[str, str], ...] = (),
        binding: str | None = None,
        parked: ParkedRequest | None = None,
    ) -> Challenge | None:
        """Ask for a code; None when the session ended meanwhile."""
        session = snapshot.session
        challenge_id = self._store.challenges.new_id(session.id)
        sealed = None
        if parked is not None:
            record = PARKED_REQUESTS.bound_to(session.id, challenge_id)
            sealed = self._ring.seal(_packed(parked), bound_to=record)
        challenge = Challenge(
            id=challenge_id,
            session_id=session.id,
            app=action.app,
            action=action.name,
            method=target.method,
            authority=target.authority,
            path=target.path_and_query,
            expires_at=min(now + self._lifetime, session.expires_at),
            shown=shown,
            binding=binding if action.single_use else None,
            sealed_request=sealed,
        )
        return challenge if await self._store.challenges.open(challenge, now) else None

    async def answer(
        self, challenge: Challenge, action: Action, given: GivenCode, *, cookie: str, now: float
    ) -> Approved | CodeRefused:
        """Take a code for a challenge: proof goes into the session, which gets a new cookie."""
        spending = self._spending(challenge, action, given.snapshot, now, cookie=cookie)
        return _approved(await self._factor.take(given, spending, cookie=None, now=now), challenge, spending)

    async def answer_by_recovery(
        self, challenge: Challenge, action: Action, given: GivenCode, *, cookie: str, now: float
    ) -> Approved | CodeRefused:
        """Take a recovery code for a challenge: the same, but for an action that takes protection away."""
        spending = self._spending(challenge, action, given.snapshot, now, cookie=cookie)
        return _approved(await self._recovery.take(given, spending, now), challenge, spending)

    def _spending(
        self,
        challenge: Challenge,
        action: Action,
        snapshot: Snapshot,
        now: float,
        *,
        cookie: str,
    ) -> Spending:
        """What the code for a challenge brings."""
        parked = challenge.sealed_request is not None
        return Spending(
            session_id=challenge.session_id,
            factor_id="",
            step=0,
            lowers=action.lowers,
            grant=grant_for(action, snapshot, challenge.binding, now),
            rotation=self._factor.rotation(challenge.session_id, cookie, now),
            challenge_id=challenge.id,
            resume=(entropy.token(), now + RESUME_SECONDS) if parked else None,
        )

    async def answer_at_once(
        self, action: Action, given: GivenCode, *, binding: str, cookie: str, now: float
    ) -> CodeTaken | CodeRefused:
        """Take a code that came along with its request.

        What it approves goes out with this very request, so a single-use action leaves no grant
        behind and the session keeps its cookie; a lasting grant brings a new one.
        """
        grant = grant_for(action, given.snapshot, binding, now)
        spending = Spending(
            session_id=given.snapshot.session.id, factor_id="", step=0, lowers=action.lowers, grant=grant
        )
        return await self._factor.take(given, spending, cookie=None if action.single_use else cookie, now=now)

    async def resume(
        self, snapshot: Snapshot, resume_cookie: str, path: str, now: float
    ) -> ParkedRequest | None:
        """The parked request that this cookie stands for, handed out once."""
        session = snapshot.session
        challenge = await self._store.challenges.claim(session.id, resume_cookie, path, now)
        if challenge is None or challenge.sealed_request is None:
            return None
        record = PARKED_REQUESTS.bound_to(session.id, challenge.id)
        try:
            packed = self._ring.open(challenge.sealed_request, bound_to=record)
        except SealBroken:
            _log.error("a parked request cannot be opened: is its key missing?", challenge=challenge.id)
            return None
        return _unpacked(packed)


def grant_for(action: Action, snapshot: Snapshot, binding: str | None, now: float) -> Grant:
    """The proof that a code for `action` brings: for one request, or for as long as it is fresh."""
    return Grant(
        action=action.key,
        granted_at=now,
        expires_at=min(now + action.fresh, snapshot.session.expires_at),
        binding=binding if action.single_use else None,
    )


def _approved(
    taken: CodeTaken | CodeRefused, challenge: Challenge, spending: Spending
) -> Approved | CodeRefused:
    if isinstance(taken, CodeRefused):
        return taken
    return Approved(taken, challenge, spending.resume[0] if spending.resume else None)


def _packed(parked: ParkedRequest) -> bytes:
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in parked.headers]
    body = base64.b64encode(parked.body).decode("ascii")
    return json.dumps({"method": parked.method, "headers": headers, "body": body}).encode()


def _unpacked(packed: bytes) -> ParkedRequest:
    document = json.loads(packed)
    return ParkedRequest(
        method=document["method"],
        headers=tuple(
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in document["headers"]
        ),
        body=base64.b64decode(document["body"]),
    )
