"""F6, F9: too many wrong codes lock them, the person is told so at once, and a recovery code lifts that."""

import re

from playwright.async_api import Browser, expect
from support.gateway import OpenScene
from support.photographs import Photographer
from support.steps import page_of


async def test_locked_codes_are_told_and_a_recovery_code_lifts_the_lock(
    open_scene: OpenScene, browser: Browser, photograph: Photographer
) -> None:
    async with open_scene(codes={"lock": 2}) as scene:
        ada = await scene.signed_in(factor=True, authority=f"localhost:{scene.gateway.port}")
        page = await page_of(browser, ada)
        scene.clock.advance(60)
        for _ in range(2):
            await page.goto("/profile")
            await page.get_by_label("Six-digit code").press_sequentially(ada.wrong_code())
            await expect(page.get_by_role("alert")).to_be_visible()
        await expect(page.get_by_role("alert")).to_contain_text("Codes are locked")
        await expect(page.get_by_label("Six-digit code")).to_have_count(0)
        await photograph(page, "step-up-locked")

        await page.goto("/.watchword/security")
        await photograph(page, "security-locked")
        await page.get_by_role("link", name="Unlock codes").click()
        await photograph(page, "unlock")
        await page.get_by_label("Recovery code", exact=True).fill(ada.recovery_codes[0])
        await page.get_by_role("button", name="Use recovery code").click()
        await expect(page.get_by_role("status")).to_contain_text("Codes count again.")

        # Codes do, and so does the next recovery code, after which the page says how many are left.
        await page.goto("/profile")
        await page.get_by_text("Use a recovery code instead").click()
        await page.get_by_label("Recovery code", exact=True).fill(ada.recovery_codes[1])
        await page.get_by_role("button", name="Use recovery code").click()
        await expect(page.get_by_text("8 recovery codes are left.")).to_be_visible()
        await photograph(page, "recovery-used")
        await page.get_by_role("link", name="Go on").click()
        await expect(page).to_have_url(re.compile("/profile$"))
        assert "GET /profile" in await scene.seen()
