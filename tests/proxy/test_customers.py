"""Who waits for a connection without a task."""

import asyncio
from dataclasses import replace

import pytest
from proxy.test_pool import PATIENT, settle, silent, take
from support.upstreams import refusing, serving, until

from gateway.errors import UpstreamFailed, UpstreamFault
from gateway.proxy.connection import Connection
from gateway.proxy.pool import Address, Pool


class Buyer:
    """What a customer was given; `wants` is whether it takes a connection."""

    def __init__(self, *, wants: bool = True) -> None:
        self.wants = wants
        self.got: list[Connection] = []
        self.told: list[UpstreamFailed | None] = []

    def served(self, connection: Connection) -> bool:
        if self.wants:
            self.got.append(connection)
        return self.wants

    def sent_away(self, failure: UpstreamFailed | None) -> None:
        self.told.append(failure)


async def test_connections_are_made_for_customers_a_few_at_a_time() -> None:
    async with serving(silent) as upstream:
        address = Address(upstream.address, replace(PATIENT, connections=100))
        buyers = [Buyer() for _ in range(40)]
        assert all(address.enqueue(buyer) for buyer in buyers)
        assert len(address._making) == 8
        await until(lambda: all(buyer.got for buyer in buyers))
        assert len({id(buyer.got[0]) for buyer in buyers}) == 40
        await until(lambda: not address._making)
        assert (address.open, address.free) == (40, 0)
        address.close()


async def test_a_customer_gets_what_is_free_first_in_its_turn() -> None:
    async with serving(silent) as upstream:
        address = Address(upstream.address, replace(PATIENT, connections=1))
        held = await take(address)
        buyers = [Buyer(wants=number != 1) for number in range(4)]
        assert all(address.enqueue(buyer) for buyer in buyers)
        address.leave(buyers[2])
        later = asyncio.create_task(take(address))  # behind them
        await settle()
        held.release()
        assert [buyer.got for buyer in buyers] == [[held], [], [], []]
        held.release()
        assert [buyer.got for buyer in buyers] == [[held], [], [], [held]]
        held.release()
        assert await later is held
        assert len(upstream.peers) == 1
        assert [buyer.told for buyer in buyers] == [[]] * 4
        address.close()


async def test_what_hung_up_while_it_was_released_is_replaced_for_a_customer() -> None:
    async with serving(silent) as upstream:
        address, buyer = Address(upstream.address, replace(PATIENT, connections=1)), Buyer()
        first = await take(address)
        await until(lambda: bool(upstream.peers))
        assert address.enqueue(buyer)
        upstream.peers[0].hang_up()
        await until(lambda: not first.usable())
        first.release()
        await until(lambda: bool(buyer.got))
        assert buyer.got[0] is not first
        address.close()


async def test_customers_and_those_who_wait_in_a_task_are_served_in_the_order_in_which_they_came() -> None:
    """Or a busy address, where somebody always waits, would be closed to the ones or the others."""
    loop = asyncio.get_running_loop()
    async with serving(silent) as upstream:
        address = Address(upstream.address, replace(PATIENT, connections=1))
        held = await take(address)
        order: list[int] = []
        buyers: dict[int, Buyer] = {}
        tasks: dict[int, asyncio.Task[Connection]] = {}
        for number in range(6):
            if number % 2:
                buyers[number] = Buyer()
                assert address.enqueue(buyers[number])
            else:
                tasks[number] = asyncio.create_task(take(address))
                await settle()
            came_at = loop.time()
            await until(lambda: loop.time() > came_at)  # noqa: B023 - it waits here
        tasks.pop(4).cancel()
        for _ in range(5):
            held.release()
            await settle()
            order += [number for number, buyer in buyers.items() if buyer.got and number not in order]
            order += [number for number, task in tasks.items() if task.done() and number not in order]
        assert order == [0, 1, 2, 3, 5]
        address.close()


async def test_where_no_connection_can_be_made_customers_are_sent_away_and_no_more_come() -> None:
    address, buyers = Address(refusing(), PATIENT), [Buyer() for _ in range(3)]
    assert all(address.enqueue(buyer) for buyer in buyers)
    await until(lambda: all(buyer.told for buyer in buyers))
    assert [buyer.told for buyer in buyers] == [[None]] * 3
    assert address.open == 0
    assert not address.enqueue(Buyer())


@pytest.mark.parametrize("one_is_in_use", [True, False])
async def test_a_customer_has_a_limit_to_its_patience(one_is_in_use: bool) -> None:
    """Where not even one connection was made, another address may have one."""
    async with serving(silent) as upstream:
        limits = replace(PATIENT, connections=int(one_is_in_use), connect=0.05)
        address, buyer = Address(upstream.address, limits), Buyer()
        if one_is_in_use:
            await take(address)
        assert address.enqueue(buyer)
        await until(lambda: bool(buyer.told))
        assert [failure and failure.fault for failure in buyer.told] == [
            UpstreamFault.TIMEOUT if one_is_in_use else None
        ]
        address.close()


async def test_the_queue_of_customers_is_bounded_and_ends_with_the_address() -> None:
    address = Address("http://127.0.0.1:1", replace(PATIENT, connections=0, waiting=2))
    buyers = [Buyer() for _ in range(3)]
    assert [address.enqueue(buyer) for buyer in buyers] == [True, True, False]
    address.close()
    assert [buyer.told for buyer in buyers] == [[None], [None], []]
    assert not address.enqueue(Buyer())


async def test_a_customer_waits_at_the_address_whose_turn_it_is() -> None:
    async with serving(silent) as one, serving(silent) as other:
        pool, buyers = Pool([one.address, other.address], PATIENT), [Buyer() for _ in range(2)]
        for buyer in buyers:
            assert pool.free_now() is None
            assert pool.enqueue(buyer) is not None
            await until(lambda: bool(buyer.got))  # noqa: B023 - it waits here
        assert (len(one.peers), len(other.peers)) == (1, 1)
        pool.close()


async def test_no_more_connections_are_made_for_customers_than_there_may_be() -> None:
    async with serving(silent) as upstream:
        address = Address(upstream.address, replace(PATIENT, connections=3))
        buyers = [Buyer() for _ in range(20)]
        assert all(address.enqueue(buyer) for buyer in buyers)
        for buyer in buyers:
            await until(lambda: bool(buyer.got))  # noqa: B023 - it waits here
            assert address.open <= 3
            buyer.got[0].release()
        await until(lambda: not address._making)
        assert len(upstream.peers) == 3
        address.close()


async def test_a_connection_that_is_not_begun_when_all_ends_takes_no_place() -> None:
    address = Address("http://127.0.0.1:1", PATIENT)
    assert address.enqueue(Buyer())
    assert address.open == 1
    address.close()
    await until(lambda: not address._making)
    assert address.open == 0
