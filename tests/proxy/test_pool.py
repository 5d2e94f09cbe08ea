"""Which connection a request gets, and who waits for whom."""

import asyncio
import socket
from dataclasses import replace

import pytest
from support.upstreams import Peer, refusing, serving, until

from gateway.errors import UpstreamFailed, UpstreamFault
from gateway.proxy.connection import Connection
from gateway.proxy.pool import Address, Pool, UpstreamLimits

PATIENT = UpstreamLimits(connections=2, connect=60, keep=60, retry_after_failure=60)


async def silent(peer: Peer) -> None:
    await peer.rest()


async def take(address: Address) -> Connection:
    connection = await address.reserve()
    if connection.is_new:
        await address.connect(connection)
    return connection


async def settle() -> None:
    """Let every task go as far as it can without anything new from outside."""
    for _ in range(5):
        await asyncio.sleep(0)


# --- addresses


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:8001", "http://[::1]:8001", "http://app", "http://app_1.internal:80/"],
)
def test_addresses(address: str) -> None:
    assert Pool([address], PATIENT).addresses[0].open == 0


@pytest.mark.parametrize(
    "address",
    [
        "https://app:8001",
        "app:8001",
        "127.0.0.1",
        "http://",
        "http://:80",
        "http://app:80/path",
        "http://app:80/?query",
        "http://app:80#fragment",
        "http://user@app:80",
        "http://user:word@app:80",
        "http://app:port",
        "http://app:99999",
        "http://app..test:80",
        "unix:/run/app.sock",
        "",
    ],
)
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Pool([address], PATIENT)


def test_a_pool_has_an_address() -> None:
    with pytest.raises(ValueError, match="needs an address"):
        Pool([], PATIENT)


# --- one address


async def test_the_newest_free_connection_is_used_again() -> None:
    async with serving(silent) as upstream:
        address = Address(upstream.address, PATIENT)
        first, second = await take(address), await take(address)
        assert first is not second
        second.release()
        first.release()
        assert (address.open, address.free) == (2, 2)
        assert await take(address) is first
        assert await take(address) is second
        assert (address.open, address.free) == (2, 0)
        address.close()


async def test_a_free_connection_that_died_is_not_used() -> None:
    async with serving(silent) as upstream:
        address = Address(upstream.address, PATIENT)
        first, second = await take(address), await take(address)
        first.release()
        second.release()
        await until(lambda: len(upstream.peers) == 2)
        upstream.peers[0].hang_up()
        await until(lambda: address.free == 1)
        assert await take(address) is second
        upstream.peers[1].hang_up()
        await until(lambda: address.open == 0)
        assert await take(address) not in (first, second)
        address.close()


async def test_unused_connections_are_not_kept_for_long() -> None:
    async with serving(silent) as upstream:
        address = Address(upstream.address, replace(PATIENT, keep=-1.0))
        first, second = await take(address), await take(address)
        first.release()
        await until(lambda: address.open == 1)
        second.release()
        await until(lambda: address.open == 0)
        address.close()


async def test_a_connection_that_was_unused_for_too_long_is_not_used_again() -> None:
    async with serving(silent) as upstream:
        address = Address(upstream.address, replace(PATIENT, keep=0.01))
        first = await take(address)
        first.release()
        await asyncio.sleep(0.05)
        assert address.free == 1
        assert await take(address) is not first
        address.close()


async def test_no_more_connections_than_allowed_and_first_come_first_served() -> None:
    async with serving(silent) as upstream:
        address = Address(upstream.address, PATIENT)
        first, second = await take(address), await take(address)
        assert address.busy
        waiting = [asyncio.create_task(take(address)) for _ in range(3)]
        await settle()
        assert (address.open, [task.done() for task in waiting]) == (2, [False, False, False])
        second.release()
        assert await waiting[0] is second
        first.abort()  # its place is free as soon as it is closed
        third = await waiting[1]
        assert third not in (first, second)
        assert address.open == 2
        third.release()
        assert await waiting[2] is third
        assert len(upstream.peers) == 3
        address.close()


async def test_a_connection_that_dies_while_handed_over_is_replaced() -> None:
    async with serving(silent) as upstream:
        address = Address(upstream.address, replace(PATIENT, connections=1))
        first = await take(address)
        waiting = asyncio.create_task(take(address))
        await settle()
        first.release()
        first.abort()
        assert await waiting is not first
        assert address.open == 1
        address.close()


async def test_waiting_ends() -> None:
    address = Address("http://127.0.0.1:1", replace(PATIENT, connections=0, connect=0.01))
    with pytest.raises(UpstreamFailed) as failed:
        await address.reserve()
    assert failed.value.fault is UpstreamFault.TIMEOUT
    assert address.rests_until < 0  # to be busy is no failure


async def test_the_queue_is_bounded() -> None:
    address = Address("http://127.0.0.1:1", replace(PATIENT, connections=0, waiting=1))
    waiting = asyncio.create_task(address.reserve())
    await settle()
    with pytest.raises(UpstreamFailed) as failed:
        await address.reserve()
    assert failed.value.fault is UpstreamFault.TIMEOUT
    waiting.cancel()
    await asyncio.wait([waiting])
    waiting = asyncio.create_task(address.reserve())  # who gave up left the queue
    await settle()
    assert not waiting.done()
    address.close()
    with pytest.raises(UpstreamFailed):
        await waiting


@pytest.mark.parametrize("gives_up", ["before", "in the same moment"])
async def test_who_gives_up_waiting_takes_nothing_along(gives_up: str) -> None:
    """Case 43."""
    async with serving(silent) as upstream:
        address = Address(upstream.address, replace(PATIENT, connections=1))
        held = await take(address)
        quitter, other = asyncio.create_task(take(address)), asyncio.create_task(take(address))
        await settle()
        if gives_up == "before":
            quitter.cancel()
        held.release()
        quitter.cancel()
        assert await other is held
        assert (quitter.cancelled(), address.open) == (True, 1)
        address.close()


async def test_who_gives_up_a_place_that_was_just_freed_leaves_it_to_the_next() -> None:
    async with serving(silent) as upstream:
        address = Address(upstream.address, replace(PATIENT, connections=1))
        held = await take(address)
        quitter, other = asyncio.create_task(take(address)), asyncio.create_task(take(address))
        await settle()
        address.lost(held)
        quitter.cancel()
        assert (await other).usable()
        assert (quitter.cancelled(), address.open) == (True, 1)
        held.abort()
        address.close()


async def test_giving_up_while_a_connection_is_made_frees_its_place() -> None:
    async with serving(silent) as upstream:
        address = Address(upstream.address, replace(PATIENT, connections=1))
        for rounds in range(6):
            quitter = asyncio.create_task(take(address))
            for _ in range(rounds):
                await asyncio.sleep(0)
            if not quitter.cancel():
                (await quitter).abort()
            await asyncio.wait([quitter])
            await until(lambda: address.open == 0)


# --- connecting


async def test_a_refused_connection() -> None:
    address = Address(refusing(), PATIENT)
    connection = await address.reserve()
    with pytest.raises(UpstreamFailed) as failed:
        await address.connect(connection)
    assert failed.value.fault is UpstreamFault.REFUSED
    assert address.open == 0


async def test_a_connection_that_takes_too_long() -> None:
    async with serving(silent) as upstream:
        address = Address(upstream.address, replace(PATIENT, connect=0))
        connection = await address.reserve()
        with pytest.raises(UpstreamFailed) as failed:
            await address.connect(connection)
        assert failed.value.fault is UpstreamFault.TIMEOUT
        assert address.open == 0


async def test_a_closed_address_makes_no_connections() -> None:
    async with serving(silent) as upstream:
        address = Address(upstream.address, PATIENT)
        used, making = await take(address), await address.reserve()
        waiting = asyncio.create_task(address.reserve())
        await settle()
        address.close()
        for attempt in (waiting, address.reserve(), address.connect(making)):
            with pytest.raises(UpstreamFailed):
                await attempt
        await until(lambda: address.open == 0)
        assert not used.usable()


# --- several addresses


async def test_addresses_take_turns() -> None:
    async with serving(silent) as one, serving(silent) as two, serving(silent) as three:
        pool = Pool([one.address, two.address, three.address], PATIENT)
        for _ in range(6):
            await pool.connection()
        assert [address.open for address in pool.addresses] == [2, 2, 2]
        pool.close()


async def test_a_busy_address_is_passed_over() -> None:
    async with serving(silent) as one, serving(silent) as two:
        pool = Pool([one.address, two.address], PATIENT)
        first, second = pool.addresses
        busy = [await take(first), await take(first)]
        for _ in range(2):
            assert (await pool.connection()).home is second
        busy[0].release()
        assert await pool.connection() is busy[0]
        pool.close()


async def test_when_one_refuses_the_next_is_asked_and_then_preferred() -> None:
    async with serving(silent) as good:
        pool = Pool([refusing(), good.address], replace(PATIENT, connections=9))
        for _ in range(4):
            assert (await pool.connection()).home is pool.addresses[1]
        bad = pool.addresses[0]
        assert bad.rests_until > asyncio.get_running_loop().time()
        rested_until = bad.rests_until
        for _ in range(4):
            await pool.connection()
        assert bad.rests_until == rested_until  # nobody asked it again
        pool.close()


async def test_an_address_is_asked_again_after_its_rest() -> None:
    async with serving(silent) as one, serving(silent) as two:
        pool = Pool([one.address, two.address], replace(PATIENT, connections=9, retry_after_failure=0))
        pool.addresses[0].failed()
        homes = [(await pool.connection()).home for _ in range(4)]
        assert homes.count(pool.addresses[0]) == 2
        pool.close()


async def test_when_all_rest_all_are_asked() -> None:
    async with serving(silent) as good:
        pool = Pool([refusing(), good.address, refusing()], PATIENT)
        for address in pool.addresses:
            address.failed()
        assert (await pool.connection()).home is pool.addresses[1]
        pool.close()


async def test_when_all_refuse_the_request_fails() -> None:
    pool = Pool([refusing(), refusing()], PATIENT)
    with pytest.raises(UpstreamFailed) as failed:
        await pool.connection()
    assert failed.value.fault is UpstreamFault.REFUSED


# --- without waiting


async def test_only_a_free_connection_can_be_had_at_once() -> None:
    async with serving(silent) as upstream:
        pool = Pool([upstream.address], PATIENT)
        assert pool.free_now() is None
        connection = await pool.connection()
        assert pool.free_now() is None
        connection.release()
        assert pool.free_now() is connection
        assert pool.free_now() is None
        connection.release()
        assert await pool.connection() is connection
        connection.release()
        pool.close()
        assert pool.free_now() is None


@pytest.mark.parametrize("what", ["bytes", "end"])
async def test_what_died_while_it_was_free_cannot_be_had_at_once(what: str) -> None:
    """Case 17, in the moment before the event loop has read anything: the socket is looked at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = Address(f"http://127.0.0.1:{server.getsockname()[1]}", PATIENT)
        older, newer = await take(address), await take(address)
        peers = [server.accept()[0] for _ in range(2)]
        older.release()
        newer.release()
        peers[1].sendall(b"x") if what == "bytes" else peers[1].close()
        assert address.free_now() is older
        await until(lambda: address.open == 1)
        address.close()
        for peer in peers:
            peer.close()


async def test_what_was_unused_for_too_long_cannot_be_had_at_once() -> None:
    async with serving(silent) as upstream:
        address = Address(upstream.address, replace(PATIENT, keep=-1.0))
        connection = await take(address)
        connection._idle_since = asyncio.get_running_loop().time()
        address._free.append(connection)
        assert address.free_now() is None
        await until(lambda: address.open == 0)


async def test_whoever_asks_for_a_free_connection_first_leaves_no_address_out() -> None:
    """As every request does that may take the short cut, and goes the ordinary way if it cannot."""
    async with serving(silent) as one, serving(silent) as two:
        pool = Pool([one.address, two.address], PATIENT)
        homes = []
        for _ in range(8):
            connection = pool.free_now() or await pool.connection()
            homes.append(connection.home)
            connection.release()
        assert [homes.count(address) for address in pool.addresses] == [4, 4]
        assert [address.open for address in pool.addresses] == [1, 1]
        pool.close()


async def test_a_resting_address_is_not_the_first_to_be_had_at_once() -> None:
    async with serving(silent) as one, serving(silent) as two:
        pool = Pool([one.address, two.address], PATIENT)
        for connection in [await pool.connection() for _ in range(2)]:
            connection.release()
        pool.addresses[0].failed()
        for _ in range(3):
            connection = pool.free_now()
            assert connection is not None
            assert connection.home is pool.addresses[1]
            connection.release()
        pool.close()
