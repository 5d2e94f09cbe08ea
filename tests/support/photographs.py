"""Pictures of pages, for somebody to look at."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from playwright.async_api import Page

PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}

Photographer = Callable[[Page, str], Awaitable[None]]


def photographer(folder: Path) -> Photographer:
    """Takes a page on phone and desktop, light and dark: `<name>-<device>-<scheme>.png`."""
    folder.mkdir(parents=True, exist_ok=True)

    async def take(page: Page, name: str) -> None:
        for device, size in (("phone", PHONE), ("desktop", DESKTOP)):
            await page.set_viewport_size(size)
            for scheme in ("light", "dark"):
                await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                await page.screenshot(path=folder / f"{name}-{device}-{scheme}.png", full_page=True)
        await page.emulate_media(color_scheme="light")

    return take
