"""What every test may use.

Helpers that are not fixtures live in `tests/support/`, which pyproject.toml puts on the path:
`from support import chromium`. With `--import-mode=importlib`, test files cannot import each other.

Only this file may skip a test, and only for a tool that is missing (`TOOLS`); `.ci/run` sets
TEST_REQUIRE_BROWSER=1 and the like for the others, which turns that skip into a failure.
"""

import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import pytest
from hypothesis import settings
from playwright.async_api import Browser, async_playwright
from support import chromium, patience, peers, servers, spin

from bench.faults.servers import NO_LIBFAKETIME, find_libfaketime
from bench.speed.programs import NO_WRK

pytest_plugins = ["support.store", "support.nodes", "support.race", "support.gateway", "support.commands"]

# Shells start what runs in the background with Ctrl-C ignored, and our commands would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A slow machine is no defect, so properties have no deadline.
settings.register_profile("patient", settings.get_profile(settings.get_current_profile_name()), deadline=None)
settings.load_profile("patient")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        patience.limit(item)


@dataclass(frozen=True)
class Tool:
    """What some `tests` need and a machine may lack: they are skipped then, or fail where `variable` is 1."""

    tests: str
    find: Callable[[], str | None]
    missing: str
    variable: str

    def path(self) -> str:
        path = self.find()
        if path is None and os.environ.get(self.variable) == "1":
            pytest.fail(self.missing)
        if path is None:
            pytest.skip(self.missing)
        return path


CHROMIUM = Tool("browser", chromium.find, chromium.MISSING, "TEST_REQUIRE_BROWSER")
REDIS = Tool("Sentinel", servers.find_redis, servers.MISSING, "TEST_REQUIRE_REDIS")
LIBFAKETIME = Tool("wall clock", find_libfaketime, NO_LIBFAKETIME, "TEST_REQUIRE_FAKETIME")
SPIN = Tool("model", spin.find, spin.MISSING, "TEST_REQUIRE_SPIN")
LARGE_PEERS = Tool("Traefik and Envoy", peers.find_large, peers.MISSING, "TEST_REQUIRE_PEERS")
WRK = Tool("speed", lambda: shutil.which("wrk"), NO_WRK, "TEST_REQUIRE_WRK")
TOOLS = (CHROMIUM, REDIS, LIBFAKETIME, SPIN, LARGE_PEERS, WRK)


@pytest.fixture(scope="session")
def chromium_path() -> str:
    return CHROMIUM.path()


@pytest.fixture
async def browser(chromium_path: str) -> AsyncIterator[Browser]:
    """A Chromium of the test's own; `await browser.new_context()` gives one person's browser."""
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=chromium_path, args=chromium.ARGUMENTS)
        yield started
        await started.close()


@pytest.fixture(scope="session")
def redis_path() -> str:
    """Debian's redis-server, which is a sentinel as well."""
    return REDIS.path()


@pytest.fixture
def watched(redis_path: str) -> Iterator[servers.Replicated]:
    """A primary with two replicas and three sentinels, of the test's own."""
    with servers.replicated(redis_path) as running:
        yield running


@pytest.fixture(scope="session")
def libfaketime() -> str:
    """What moves the wall clock of one process."""
    return LIBFAKETIME.path()


@pytest.fixture(scope="session")
def spin_path() -> str:
    return SPIN.path()


@pytest.fixture(scope="session")
def large_peers() -> str:
    """The folder of Traefik and Envoy."""
    return LARGE_PEERS.path()


@pytest.fixture(scope="session")
def wrk_path() -> str:
    """The load generator of `make bench`."""
    return WRK.path()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", ())]
    for tool in TOOLS:
        if any(tool.missing in why for why in skipped):
            terminalreporter.write_line(f"The {tool.tests} tests did not run: {tool.missing}.", yellow=True)
