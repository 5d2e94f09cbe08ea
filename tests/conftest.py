"""What every test may use.

Helpers that are not fixtures live in `tests/support/`, which pyproject.toml puts on the path:
`from support import chromium`. With `--import-mode=importlib`, test files cannot import each other.

Only this file may skip a test, and only for a missing Chromium, redis-server, libfaketime or Spin; `.ci/run`
sets TEST_REQUIRE_BROWSER=1 and the like for the others, which turns that skip into a failure.
"""

import os
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import settings
from playwright.async_api import Browser, async_playwright
from support import chromium, servers, spin

from bench.faults.servers import NO_LIBFAKETIME, find_libfaketime

pytest_plugins = ["support.store", "support.nodes", "support.race", "support.gateway", "support.commands"]

# A slow machine is no defect, so properties have no deadline.
settings.register_profile("patient", settings.get_profile(settings.get_current_profile_name()), deadline=None)
settings.load_profile("patient")


@pytest.fixture(scope="session")
def chromium_path() -> str:
    path = chromium.find()
    if path is None and chromium.required():
        pytest.fail(chromium.MISSING)
    if path is None:
        pytest.skip(chromium.MISSING)
    return path


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
    path = servers.find_redis()
    if path is None and servers.redis_required():
        pytest.fail(servers.MISSING)
    if path is None:
        pytest.skip(servers.MISSING)
    return path


@pytest.fixture
def watched(redis_path: str) -> Iterator[servers.Replicated]:
    """A primary with two replicas and three sentinels, of the test's own."""
    with servers.replicated(redis_path) as running:
        yield running


@pytest.fixture(scope="session")
def libfaketime() -> str:
    """What moves the wall clock of one process."""
    path = find_libfaketime()
    if path is None and os.environ.get("TEST_REQUIRE_FAKETIME") == "1":
        pytest.fail(NO_LIBFAKETIME)
    if path is None:
        pytest.skip(NO_LIBFAKETIME)
    return path


@pytest.fixture(scope="session")
def spin_path() -> str:
    path = spin.find()
    if path is None and spin.required():
        pytest.fail(spin.MISSING)
    if path is None:
        pytest.skip(spin.MISSING)
    return path


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", ())]
    lacking = (("browser", chromium.MISSING), ("Sentinel", servers.MISSING), ("wall clock", NO_LIBFAKETIME))
    lacking = (*lacking, ("model", spin.MISSING))
    for what, missing in lacking:
        if any(missing in why for why in skipped):
            terminalreporter.write_line(f"The {what} tests did not run: {missing}.", yellow=True)
