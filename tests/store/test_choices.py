"""The person's own switches, kept in one step and read with the account."""

import asyncio

import pytest
from redis.asyncio import Redis
from support.store import NOW, every_size, new_cookie, signed_in

from gateway.core.records import Grant
from gateway.store.choices import Lasting
from gateway.store.factors import Rotation
from gateway.store.opening import Store
from gateway.store.sessions import Started

SIGN_IN, PROFILE = "exchange/sign-in", "exchange/manage-profile"


async def choices_of(store: Store, subject: str = "ada") -> dict[str, bool]:
    account = await store.accounts.find(subject)
    assert account is not None
    return dict(account.choices)


async def choose(store: Store, session: Started, action: str, *, on: bool, now: float = NOW) -> bool:
    return await store.choices.choose(session.session_id, action, now, on=on)


@every_size
async def test_the_latest_choice_for_each_action_is_kept(store: Store) -> None:
    session = await signed_in(store)
    assert await choices_of(store) == {}
    for action, on in ((SIGN_IN, True), (PROFILE, False), (SIGN_IN, False), (PROFILE, False)):
        assert await choose(store, session, action, on=on)
    assert await choices_of(store) == {SIGN_IN: False, PROFILE: False}
    snapshot = await store.who.ask(session.cookie, NOW)
    assert snapshot is not None and snapshot.account.choices == {SIGN_IN: False, PROFILE: False}
    known = await store.accounts.credentials("ada")
    assert known is not None and known.account.choices == snapshot.account.choices


async def test_a_choice_is_of_the_sessions_own_account(store: Store) -> None:
    await signed_in(store, "bob")
    assert await choose(store, await signed_in(store), SIGN_IN, on=True)
    assert (await choices_of(store), await choices_of(store, "bob")) == ({SIGN_IN: True}, {})


async def test_choices_made_at_once_are_all_kept(store: Store) -> None:
    session = await signed_in(store)
    actions = [f"exchange/action-{number}" for number in range(20)]
    await asyncio.gather(*(choose(store, session, action, on=True) for action in actions))
    assert await choices_of(store) == dict.fromkeys(actions, True)


@pytest.mark.parametrize("session_id", ["", "0" * 32, "f" * 32, "../x"])
async def test_without_a_session_nothing_is_chosen(store: Store, valkey: Redis, session_id: str) -> None:
    await signed_in(store)
    assert not await store.choices.choose(session_id, SIGN_IN, NOW, on=True)
    assert await choices_of(store) == {}


async def test_an_ended_session_chooses_nothing(store: Store) -> None:
    session = await signed_in(store)
    assert not await choose(store, session, SIGN_IN, on=True, now=NOW + 3600)
    await store.revocations.account("ada", reason="lost", actor="account:ada", now=NOW)
    assert not await choose(store, session, SIGN_IN, on=True)
    assert await choices_of(store) == {}


async def test_what_a_choice_brings_is_for_the_new_cookie_only(store: Store) -> None:
    session = await signed_in(store)
    grant = Grant(SIGN_IN, NOW, NOW + 86_400)
    rotation = Rotation(session.cookie, new_cookie(store, session), NOW + 5)
    lasting = Lasting(grant, rotation)
    assert await store.choices.choose(session.session_id, SIGN_IN, NOW, on=True, lasting=lasting)
    old = await store.who.ask(session.cookie, NOW)
    new = await store.who.ask(rotation.new_cookie, NOW)
    assert old is not None and old.grants == ()
    assert new is not None and new.grants == (grant,)
    assert await store.who.ask(session.cookie, NOW + 5) is None
