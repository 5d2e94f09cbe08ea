"""`make bench` on real processes, as short as it gets, so that it still runs on the day that it is needed."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from bench.speed import (
    costs,
    forward_auth,
    latency,
    memory,
    profile,
    proxies,
    quick,
    upstream,
    watchword,
    workloads,
)
from bench.speed.rounds import Plan, all_running

pytestmark = pytest.mark.usefixtures("wrk_path")

SHORT = Plan(rounds=1, seconds=1)


PAIR = {"naive_aiohttp": proxies.naive, "watchword": watchword.running}


def commands() -> list[str]:
    """How everything was started that runs on this machine."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(file.read_text(errors="replace"))
    return found


def left_running(folder: Path) -> list[str]:
    """What runs with its files in this folder: nginx, gateways, stores."""
    return [command for command in commands() if str(folder) in command]


async def test_the_small_get_is_measured_and_nothing_is_left_running(tmp_path: Path) -> None:
    starters = {
        "nginx": proxies.nginx,
        "naive_aiohttp": proxies.naive,
        "watchword": watchword.running,
    }
    figures = await quick.measure(tmp_path, starters, SHORT)
    found = figures["small_get"]
    assert found.keys() == starters.keys()
    assert all(rate > 0 for rate in found.values())
    assert left_running(tmp_path) == []


async def test_whoever_interrupts_it_is_left_with_nothing(tmp_path: Path) -> None:
    starters = {"watchword": watchword.running}
    measuring = asyncio.create_task(quick.measure(tmp_path, starters, Plan(rounds=1, seconds=600)))
    while not any("--duration\x00600s" in command for command in commands()):
        assert not measuring.done()
        await asyncio.sleep(0.05)
    assert left_running(tmp_path)
    measuring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await measuring
    assert left_running(tmp_path) == []
    assert not any("--duration\x00600s" in command for command in commands())


async def test_every_other_load_is_answered(tmp_path: Path) -> None:
    async with upstream.running(tmp_path / "app") as app:
        async with all_running(PAIR, tmp_path / "plain", app.port) as running:
            for workload in workloads.OF_THE_APP[1:]:
                rates = await workloads.measure(workload, running, app, SHORT, warm_up=False)
                assert all(rate.requests > 0 and rate.broken == 0 for rate in rates.values())
            most = {"naive_aiohttp": 200.0, "watchword": 100.0}
            found = await latency.at_half(running, most, SHORT, app.port)
            assert all(each["p50"] <= each["p99"] for half in found.values() for each in half.values())
            assert found["watchword"]["naive_aiohttp"]["rate"] == 50
            assert found["watchword"]["none"]["rate"] == found["watchword"]["nothing"]["rate"] == 50
        async with all_running(PAIR, tmp_path / "sink", app.sink) as running:
            for rates in (
                await workloads.measure(workloads.UPLOAD, running, app, SHORT, warm_up=False),
                await workloads.websockets(running, SHORT),
            ):
                assert all(rate.requests > 0 for rate in rates.values())


async def test_where_the_time_of_a_request_goes(tmp_path: Path) -> None:
    found = await profile.measure(tmp_path, seconds=1, rounds=1)
    whole, parts = found.pop("in all"), list(found.values())
    assert whole == pytest.approx(found["the system"] + found["uvloop, and its calls"] + found["seen"])
    assert sum(parts[4:]) == pytest.approx(found["seen"])
    assert found["unseen"] > found["seen"] > 0


async def test_proxies_that_ask_watchword_are_measured(tmp_path: Path) -> None:
    async with upstream.running(tmp_path / "app") as app:
        rates = await forward_auth.measure(tmp_path / "asking", app, SHORT, ("nginx",))
    assert rates["nginx"].requests > 0


async def test_watchword_is_measured_beside_itself(tmp_path: Path) -> None:
    async with upstream.running(tmp_path / "app") as app:
        by_rules = await costs.rules(tmp_path, app, SHORT, (10, 100))
        by_sessions = await costs.sessions(tmp_path, app, SHORT, (5, 120))
    assert (by_rules.keys(), by_sessions.keys()) == ({"10", "100"}, {"5", "120"})


async def test_memory_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (upstream, memory):
        monkeypatch.setattr(module, "LARGEST", 2**24)
    async with upstream.running(tmp_path / "app") as app:
        found = await memory.of_each(PAIR, tmp_path, app, idle=20, most_idle=40)
    assert found.keys() == PAIR.keys()
    assert found["watchword"].keys() > {"start_mib", "idle_20_kib", "idle_40_kib", "upload_1g_mib"}
    assert found["watchword"]["start_mib"] > 20
