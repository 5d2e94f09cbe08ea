"""What an account holder does in a browser, step by step."""

import re

from playwright.async_api import Browser, Page, expect
from support.authenticator import Authenticator
from support.gateway import Client
from support.photographs import DESKTOP, Photographer
from support.running_demo import Demo


async def sign_in(page: Page, demo: Demo, path: str = "/") -> None:
    """Open a page of the exchange, and sign in on the way to it."""
    await page.goto(path)
    await expect(page).to_have_url(re.compile("/.watchword/sign-in"))
    await page.get_by_label("Account").fill(demo.account)
    await page.get_by_label("Password", exact=True).fill(demo.password)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url(f"**{path}")


async def page_of(browser: Browser, client: Client) -> Page:
    """A page in a browser that goes on with the cookies of a client."""
    base = f"http://{client.authority}"
    context = await browser.new_context(base_url=base, viewport=DESKTOP)
    await context.add_cookies(
        [{"name": name, "value": value, "url": base} for name, value in client.cookies.items()]
    )
    return await context.new_page()


async def set_up_factor(
    page: Page, photograph: Photographer | None = None, recovery_codes: list[str] | None = None
) -> Authenticator:
    """Set up an authenticator app from the key that the page shows; its recovery codes go into the list."""
    await page.goto("/.watchword/security")
    await page.locator("#label").fill("My phone")
    await page.locator("form[action$='/security/factors'] button").click()
    authenticator = Authenticator(await page.locator(".key code").inner_text())
    if photograph is not None:
        await photograph(page, "setup")
    await enter_code(page, await authenticator.code())
    await expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    if recovery_codes is not None:
        recovery_codes += await page.locator(".codes code").all_inner_texts()
    if photograph is not None:
        await photograph(page, "recovery-codes")
    await page.get_by_role("link", name="I have saved them").click()
    await expect(page.get_by_role("heading", name="My phone")).to_be_visible()
    return authenticator


async def enter_code(page: Page, code: str) -> None:
    """Type six digits; the page sends itself off at the sixth."""
    await page.locator("input[name=code]:visible").press_sequentially(code)


async def ask_to_withdraw(page: Page, amount: str, address: str) -> None:
    await page.goto("/withdrawals")
    await page.get_by_role("textbox", name="Amount").fill(amount)
    await page.get_by_role("textbox", name="Address").fill(address)
    await page.get_by_role("button", name="Withdraw").click()
