"""`make bench` on real processes, as short as it gets, so that it still runs on the day that it is needed."""

import os
from pathlib import Path

import pytest

from bench.speed import machine, proxies, quick, watchword
from bench.speed.rounds import Plan

pytestmark = pytest.mark.usefixtures("wrk_path")

SHORT = Plan(rounds=1, seconds=1)


async def test_the_small_get_is_measured_and_nothing_is_left_running(tmp_path: Path) -> None:
    before = machine.tree(os.getpid())
    starters = {
        "nginx": proxies.nginx,
        "naive_aiohttp": proxies.naive,
        "watchword": watchword.running,
    }
    figures = await quick.measure(tmp_path, starters, SHORT)
    found = figures["small_get"]
    assert found.keys() == starters.keys()
    assert all(rate > 0 for rate in found.values())
    assert machine.tree(os.getpid()) == before
