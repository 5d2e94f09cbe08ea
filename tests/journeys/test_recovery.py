"""F3, F5: the phone is lost; with the setup key, and without it but with a recovery code."""

import re
from pathlib import Path

from playwright.async_api import Browser, BrowserContext, Page, expect
from support.authenticator import Authenticator
from support.photographs import DESKTOP, Photographer
from support.running_demo import Demo
from support.steps import ask_to_withdraw, enter_code, set_up_factor, sign_in

ADDRESS = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"


async def use_recovery_code(page: Page, code: str) -> None:
    await page.get_by_text("Use a recovery code instead").click()
    await page.get_by_label("Recovery code", exact=True).fill(code)
    await page.get_by_role("button", name="Use recovery code").click()


async def test_the_saved_setup_key_brings_the_codes_back_on_another_phone(
    demo: Demo, person: BrowserContext
) -> None:
    page = await person.new_page()
    await sign_in(page, demo)
    lost = await set_up_factor(page)
    await ask_to_withdraw(page, "1", ADDRESS)
    await page.get_by_text("No code at hand?").click()
    await expect(page.get_by_text("type the key into an authenticator app on another phone")).to_be_visible()

    # Nothing is changed at the gateway: the key, as it was written down, is typed into another app.
    restored = Authenticator(lost.setup_key, after=lost)
    await enter_code(page, await restored.code())
    await expect(page).to_have_url(f"{demo.gateway}/withdrawals")

    # The lost phone turns up: it shows the same codes, and each of them counts once.
    await ask_to_withdraw(page, "2", ADDRESS)
    await enter_code(page, restored.last)
    await expect(page.get_by_role("alert")).to_contain_text("used already")


async def test_a_recovery_code_is_the_way_back_without_phone_and_key(
    demo: Demo, person: BrowserContext, browser: Browser, photograph: Photographer, tmp_path: Path
) -> None:
    page = await person.new_page()
    await sign_in(page, demo)
    codes: list[str] = []
    await set_up_factor(page, recovery_codes=codes)
    assert len(set(codes)) == 10

    # Elsewhere, with the list of codes and the password only.
    elsewhere = await browser.new_context(base_url=demo.gateway, viewport=DESKTOP)
    page = await elsewhere.new_page()
    await sign_in(page, demo)
    await ask_to_withdraw(page, "12.50", ADDRESS)
    await page.get_by_text("Use a recovery code instead").click()
    await photograph(page, "step-up-recovery")
    await page.get_by_label("Recovery code", exact=True).fill("0000 0000 0000 0000")
    await page.get_by_role("button", name="Use recovery code").click()
    await expect(page.get_by_role("alert")).to_contain_text("not right")
    await page.get_by_label("Recovery code", exact=True).fill(codes[0].lower().replace("-", " "))
    await page.get_by_role("button", name="Use recovery code").click()
    await expect(page).to_have_url(f"{demo.gateway}/withdrawals")
    await expect(page.locator("main")).to_contain_text("12.50")

    # A new phone, set up with the next recovery code; it counts at once, but removes nothing yet.
    await page.goto("/.watchword/security")
    await expect(page.get_by_text("9 recovery codes are left.")).to_be_visible()
    await page.locator("#label").fill("New phone")
    await page.locator("form[action$='/security/factors'] button").click()
    await use_recovery_code(page, codes[1])
    new = Authenticator(await page.locator(".key code").inner_text())
    await enter_code(page, await new.code())
    await expect(page.get_by_role("status")).to_contain_text("cannot take protection away")
    await photograph(page, "security-on-trial")
    old = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name="My phone"))
    await old.get_by_text("Remove").first.click()
    await enter_code(page, await new.code())
    await old.get_by_role("button", name="Remove My phone").click()
    await expect(page.get_by_role("alert")).to_contain_text("It can in 3 days.")
    await ask_to_withdraw(page, "3", ADDRESS)
    await enter_code(page, await new.code())
    await expect(page).to_have_url(f"{demo.gateway}/withdrawals")


async def test_recovery_codes_are_downloaded_and_printed_without_leaving_the_page(
    demo: Demo, person: BrowserContext, tmp_path: Path
) -> None:
    page = await person.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    await sign_in(page, demo)
    await page.goto("/.watchword/security")
    await page.locator("#label").fill("My phone")
    await page.locator("form[action$='/security/factors'] button").click()
    authenticator = Authenticator(await page.locator(".key code").inner_text())
    await enter_code(page, await authenticator.code())
    await expect(page.locator(".codes code")).to_have_count(10)
    codes = await page.locator(".codes code").all_inner_texts()
    async with page.expect_download() as downloading:
        await page.get_by_role("button", name="Download").click()
    download = await downloading.value
    assert download.suggested_filename == "recovery-codes.txt"
    await download.save_as(tmp_path / "codes.txt")
    text = (tmp_path / "codes.txt").read_text()
    assert re.findall("[0-9A-Z]{4}(?:-[0-9A-Z]{4}){3}", text) == codes
    assert "Recovery codes of" in text

    await page.evaluate("window.print = () => { document.title = 'printed' }")
    await page.get_by_role("button", name="Print").click()
    await expect(page).to_have_title("printed")
    await page.emulate_media(media="print")
    await expect(page.locator(".codes")).to_be_visible()
    for other in ("header", "h1", ".warning", ".never-share", "a.button"):
        await expect(page.locator(other).first).to_be_hidden()
    assert complaints == []
