"""F5: phone and key are lost. Support checks who it is, waits, and resets; who it is not stops it."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect
from support.photographs import DESKTOP, Photographer
from support.running_demo import Demo, running_demo
from support.steps import enter_code, set_up_factor, sign_in

from gateway import clock
from gateway.admin.tokens import Scope, issue_token
from gateway.identity.resets import stop_path
from gateway.store.ring_file import load

SIGN_IN = re.compile("/.watchword/sign-in")
RESET = re.compile(r"/.watchword/reset\?return_to=")


@dataclass(frozen=True)
class Support:
    """The operators' API, as two people of support call it."""

    admin: str
    tokens: dict[str, str]

    async def call(self, who: str, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self.tokens[who]}"}
        async with (
            aiohttp.ClientSession(headers=headers) as operator,
            operator.request(method, f"{self.admin}/v1/resets{path}", json=body) as answer,
        ):
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def reset(self, account: str) -> str:
        """Grace opens a case and checks it, margaret approves; its id."""
        order = {"subject": account, "reason": "phone and key lost, ticket 4711"}
        case = await self.call("grace", "POST", "", order)
        path = f"/{case['id']}"
        for item in case["missing"]:
            await self.call("grace", "POST", f"{path}/evidence", {"item": item, "statement": "it fits"})
        approved = await self.call("margaret", "POST", f"{path}/approve", {"reason": "all fits"})
        assert approved["state"] == "waiting"
        reset_id: str = case["id"]
        return reset_id

    async def state(self, reset_id: str) -> str:
        state: str = (await self.call("grace", "GET", f"/{reset_id}"))["state"]
        return state


def support_of(demo: Demo, folder: Path) -> Support:
    """Each has a token of their own, as `watchword token` makes them."""
    ring, now = load(folder / "keys.json"), clock.now()
    names = ("grace", "margaret")
    return Support(
        demo.admin, {name: issue_token(ring, name, frozenset({Scope.RESET}), 3600, now) for name in names}
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "demo"


@pytest.fixture
def waiting() -> str:
    """How long a reset waits; a test may say otherwise."""
    return "3d"


@pytest.fixture
async def demo(folder: Path, waiting: str) -> AsyncIterator[Demo]:
    async with running_demo("--data-dir", str(folder), "--reset-waiting", waiting) as running:
        yield running


async def signed_in(browser: Browser, demo: Demo) -> Page:
    """The person on another device."""
    context = await browser.new_context(base_url=demo.gateway, viewport=DESKTOP)
    page = await context.new_page()
    await sign_in(page, demo)
    return page


async def test_who_did_not_ask_for_it_stops_it_with_one_click(
    demo: Demo, folder: Path, browser: Browser, person: BrowserContext, photograph: Photographer
) -> None:
    here = await person.new_page()
    await sign_in(here, demo)
    await set_up_factor(here)
    there = await signed_in(browser, demo)
    support = support_of(demo, folder)
    reset_id = await support.reset(demo.account)

    # Wherever they go next, both devices are shown what is going to happen, once.
    await here.get_by_role("link", name=re.compile("Back to")).click()
    await expect(here).to_have_url(RESET)
    await expect(here.get_by_role("heading", level=1)).to_have_text(
        "Your authenticator apps are to be removed"
    )
    await photograph(here, "reset")
    await there.goto("/withdrawals")
    await expect(there).to_have_url(RESET)
    await there.get_by_role("link", name="It was me: go on").click()
    await expect(there).to_have_url(f"{demo.gateway}/withdrawals")
    await there.goto("/")
    await expect(there).to_have_url(f"{demo.gateway}/")

    # Whoever has the link of a message sees the same, signed in or not; looking changes nothing.
    stranger = await (await browser.new_context(base_url=demo.gateway)).new_page()
    await stranger.goto(stop_path(load(folder / "keys.json"), reset_id))
    await expect(stranger.get_by_role("button", name="Stop it")).to_be_visible()
    await photograph(stranger, "reset-link")

    # The account's pages go on saying it, and there as well it takes one click.
    await there.goto("/.watchword/security")
    banner = there.get_by_role("complementary")
    await expect(banner).to_contain_text("Unless you stop it")
    await photograph(there, "reset-banner")
    await banner.get_by_role("button", name="Stop it").click()
    await expect(there.get_by_role("status")).to_contain_text("It is stopped")
    await expect(there.get_by_role("heading", name="My phone")).to_be_visible()
    await expect(banner).to_have_count(0)
    assert await support.state(reset_id) == "stopped"
    await stranger.get_by_role("button", name="Stop it").click()
    await photograph(stranger, "reset-ended")
    await here.goto("/withdrawals")
    await expect(here).to_have_url(f"{demo.gateway}/withdrawals")


@pytest.mark.parametrize("waiting", ["8s"])
async def test_who_lost_phone_and_key_gets_back_in(
    demo: Demo, folder: Path, browser: Browser, person: BrowserContext, photograph: Photographer
) -> None:
    page = await person.new_page()
    await sign_in(page, demo)
    await set_up_factor(page)  # and both the phone and the key are lost
    there = await signed_in(browser, demo)
    support = support_of(demo, folder)
    reset_id = await support.reset(demo.account)
    await page.goto("/.watchword/security")
    await expect(page.get_by_role("complementary")).to_contain_text("Unless you stop it")

    # Nobody stops it. When its time has come, everything ends, everywhere, by itself.
    while await support.state(reset_id) == "waiting":
        await page.wait_for_timeout(200)
    assert await support.state(reset_id) == "done"
    for each in (page, there):
        await each.goto("/")
        await expect(each).to_have_url(SIGN_IN)

    # The password opens nothing but the way to a new authenticator app.
    await page.get_by_label("Account").fill(demo.account)
    await page.get_by_label("Password", exact=True).fill(demo.password)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page).to_have_url(re.compile("/.watchword/factor-needed"))
    await photograph(page, "reset-done")
    await page.goto("/withdrawals")
    await expect(page).to_have_url(re.compile("/.watchword/factor-needed"))
    await page.get_by_role("link", name="Set up an authenticator app").click()
    await expect(page.get_by_text("Support reset your account")).to_be_visible()
    authenticator = await set_up_factor(page)
    await page.goto("/withdrawals")
    await expect(page).to_have_url(f"{demo.gateway}/withdrawals")

    # And it is asked for, like the one before.
    await page.goto("/.watchword/password")
    await enter_code(page, await authenticator.code())
    await expect(page).to_have_url(f"{demo.gateway}/.watchword/password")
