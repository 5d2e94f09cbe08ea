"""A store that does not answer says neither yes nor no; and it is all there when it is back."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis
from support.nodes import read_streams
from support.servers import replicated
from support.store import (
    LIKE_OURS,
    NOW,
    STEP,
    Server,
    commands_during,
    enrolled,
    opened_store,
    running_server,
    signed_in,
    spent,
)

from gateway.errors import StoreUnavailable
from gateway.store import connection
from gateway.store.attempts import AttemptLimit
from gateway.store.connection import Connection, time_text
from gateway.store.failures import store_errors
from gateway.store.keys import Shard
from gateway.store.opening import Store
from gateway.store.sessions import Started

ADA = {"subject": "ada", "epoch": "1", "fields": {"name": "Ada"}}
WHY = {"reason": "test", "actor": "cli:root", "now": NOW}


@pytest.fixture
def server(short_path: Path) -> Iterator[Server]:
    """A server of the test's own, to be mistreated."""
    with running_server(short_path, *LIKE_OURS) as running:
        yield running


# --- failures


async def assert_unavailable(store: Store, session: Started) -> None:
    """No call of any kind gives an answer."""
    for call in (
        store.who.ask(session.cookie, NOW),
        store.sessions.list("ada"),
        store.revocations.session(session.session_id, **WHY),
        store.revocations.everybody(**WHY),
        store.accounts.credentials("ada"),
        store.ping(),
    ):
        with pytest.raises(StoreUnavailable):
            await call


async def test_case_40_who_was_signed_in_still_is_when_a_killed_store_is_back(short_path: Path) -> None:
    with running_server(short_path, *LIKE_OURS) as server:
        store = await opened_store(server.url)
        session = await signed_in(store)
        before = await store.who.ask(session.cookie, NOW)
        server.process.kill()
        server.process.wait()
        await assert_unavailable(store, session)
    with running_server(short_path, *LIKE_OURS):
        assert before is not None
        assert await store.who.ask(session.cookie, NOW) == before
        await store.close()


async def test_a_silent_store_is_unavailable_until_it_speaks_again(server: Server) -> None:
    store = await opened_store(server.url, timeout=0.1)
    session = await signed_in(store)
    server.process.send_signal(signal.SIGSTOP)
    await assert_unavailable(store, session)
    server.process.send_signal(signal.SIGCONT)
    found = None
    for _ in range(100):  # on a slow machine, more than one try
        with suppress(StoreUnavailable):
            found = found or await store.who.ask(session.cookie, NOW)
    assert found is not None
    await store.close()


async def test_what_timed_out_is_not_sent_again(server: Server) -> None:
    """It may have happened: a code would be spent, and then be refused as used."""
    store = await opened_store(server.url, timeout=0.1)
    server.process.send_signal(signal.SIGSTOP)
    asyncio.get_running_loop().call_later(0.15, server.process.send_signal, signal.SIGCONT)
    with pytest.raises(StoreUnavailable):
        await store.attempts.count("code", "ada", AttemptLimit(1, 60))
    async with Redis.from_url(server.url, decode_responses=True) as client:
        assert await client.get("ww:{s00}:attempts:code:ada") in {None, "1"}
    await store.close()


async def test_what_was_cut_off_is_not_sent_again(valkey: Redis, valkey_url: str, short_path: Path) -> None:
    """It may have happened as well."""
    cut = asyncio.Event()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Between client and server; once `cut`, one answer does not arrive."""
        from_server, to_server = await asyncio.open_unix_connection(valkey_url.removeprefix("unix://"))
        while request := await reader.read(2**16):
            to_server.write(request)
            answer = await from_server.read(2**16)
            if cut.is_set():
                cut.clear()
                break
            writer.write(answer)
        to_server.close()
        writer.close()

    async with await asyncio.start_unix_server(relay, short_path / "relay.sock"):
        store = await opened_store(f"unix://{short_path}/relay.sock")
        await store.attempts.count("code", "ada", AttemptLimit(9, 60))
        cut.set()
        with pytest.raises(StoreUnavailable):
            await store.attempts.count("code", "ada", AttemptLimit(9, 60))
        assert await valkey.get("ww:{s00}:attempts:code:ada") == "2"
        await store.close()


async def test_a_dead_connection_in_the_pool_is_replaced(store: Store, valkey: Redis) -> None:
    session = await signed_in(store)
    for client in await valkey.client_list(_type="normal"):
        if client["cmd"] != "client|list":
            await valkey.client_kill_filter(_id=client["id"])
    assert await store.who.ask(session.cookie, NOW) is not None


async def test_a_server_that_became_a_replica_uses_nothing_up(server: Server) -> None:
    """As after a failover: reads go on, but a READONLY answer is neither yes nor no."""
    store = await opened_store(server.url)
    session = await signed_in(store)
    factor_id = await enrolled(store, session)
    async with Redis.from_url(server.url) as client:
        await client.replicaof("127.0.0.1", "1")
        with pytest.raises(StoreUnavailable):
            await spent(store, session, factor_id, STEP)
        with pytest.raises(StoreUnavailable):
            await store.revocations.account("ada", **WHY)
        await client.replicaof("NO", "ONE")
    assert await spent(store, session, factor_id, STEP) is None
    await store.close()


async def test_whoever_waits_for_a_connection_in_vain_is_told(
    store: Store, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_MOST_SCRIPTS", 1)
    monkeypatch.setattr(connection, "_LONGEST_TURN", 0.01)
    crowded = await opened_store(valkey_url)
    session = await signed_in(store)
    async with crowded._connection._turn():
        with pytest.raises(StoreUnavailable):
            await crowded.who.ask(session.cookie, NOW)
    assert await crowded.who.ask(session.cookie, NOW) is not None
    await crowded.close()


async def test_a_full_store_is_unavailable_and_forgets_nobody(server: Server) -> None:
    store = await opened_store(server.url)
    session = await signed_in(store)
    async with Redis.from_url(server.url) as client:
        await client.config_set("maxmemory", "1")
        with pytest.raises(StoreUnavailable):
            await signed_in(store, "bob")
        await client.config_set("maxmemory", "0")
    assert await store.who.ask(session.cookie, NOW) is not None
    await store.close()


# --- scripts


async def test_a_script_that_the_server_forgot_is_loaded_again(store: Store, valkey: Redis) -> None:
    session = await signed_in(store)
    assert await store.who.ask(session.cookie, NOW) is not None
    await valkey.script_flush()
    assert await store.who.ask(session.cookie, NOW) is not None
    await valkey.script_flush()
    assert (await store.attempts.count("code", "ada", AttemptLimit(1, 60))).allowed, "counted once, not twice"


# --- values on the way


@given(st.floats(0, 1e11))
def test_a_time_keeps_its_microseconds(seconds: float) -> None:
    assert float(time_text(seconds)) == pytest.approx(seconds, abs=1e-6, rel=1e-15)


async def test_many_hashes_are_one_round_trip(valkey: Redis) -> None:
    for number in range(3):
        await valkey.hset(f"h{number}", "n", str(number))
    connection = Connection(valkey, 1)
    assert await connection.hashes(["h0", "missing", "h2"]) == [{"n": "0"}, {"n": "2"}]
    assert await connection.hashes([]) == []
    assert await commands_during(valkey, connection.hashes(["h0", "h1", "h2"])) == ["HGETALL"] * 3


async def test_one_field_of_many_hashes_is_one_round_trip(valkey: Redis) -> None:
    for number in range(2):
        await valkey.hset(f"h{number}", "n", str(number))
    connection = Connection(valkey, 1)
    assert await connection.fields(["h1", "missing", "h0"], "n") == ["1", None, "0"]
    assert await connection.fields(["h1"], "other") == [None]
    assert await connection.fields([], "n") == []
    assert await commands_during(valkey, connection.fields(["h0", "h1"], "n")) == ["HGET"] * 2


# --- what is acknowledged, and what is waited for


async def test_what_no_replica_has_to_hold_is_not_waited_for(store: Store, valkey: Redis) -> None:
    run = store._connection.run_acknowledged
    assert await run("add_account", Shard(0), replicas=0, within=1.0, **ADA) == (
        1,
        0,
    )


async def test_what_replicas_do_not_hold_is_told_even_after_the_server_forgot_its_scripts(
    store: Store, valkey: Redis
) -> None:
    run = store._connection.run_acknowledged
    await valkey.script_flush()
    assert await run("add_account", Shard(0), replicas=1, within=0.01, **ADA) == (
        1,
        0,
    )
    assert await run("add_account", Shard(0), replicas=1, within=0.01, **ADA) == (
        0,
        0,
    )


async def test_what_replicas_hold_is_told(redis_path: str) -> None:
    with replicated(redis_path, sentinels=0) as running:
        primary, first, second = running.servers
        store = await opened_store(f"redis://{primary.place}", replicas=2)
        run = store._connection.run_acknowledged
        assert await run("add_account", Shard(0), replicas=2, within=10, **ADA) == (1, 2)
        first.pause()
        assert await run("add_account", Shard(0), replicas=2, within=0.05, **ADA) == (0, 1)
        second.pause()
        outcome, held = await run("add_account", Shard(0), replicas=1, within=0.05, **{**ADA, "subject": "b"})
        assert (outcome, held) == (1, 0), "it stands nevertheless"
        first.resume()
        assert (await run("add_account", Shard(0), replicas=1, within=10, **ADA))[1] == 1
        await store.close()


async def test_what_is_waited_for_goes_in_one_piece(store: Store, valkey: Redis) -> None:
    """WAIT on another connection would count nothing."""
    run = store._connection.run_acknowledged
    await run("add_account", Shard(0), replicas=1, within=0.01, **ADA)
    seen = await commands_during(valkey, run("add_account", Shard(0), replicas=1, within=0.01, **ADA))
    assert [name for name in seen if not name.startswith("lua:")] == ["EVALSHA", "WAIT"]
    seen = await commands_during(valkey, run("add_account", Shard(0), replicas=0, within=0.01, **ADA))
    assert [name for name in seen if not name.startswith("lua:")] == ["EVALSHA"]


async def test_the_parts_are_the_same_until_a_server_starts_again(redis_path: str) -> None:
    with replicated(redis_path, replicas=0, sentinels=0) as running:
        (server,) = running.servers
        store = await opened_store(f"redis://{server.place}")
        layout = await store._connection.layout()
        assert await store._connection.layout() == layout
        server.kill()
        with pytest.raises(StoreUnavailable):
            await store._connection.layout()
        server.start()
        assert await store._connection.layout() != layout
        await store.close()


async def test_a_script_that_fails_is_not_known_to_have_happened(store: Store) -> None:
    with pytest.raises(StoreUnavailable):
        await store._connection.run_acknowledged("revoke", Shard(0), replicas=1, within=0.01)


async def test_streams_are_read_from_where_one_was(store: Store, valkey: Redis) -> None:
    first, second = await valkey.xadd("one", {"n": "1"}), await valkey.xadd("one", {"n": "2"})
    await valkey.xadd("two", {"n": "3"}, id="7-0")
    found = await read_streams(store, {"one": first, "two": "0-0"}, block=0.01, most=10)
    assert found == {"one": [(second, {"n": "2"})], "two": [("7-0", {"n": "3"})]}
    assert await read_streams(store, {"one": second}, block=0.01, most=10) == {}


async def test_a_reader_of_streams_waits_longer_than_for_an_answer(server: Server) -> None:
    store = await opened_store(server.url, timeout=0.1)
    reading = asyncio.create_task(read_streams(store, {"one": "0-0"}, block=1.0, most=10))
    async with Redis.from_url(server.url, decode_responses=True) as valkey:
        while int((await valkey.info("clients"))["blocked_clients"]) < 1:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)  # longer than the client would wait
        entry = await valkey.xadd("one", {"n": "1"})
        assert await reading == {"one": [(entry, {"n": "1"})]}
    await store.close()


def test_what_uvloop_says_of_a_lost_connection_is_an_answer_that_did_not_come(valkey_url: str) -> None:
    async def write_to_what_is_lost() -> None:
        _, writer = await asyncio.open_unix_connection(valkey_url.removeprefix("unix://"))
        writer.transport.abort()
        await writer.wait_closed()
        with pytest.raises(StoreUnavailable, match="closed"), store_errors():
            writer.writelines([b"PING\r\n"])

    uvloop.run(write_to_what_is_lost())
