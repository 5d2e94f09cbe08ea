"""What every test may use.

Helpers that are not fixtures live in `tests/support/`, which pyproject.toml puts on the path:
`from support import chromium`. With `--import-mode=importlib`, test files cannot import each other.

Only this file may skip a test, and only for a missing Chromium; `.ci/run` sets
TEST_REQUIRE_BROWSER=1, which turns that skip into a failure.
"""

from collections.abc import AsyncIterator

import pytest
from hypothesis import settings
from playwright.async_api import Browser, async_playwright
from support import chromium

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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if any(chromium.MISSING in str(report.longrepr) for report in terminalreporter.stats.get("skipped", ())):
        terminalreporter.write_line(f"The browser tests did not run: {chromium.MISSING}.", yellow=True)
