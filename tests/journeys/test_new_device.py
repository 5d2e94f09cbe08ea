"""D1, D2, D5: a new device is confirmed by its owner, on an older one or by a code."""

import re
from collections.abc import AsyncIterator

import aiohttp
import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect
from support.photographs import DESKTOP, Photographer
from support.running_demo import Demo, running_demo
from support.steps import enter_code, set_up_factor, sign_in

WAITING = re.compile("/.watchword/waiting")


@pytest.fixture(params=["approve"])
async def demo(request: pytest.FixtureRequest) -> AsyncIterator[Demo]:
    async with running_demo("--new-devices", request.param) as running:
        yield running


async def sign_in_on_a_new_device(
    browser: Browser, demo: Demo, path: str = "/withdrawals", *, script: bool = True
) -> Page:
    """Somebody signs in with another browser, and is left waiting."""
    context = await browser.new_context(base_url=demo.gateway, viewport=DESKTOP, java_script_enabled=script)
    page = await context.new_page()
    await page.goto(path)
    await page.get_by_label("Account").fill(demo.account)
    await page.get_by_label("Password", exact=True).fill(demo.password)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page).to_have_url(WAITING)
    return page


async def words_on(page: Page) -> str:
    return await page.locator(".words strong").inner_text()


async def test_a_new_device_is_approved_on_an_old_one(
    demo: Demo, browser: Browser, person: BrowserContext, photograph: Photographer
) -> None:
    old = await person.new_page()
    await sign_in(old, demo)
    new = await sign_in_on_a_new_device(browser, demo)
    await expect(new.get_by_role("heading", name="Authorise this device")).to_be_visible()
    await expect(new.locator("input[name=code]")).to_have_count(0)
    await photograph(new, "device-waiting")
    other = await sign_in_on_a_new_device(browser, demo)

    # Two devices wait; the words tell which one is at hand.
    await old.goto("/.watchword/devices")
    await expect(old.locator(".device.pending")).to_have_count(2)
    mine = old.locator(".device.pending").filter(has_text=await words_on(new))
    await expect(mine).to_have_count(1)
    assert await words_on(new) != await words_on(other)
    await photograph(old, "devices-waiting")
    await mine.get_by_role("button", name="Authorise").click()
    await expect(old.get_by_role("status")).to_contain_text("The device is authorised.")

    # The page moves on by itself, to where the person was going; the other one goes on waiting.
    await expect(new).to_have_url(f"{demo.gateway}/withdrawals")
    await expect(other).to_have_url(WAITING)
    await old.locator(".device.pending").get_by_role("button", name="Revoke").click()
    await expect(other).to_have_url(re.compile("/.watchword/sign-in"))


async def test_without_the_script_the_page_asks_again(
    demo: Demo, browser: Browser, person: BrowserContext
) -> None:
    old = await person.new_page()
    await sign_in(old, demo)
    new = await sign_in_on_a_new_device(browser, demo, script=False)
    await old.goto("/.watchword/devices")
    await old.get_by_role("button", name="Authorise").click()
    await expect(new).to_have_url(f"{demo.gateway}/withdrawals", timeout=30_000)


@pytest.mark.parametrize("demo", ["step-up"], indirect=True)
async def test_a_new_device_is_confirmed_by_a_code_on_it(
    demo: Demo, browser: Browser, person: BrowserContext, photograph: Photographer
) -> None:
    old = await person.new_page()
    await sign_in(old, demo)
    authenticator = await set_up_factor(old)
    new = await sign_in_on_a_new_device(browser, demo)
    await enter_code(new, authenticator.last)
    await expect(new.get_by_role("alert")).to_contain_text("used already")
    await expect(new.locator(".words strong")).to_be_visible()
    await photograph(new, "device-waiting-code")
    await enter_code(new, await authenticator.code())
    await expect(new).to_have_url(f"{demo.gateway}/withdrawals")
    await old.goto("/.watchword/devices")
    await expect(old.locator(".device")).to_have_count(2)
    await expect(old.locator(".device.pending")).to_have_count(0)


async def test_a_device_gets_a_name(demo: Demo, person: BrowserContext) -> None:
    page = await person.new_page()
    await sign_in(page, demo)
    await page.goto("/.watchword/devices")
    await page.locator("summary", has_text="Rename").click()
    await page.get_by_label("Name", exact=True).fill("Work laptop")
    await page.get_by_role("button", name="Save the name").click()
    await expect(page.get_by_role("heading", name="Work laptop")).to_be_visible()
    await expect(page.locator(".device")).to_contain_text("Chrome")
    await expect(page.get_by_text("This device", exact=True)).to_be_visible()


async def test_support_lets_a_device_in_whose_owner_has_no_other_at_hand(
    demo: Demo, browser: Browser, person: BrowserContext
) -> None:
    old = await person.new_page()
    await sign_in(old, demo)
    new = await sign_in_on_a_new_device(browser, demo)
    told = await words_on(new)
    headers = {"Authorization": f"Bearer {demo.admin_token}"}
    async with aiohttp.ClientSession(demo.admin, headers=headers) as operator:
        async with operator.get(f"/v1/accounts/{demo.account}/devices") as answer:
            (device,) = [each for each in await answer.json() if each["words"] == told]
        order = {"reason": "showed her passport"}
        async with operator.post(f"/v1/devices/{device['id']}/authorise", json=order) as answer:
            assert (await answer.json())["confirmed"] is True
    await expect(new).to_have_url(f"{demo.gateway}/withdrawals")
