"""A person changes their name and their password, and is asked for a code for both."""

import re

from playwright.async_api import Browser, BrowserContext, expect
from support.photographs import DESKTOP, Photographer
from support.running_demo import Demo
from support.steps import enter_code, set_up_factor, sign_in

NEW = "a longer horse battery staple"


async def test_name_and_password_are_changed(
    demo: Demo, browser: Browser, person: BrowserContext, photograph: Photographer
) -> None:
    elsewhere = await (await browser.new_context(base_url=demo.gateway, viewport=DESKTOP)).new_page()
    await sign_in(elsewhere, demo)
    page = await person.new_page()
    await sign_in(page, demo)
    authenticator = await set_up_factor(page)

    await page.goto("/.watchword/profile")
    await page.get_by_label("Name").fill("Ada King")
    await photograph(page, "profile")
    await page.get_by_role("button", name="Save").click()
    await enter_code(page, await authenticator.code())
    await expect(page.get_by_role("status")).to_have_text("Your profile is saved.")
    await expect(page.get_by_label("Name")).to_have_value("Ada King")

    await page.get_by_role("link", name="Security", exact=True).click()
    await page.get_by_role("link", name="Change your password").click()
    await enter_code(page, await authenticator.code())
    await photograph(page, "password")
    await page.get_by_label("Current password").fill("not this one")
    await page.get_by_label("New password").fill(NEW)
    await page.get_by_role("button", name="Change password").click()
    await expect(page.get_by_role("alert")).to_contain_text("The current password is not right")
    await page.get_by_label("Current password").fill(demo.password)
    await page.get_by_label("New password").fill(NEW)
    await page.get_by_role("button", name="Change password").click()
    await expect(page.get_by_role("status")).to_contain_text("every other session has ended")
    await expect(page.get_by_role("status")).to_contain_text("This holds everywhere: 1 server confirmed it")

    await elsewhere.goto("/")
    await expect(elsewhere).to_have_url(re.compile("/.watchword/sign-in"))
    await elsewhere.get_by_label("Account").fill(demo.account)
    await elsewhere.get_by_label("Password", exact=True).fill(NEW)
    await elsewhere.get_by_role("button", name="Sign in").click()
    await expect(elsewhere).to_have_url(f"{demo.gateway}/")
