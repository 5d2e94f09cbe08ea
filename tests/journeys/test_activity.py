"""D5: what happened to an account is in sight, and what was not oneself can be seen to from there."""

import re

from playwright.async_api import Browser, BrowserContext, expect
from support.photographs import DESKTOP, Photographer
from support.running_demo import Demo
from support.steps import set_up_factor, sign_in


async def test_the_person_sees_what_happened_and_throws_a_stranger_out(
    demo: Demo, browser: Browser, person: BrowserContext, photograph: Photographer
) -> None:
    here = await person.new_page()
    await sign_in(here, demo)
    await set_up_factor(here)
    stranger = await (await browser.new_context(base_url=demo.gateway, viewport=DESKTOP)).new_page()
    await sign_in(stranger, demo)

    await here.goto("/")
    await here.goto("/.watchword/security")
    await here.get_by_role("link", name="Activity").click()
    rows = here.locator("main li")
    await expect(rows.first).to_contain_text("A device signed in for the first time")
    await expect(rows.nth(1)).to_contain_text("Signed in")
    await expect(rows.nth(1).get_by_text("This device")).to_have_count(0)
    await expect(rows.filter(has_text="An authenticator app was added")).to_contain_text("This device")
    await photograph(here, "activity")

    await here.get_by_role("main").get_by_role("link", name="Devices").click()
    await here.get_by_role("button", name="Force logout from all sessions").click()
    await stranger.goto("/")
    await expect(stranger).to_have_url(re.compile("/.watchword/sign-in"))
    await sign_in(here, demo, "/.watchword/activity")
    await expect(here.locator("main li").nth(1)).to_contain_text("Every session ended")
