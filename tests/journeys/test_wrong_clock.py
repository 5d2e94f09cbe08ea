"""F6: a wrong clock on the phone is diagnosed and explained; nothing is accepted because of it."""

import re

from playwright.async_api import BrowserContext, expect
from support.photographs import Photographer
from support.running_demo import Demo
from support.steps import ask_to_withdraw, enter_code, set_up_factor, sign_in

ADDRESS = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"


async def test_a_clock_that_is_three_minutes_off_is_told_and_put_right(
    demo: Demo, person: BrowserContext, photograph: Photographer
) -> None:
    page = await person.new_page()
    await sign_in(page, demo)
    authenticator = await set_up_factor(page)
    await ask_to_withdraw(page, "12.50", ADDRESS)

    # The phone's clock is three minutes ahead: its code is as good as any, but not of this moment.
    await enter_code(page, authenticator.shown(clock_off_by=180))
    # On the way here half a minute may have begun.
    await expect(page.get_by_role("alert")).to_contain_text(
        re.compile("clock seems to be about (3|2½) minutes ahead.*set date and time to automatic")
    )
    await expect(page).to_have_url(re.compile("/.watchword/step-up/"))
    await expect(page.locator("dl.shown")).to_contain_text(ADDRESS)
    await photograph(page, "step-up-wrong-clock")

    # The clock is put right, the form is where it was, and the withdrawal goes on.
    await enter_code(page, await authenticator.code())
    await expect(page).to_have_url(f"{demo.gateway}/withdrawals")
    await expect(page.locator("main")).to_contain_text("12.50")
