import pytest
from redis.asyncio import Redis
from support.store import NOW, account_added, every_size, signed_in

from gateway.core.records import Account
from gateway.store.accounts import Credentials
from gateway.store.opening import Store

ADA = Account(
    subject="ada",
    name="Ada",
    email="ada@example.org",
    groups=frozenset({"traders"}),
    disabled=False,
    epoch=int((NOW - 100) * 1000),
    confirmed_factors=0,
)


@every_size
async def test_an_account_is_found_as_it_was_added(store: Store) -> None:
    await account_added(store, "ada")
    assert await store.accounts.find("ada") == ADA
    assert await store.accounts.credentials("ada") == Credentials(ADA, "$argon2id$")


@every_size
async def test_nobody_is_found_by_another_name(store: Store) -> None:
    await account_added(store, "ada")
    for subject in ("", "Ada", "ada ", "bob", "*", "ada:x"):
        assert await store.accounts.find(subject) is None
        assert await store.accounts.credentials(subject) is None


@every_size
async def test_a_taken_subject_stays_with_who_has_it(store: Store) -> None:
    await account_added(store, "ada")
    added = await store.accounts.add(
        subject="ada", name="Eve", email="eve@example.org", groups=frozenset(), password_hash="hers", now=NOW
    )
    assert not added
    assert await store.accounts.credentials("ada") == Credentials(ADA, "$argon2id$")


@pytest.mark.parametrize(
    "text", ["Zoë 彩", "a:b", "{s01}", 'say "hi"\\', "line\nbreak", "\0", "9" * 20, "a" * 2000, ""]
)
async def test_texts_are_kept_as_they_are(store: Store, text: str) -> None:
    subject, groups = f"x{text}", frozenset({text, "other"})
    await store.accounts.add(
        subject=subject, name=text, email=text, groups=groups, password_hash=text, now=NOW
    )
    assert await store.accounts.credentials(subject) == Credentials(
        Account(subject, text, text, groups, disabled=False, epoch=int(NOW * 1000), confirmed_factors=0), text
    )


@every_size
async def test_the_list_is_of_everybody_by_subject(store: Store) -> None:
    assert await store.accounts.list() == []
    subjects = [f"account-{number:03}" for number in range(150)]
    for subject in reversed(subjects):
        await account_added(store, subject)
    assert [account.subject for account in await store.accounts.list()] == subjects


@every_size
async def test_a_disabled_account_can_be_enabled(store: Store) -> None:
    session = await signed_in(store)
    await store.revocations.account("ada", reason="left", actor="cli:root", now=NOW, disable=True)
    disabled = await store.accounts.find("ada")
    assert disabled is not None and disabled.disabled
    assert await store.accounts.enable("ada")
    enabled = await store.accounts.find("ada")
    assert enabled is not None and not enabled.disabled
    snapshot = await store.who.ask(session.cookie, NOW)
    assert snapshot is not None and snapshot.fault(NOW) is not None, "what was ended stays ended"
    await signed_in(store)


async def test_enabling_makes_no_account(store: Store, valkey: Redis) -> None:
    keys = set(await valkey.keys())
    assert not await store.accounts.enable("nobody")
    assert set(await valkey.keys()) == keys


async def test_an_account_made_anew_brings_no_session_back(store: Store, valkey: Redis) -> None:
    session = await signed_in(store)
    for _ in range(1000):  # epochs that were counted up must not be reached from a later start
        await store.revocations.account("ada", reason="", actor="cli:root", now=NOW - 100)
    later_session = await signed_in(store)
    await valkey.delete("ww:{s00}:account:ada")
    assert await store.accounts.add(
        subject="ada", name="", email="", groups=frozenset(), password_hash="", now=NOW + 1
    )
    for started in (session, later_session):
        snapshot = await store.who.ask(started.cookie, NOW + 1)
        assert snapshot is not None and snapshot.fault(NOW + 1) is not None


async def test_a_missing_epoch_is_none_and_not_zero(store: Store, valkey: Redis) -> None:
    await account_added(store, "ada")
    await valkey.hdel("ww:{s00}:account:ada", "epoch")
    account = await store.accounts.find("ada")
    assert account is not None and account.epoch is None


@every_size
async def test_a_profile_is_changed_by_a_session_of_its_own_account(store: Store) -> None:
    session, _ = await signed_in(store), await signed_in(store, "bob")
    before = await store.accounts.change_profile(
        session.session_id, name="Ada King", email="king@example.org", vouched=False, now=NOW
    )
    assert before == "ada@example.org"
    found = await store.accounts.find("ada")
    assert found is not None and (found.name, found.email) == ("Ada King", "king@example.org")
    assert found.own_email, "nobody has vouched for it"
    other = await store.accounts.find("bob")
    assert other is not None and other.name == "Bob"


@pytest.mark.parametrize("vouched", [True, False])
async def test_who_vouches_for_an_address(store: Store, vouched: bool) -> None:
    session = await signed_in(store)

    async def change(email: str) -> bool:
        await store.accounts.change_profile(
            session.session_id, name="Ada", email=email, vouched=vouched, now=NOW
        )
        found = await store.accounts.find("ada")
        assert found is not None and found.email == email
        return found.own_email

    assert not await change("ada@example.org"), "it is the one that it was"
    assert await change("king@example.org") is not vouched
    assert await change("king@example.org") is not vouched
    assert await store.accounts.set_email("ada", "king@example.org")
    assert not await change("king@example.org"), "an operator vouched for it"
    assert not await store.accounts.set_email("nobody", "king@example.org")
    assert await store.accounts.find("nobody") is None
