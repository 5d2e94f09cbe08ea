"""Changing the password: who may, how often, and what it ends."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis
from support.gateway import PASSWORD, QUICK
from support.identity import snapshot_of
from support.store import NOW, contents, every_size, signed_in

from gateway.core.profile import Unfit
from gateway.core.reasons import Reason
from gateway.identity.password_change import Change, Changed, ChangeRefused, PasswordChanges
from gateway.identity.passwords import Passwords
from gateway.store.attempts import GrowingDelay
from gateway.store.opening import Store
from gateway.store.sessions import Started

NEW = "a longer horse battery staple"
REFUSED = ChangeRefused(Reason.WRONG_PASSWORD)


@pytest.fixture
def passwords() -> Passwords:
    return Passwords(hasher=QUICK)


@pytest.fixture
def changes(store: Store, passwords: Passwords) -> PasswordChanges:
    return PasswordChanges(store, passwords, GrowingDelay(free=3, first=60, longest=900))


async def session_of(store: Store, subject: str = "ada") -> Started:
    """A session of an account whose password is known."""
    await store.accounts.add(
        subject=subject,
        name="",
        email="",
        groups=frozenset(),
        password_hash=QUICK.hash(PASSWORD),
        now=NOW - 100,
    )
    return await signed_in(store, subject)


async def asked(store: Store, session: Started, current: str = PASSWORD, new: str = NEW) -> Change:
    return Change(await snapshot_of(store, session.cookie), current, new, session.cookie, "192.0.2.1")


async def opens(store: Store, passwords: Passwords, password: str, subject: str = "ada") -> bool:
    known = await store.accounts.credentials(subject)
    return known is not None and await passwords.verify(known.password_hash, password)


async def is_live(store: Store, cookie: str, now: float = NOW) -> bool:
    snapshot = await store.who.ask(cookie, now)
    return snapshot is not None and snapshot.fault(now) is None


@every_size
async def test_a_new_password_ends_every_other_session(
    store: Store, passwords: Passwords, changes: PasswordChanges
) -> None:
    ada, other, bobs = [await session_of(store, name) for name in ("ada", "ada", "bob")]
    changed = await changes.change(await asked(store, ada), NOW)
    assert isinstance(changed, Changed)
    assert await opens(store, passwords, NEW)
    assert not await opens(store, passwords, PASSWORD)
    assert await is_live(store, changed.session_cookie)
    assert not await is_live(store, ada.cookie), "a copy of the old cookie is worth nothing"
    assert not await is_live(store, other.cookie)
    assert await is_live(store, bobs.cookie)
    assert (await snapshot_of(store, changed.session_cookie)).session.id == ada.session_id
    (revocation,) = await store.revocations.list()
    assert (revocation.scope, revocation.subject, revocation.actor) == ("account", "ada", "account:ada")
    assert replace(changed.revocation, confirmation=None) == revocation
    assert changed.revocation.confirmation is not None


@pytest.mark.parametrize(
    ("current", "new", "unfit"),
    [
        ("wrong", NEW, None),
        ("", NEW, None),
        (PASSWORD + "x" * 2000, NEW, None),
        (PASSWORD, "7 chars", Unfit("short", "8")),
        (PASSWORD, "x" * 1025, Unfit("long", "1024")),
        (PASSWORD, PASSWORD, Unfit("same")),
        (PASSWORD, "ada.lovelace", Unfit("name")),
        (PASSWORD, " Ada.Lovelace ", Unfit("name")),
    ],
)
async def test_what_is_refused_changes_nothing(
    store: Store,
    passwords: Passwords,
    changes: PasswordChanges,
    current: str,
    new: str,
    unfit: Unfit | None,
) -> None:
    session = await session_of(store, "ada.lovelace")
    refused = await changes.change(await asked(store, session, current, new), NOW)
    reason = Reason.UNFIT_PASSWORD if unfit else Reason.WRONG_PASSWORD
    assert refused == ChangeRefused(reason, unfit=unfit)
    assert await opens(store, passwords, PASSWORD, "ada.lovelace")
    assert await is_live(store, session.cookie)
    assert await store.revocations.list() == []


@pytest.mark.parametrize("new", ["8 chars.", "x" * 1024, "пароль 彩彩"])
async def test_what_fits(store: Store, passwords: Passwords, changes: PasswordChanges, new: str) -> None:
    assert isinstance(
        await changes.change(await asked(store, await session_of(store), new=new), NOW), Changed
    )
    assert await opens(store, passwords, new)


async def test_guesses_count_for_the_account_and_not_at_sign_in(
    store: Store, changes: PasswordChanges
) -> None:
    ada, stolen = await session_of(store), await session_of(store)
    for session in (ada, stolen, stolen):
        assert await changes.change(await asked(store, session, "guess"), NOW) == REFUSED
    for session in (ada, stolen):
        refused = await changes.change(await asked(store, session), NOW)
        assert isinstance(refused, ChangeRefused)
        assert refused.reason is Reason.TOO_MANY_ATTEMPTS
        assert refused.retry_after == 60
    assert (await store.attempts.begin("password", "ada", changes.delay, NOW)).allowed


async def test_guesses_at_once_are_counted_before_they_are_checked(
    store: Store, changes: PasswordChanges
) -> None:
    change = await asked(store, await session_of(store), "guess")
    outcomes = await asyncio.gather(*(changes.change(change, NOW) for _ in range(20)))
    assert outcomes.count(REFUSED) == 3


async def test_a_success_starts_the_count_afresh(store: Store, changes: PasswordChanges) -> None:
    session = await session_of(store)
    for current, new in ((PASSWORD, NEW), (NEW, PASSWORD)):
        for _ in range(2):
            assert await changes.change(await asked(store, session, "guess"), NOW) == REFUSED
        changed = await changes.change(await asked(store, session, current, new), NOW)
        assert isinstance(changed, Changed)
        session = replace(session, cookie=changed.session_cookie)


@pytest.mark.parametrize("same_session", [True, False])
async def test_of_two_changes_at_once_one_counts(
    store: Store, passwords: Passwords, changes: PasswordChanges, *, same_session: bool
) -> None:
    ada = await session_of(store)
    other = ada if same_session else await session_of(store)
    asked_for = [await asked(store, ada, new=NEW), await asked(store, other, new=f"{NEW}, stolen")]
    outcomes = await asyncio.gather(*(changes.change(change, NOW) for change in asked_for))
    won = [index for index, outcome in enumerate(outcomes) if isinstance(outcome, Changed)]
    assert len(won) == 1
    assert ChangeRefused(Reason.SESSION_REVOKED) in outcomes or REFUSED in outcomes
    assert await opens(store, passwords, asked_for[won[0]].new)


async def test_an_ended_session_changes_nothing(
    store: Store, passwords: Passwords, changes: PasswordChanges
) -> None:
    change = await asked(store, await session_of(store))
    await store.revocations.account("ada", reason="lost", actor="account:ada", now=NOW)
    assert await changes.change(change, NOW) == ChangeRefused(Reason.SESSION_REVOKED)
    assert await opens(store, passwords, PASSWORD)


async def test_no_password_is_kept_or_shown(store: Store, valkey: Redis, changes: PasswordChanges) -> None:
    change = await asked(store, await session_of(store))
    assert isinstance(await changes.change(change, NOW), Changed)
    everything: Any = await contents(valkey)
    for text in (str(everything), repr(change)):
        assert PASSWORD not in text
        assert NEW not in text
