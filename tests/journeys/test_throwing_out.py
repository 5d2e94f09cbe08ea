"""D1, D3, D4: every session is in sight, and ends at once by one button or one operator's call."""

import re

import aiohttp
from playwright.async_api import Browser, BrowserContext, Page, expect
from support.photographs import DESKTOP, Photographer
from support.running_demo import Demo
from support.steps import sign_in

SIGN_IN = re.compile("/.watchword/sign-in")
CONFIRMED = re.compile(r"This holds everywhere: 1 server confirmed it within \d+ (ms|seconds?)\.")


async def another_browser(browser: Browser, demo: Demo) -> Page:
    """The same person on another device, signed in."""
    context = await browser.new_context(base_url=demo.gateway, viewport=DESKTOP)
    page = await context.new_page()
    await sign_in(page, demo)
    return page


async def test_force_logout_ends_the_sessions_of_every_browser(
    demo: Demo, browser: Browser, person: BrowserContext, photograph: Photographer
) -> None:
    here = await person.new_page()
    await sign_in(here, demo)
    there = await another_browser(browser, demo)

    await here.goto("/.watchword/devices")
    await expect(here.locator(".device")).to_have_count(2)
    await expect(here.get_by_text("This device")).to_have_count(1)
    await photograph(here, "devices")
    await here.get_by_role("button", name="Force logout from all sessions").click()
    await expect(here.get_by_role("heading", level=1)).to_have_text("You are signed out everywhere")
    await expect(here.locator("main")).to_contain_text(CONFIRMED)
    await here.reload()
    await expect(here.locator("main")).to_contain_text(CONFIRMED)
    await photograph(here, "signed-out-everywhere")

    # The other browser still shows the exchange; its next click lands on the sign-in page.
    await there.get_by_role("link", name="Withdraw").first.click()
    await expect(there).to_have_url(SIGN_IN)
    await here.goto("/")
    await expect(here).to_have_url(SIGN_IN)


async def test_one_device_is_revoked_and_the_other_stays(
    demo: Demo, browser: Browser, person: BrowserContext, photograph: Photographer
) -> None:
    here = await person.new_page()
    await sign_in(here, demo)
    there = await another_browser(browser, demo)

    await here.goto("/.watchword/devices")
    other = here.locator(".device").filter(has_not_text="This device")
    await other.locator("form[action$='/revoke'] button").first.click()
    await expect(here).to_have_url(re.compile("notice=device-revoked"))
    await expect(here.get_by_role("status")).to_have_text(
        re.compile(f"^The device was revoked and its sessions ended\\. {CONFIRMED.pattern}$")
    )
    await expect(here.locator(".device")).to_have_count(1)
    await photograph(here, "device-revoked")

    await there.goto("/withdrawals")
    await expect(there).to_have_url(SIGN_IN)
    await here.goto("/withdrawals")
    await expect(here).to_have_url(re.compile("/withdrawals$"))


async def test_an_operator_throws_a_person_out_with_one_call(demo: Demo, person: BrowserContext) -> None:
    page = await person.new_page()
    await sign_in(page, demo)
    order = {"scope": "account", "subject": demo.account, "reason": "phone stolen"}
    headers = {"Authorization": f"Bearer {demo.admin_token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as operator,
        operator.post(f"{demo.admin}/v1/revocations", json=order) as answer,
    ):
        assert answer.status == 200
        assert (await answer.json())["confirmed"] is True
    await page.get_by_role("link", name="Withdraw").first.click()
    await expect(page).to_have_url(SIGN_IN)


async def test_signing_out_ends_this_session_only(
    demo: Demo, browser: Browser, person: BrowserContext, photograph: Photographer
) -> None:
    here = await person.new_page()
    await sign_in(here, demo)
    there = await another_browser(browser, demo)
    await here.get_by_role("button", name="Sign out").click()
    await expect(here.get_by_role("heading", level=1)).to_have_text("You are signed out")
    await photograph(here, "signed-out")
    await here.goto("/")
    await expect(here).to_have_url(SIGN_IN)
    await there.goto("/")
    await expect(there).to_have_url(f"{demo.gateway}/")
