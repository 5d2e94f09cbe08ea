"""Step-up: what a code approves, for how long, and the request that waits for it meanwhile."""

from dataclasses import replace

import pytest
from redis.asyncio import Redis
from support.identity import code_of, enrolled_key, given, snapshot_of, wrong_code
from support.store import LIMITS, NOW, RING, contents, every_size, signed_in, use_of

from gateway.core.decision import binding_of
from gateway.core.policy.model import Action, Protect
from gateway.core.reasons import Reason
from gateway.core.records import Grant
from gateway.core.target import parse_target
from gateway.identity.recovery import Recovery
from gateway.identity.second_factor import CodeRefused, CodeTaken, SecondFactor
from gateway.identity.step_up import RESUME_SECONDS, Approved, ParkedRequest, StepUps, grant_for
from gateway.store.challenges import Challenge
from gateway.store.opening import Store
from gateway.store.sessions import Started

LIFETIME = 300.0
PROFILE = Action("exchange", "manage-profile", "Managing your profile", Protect.ALWAYS, fresh=900)
APPROVE = Action("exchange", "approve", "Approving", Protect.ALWAYS, fresh=60, single_use=True)
SIGN_IN = Action("exchange", "sign-in", "Signing in", Protect.ALWAYS)

TARGET = parse_target("POST", "/withdrawals?from=home", "exchange.localhost:8080")
BODY = b"amount=5&address=bc1q-somewhere\0\xff"
BINDING = binding_of(TARGET, BODY)
PARKED = ParkedRequest(
    "POST", ((b"Content-Type", b"application/octet-stream"), (b"X-Note", b"caf\xe9"), (b"x-note", b"")), BODY
)


class Asked:
    """A person whose request waits for a code."""

    def __init__(self, step_ups: StepUps, store: Store, session: Started, key: str) -> None:
        self.step_ups, self.store, self.session, self.key = step_ups, store, session, key

    async def challenge(
        self, action: Action = APPROVE, parked: ParkedRequest | None = PARKED, now: float = NOW
    ) -> Challenge:
        challenge = await self.step_ups.challenge(
            action,
            TARGET,
            await snapshot_of(self.store, self.session.cookie, now),
            now,
            shown=(("Amount", "5"),),
            binding=BINDING,
            parked=parked,
        )
        assert challenge is not None
        return challenge

    async def answer(
        self,
        challenge: Challenge,
        code: str | None = None,
        *,
        action: Action = APPROVE,
        session: Started | None = None,
        now: float = NOW,
    ) -> Approved | CodeRefused:
        cookie = (session or self.session).cookie
        snapshot = await snapshot_of(self.store, cookie, now)
        code = code or code_of(self.key, now)
        return await self.step_ups.answer(challenge, action, given(snapshot, code), cookie=cookie, now=now)

    async def approved(self, challenge: Challenge, action: Action = APPROVE, now: float = NOW) -> Approved:
        approved = await self.answer(challenge, action=action, now=now)
        assert isinstance(approved, Approved), approved
        return approved

    async def resume(
        self, resume_cookie: str | None, *, cookie: str, path: str = TARGET.path_and_query, now: float = NOW
    ) -> ParkedRequest | None:
        snapshot = await snapshot_of(self.store, cookie, now)
        return await self.step_ups.resume(snapshot, resume_cookie or "", path, now)


@pytest.fixture
async def asked(store: Store, second_factor: SecondFactor, recovery: Recovery) -> Asked:
    session = await signed_in(store)
    key = await enrolled_key(second_factor, store, session.cookie)
    return Asked(StepUps(store, RING, second_factor, recovery, LIFETIME), store, session, key)


def new_cookie_of(approved: Approved) -> str:
    assert approved.taken.session_cookie is not None
    return approved.taken.session_cookie


# --- challenges


@every_size
async def test_a_challenge_says_what_for_and_until_when(store: Store, asked: Asked) -> None:
    challenge = await asked.challenge()
    assert await store.challenges.find(challenge.id, asked.session.session_id, NOW) == challenge
    assert (challenge.app, challenge.action, challenge.binding) == ("exchange", "approve", BINDING)
    assert (challenge.method, challenge.authority) == ("POST", "exchange.localhost:8080")
    assert (challenge.path, challenge.shown) == ("/withdrawals?from=home", (("Amount", "5"),))
    assert challenge.expires_at == NOW + LIFETIME


async def test_a_challenge_ends_with_its_session_at_the_latest(asked: Asked) -> None:
    last = NOW + LIMITS.absolute - 10
    # The session is kept in use until shortly before its end.
    for now in range(int(NOW) + 3000, int(last) + 1, 3000):
        use = use_of(await snapshot_of(asked.store, asked.session.cookie, now), "::1", now)
        await asked.store.sessions.touch([use])
    assert (await asked.challenge(now=last)).expires_at == NOW + LIMITS.absolute


async def test_only_a_single_use_action_is_bound_to_its_request(asked: Asked) -> None:
    assert (await asked.challenge(PROFILE)).binding is None


async def test_no_challenge_for_a_session_that_ended_meanwhile(store: Store, asked: Asked) -> None:
    snapshot = await snapshot_of(store, asked.session.cookie)
    await store.revocations.session(asked.session.session_id, reason="test", actor="test", now=NOW)
    assert await asked.step_ups.challenge(APPROVE, TARGET, snapshot, NOW) is None


# --- answers


@pytest.mark.parametrize(
    ("action", "grant"),
    [
        (PROFILE, Grant(PROFILE.key, NOW, NOW + 900)),
        (APPROVE, Grant(APPROVE.key, NOW, NOW + 60, BINDING)),
        (SIGN_IN, Grant(SIGN_IN.key, NOW, NOW + LIMITS.absolute)),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
async def test_a_code_brings_a_grant_into_the_session(asked: Asked, action: Action, grant: Grant) -> None:
    approved = await asked.approved(await asked.challenge(action), action)
    assert approved.taken.grant == grant
    assert (await snapshot_of(asked.store, new_cookie_of(approved))).grants == (grant,)
    assert (await snapshot_of(asked.store, asked.session.cookie)).grants == ()  # the cookie from before


async def test_a_grant_ends_with_its_session_at_the_latest(asked: Asked) -> None:
    snapshot = await snapshot_of(asked.store, asked.session.cookie)
    ending = replace(snapshot, session=replace(snapshot.session, expires_at=NOW + 10))
    for action in (PROFILE, APPROVE, SIGN_IN):
        assert grant_for(action, ending, BINDING, NOW).expires_at == NOW + 10


async def test_a_refused_code_leaves_everything_as_it_was(asked: Asked) -> None:
    challenge = await asked.challenge()
    refused = await asked.answer(challenge, wrong_code(asked.key, NOW))
    assert isinstance(refused, CodeRefused)
    assert refused.reason is Reason.WRONG_CODE
    snapshot = await snapshot_of(asked.store, asked.session.cookie, NOW + 60)
    assert snapshot.grants == ()
    await asked.approved(challenge)


async def test_a_challenge_is_answered_once(asked: Asked) -> None:
    challenge = await asked.challenge()
    cookie = new_cookie_of(await asked.approved(challenge))
    later, session = NOW + 30, replace(asked.session, cookie=cookie)
    refused = await asked.answer(challenge, session=session, now=later)
    assert isinstance(refused, CodeRefused)
    assert refused.reason is Reason.CHALLENGE_EXPIRED
    again = await asked.answer(await asked.challenge(), session=session, now=later)
    assert isinstance(again, Approved)  # the code was not used up in vain


async def test_a_code_for_an_expired_challenge_is_not_used_up(asked: Asked) -> None:
    challenge, late = await asked.challenge(), NOW + LIFETIME
    refused = await asked.answer(challenge, now=late)
    assert isinstance(refused, CodeRefused)
    assert refused.reason is Reason.CHALLENGE_EXPIRED
    await asked.approved(await asked.challenge(now=late), now=late)


async def test_a_challenge_of_another_session_cannot_be_answered(asked: Asked) -> None:
    challenge = await asked.challenge()
    other = await signed_in(asked.store, browser="phone")
    foreign = replace(challenge, session_id=other.session_id)
    refused = await asked.answer(foreign, session=other)
    assert isinstance(refused, CodeRefused)
    assert refused.reason is Reason.CHALLENGE_EXPIRED


# --- codes that come along


@pytest.mark.parametrize("action", [PROFILE, APPROVE], ids=lambda action: action.name)
async def test_a_code_that_comes_along_brings_the_same_grant(asked: Asked, action: Action) -> None:
    snapshot = await snapshot_of(asked.store, asked.session.cookie)
    taken = await asked.step_ups.answer_at_once(
        action,
        given(snapshot, code_of(asked.key, NOW)),
        binding=BINDING,
        cookie=asked.session.cookie,
        now=NOW,
    )
    assert isinstance(taken, CodeTaken)
    assert taken.grant == grant_for(action, snapshot, BINDING, NOW)
    # What is spent at once leaves the session its cookie; what lasts brings a new one.
    assert (taken.session_cookie is None) == action.single_use
    after = await snapshot_of(asked.store, taken.session_cookie or asked.session.cookie)
    assert after.grants == (taken.grant,)


# --- parked requests


@every_size
async def test_a_parked_request_comes_back_as_it_was_once(asked: Asked) -> None:
    approved = await asked.approved(await asked.challenge())
    cookie = new_cookie_of(approved)
    assert await asked.resume(approved.resume_cookie, cookie=cookie) == PARKED
    assert await asked.resume(approved.resume_cookie, cookie=cookie) is None


async def test_nothing_parked_nothing_to_resume(asked: Asked) -> None:
    assert (await asked.approved(await asked.challenge(parked=None))).resume_cookie is None


async def test_the_cookie_from_before_the_code_resumes_too(asked: Asked) -> None:
    """What it resumes is bound to the session; the grant that lets it pass is not in that cookie."""
    approved = await asked.approved(await asked.challenge())
    assert await asked.resume(approved.resume_cookie, cookie=asked.session.cookie) == PARKED
    assert (await snapshot_of(asked.store, asked.session.cookie)).grants == ()


@pytest.mark.parametrize(
    "path", ["/withdrawals", "/", "/withdrawals?from=home&x=1", "/withdrawals/?from=home"]
)
async def test_it_resumes_at_its_own_address_only(asked: Asked, path: str) -> None:
    approved = await asked.approved(await asked.challenge())
    cookie = new_cookie_of(approved)
    assert await asked.resume(approved.resume_cookie, cookie=cookie, path=path) is None
    assert await asked.resume(approved.resume_cookie, cookie=cookie) == PARKED


async def test_it_resumes_for_its_own_session_only(asked: Asked) -> None:
    approved = await asked.approved(await asked.challenge())
    for subject, browser in (("ada", "phone"), ("grace", "laptop")):
        other = await signed_in(asked.store, subject, browser=browser)
        assert await asked.resume(approved.resume_cookie, cookie=other.cookie) is None
    assert await asked.resume(approved.resume_cookie, cookie=new_cookie_of(approved)) == PARKED


@pytest.mark.parametrize("resume_cookie", ["", "x", "x" * 43])
async def test_a_made_up_resume_cookie_leads_nowhere(asked: Asked, resume_cookie: str) -> None:
    cookie = new_cookie_of(await asked.approved(await asked.challenge()))
    assert await asked.resume(resume_cookie, cookie=cookie) is None


@pytest.mark.parametrize(("seconds", "parked"), [(RESUME_SECONDS - 1, PARKED), (RESUME_SECONDS, None)])
async def test_it_waits_for_the_browser_for_a_minute(
    asked: Asked, seconds: float, parked: ParkedRequest | None
) -> None:
    approved = await asked.approved(await asked.challenge())
    resumed = await asked.resume(approved.resume_cookie, cookie=new_cookie_of(approved), now=NOW + seconds)
    assert resumed == parked


async def test_it_does_not_resume_after_a_revocation(store: Store, asked: Asked) -> None:
    approved = await asked.approved(await asked.challenge())
    snapshot = await snapshot_of(store, new_cookie_of(approved))
    await store.revocations.account("ada", reason="test", actor="test", now=NOW)
    path = TARGET.path_and_query
    assert await asked.step_ups.resume(snapshot, approved.resume_cookie or "", path, NOW) is None


async def test_what_waits_is_not_readable_in_the_store(valkey: Redis, asked: Asked) -> None:
    approved = await asked.approved(await asked.challenge())
    kept = str(await contents(valkey))
    assert "/withdrawals" in kept
    for secret in ("bc1q-somewhere", "X-Note", approved.resume_cookie, new_cookie_of(approved)):
        assert str(secret) not in kept


async def test_a_request_that_was_tampered_with_does_not_resume(valkey: Redis, asked: Asked) -> None:
    """Whoever can write to Redis cannot put another request in the place of the approved one."""
    theirs = await asked.challenge(parked=replace(PARKED, body=b"amount=5000"))
    approved = await asked.approved(await asked.challenge())
    assert theirs.sealed_request is not None
    await valkey.hset(
        f"ww:{{s00}}:challenge:{approved.challenge.id}", "parked", theirs.sealed_request.decode()
    )
    assert await asked.resume(approved.resume_cookie, cookie=new_cookie_of(approved)) is None
