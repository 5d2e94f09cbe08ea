"""F1, F8: a person chooses what asks for a code, one by one."""

import re

from playwright.async_api import BrowserContext, expect
from support.running_demo import Demo
from support.steps import enter_code, set_up_factor, sign_in


async def test_who_switches_it_on_is_asked_for_a_code_at_sign_in(demo: Demo, person: BrowserContext) -> None:
    page = await person.new_page()
    await sign_in(page, demo)
    authenticator = await set_up_factor(page)

    signing_in = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name="Signing in"))
    await signing_in.get_by_role("button").click()
    await expect(page).to_have_url(re.compile("/.watchword/step-up/"))
    await enter_code(page, await authenticator.code())
    await expect(page).to_have_url(re.compile("/.watchword/security"))
    await expect(signing_in).to_contain_text("On")

    await page.get_by_role("button", name="Sign out").first.click()
    await page.goto("/withdrawals")
    await page.get_by_label("Account").fill(demo.account)
    await page.get_by_label("Password", exact=True).fill(demo.password)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name="Signing in")).to_be_visible()
    for path in ("/", "/.watchword/devices", "/.watchword/security"):
        await page.goto(path)
        await expect(page).to_have_url(re.compile("/.watchword/step-up/"))
    await enter_code(page, await authenticator.code())
    await expect(page).to_have_url(re.compile("/.watchword/security"))
