"""What people see when something does not answer: nothing is called done that is not, and they can go on."""

import asyncio

from playwright.async_api import Browser, expect
from redis.asyncio import Redis
from support.gateway import POLICY, OpenScene
from support.photographs import Photographer
from support.steps import page_of


async def test_a_logout_that_the_store_does_not_take_is_under_way_and_happens(
    open_scene: OpenScene, browser: Browser, valkey: Redis, photograph: Photographer
) -> None:
    async with open_scene() as scene:
        ada = await scene.signed_in(authority=f"localhost:{scene.gateway.port}")
        page = await page_of(browser, ada)
        await page.goto("/.watchword/devices")
        try:
            await valkey.config_set("min-replicas-to-write", 1)
            await page.get_by_role("button", name="Force logout from all sessions").click()
            await expect(page.get_by_role("heading", level=1)).to_have_text("It is under way")
            assert (await ada.call("GET /.watchword/api/me")).status == 200, "it is not done"
        finally:
            await valkey.config_set("min-replicas-to-write", 0)
        await photograph(page, "under-way")
        while (await ada.call("GET /.watchword/api/me")).status != 401:
            await asyncio.sleep(0.05)
        await page.reload()
        await expect(page.get_by_role("heading", level=1)).to_have_text("You are signed out everywhere")
        await page.get_by_role("link", name="Sign in").click()
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_an_app_that_does_not_answer_signs_nobody_out(
    open_scene: OpenScene, browser: Browser, unused_tcp_port: int, photograph: Photographer
) -> None:
    policy = POLICY.replace("UPSTREAM", f"http://127.0.0.1:{unused_tcp_port}")
    async with open_scene(policy=policy) as scene:
        ada = await scene.signed_in(authority=f"localhost:{scene.gateway.port}")
        page = await page_of(browser, ada)
        await page.goto("/")
        await expect(page.get_by_role("heading", level=1)).to_have_text("The site does not answer")
        await photograph(page, "app-not-answering")
        await page.get_by_role("link", name="Try again").click()
        await expect(page.get_by_text("You are still signed in.")).to_be_visible()
        await page.goto("/.watchword/devices")
        await expect(page.get_by_text("This device")).to_be_visible()


async def test_a_request_that_waits_for_no_code_any_more(
    open_scene: OpenScene, browser: Browser, photograph: Photographer
) -> None:
    async with open_scene() as scene:
        ada = await scene.signed_in(factor=True, authority=f"localhost:{scene.gateway.port}")
        page = await page_of(browser, ada)
        await page.goto("/password")
        waiting = page.url
        scene.clock.advance(900)
        await page.goto(waiting)
        await expect(page.get_by_role("heading", level=1)).to_have_text("This request is over")
        await photograph(page, "request-over")
