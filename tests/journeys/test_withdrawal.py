"""F1, F2, F3, F6: a person sets up an authenticator app, and approves what matters with it."""

import re

from playwright.async_api import BrowserContext, expect
from support.photographs import Photographer
from support.running_demo import Demo
from support.steps import ask_to_withdraw, enter_code, set_up_factor, sign_in

ADDRESS = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"


async def test_a_withdrawal_is_approved_with_a_code(
    demo: Demo, person: BrowserContext, photograph: Photographer
) -> None:
    page = await person.new_page()
    await page.goto("/withdrawals")
    await photograph(page, "sign-in")
    await sign_in(page, demo)
    await photograph(page, "exchange")

    # Without an authenticator app there is nothing to approve with: the way leads to set-up.
    await ask_to_withdraw(page, "12.50", ADDRESS)
    await expect(page).to_have_url(re.compile("/.watchword/factor-needed"))
    await photograph(page, "factor-needed")
    authenticator = await set_up_factor(page, photograph)
    await photograph(page, "security")

    await ask_to_withdraw(page, "12.50", ADDRESS)
    await expect(page).to_have_url(re.compile("/.watchword/step-up/"))
    await expect(page.locator("dl.shown")).to_contain_text(["12.50"])
    await expect(page.locator("dl.shown")).to_contain_text(ADDRESS)
    await photograph(page, "step-up")

    # The code of the set-up counts no second time, and a wrong one not at all.
    await enter_code(page, authenticator.last)
    await expect(page.get_by_role("alert")).to_contain_text("used already")
    await photograph(page, "step-up-used-code")
    await enter_code(page, await authenticator.code())

    # The exchange's own answer, under the exchange's own address; a reload sends nothing again.
    await expect(page).to_have_url(f"{demo.gateway}/withdrawals")
    await expect(page.locator("main")).to_contain_text("12.50")
    await photograph(page, "withdrawn")
    withdrawals = page.locator("a[href^='/withdrawals/']")
    await page.goto("/withdrawals")
    count = await withdrawals.count()
    await page.reload()
    assert await withdrawals.count() == count


async def test_a_transfer_by_fetch_is_approved_in_the_apps_own_dialog(
    demo: Demo, person: BrowserContext, photograph: Photographer
) -> None:
    page = await person.new_page()
    await sign_in(page, demo)
    authenticator = await set_up_factor(page)
    await page.goto("/transfers")
    await page.get_by_role("textbox", name="Amount").fill("3")
    await page.locator("input[name=address]").fill("grace@exchange.example")
    await page.locator("#transfer button").first.click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_be_visible()
    await expect(dialog).to_contain_text("grace@exchange.example")
    await photograph(page, "transfer-dialog")
    await dialog.locator("#code").press_sequentially(await authenticator.code())
    await expect(dialog).to_be_hidden()
    await expect(page.locator("#transfers")).to_contain_text("grace@exchange.example")
    await photograph(page, "transferred")
