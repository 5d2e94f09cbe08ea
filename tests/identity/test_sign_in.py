"""Signing in: who may, who may not, and what neither learns of the other."""

import asyncio
from dataclasses import replace

import pytest
from redis.asyncio import Redis
from support.identity import CountingHasher, snapshot_of
from support.store import NOW, commands_during, contents, every_size

from gateway import entropy
from gateway.core.reasons import Reason
from gateway.core.records import DeviceState, LaterDevices
from gateway.identity.passwords import Passwords
from gateway.identity.sign_in import Attempted, SignedIn, SignInLimits, SignInRefused, SignIns
from gateway.store.attempts import AttemptLimit, GrowingDelay
from gateway.store.factors import Rotation
from gateway.store.keys import Shard
from gateway.store.opening import Store
from gateway.store.revocations import NewPassword

PASSWORD = "correct horse battery staple"
MOST, MOST_OF_ADDRESS = 3, 8
LIMITS = SignInLimits(
    GrowingDelay(MOST, first=60, longest=900, forget_after=86_400),
    AttemptLimit(MOST_OF_ADDRESS, 900),
    LaterDevices.ALLOW,
)
REFUSED = SignInRefused(Reason.WRONG_CREDENTIALS)


def attempt(subject: str = "ada", password: str = PASSWORD, **others: str) -> Attempted:
    default = Attempted(subject, password, "192.0.2.1", "curl/8.5.0", device_cookie=None)
    return replace(default, **others)  # type: ignore[arg-type]


WRONG = attempt(password="wrong")


def unobserved(_: Reason | None) -> None:
    pass


@pytest.fixture
async def sign_ins(store: Store, passwords: Passwords) -> SignIns:
    """With the accounts ada and grace, and one that is disabled: eve."""
    for subject in ("ada", "grace", "eve"):
        await store.accounts.add(
            subject=subject,
            name=subject.title(),
            email="",
            groups=frozenset(),
            password_hash=await passwords.hash(PASSWORD),
            now=NOW - 100,
        )
    await store.revocations.account("eve", reason="test", actor="test", now=NOW - 50, disable=True)
    return SignIns(store, passwords, LIMITS, unobserved)


async def signed_in(sign_ins: SignIns, attempted: Attempted | None = None, now: float = NOW) -> SignedIn:
    outcome = await sign_ins.sign_in(attempted or attempt(), now)
    assert isinstance(outcome, SignedIn), outcome
    return outcome


async def is_live(store: Store, session_cookie: str) -> bool:
    snapshot = await store.who.ask(session_cookie, NOW)
    return snapshot is not None and snapshot.fault(NOW) is None


# --- who may


@every_size
async def test_the_right_password_begins_a_session(store: Store, sign_ins: SignIns) -> None:
    outcome = await signed_in(sign_ins)
    snapshot = await snapshot_of(store, outcome.session_cookie)
    assert snapshot.fault(NOW) is None
    assert (snapshot.session.id, snapshot.session.subject) == (outcome.session_id, "ada")
    assert snapshot.session.address == "192.0.2.1"
    assert snapshot.device is not None
    assert (snapshot.device.id, snapshot.device.name) == (outcome.device_id, "curl")


async def test_it_is_on_record(store: Store, sign_ins: SignIns) -> None:
    outcome = await signed_in(sign_ins)
    await sign_ins.sign_in(WRONG, NOW + 1)
    refused, _, begun = await store.audit.latest("ada")
    assert (begun.event, begun.actor, begun.address) == ("signed-in", "account:ada", "192.0.2.1")
    assert (begun.session_id, begun.device_id) == (outcome.session_id, outcome.device_id)
    assert (refused.event, refused.reason, refused.session_id) == (
        "sign-in-refused",
        "wrong-credentials",
        "",
    )


async def test_every_attempt_is_observed(store: Store, sign_ins: SignIns, passwords: Passwords) -> None:
    observed: list[Reason | None] = []
    observing = SignIns(store, passwords, LIMITS, observed.append)
    for attempted in (WRONG, attempt(), WRONG, WRONG, WRONG, attempt()):
        await observing.sign_in(attempted, NOW)
    wrong, many = Reason.WRONG_CREDENTIALS, Reason.TOO_MANY_ATTEMPTS
    assert observed == [wrong, None, wrong, wrong, wrong, many]


# --- who may not


REFUSALS = {
    "wrong password": WRONG,
    "no password": attempt(password=""),
    "endless password": attempt(password=PASSWORD + "x" * 2000),
    "unknown account": attempt("nobody"),
    "disabled account": attempt("eve"),
    "disabled account, wrong password": attempt("eve", "wrong"),
    "no account": attempt(""),
    "endless account": attempt("a" * 60_000),
    "account with a line break": attempt("ada\n"),
}


@pytest.mark.parametrize("attempted", REFUSALS.values(), ids=REFUSALS.keys())
async def test_every_refusal_is_the_same_and_costs_one_verification(
    sign_ins: SignIns, hasher: CountingHasher, attempted: Attempted
) -> None:
    assert await sign_ins.sign_in(attempted, NOW) == REFUSED
    assert hasher.verified == 1


@pytest.mark.parametrize("device_cookie", [None, "x" * 43])
async def test_the_store_does_the_same_work_whoever_is_named(
    valkey: Redis, sign_ins: SignIns, device_cookie: str | None
) -> None:
    work = []
    for subject in ("grace", "nobody", "eve"):
        trial = Attempted(subject, "wrong", "192.0.2.1", "", device_cookie)
        await sign_ins.sign_in(trial, NOW)  # scripts are known to the server from here on
        work.append(await commands_during(valkey, sign_ins.sign_in(trial, NOW)))
    assert work[0] == work[1] == work[2]


async def test_a_name_that_no_account_has_is_not_on_record(store: Store, sign_ins: SignIns) -> None:
    """It may be a password, typed where the name belongs."""
    for subject in ("my secret", "my secret" * 5000, ""):
        await sign_ins.sign_in(attempt(subject, "my other secret"), NOW)
    entries = await store.audit.latest("")
    assert len(entries) == 3
    for entry in entries:
        assert (entry.event, entry.actor, entry.address) == ("sign-in-refused", "unknown", "192.0.2.1")
        assert "secret" not in str(entry)


# --- how often


async def test_attempts_are_limited_by_account(sign_ins: SignIns, hasher: CountingHasher) -> None:
    for subject in ("ada", "nobody", "eve"):
        for _ in range(MOST):
            assert await sign_ins.sign_in(attempt(subject, "wrong", address=subject), NOW) == REFUSED
        before = hasher.verified
        refused = await sign_ins.sign_in(attempt(subject), NOW)
        assert isinstance(refused, SignInRefused)
        assert refused.reason is Reason.TOO_MANY_ATTEMPTS
        assert refused.retry_after == 60
        assert hasher.verified == before
    await signed_in(sign_ins, attempt("grace", address="192.0.2.4"))


async def test_a_burst_counts_before_it_is_checked(sign_ins: SignIns, hasher: CountingHasher) -> None:
    burst = [sign_ins.sign_in(attempt(password=f"guess {n}", address=f"192.0.2.{n}"), NOW) for n in range(30)]
    outcomes = await asyncio.gather(*burst)
    assert outcomes.count(REFUSED) == hasher.verified == MOST


async def test_attempts_are_limited_by_address(sign_ins: SignIns, hasher: CountingHasher) -> None:
    for number in range(MOST_OF_ADDRESS):
        assert await sign_ins.sign_in(attempt(f"guess {number}"), NOW) == REFUSED
    refused = await sign_ins.sign_in(attempt(), NOW)
    assert isinstance(refused, SignInRefused)
    assert refused.reason is Reason.TOO_MANY_ATTEMPTS
    assert hasher.verified == MOST_OF_ADDRESS
    await signed_in(sign_ins, attempt(address="192.0.2.2"))


async def test_one_customers_ipv6_addresses_count_as_one(sign_ins: SignIns) -> None:
    for number in range(MOST_OF_ADDRESS):
        address = f"2001:db8:0:1:{number:x}::{number:x}"
        assert await sign_ins.sign_in(attempt(f"guess {number}", address=address), NOW) == REFUSED
    refused = await sign_ins.sign_in(attempt(address="2001:db8:0:1:ffff::"), NOW)
    assert isinstance(refused, SignInRefused)
    assert refused.reason is Reason.TOO_MANY_ATTEMPTS
    await signed_in(sign_ins, attempt(address="2001:db8:0:2::"))


async def test_whoever_signs_in_uses_up_no_attempt_of_their_address(sign_ins: SignIns) -> None:
    """A whole office signs in from one address."""
    for _ in range(2 * MOST_OF_ADDRESS):
        await signed_in(sign_ins)


async def test_signing_in_gives_nobody_else_at_the_address_new_attempts(sign_ins: SignIns) -> None:
    for number in range(MOST_OF_ADDRESS - 1):
        assert await sign_ins.sign_in(attempt(f"guess {number}"), NOW) == REFUSED
        await signed_in(sign_ins)
    assert await sign_ins.sign_in(attempt("guess"), NOW) == REFUSED
    refused = await sign_ins.sign_in(attempt("guess"), NOW)
    assert isinstance(refused, SignInRefused)
    assert refused.reason is Reason.TOO_MANY_ATTEMPTS


async def test_the_right_password_forgives_the_wrong_ones(sign_ins: SignIns) -> None:
    for _ in range(3):
        for _ in range(MOST - 1):
            assert await sign_ins.sign_in(attempt(password="wrong", address="192.0.2.9"), NOW) == REFUSED
        await signed_in(sign_ins, attempt(address="192.0.2.3"))


async def exhausted(sign_ins: SignIns, attempted: Attempted) -> None:
    for _ in range(MOST):
        assert await sign_ins.sign_in(replace(attempted, password="wrong"), NOW) == REFUSED


async def test_strangers_do_not_lock_the_owner_of_a_known_device_out(sign_ins: SignIns) -> None:
    at_home = attempt(address="192.0.2.2", device_cookie=(await signed_in(sign_ins)).device_cookie)
    await exhausted(sign_ins, attempt())
    assert not isinstance(await sign_ins.sign_in(attempt(address="192.0.2.9"), NOW), SignedIn)
    await signed_in(sign_ins, at_home)
    await exhausted(sign_ins, at_home)  # it has a counter, too
    assert not isinstance(await sign_ins.sign_in(at_home, NOW), SignedIn)


@pytest.mark.parametrize("kind", ["unknown", "of somebody else", "pending", "revoked"])
async def test_only_an_authorised_device_has_a_counter_of_its_own(
    store: Store, sign_ins: SignIns, passwords: Passwords, kind: str
) -> None:
    approving = SignIns(store, passwords, replace(LIMITS, later_devices=LaterDevices.APPROVE), unobserved)
    await signed_in(approving)
    device = await signed_in(approving, attempt("grace" if kind == "of somebody else" else "ada"))
    if kind == "revoked":
        await store.revocations.device(device.device_id, reason="test", actor="test", now=NOW)
    cookie = "x" * 43 if kind == "unknown" else device.device_cookie
    await exhausted(sign_ins, attempt())
    refused = await sign_ins.sign_in(attempt(address="192.0.2.2", device_cookie=cookie), NOW)
    assert isinstance(refused, SignInRefused)
    assert refused.reason is Reason.TOO_MANY_ATTEMPTS


# --- devices


async def test_a_device_is_known_by_its_cookie(store: Store, sign_ins: SignIns) -> None:
    first = await signed_in(sign_ins)
    again = await signed_in(sign_ins, attempt(device_cookie=first.device_cookie), NOW + 60)
    other = await signed_in(sign_ins, attempt(), NOW + 90)
    assert (again.device_id, again.device_cookie) == (first.device_id, first.device_cookie)
    assert other.device_id != first.device_id
    assert other.device_cookie != first.device_cookie
    known = {device.id: device for device in await store.devices.list("ada")}
    assert set(known) == {first.device_id, other.device_id}
    assert (known[first.device_id].first_used_at, known[first.device_id].last_used_at) == (NOW, NOW + 60)


async def test_two_people_at_one_browser_have_two_devices(sign_ins: SignIns) -> None:
    ada = await signed_in(sign_ins)
    grace = await signed_in(sign_ins, attempt("grace", device_cookie=ada.device_cookie))
    assert grace.device_cookie == ada.device_cookie
    assert grace.device_id != ada.device_id


@pytest.mark.parametrize(
    ("later", "states", "events"),
    [
        ("allow", ["authorised", "authorised"], ["device-added", "device-added"]),
        ("notify", ["authorised", "authorised"], ["device-added", "device-new"]),
        ("step-up", ["authorised", "pending"], ["device-added", "device-new"]),
        ("approve", ["authorised", "pending"], ["device-added", "device-new"]),
    ],
)
async def test_the_first_device_is_authorised_and_later_ones_as_the_setting_says(
    store: Store, sign_ins: SignIns, passwords: Passwords, later: str, states: list[str], events: list[str]
) -> None:
    ruled = SignIns(store, passwords, replace(LIMITS, later_devices=LaterDevices(later)), unobserved)
    for subject in ("ada", "grace"):
        begun = [await signed_in(ruled, attempt(subject)) for _ in states]
        assert [session.device_state for session in begun] == states
        await signed_in(ruled, attempt(subject, device_cookie=begun[1].device_cookie))  # known by now
        entries = [e for e in reversed(await store.audit.latest(subject)) if e.event != "signed-in"]
        assert [entry.event for entry in entries] == events
        assert [(e.device_id, e.session_id) for e in entries] == [(s.device_id, s.session_id) for s in begun]
        assert {entry.reason for entry in entries} == {"curl"}


async def test_a_device_that_starts_over_is_a_new_one_to_be_told_about(
    store: Store, sign_ins: SignIns, passwords: Passwords
) -> None:
    """Also when it is let in since all others were revoked, which somebody else may have done."""
    ruled = SignIns(store, passwords, replace(LIMITS, later_devices=LaterDevices.APPROVE), unobserved)
    old = await signed_in(ruled)
    await store.revocations.device(old.device_id, reason="lost", actor="test", now=NOW)
    new = await signed_in(ruled, attempt(device_cookie=old.device_cookie))
    assert new.device_state is DeviceState.AUTHORISED
    (entry,) = [e for e in await store.audit.latest("ada") if e.event == "device-new"]
    assert entry.device_id == new.device_id


async def test_a_pending_device_stays_pending_until_it_is_authorised(
    store: Store, sign_ins: SignIns, passwords: Passwords
) -> None:
    ruled = SignIns(store, passwords, replace(LIMITS, later_devices=LaterDevices.APPROVE), unobserved)
    first = await signed_in(ruled)
    later = await signed_in(ruled)
    again = attempt(device_cookie=later.device_cookie)
    assert (await signed_in(ruled, again)).device_state is DeviceState.PENDING
    assert await store.devices.authorise(first.session_id, later.device_id, NOW)
    assert (await signed_in(ruled, again)).device_state is DeviceState.AUTHORISED


async def test_a_revoked_device_starts_over_as_a_new_one(store: Store, sign_ins: SignIns) -> None:
    old = await signed_in(sign_ins)
    await store.revocations.device(old.device_id, reason="lost", actor="test", now=NOW)
    new = await signed_in(sign_ins, attempt(device_cookie=old.device_cookie))
    assert new.device_id != old.device_id
    assert new.device_cookie != old.device_cookie
    states = {device.id: device.state for device in await store.devices.list("ada")}
    assert states == {old.device_id: DeviceState.REVOKED, new.device_id: DeviceState.AUTHORISED}


# --- sessions


async def test_signing_in_again_replaces_the_session_of_the_browser(store: Store, sign_ins: SignIns) -> None:
    first, elsewhere = await signed_in(sign_ins), await signed_in(sign_ins)
    second = await signed_in(sign_ins, attempt(session_cookie=first.session_cookie))
    assert [await is_live(store, session.session_cookie) for session in (first, elsewhere, second)] == [
        False,
        True,
        True,
    ]


@pytest.mark.parametrize("by_owner", [True, False])
async def test_a_password_that_was_changed_while_it_was_checked_begins_nothing(
    store: Store, sign_ins: SignIns, passwords: Passwords, monkeypatch: pytest.MonkeyPatch, by_owner: bool
) -> None:
    """Or whoever is thrown out by a new password would come in again with the old one."""
    owner, verify = await signed_in(sign_ins), passwords.verify
    known = await store.accounts.credentials("ada")
    assert known is not None

    async def verified_just_before(hashed: str | None, password: str) -> bool:
        right = await verify(hashed, password)
        if by_owner:
            rotation = Rotation(owner.session_cookie, store.sessions.new_cookie(Shard(0)), NOW)
            change = NewPassword("ada", owner.session_id, known.password_hash, "$new$", rotation)
            assert await store.revocations.by_new_password(change, actor="account:ada", now=NOW)
        else:
            assert await store.revocations.by_set_password(
                "ada", "$new$", reason="test", actor="cli:root", now=NOW
            )
        return right

    monkeypatch.setattr(passwords, "verify", verified_just_before)
    assert await sign_ins.sign_in(attempt(), NOW) == REFUSED
    assert len(await store.sessions.list("ada")) == 1, "only the one from before"


async def test_a_wrong_password_ends_nothing(store: Store, sign_ins: SignIns) -> None:
    first = await signed_in(sign_ins)
    await sign_ins.sign_in(replace(WRONG, session_cookie=first.session_cookie), NOW)
    assert await is_live(store, first.session_cookie)


async def test_the_next_person_at_a_browser_ends_the_session_before(store: Store, sign_ins: SignIns) -> None:
    ada = await signed_in(sign_ins)
    await signed_in(sign_ins, attempt("grace", session_cookie=ada.session_cookie))
    assert not await is_live(store, ada.session_cookie)


@pytest.mark.parametrize("chosen", ["00." + "x" * 43, "x" * 43, "", "zz.", "00.é" + "x" * 42])
async def test_a_session_cookie_from_before_is_never_adopted(
    store: Store, sign_ins: SignIns, chosen: str
) -> None:
    outcome = await signed_in(sign_ins, attempt(session_cookie=chosen))
    assert outcome.session_cookie != chosen
    assert not await is_live(store, chosen)
    assert await is_live(store, outcome.session_cookie)


async def test_no_secret_is_in_the_store(valkey: Redis, sign_ins: SignIns) -> None:
    outcome = await signed_in(sign_ins)
    kept = str(await contents(valkey))
    for secret in (PASSWORD, outcome.session_cookie.partition(".")[2], outcome.device_cookie):
        assert secret not in kept


@pytest.mark.parametrize("strange", ["", "a", "a" * 3000, "é" * 43, "x" * 42 + ";"])
async def test_a_device_cookie_that_is_none_of_ours_is_not_taken_up(sign_ins: SignIns, strange: str) -> None:
    outcome = await signed_in(sign_ins, attempt(device_cookie=strange))
    assert outcome.device_cookie != strange
    assert entropy.is_token(outcome.device_cookie)
