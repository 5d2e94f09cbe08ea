"""What machines ask, without a token."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from support.nodes import Join
from support.operators import Operators
from support.store import LIKE_OURS, opened_store, running_server

from gateway.errors import Fault
from gateway.store.opening import Store
from gateway.store.standing import NodeOptions


async def test_a_gateway_that_works_is_alive_and_ready(operators: Operators) -> None:
    alive, ready = [await operators.call("GET", path) for path in ("/healthz", "/readyz")]
    assert (alive.status, alive.body) == (200, {"alive": True})
    assert (ready.status, ready.body) == (200, {"ready": True, "troubles": []})


async def test_faulty_policies_are_told_by_a_gateway_that_serves_on(operators: Operators) -> None:
    operators.policy_faults.append(Fault("policies/exchange.yaml", 3, 1, "unknown key 'hots'"))
    answer = await operators.call("GET", "/readyz")
    trouble = "policy: policies/exchange.yaml:3:1: unknown key 'hots'"
    assert (answer.status, answer.body) == (200, {"ready": True, "troubles": [trouble]})
    operators.policy_faults.clear()
    assert (await operators.call("GET", "/readyz")).body == {"ready": True, "troubles": []}


async def test_a_gateway_without_its_store_is_alive_but_not_ready(
    start_operators: Callable[[Store], Awaitable[Operators]], short_path: Path
) -> None:
    with running_server(short_path, *LIKE_OURS) as server:
        store = await opened_store(server.url)
        operators = await start_operators(store)
        assert (await operators.call("GET", "/readyz")).status == 200
    alive, ready = [await operators.call("GET", path) for path in ("/healthz", "/readyz")]
    assert alive.status == 200
    assert (ready.status, ready.body) == (503, {"ready": False, "troubles": ["store: it does not answer"]})
    assert "watchword_store_errors_total 1.0" in operators.metrics.exposition().decode()
    with running_server(short_path, *LIKE_OURS):
        assert (await operators.call("GET", "/readyz")).status == 200
    await store.close()


async def test_a_gateway_without_its_lease_says_what_comes_of_it(
    start_operators: Callable[[Store], Awaitable[Operators]], join: Join
) -> None:
    """No replica holds what it writes."""
    alone, _ = await join(NodeOptions(lease=0.2, grace=0.1, replicas=1, acknowledge=1))
    answer = await (await start_operators(alone)).call("GET", "/readyz")
    trouble = "store: 1 of 1 leases are missing, so requests are slower, and revocations may stay pending"
    assert (answer.status, answer.body) == (200, {"ready": True, "troubles": [trouble]})


async def test_counts_are_there_for_prometheus(operators: Operators) -> None:
    operators.metrics.request("exchange", "2xx", 0.02)
    answer = await operators.call("GET", "/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = {family.name for family in text_string_to_metric_families(answer.text)}
    assert {"watchword_requests", "process_resident_memory_bytes"} <= families
