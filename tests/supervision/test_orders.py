import os

from gateway.supervision.orders import RELOAD, RETIRE, Order, cover, orders_from


async def test_orders_come_in_turn_until_nobody_can_give_any() -> None:
    reading, writing = os.pipe()
    os.write(writing, RELOAD + cover({2, 0}) + cover(()) + RETIRE)
    os.close(writing)
    assert [order async for order in orders_from(reading)] == [
        Order("reload"),
        Order("cover", frozenset({0, 2})),
        Order("cover"),
        Order("retire"),
    ]
