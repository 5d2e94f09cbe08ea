"""Journeys start where a newcomer does: a demo of their own, and a browser."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext
from support.photographs import DESKTOP, Photographer, photographer
from support.running_demo import Demo, running_demo


@pytest.fixture
async def demo() -> AsyncIterator[Demo]:
    async with running_demo() as running:
        yield running


@pytest.fixture
async def person(browser: Browser, demo: Demo) -> BrowserContext:
    """The account holder's browser."""
    return await browser.new_context(base_url=demo.gateway, viewport=DESKTOP)


@pytest.fixture
def photograph(tmp_path: Path) -> Photographer:
    """Take pictures of pages. They go to TEST_PICTURES, if it is set."""
    return photographer(Path(os.environ.get("TEST_PICTURES", tmp_path)))
