"""F4: with the old phone at hand, a person moves to a new one, and is never without protection."""

import re

from playwright.async_api import BrowserContext, expect
from support.authenticator import Authenticator
from support.photographs import Photographer
from support.running_demo import Demo
from support.steps import enter_code, set_up_factor, sign_in


async def test_moving_to_a_new_phone(demo: Demo, person: BrowserContext, photograph: Photographer) -> None:
    page = await person.new_page()
    await sign_in(page, demo)
    old = await set_up_factor(page)

    await page.get_by_role("link", name="Move to a new phone").click()
    await expect(page.get_by_text("The old phone stays valid until you remove it")).to_be_visible()
    await photograph(page, "move")
    await page.get_by_label("Name of the app or phone").fill("New phone")
    await page.get_by_role("button", name="Begin").click()
    await expect(page.get_by_role("heading", name="Adding an authenticator app")).to_be_visible()
    await enter_code(page, await old.code())

    await expect(page.get_by_role("heading", name="Set up New phone")).to_be_visible()
    new = Authenticator(await page.locator(".key code").inner_text())
    await photograph(page, "move-setup")
    await enter_code(page, await new.code())

    await expect(page.get_by_role("heading", name="The new phone works")).to_be_visible()
    await photograph(page, "moved")
    await page.get_by_text("Remove", exact=True).or_(page.locator("summary.button")).first.click()
    await enter_code(page, await new.code())
    await page.get_by_role("button", name="Remove My phone").click()
    await expect(page).to_have_url(re.compile("notice=factor-removed"))
    await expect(page.get_by_role("heading", name="New phone", exact=True)).to_be_visible()
    await expect(page.get_by_role("heading", name="My phone")).to_have_count(0)
