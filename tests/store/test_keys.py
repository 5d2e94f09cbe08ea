import re
from base64 import b64encode
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.crc import key_slot
from support.resets import ADA, RESET_RULES, new_reset
from support.store import (
    LIMITS,
    NOW,
    RING,
    STEP,
    challenge_of,
    contents,
    every_size,
    new_cookie,
    new_factor,
    signed_in,
    spent,
)

from gateway.core import totp
from gateway.core.records import Grant
from gateway.core.reset import Reset, Step, close
from gateway.store import keys
from gateway.store.attempts import CODES, AttemptLimit, GrowingDelay
from gateway.store.audit import FORGET_SECONDS, AuditEntry
from gateway.store.factors import VOID_SECONDS, Rotation
from gateway.store.keys import MAX_SHARDS, META, Shard, hash_of, shard_at, shard_of_id, shard_of_subject
from gateway.store.opening import Store
from gateway.store.sessions import FORGET_DEVICE_SECONDS
from gateway.store.standing import Nobody

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(index=st.integers(0, MAX_SHARDS - 1), kind=st.sampled_from(["account", "epoch", "cookie"]), name=TEXTS)
def test_all_keys_of_a_shard_share_a_slot_of_redis_cluster(index: int, kind: str, name: str) -> None:
    shard = Shard(index)
    assert key_slot(shard.key(kind, name).encode()) == key_slot(shard.prefix.encode())


def test_shards_spread_over_the_slots() -> None:
    assert len({key_slot(Shard(index).prefix.encode()) for index in range(MAX_SHARDS)}) == MAX_SHARDS


@pytest.mark.parametrize(
    ("subject", "of_one", "of_64", "of_256"), [("ada", 0, 30, 222), ("bob", 0, 26, 218), ("", 0, 20, 20)]
)
def test_where_an_account_lives_never_changes(subject: str, of_one: int, of_64: int, of_256: int) -> None:
    """Another hash would leave every account behind in the shard of the old one."""
    places = [shard_of_subject(subject, shards).index for shards in (1, 64, 256)]
    assert places == [of_one, of_64, of_256]


def test_accounts_spread_over_the_shards() -> None:
    assert {shard_of_subject(f"account-{n}", 64).index for n in range(2000)} == set(range(64))


@given(index=st.integers(0, MAX_SHARDS - 1))
def test_an_identifier_names_its_shard(index: int) -> None:
    identifier = Shard(index).new_id()
    assert shard_of_id(identifier, MAX_SHARDS) == Shard(index)
    assert shard_of_id(identifier, index) is None, "a shard that the store does not have"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0" * 31,
        "0" * 33,
        "0" * 31 + "g",
        "0" * 31 + "A",
        "0" * 31 + "\n",
        "0" * 31 + "\uff10",
        "+0" + "0" * 30,
        "40" + "0" * 30,
    ],
)
def test_what_is_no_identifier_names_no_shard(text: str) -> None:
    assert shard_of_id(text, 64) is None


@pytest.mark.parametrize("index", [0, 7, MAX_SHARDS - 1])
def test_a_shard_is_found_by_its_number(index: int) -> None:
    assert shard_at(index) == Shard(index)
    assert shard_at(index) is shard_at(index), "each request asks for its own"


def test_a_hash_is_sha_256() -> None:
    assert hash_of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


SEED = b"a seed of twenty oct"
RESUME = "the value of a resume cookie"
BODY = b"amount=1&address=somewhere"


async def whole_story(store: Store) -> list[str]:
    """Ada uses everything once; gives every secret that came up on the way."""
    session = await signed_in(store)
    factor = replace(new_factor(store), sealed_seed=RING.seal(SEED, bound_to="ada's factor"))
    await store.factors.add(factor, NOW, code_given=True)
    assert await spent(store, session, factor.id, STEP, confirms=True) is None
    parked = RING.seal(BODY, bound_to="ada's request")
    challenge = challenge_of(store, session, sealed_request=parked)
    assert await store.challenges.open(challenge, NOW)
    newer = new_cookie(store, session)
    brings = {
        "grant": Grant("exchange/approve", NOW, NOW + 60, "binding"),
        "rotation": Rotation(session.cookie, newer, NOW + 5),
        "challenge_id": challenge.id,
        "resume": (RESUME, NOW + 60),
    }
    assert await spent(store, session, factor.id, STEP + 1, **brings) is None
    await store.factors.void(factor, STEP + 9, NOW)
    assert await store.recovery_codes.keep(session.session_id, ["a hash"], NOW) is None
    await store.attempts.begin(CODES, "ada", GrowingDelay(5, 30, 900), NOW)
    await store.attempts.count("address", "ada", AttemptLimit(5, 60))
    for event in ("code-taken", "recovery-code-used"):
        await store.audit.record(AuditEntry(NOW, event, "account:ada", "ada", session.session_id))
    reset = new_reset(store.resets.new_id("ada"))
    assert await store.resets.open(reset) is None
    stopped = close(reset, Step.STOP, "it was not me", ADA, NOW)
    assert isinstance(stopped, Reset)
    assert await store.resets.move(reset, stopped, forget_at=NOW + RESET_RULES.keep)
    another = new_reset(store.resets.new_id("ada"))
    assert await store.resets.open(another) is None
    await store.resets.tell(session.session_id, another.id, NOW)
    elsewhere = await signed_in(store, browser="phone cookie")
    await store.revocations.session(elsewhere.session_id, reason="lost", actor="account:ada", now=NOW)
    return [
        *(cookie.partition(".")[2] for cookie in (session.cookie, newer, elsewhere.cookie)),
        "phone cookie",
        RESUME,
        *(
            text
            for secret in (SEED, BODY)
            for text in (secret.decode(), secret.hex(), b64encode(secret).decode())
        ),
        totp.setup_key(SEED),
    ]


@every_size
async def test_all_that_is_about_an_account_is_in_one_shard(store: Store, valkey: Redis) -> None:
    await whole_story(store)
    everywhere = (META, ":epoch", ":listed")
    about_ada = [key for key in await valkey.keys() if not key.endswith(everywhere)]
    assert len({key.partition("}")[0] for key in about_ada}) == 1


async def test_the_kinds_of_keys_are_those_described(store: Store, valkey: Redis) -> None:
    await whole_story(store)
    await store.node.start(Nobody())
    await store.received_events.claim("https://login.example", "token-1", NOW, forget_at=NOW + 60)
    rows = r"^([a-z]+)(?::<\w+>)? +(?:hash|set|zset|list|string|stream) "
    described = set(re.findall(rows, keys.__doc__ or "", re.MULTILINE))
    used = {key.partition("}:")[2].partition(":")[0] for key in await valkey.keys() if key != META}
    assert used == described


TIDIED = {
    "cookie": {5, LIMITS.absolute},  # the one from before the step-up, and the others
    "session": {LIMITS.absolute},
    "grants": {LIMITS.absolute},
    "device": {FORGET_DEVICE_SECONDS},
    "challenges": {LIMITS.absolute},
    "parked": {300},
    "challenge": {60},  # once it was answered: as long as its parked request waits
    "resume": {60},
    "voided": {VOID_SECONDS},
    "told": {FORGET_SECONDS},
    "hourly": {3600},
    "activity": {FORGET_SECONDS},
    "reset": {RESET_RULES.keep},  # the closed one
}


COUNTED_FROM_NOW = {"attempts", "revocation"}
"""By the server's clock: they have no times of their own."""


async def test_redis_tidies_up_what_is_over_and_nothing_else(store: Store, valkey: Redis) -> None:
    await whole_story(store)
    found: dict[str, set[float]] = {}
    for key in await valkey.keys("ww:{*"):
        ends_at = await valkey.pexpiretime(key)
        kind = key.split(":")[2]
        if ends_at != -1 and kind not in COUNTED_FROM_NOW:
            found.setdefault(kind, set()).add(ends_at / 1000 - NOW)
    assert found == TIDIED


async def test_case_41_a_dump_of_the_store_gives_nothing_away(store: Store, valkey: Redis) -> None:
    secrets = await whole_story(store)
    dump = repr(await contents(valkey))
    assert hash_of(RESUME) in dump, "the dump is not empty"
    assert [secret for secret in secrets if secret in dump] == []
